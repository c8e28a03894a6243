// SPDX-License-Identifier: GPL-2.0

//! What an operator may do with a patch: disable it, turn a transition round, force its end.

use crate::{
    debug,
    patch::{Patch, PatchId},
    plan::{Move, Plan},
    registry::{Registry, REGISTRY},
    states::Below,
    transition::{self, Transition},
    worker::WORKER,
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
        let patch = self.patches.iter().find(|p| p.id == id).ok_or(ENODEV)?;
        let name = patch.name();
        self.check_still(name)?;
        let plan = Plan::new(&self.patches, step)?;
        self.hooks.demote(plan.changing())?;
        transition::watch(&mut self.probe, self.gate)?;
        debug!("'{}': initializing unpatching transition\n", name);
        self.below = Some(Below::show(&self.patches, id)?);
        patch
            .present()
            .for_each(|object| object.desc.pre_unpatch(&self.callbacks));
        pr_notice!("'{}': starting unpatching transition\n", name);
        match Transition::start(&plan, step, self.gate) {
            Ok(transition) => self.transition = Some(transition),
            Err(e) => {
                patch
                    .present()
                    .for_each(|object| object.desc.post_patch(&self.callbacks));
                drop(plan);
                self.below = None;
                return Err(e);
            }
        }
        drop(plan);
        self.sweep();
        Ok(())
    }

    pub(crate) fn reverse(&mut self) -> Result {
        let transition = self.transition.as_mut().ok_or(EINVAL)?;
        let plan = Plan::new(&self.patches, transition.step)?;
        let name = self
            .patches
            .iter()
            .find(|p| transition.step.moves(p.id))
            .ok_or(EINVAL)?
            .name();
        let (from, to) = match transition.patching() {
            true => ("patching", "unpatching"),
            false => ("unpatching", "patching"),
        };
        debug!("'{}': reversing transition from {} to {}\n", name, from, to);
        transition.reverse(&plan)?;
        pr_notice!("'{}': starting {} transition\n", name, to);
        drop(plan);
        self.sweep();
        Ok(())
    }

    fn force(&mut self, id: PatchId) -> Result {
        let patch = self.patches.iter().find(|p| p.id == id).ok_or(ENODEV)?;
        let transition = self.transition.as_mut().filter(|t| t.step.moves(id));
        let transition = transition.ok_or(EINVAL).inspect_err(|_| {
            pr_err!("'{}' is not in transition\n", patch.name());
        })?;
        // A module whose init has yet to succeed is freed if it fails, and no reference keeps it
        // (`evict()`): its patch has to be shown to be unused.
        let unsure = |p: &&Patch| !p.desc.module().is_live();
        if let Some(other) = self.patches.iter().find(unsure) {
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
        transition.force();
        WORKER.after(0);
        Ok(())
    }

    /// One look at all tasks; the worker does the rest.
    fn sweep(&mut self) {
        if let Some(transition) = &mut self.transition {
            transition.sweep();
            match transition.is_done() {
                true => WORKER.after(0),
                false => transition.schedule(),
            }
        }
    }
}
