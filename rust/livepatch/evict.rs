// SPDX-License-Identifier: GPL-2.0

//! Removing a patch because its module is being unloaded.
//!
//! The kernel does not unload a module that has references, with two exceptions: the module's init
//! fails after it has enabled the patch (`do_init_module()` in `kernel/module/main.c`), and
//! `rmmod -f`. The module's memory is freed as soon as the notifiers have returned, so the patch
//! must be removed before that.

use crate::{
    registry::{
        self,
        Registry,
        REGISTRY, //
    },
    retire::RetiredPatches,
    step::PatchId, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use kernel_ext::module::Module;

/// The pause between two attempts to complete the removal, in milliseconds.
const PAUSE_MS: i64 = 100;

/// Disables the patch of `module`, if it is a patch's module, and waits until the patch is
/// released.
///
/// # Context
///
/// A module notifier. Sleeps until no task is in the patch. If ftrace has shut itself down while a
/// function jumps into the patch, this never returns.
pub(crate) fn evict(module: Module<'_>) {
    let mut warned = false;
    while !evict_step(module, &mut warned) {
        fsleep(Delta::from_millis(PAUSE_MS));
    }
}

/// Drives the removal of the patch of `module`. Returns true when nothing refers to the patch any
/// more.
fn evict_step(module: Module<'_>, warned: &mut bool) -> bool {
    let name = module.name();
    let Ok(mut registry) = REGISTRY.lock() else {
        return true;
    };
    let Some(patch) = registry.patches().find(|p| p.name() == name) else {
        // The patch may be retired and not yet released.
        return !registry.has_retired() || !module.is_used();
    };
    if !core::mem::replace(warned, true) {
        pr_err!(
            "patch '{}' is still registered while its module is being unloaded: the patch is disabled first\n",
            name
        );
    }
    let id = patch.id;
    let mut retired = RetiredPatches::empty();
    registry.start_removal(id);
    registry.advance(&mut retired);
    drop(registry);
    registry::release(retired);
    false
}

impl Registry {
    /// Starts to disable `id`, unless that transition runs already or another patch is in
    /// transition. Errors are ignored, because the caller retries.
    fn start_removal(&mut self, id: PatchId) {
        let _ = match self.transition_of(id) {
            Some(_) if self.is_enabled(id) => self.reverse(),
            None if self.transition().is_none() => self.disable(id),
            _ => Ok(()),
        };
        if let Some(transition) = self.transition_mut() {
            transition.has_deadline = false;
        }
    }
}
