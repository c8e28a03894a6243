// SPDX-License-Identifier: GPL-2.0

//! A patch comes: checked, resolved, hooked, and then moved in.

use crate::{
    debug,
    leave::Leavers,
    patch::{Patch, PatchId},
    plan::{Move, Plan},
    registry::{Registry, REGISTRY},
    states::{self, Below},
    sysfs,
    transition::{self, Transition},
};
use kernel::{
    prelude::*,
    time::{delay::fsleep, Delta},
};
use kernel_ext::{klp::PatchDesc, params, statics::Locked};

/// Enables the patch of a module that is being initialised. Context: may sleep.
pub(crate) fn enable(desc: PatchDesc) -> Result {
    let patch = desc.clone();
    check_and_start(desc).inspect_err(|e| {
        // All others have been told where they came up.
        if *e == ENOMEM {
            pr_err!("patch '{}': out of memory\n", patch.module().name());
        }
    })
}

fn check_and_start(desc: PatchDesc) -> Result {
    let mut leavers = Leavers::for_one()?;
    let patch = Patch::new(desc)?;
    let mut registry = lock_when_known(&patch)?;
    let result = registry.enable(patch, &mut leavers);
    drop(registry);
    leavers.part();
    result
}

/// How often, and with what pause in milliseconds, a module that is loading is looked at again.
const ASK_AGAIN: (u32, i64) = (200, 50);

/// Locks the registry when of each module that `patch` is for it is known whether it is there.
///
/// One whose init has begun before the loader was loaded is not announced any more, and runs already
/// unpatched; one that was just about to be announced waits for the lock. Context: may sleep.
/// `EBUSY` if one stays so for long.
fn lock_when_known(patch: &Patch) -> Result<Locked<Registry>> {
    let (times, pause_ms) = ASK_AGAIN;
    for again in (0..times).rev() {
        let registry = REGISTRY.lock()?;
        let Some(name) = patch.unannounced(&registry.announced) else {
            return Ok(registry);
        };
        drop(registry);
        if again == 0 {
            pr_err!(
                "patch '{}' has to wait: module '{}' is still loading, since before the loader was\n",
                patch.name(),
                name
            );
            break;
        }
        fsleep(Delta::from_millis(pause_ms));
    }
    Err(EBUSY)
}

impl Registry {
    fn enable(&mut self, mut patch: Patch, leavers: &mut Leavers) -> Result {
        let id = patch.id;
        let step = match patch.replace {
            true => Move::Replacing(id),
            false => Move::In(id),
        };
        // Before all else: its structures may be those of the patch that is there.
        if self
            .patches
            .iter()
            .any(|other| other.name() == patch.name())
        {
            pr_err!("patch '{}' is registered already\n", patch.name());
            return Err(EEXIST);
        }
        if let Err(e) = self.admit(&mut patch) {
            self.let_go(patch, false, leavers);
            return Err(e);
        }
        // admit() made room.
        self.patches
            .push_within_capacity(patch)
            .map_err(|_| ENOMEM)?;
        let result = self.start_enabling(id, step);
        if let Err(e) = result {
            self.expel(id, leavers);
            return Err(e);
        }
        self.advance(leavers);
        Ok(())
    }

    /// Everything that can be checked before the system is changed.
    fn admit(&mut self, patch: &mut Patch) -> Result {
        let name = patch.name();
        if params::require_signed() {
            patch.desc.module().check_signature().inspect_err(|_| {
                pr_err!("patch '{}': its signature was not verified\n", name);
            })?;
        }
        states::check_compatible(&self.patches, patch)?;
        self.check_still(name)?;
        // First of what is to be undone: it tells a patch that is still leaving, whose relocations
        // are those of this one.
        let mut directory = sysfs::PatchDirectory::default();
        let result = directory.fill(&self.root, patch);
        patch.directory = Some(directory);
        result?;
        patch.resolve(&self.announced, &self.callbacks)?;
        Ok(self.patches.reserve(1, GFP_KERNEL)?)
    }

    fn start_enabling(&mut self, id: PatchId, step: Move) -> Result {
        self.below = Some(Below::show(&self.patches, id)?);
        let patch = self.patch(id)?;
        let name = patch.name();
        pr_notice!("enabling patch '{}'\n", name);
        debug!("'{}': initializing patching transition\n", name);
        for object in patch.present() {
            object.desc.pre_patch(&self.callbacks).inspect_err(|_| {
                pr_warn!(
                    "pre-patch callback failed for object '{}'\n",
                    object.label()
                );
            })?;
        }
        self.hook(id)?;
        let plan = Plan::new(&self.patches, step)?;
        self.hooks.demote(plan.changing())?;
        pr_notice!(
            "'{}': starting patching transition\n",
            self.patch(id)?.name()
        );
        transition::watch(&mut self.probe, self.gate)?;
        self.transition = Some(Transition::start(&plan, step, self.gate)?);
        Ok(())
    }

    /// Takes out a patch that could not be enabled.
    fn expel(&mut self, id: PatchId, leavers: &mut Leavers) {
        let Some(at) = self.patches.iter().position(|p| p.id == id) else {
            return;
        };
        let Ok(patch) = self.patches.remove(at) else {
            return;
        };
        let name = patch.name();
        pr_warn!("failed to enable patch '{}'\n", name);
        debug!(
            "'{}': canceling patching transition, going to unpatch\n",
            name
        );
        debug!("'{}': completing unpatching transition\n", name);
        self.unhook_after(leavers);
        patch
            .present()
            .for_each(|object| object.desc.post_unpatch(&self.callbacks));
        pr_notice!("'{}': unpatching complete\n", name);
        self.below = None;
        self.let_go(patch, false, leavers);
    }
}
