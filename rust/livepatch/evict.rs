// SPDX-License-Identifier: GPL-2.0

//! Removing a patch because its module is being unloaded.
//!
//! The kernel does not unload a module that has references, with two exceptions: the module's init
//! fails after it has enabled the patch (`do_init_module()` in `kernel/module/main.c`), and
//! `rmmod -f`. The module's memory is freed soon after the notifiers have returned, so the patch
//! must be removed before that.
//!
//! A task may stay in the patch for any length of time. While the notifier waits for that task, it
//! holds the lock of the list of notifiers for reading. A task that registers a notifier waits for
//! this lock, and each load of a module then waits behind that task. So [`evict`] waits for
//! [`DEADLINE`] only. Then it stalls the unload at a point after the notifiers, where no lock is
//! held, and leaves the rest to the worker. The stall ends when the patch is released.

use crate::{
    registry::{
        self,
        Registry,
        REGISTRY, //
    },
    retire::RetiredPatches,
    step::PatchId,
    transition::Deadline,
    worker::WORKER, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta,
        Instant,
        Monotonic, //
    }, //
};
use kernel_ext::module::Module;

/// The pause between two attempts to complete the removal, in milliseconds.
const PAUSE_MS: u32 = 100;

/// The time after which the notifier returns although the patch is not removed. Most tasks leave
/// the patch within this time, because they are nudged after three seconds.
const DEADLINE: Delta = Delta::from_secs(10);

/// Disables the patch of `module`, if it is a patch's module, and waits until the patch is
/// released. After [`DEADLINE`] this stalls the unload and returns. The kernel then does not free
/// the module before the patch is released. If the unload is not stalled, this waits on.
///
/// # Context
///
/// A module notifier. Sleeps.
pub(crate) fn evict(module: Module<'_>) {
    let started: Instant<Monotonic> = Instant::now();
    let mut warned = false;
    while !evict_step(module, &mut warned) {
        if started.elapsed() > DEADLINE && stall(module) {
            return;
        }
        fsleep(Delta::from_millis(PAUSE_MS.into()));
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
    registry.start_removal(id, &mut retired);
    registry.advance(&mut retired);
    drop(registry);
    registry::release(retired);
    false
}

/// Stalls the unload of `module` until its patch is released. Returns false if the patch has left
/// the registry: its release does not depend on a task that is in the patch. Also returns false if
/// the module cannot be stalled.
fn stall(module: Module<'_>) -> bool {
    let name = module.name();
    let Ok(mut registry) = REGISTRY.lock() else {
        return false;
    };
    let Some(id) = registry
        .patches()
        .find(|p| p.name() == name)
        .map(|patch| patch.id)
    else {
        return false;
    };
    let Ok(patch) = registry.patch_mut(id) else {
        return false;
    };
    patch.stall = module.stall();
    if patch.stall.is_none() {
        return false;
    }
    pr_warn!(
        "patch '{}' is not disabled yet: the unload of its module waits until it is\n",
        name
    );
    WORKER.after(PAUSE_MS);
    true
}

impl Registry {
    /// Retires the patch `id`. Called while the patch is held: a held patch is in no universe, so
    /// no transition is needed. If memory is short, the caller retries.
    fn evict_held(&mut self, id: PatchId, retired: &mut RetiredPatches) {
        if retired.reserve(1).is_ok() {
            self.retire_one_held(id, retired);
            self.unhook_retired(retired);
            self.settle_later();
        }
    }

    /// Starts to remove the oldest patch whose module is stalled, if there is one. The worker
    /// calls this.
    pub(crate) fn remove_stalled(&mut self, retired: &mut RetiredPatches) {
        let stalled = self.patches().find(|patch| patch.stall.is_some());
        let Some(id) = stalled.map(|patch| patch.id) else {
            return;
        };
        self.start_removal(id, retired);
        if self.transition().is_none() {
            // The start may have failed, or another patch may be stalled, and nothing else requests
            // the worker.
            WORKER.after(PAUSE_MS);
        }
    }

    /// Retires `id` if it is held. Otherwise starts to disable it, unless that transition runs
    /// already or another patch is in transition. Errors are ignored, because the caller retries.
    fn start_removal(&mut self, id: PatchId, retired: &mut RetiredPatches) {
        if self.is_held(id) {
            self.evict_held(id, retired);
            return;
        }
        let _ = match self.transition_of(id) {
            Some(_) if self.is_enabled(id) => self.reverse(),
            None if self.transition().is_none() => self.disable(id),
            _ => Ok(()),
        };
        if self.transition_of(id).is_some() {
            if let Some(transition) = self.transition_mut() {
                transition.deadline = Deadline::None;
            }
        }
    }
}
