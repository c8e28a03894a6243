// SPDX-License-Identifier: GPL-2.0

//! Records in the kernel's audit log; see `rust/helpers/audit.c`.

use kernel::{
    prelude::*,
    str::CStr, //
};

/// Writes a record of an event of `patch`, if auditing is on.
///
/// `event` and `state` are one word each. `us` is the time since the start of the patch's
/// transition in microseconds, or the duration of its last transition if none runs.
///
/// # Context
///
/// Process context. May sleep.
pub fn record(patch: &CStr, event: &CStr, state: &CStr, us: i64) {
    // SAFETY: The strings are terminated, and are not kept.
    unsafe {
        rlp_bindings::rlp_audit(
            patch.as_char_ptr(),
            event.as_char_ptr(),
            state.as_char_ptr(),
            us,
        );
    }
}
