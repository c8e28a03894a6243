// SPDX-License-Identifier: GPL-2.0

//! The module's parameters; see `rust/helpers/params.c`.

/// Whether every phase of a transition is logged. May change at any time.
///
/// # Context
///
/// Any.
pub fn debug() -> bool {
    // SAFETY: The function has no requirement.
    unsafe { rlp_bindings::rlp_param_debug() }
}

/// Whether patch modules must have a signature that the kernel verified.
///
/// # Context
///
/// Any.
pub fn require_signed() -> bool {
    // SAFETY: The function has no requirement.
    unsafe { rlp_bindings::rlp_param_require_signed() }
}

/// Whether hooked functions may be promoted to jumps. May change at any time.
///
/// # Context
///
/// Any.
pub fn promote() -> bool {
    // SAFETY: The function has no requirement.
    unsafe { rlp_bindings::rlp_param_promote() }
}

/// The deadline in seconds that a patch gets when it is enabled. If a transition of the patch is
/// not complete at the deadline, it is reversed. 0 means that the patch gets no deadline. May
/// change at any time.
///
/// # Context
///
/// Any.
pub fn deadline() -> u32 {
    // SAFETY: The function has no requirement.
    unsafe { rlp_bindings::rlp_param_deadline() }
}

/// The probation in seconds that a patch gets when it is enabled. The patch must be confirmed in
/// that time. 0 means that it need not be confirmed. May change at any time.
///
/// # Context
///
/// Any.
pub fn probation() -> u32 {
    // SAFETY: The function has no requirement.
    unsafe { rlp_bindings::rlp_param_probation() }
}

/// A registration of the function that was given to [`on_params_changed!`]: writers of the
/// parameter `promote` call it until this is dropped.
///
/// [`on_params_changed!`]: crate::on_params_changed
pub struct Registration(());

impl Registration {
    /// Registers the function.
    ///
    /// # Context
    ///
    /// This and the drop may sleep, and wait for a writer that is calling the function.
    pub fn register() -> Self {
        // SAFETY: Process context. The function takes the lock of the parameters. A thread holds
        // that lock while it reads or writes a parameter, and does not call this function then.
        unsafe { rlp_bindings::rlp_params_set_registered(true) };
        Self(())
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: As in `register()`.
        unsafe { rlp_bindings::rlp_params_set_registered(false) };
    }
}

/// Emits a function that calls `$changed()`. It is called after the parameter `promote` was
/// written.
///
/// # Context
///
/// The function is called in process context, with the lock of the parameters held. It may sleep.
#[macro_export]
macro_rules! on_params_changed {
    ($changed:path) => {
        #[no_mangle]
        extern "C" fn rlp_rust_params_changed() {
            $changed()
        }
    };
}
