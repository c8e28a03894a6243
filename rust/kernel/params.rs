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

/// Emits what is called, in process context, after a parameter was written; also before init.
#[macro_export]
macro_rules! on_params_changed {
    ($changed:path) => {
        #[no_mangle]
        extern "C" fn rlp_rust_params_changed() {
            $changed()
        }
    };
}
