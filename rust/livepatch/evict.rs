// SPDX-License-Identifier: GPL-2.0

//! A patch whose module goes under it.
//!
//! A module that is used is not unloaded, save in two ways that ask nobody: its init fails after it
//! has enabled the patch (`do_init_module()` in `kernel/module/main.c`), and `rmmod -f`. Its memory is
//! freed when the notifiers have returned, so the patch has to be gone by then.

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

/// Between two looks at tasks that are in the patch, in milliseconds.
const PAUSE_MS: i64 = 100;

/// If `module` is that of a patch, disables it and waits until it is gone.
///
/// Context: a module notifier; may sleep for as long as some task is in the patch, or ftrace's
/// death keeps a function jumping into it.
pub(crate) fn evict(module: Module<'_>) {
    let mut warned = false;
    while !evict_step(module, &mut warned) {
        fsleep(Delta::from_millis(PAUSE_MS));
    }
}

/// Goes on with taking the patch of `module` out, and says whether none refers to it any more.
fn evict_step(module: Module<'_>, warned: &mut bool) -> bool {
    let name = module.name();
    let Ok(mut registry) = REGISTRY.lock() else {
        return true;
    };
    let Some(patch) = registry.patches().find(|p| p.name() == name) else {
        // It may be one of those that leave.
        return !registry.has_retired() || !module.is_used();
    };
    if !core::mem::replace(warned, true) {
        pr_err!(
            "patch '{}': its module goes although the patch is there, which is disabled first\n",
            name
        );
    }
    let id = patch.id;
    let mut retired = RetiredPatches::none();
    registry.start_removal(id);
    registry.advance(&mut retired);
    drop(registry);
    registry::release(retired);
    false
}

impl Registry {
    /// Starts the way out of `id`, unless it is on it, or another patch moves. What fails is tried
    /// again by the caller.
    fn start_removal(&mut self, id: PatchId) {
        let _ = match self.transition_of(id) {
            Some(_) if self.is_enabled(id) => self.reverse(),
            None if self.transition().is_none() => self.disable(id),
            _ => Ok(()),
        };
    }
}
