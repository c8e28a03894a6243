// SPDX-License-Identifier: GPL-2.0

//! The patch that the kernel's log names if the kernel panics; see `rust/helpers/mark.c`.

use crate::atomic::{
    AtomicBool,
    Ordering, //
};
use kernel::{
    prelude::*,
    str::CStr, //
};

/// Set by the first call of [`PanicMark::register`], and never cleared: the drop of the mark is
/// final.
static REGISTERED: AtomicBool = AtomicBool::new(false);

/// The right to choose the patch that a panic names. While it lives, a panic notifier is
/// registered.
///
/// # Context
///
/// The drop may sleep.
pub struct PanicMark(());

impl PanicMark {
    /// Registers the panic notifier.
    ///
    /// # Context
    ///
    /// Any.
    ///
    /// # Errors
    ///
    /// `EBUSY` if this was called before.
    pub fn register() -> Result<Self> {
        // ORDERING: Relaxed. The partner is this line in other threads. Only the swap itself must
        // be atomic: exactly one caller reads false.
        if REGISTERED.swap(true, Ordering::Relaxed) {
            return Err(EBUSY);
        }
        // SAFETY: The notifier was not registered before: `REGISTERED` was false.
        unsafe { rlp_bindings::rlp_mark_register() };
        Ok(Self(()))
    }

    /// Names `patch` in the log if the kernel panics. With `None` no patch is named.
    ///
    /// # Context
    ///
    /// Any.
    pub fn set(&mut self, patch: Option<&CStr>) {
        let name = patch.map_or(core::ptr::null(), CStr::as_char_ptr);
        // SAFETY: Null, or a terminated string, which is copied. Calls are serialised: `self` is
        // the only value of this type.
        unsafe { rlp_bindings::rlp_mark_patch(name) };
    }
}

impl Drop for PanicMark {
    fn drop(&mut self) {
        self.set(None);
        // SAFETY: `register()` has registered the notifier.
        unsafe { rlp_bindings::rlp_mark_unregister() };
    }
}
