// SPDX-License-Identifier: GPL-2.0

//! What an operator may do with a patch: disable it, turn a transition round, force its end.

use crate::{
    debug,
    patch::Patch,
    registry::{
        Registry,
        REGISTRY, //
    },
    step::{
        Move,
        PatchId, //
    },
    worker::WORKER, //
};
use kernel::prelude::*;

/// Enables, disables, or reverses a transition. Context: may sleep.
///
/// # Errors
///
/// `EINVAL` if it is so already, `EBUSY` while another patch moves, `ENODEV` if the patch is gone,
/// `ENOMEM`.
pub(crate) fn set_enabled(id: PatchId, enabled: bool) -> Result {
    REGISTRY.lock()?.set_enabled(id, enabled)
}

/// Ends the transition of `id` without proof. `EINVAL` if it does not move, `EBUSY` while a patch's
/// module could go under it.
pub(crate) fn force(id: PatchId) -> Result {
    REGISTRY.lock()?.force(id)
}

impl Registry {
    fn set_enabled(&mut self, id: PatchId, enabled: bool) -> Result {
        let name = self.patch(id)?.name();
        if self.is_enabled(id) == enabled {
            let state = match enabled {
                true => "enabled",
                false => "disabled",
            };
            pr_err!("'{}' is {} already\n", name, state);
            return Err(EINVAL);
        }
        if self.transition_of(id).is_some() {
            return self.reverse().inspect_err(|e| {
                if let Ok(patch) = self.patch(id) {
                    pr_err!(
                        "'{}' is not turned round ({})\n",
                        patch.name(),
                        e.to_errno()
                    );
                }
            });
        }
        // A patch that is disabled and does not move is gone: this one is enabled.
        self.disable(id).inspect_err(|e| {
            if let Ok(patch) = self.patch(id) {
                pr_err!("'{}' stays enabled ({})\n", patch.name(), e.to_errno());
            }
            self.settle_later();
        })
    }

    pub(crate) fn disable(&mut self, id: PatchId) -> Result {
        let step = Move::Out(id);
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
        self.sweep();
        Ok(())
    }

    pub(crate) fn reverse(&mut self) -> Result {
        let transition = self.transition().ok_or(EINVAL)?;
        let (from, to) = match transition.patching() {
            true => ("patching", "unpatching"),
            false => ("unpatching", "patching"),
        };
        let name = self.moving_patch().ok_or(EINVAL)?.name();
        debug!("'{}': reversing transition from {} to {}\n", name, from, to);
        self.reverse_transition()?;
        let name = self.moving_patch().ok_or(EINVAL)?.name();
        pr_notice!("'{}': starting {} transition\n", name, to);
        self.sweep();
        Ok(())
    }

    fn force(&mut self, id: PatchId) -> Result {
        let patch = self.patch(id)?;
        if self.transition_of(id).is_none() {
            pr_err!("'{}' is not in transition\n", patch.name());
            return Err(EINVAL);
        }
        // A module whose init has yet to succeed is freed if it fails, and no reference keeps it
        // (`evict()`): its patch has to be shown to be unused.
        let unsure = |p: &&Patch| !p.desc.module().is_live();
        if let Some(other) = self.patches().find(unsure) {
            pr_err!(
                "'{}' is not forced: the init of module '{}' runs, or it is being removed\n",
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
        WORKER.after(0);
        Ok(())
    }

    /// One look at all tasks; the worker does the rest.
    fn sweep(&mut self) {
        if let Some(transition) = self.transition_mut() {
            transition.sweep();
            match transition.is_done() {
                true => WORKER.after(0),
                false => transition.schedule(),
            }
        }
    }
}
