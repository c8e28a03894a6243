// SPDX-License-Identifier: GPL-2.0

//! The requests of an operator: to disable a patch, to reverse its transition, or to force the end
//! of the transition.

use crate::{
    debug,
    events::Event,
    patch::Patch,
    registry::{
        Registry,
        REGISTRY, //
    },
    step::{
        PatchId,
        Step, //
    },
    worker::WORKER, //
};
use kernel::prelude::*;

/// Disables the patch `id`, or reverses its transition.
///
/// # Context
///
/// Process context. May sleep.
///
/// # Errors
///
/// - `EINVAL` if the patch is already in the requested state.
/// - `EBUSY` while the patch is held, or another patch is in transition; or if a function cannot be
///   demoted.
/// - `ENODEV` if the patch is not registered, or ftrace has shut itself down.
/// - `ENOMEM`.
pub(crate) fn set_enabled(id: PatchId, enabled: bool) -> Result {
    REGISTRY.lock()?.set_enabled(id, enabled)
}

/// Switches all tasks that the transition of `id` still waits for, without proof.
///
/// # Context
///
/// Process context. May sleep.
///
/// # Errors
///
/// `EINVAL` if the patch is not in transition; `EBUSY` while the init of a registered patch's
/// module runs, or while that module is being unloaded; `ENODEV` if the patch is not registered.
pub(crate) fn force(id: PatchId) -> Result {
    REGISTRY.lock()?.force(id)
}

impl Registry {
    fn set_enabled(&mut self, id: PatchId, enabled: bool) -> Result {
        let name = self.patch(id)?.name();
        if self.is_enabled(id) == enabled {
            let state = if enabled { "enabled" } else { "disabled" };
            pr_err!("patch '{}' is already {}\n", name, state);
            return Err(EINVAL);
        }
        if self.is_held(id) {
            if let Some(by) = self.held_by() {
                pr_err!(
                    "patch '{}' cannot be enabled: '{}' has replaced it and is on probation\n",
                    name,
                    by.name()
                );
            }
            return Err(EBUSY);
        }
        if self.transition_of(id).is_some() {
            return self.reverse().inspect_err(|e| {
                if let Ok(patch) = self.patch(id) {
                    pr_err!(
                        "patch '{}': the transition was not reversed ({})\n",
                        patch.name(),
                        e.to_errno()
                    );
                }
            });
        }
        // If another patch is in transition, `disable()` returns an error. Otherwise this patch is
        // enabled, because it is registered and not held. So the request is to disable it.
        self.disable(id).inspect_err(|e| {
            if let Ok(patch) = self.patch(id) {
                pr_err!(
                    "patch '{}' was not disabled ({})\n",
                    patch.name(),
                    e.to_errno()
                );
            }
            self.settle_later();
        })
    }

    /// Starts the transition that disables `id`, which is enabled. If other patches are held for
    /// `id`, they are in effect again when the transition is complete.
    ///
    /// # Errors
    ///
    /// `EBUSY` while another patch is in transition or if a function cannot be demoted, `ENODEV` if
    /// the patch is not registered or ftrace has shut itself down, `ENOMEM`. Nothing has changed
    /// then.
    pub(crate) fn disable(&mut self, id: PatchId) -> Result {
        let step = if self.held_by().is_some_and(|by| by.id == id) {
            Step::Restore(id)
        } else {
            Step::Disable(id)
        };
        self.check_no_transition(self.patch(id)?.name())?;
        self.demote_changing(step)?;
        self.register_probe()?;
        debug!(
            "'{}': initializing unpatching transition\n",
            self.patch(id)?.name()
        );
        self.publish_previous_states(id)?;
        let patch = self.patch(id)?;
        patch
            .present()
            .for_each(|object| object.desc.pre_unpatch(self.callbacks()));
        pr_notice!("'{}': starting unpatching transition\n", patch.name());
        if let Err(e) = self.start_transition(step) {
            let patch = self.patch(id)?;
            patch
                .present()
                .for_each(|object| object.desc.post_patch(self.callbacks()));
            self.withdraw_previous_states();
            return Err(e);
        }
        self.report(id, Event::Start);
        self.sweep();
        Ok(())
    }

    /// Reverses the transition and sweeps once.
    ///
    /// # Errors
    ///
    /// `EINVAL` if no transition runs, `ENOMEM`. The transition then continues as before.
    pub(crate) fn reverse(&mut self) -> Result {
        let transition = self.transition().ok_or(EINVAL)?;
        let (from, to) = if transition.patching() {
            ("patching", "unpatching")
        } else {
            ("unpatching", "patching")
        };
        let patch = self.patch_in_transition().ok_or(EINVAL)?;
        let (id, name) = (patch.id, patch.name());
        debug!("'{}': reversing transition from {} to {}\n", name, from, to);
        self.reverse_transition()?;
        let name = self.patch(id)?.name();
        pr_notice!("'{}': starting {} transition\n", name, to);
        self.report(id, Event::Reverse);
        self.sweep();
        Ok(())
    }

    fn force(&mut self, id: PatchId) -> Result {
        let patch = self.patch(id)?;
        if self.transition_of(id).is_none() {
            pr_err!("patch '{}' is not in transition\n", patch.name());
            return Err(EINVAL);
        }
        // A module whose init fails is freed although references to it are held (see `evict()`).
        // Tasks that were forced could then run freed code, so no task is forced while a module
        // may fail its init. The kernel does not free a module whose unload is stalled (see
        // `evict.rs`).
        let may_be_freed = |p: &&Patch| !p.desc.module().is_live() && p.stall.is_none();
        if let Some(other) = self.patches().find(may_be_freed) {
            pr_err!(
                "patch '{}' cannot be forced: module '{}' is being initialized or unloaded\n",
                patch.name(),
                other.name()
            );
            return Err(EBUSY);
        }
        pr_warn!(
            "'{}': forcing remaining tasks to the patched state\n",
            patch.name()
        );
        if let Some(transition) = self.transition_mut() {
            transition.force();
        }
        self.report(id, Event::Force);
        WORKER.after(0);
        Ok(())
    }

    /// Sweeps once. The worker does the rest of the transition.
    fn sweep(&mut self) {
        if let Some(transition) = self.transition_mut() {
            transition.sweep();
            if transition.is_done() {
                WORKER.after(0);
            } else {
                transition.schedule();
            }
        }
    }
}
