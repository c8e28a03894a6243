// SPDX-License-Identifier: GPL-2.0

//! The module's parameters; see `rust/helpers/params.c`.

/// Whether every phase of a transition is logged. May change at any time.
pub fn debug() -> bool {
    // SAFETY: No requirement.
    unsafe { rlp_bindings::rlp_param_debug() }
}

/// Whether patch modules must have a signature that the kernel verified.
pub fn require_signed() -> bool {
    // SAFETY: No requirement.
    unsafe { rlp_bindings::rlp_param_require_signed() }
}

/// Whether patched functions may jump. May change at any time.
pub fn promote() -> bool {
    // SAFETY: No requirement.
    unsafe { rlp_bindings::rlp_param_promote() }
}

/// As long as it lives, [`on_params_changed!`]'s function is called. Afterwards it has returned.
///
/// [`on_params_changed!`]: crate::on_params_changed
pub struct Registration(());

impl Registration {
    /// Context of this and of the drop: may sleep; waits for that function.
    pub fn register() -> Self {
        // SAFETY: Process context; no writer of a parameter calls this.
        unsafe { rlp_bindings::rlp_params_set_registered(true) };
        Self(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: As above.
        unsafe { rlp_bindings::rlp_params_set_registered(false) };
    }
}

/// Emits what is called, in process context and with the parameters locked, after one was written.
#[macro_export]
macro_rules! on_params_changed {
    ($changed:path) => {
        #[no_mangle]
        extern "C" fn rlp_rust_params_changed() {
            $changed()
        }
    };
}
