// SPDX-License-Identifier: GPL-2.0

//! Records in the kernel's audit log; see `rust/helpers/audit.c`.

use kernel::{
    prelude::*,
    str::CStr, //
};

/// Writes a record of an event of `patch`, if auditing is on.
///
/// `event` and `state` are one word each. `us` is the time in microseconds since the transition of
/// the patch started. If no transition of the patch runs, `us` is the duration of its last one.
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
