// SPDX-License-Identifier: GPL-2.0

//! A patch comes: checked, resolved, hooked, and then moved in.

use crate::{
    debug,
    directory::{
        Files,
        PatchDirectory, //
    },
    patch::Patch,
    registry::{
        self,
        Registry,
        REGISTRY, //
    },
    retire::RetiredPatches,
    states,
    step::{
        Move,
        PatchId, //
    }, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use kernel_ext::{
    klp::PatchDesc,
    params,
    statics::Locked, //
};

/// Enables the patch of a module that is being initialised. Its directories get `files`. Context: may
/// sleep.
pub(crate) fn enable(desc: PatchDesc, files: &Files) -> Result {
    let patch = desc.clone();
    check_and_start(desc, files).inspect_err(|e| {
        // All others have been told where they came up.
        if *e == ENOMEM {
            pr_err!("patch '{}': out of memory\n", patch.module().name());
        }
    })
}

fn check_and_start(desc: PatchDesc, files: &Files) -> Result {
    let mut retired = RetiredPatches::for_one()?;
    let patch = Patch::new(desc, |name| files.has(name))?;
    let mut registry = lock_when_known(&patch)?;
    let result = registry.enable(patch, files, &mut retired);
    drop(registry);
    registry::release(retired);
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
        let Some(name) = patch.unannounced(registry.announced()) else {
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
    fn enable(&mut self, mut patch: Patch, files: &Files, retired: &mut RetiredPatches) -> Result {
        let id = patch.id;
        let step = match patch.replace {
            true => Move::Replacing(id),
            false => Move::In(id),
        };
        // Before all else: its structures may be those of the patch that is there.
        if self.patches().any(|other| other.name() == patch.name()) {
            pr_err!("patch '{}' is registered already\n", patch.name());
            return Err(EEXIST);
        }
        let mut directory = PatchDirectory::default();
        if let Err(e) = self.admit(&mut patch, files, &mut directory) {
            self.retire((patch, directory), false, retired);
            return Err(e);
        }
        // admit() made room.
        self.add(patch, directory)?;
        let result = self.start_enabling(id, step);
        if let Err(e) = result {
            self.expel(id, retired);
            return Err(e);
        }
        self.advance(retired);
        Ok(())
    }

    /// Everything that can be checked before the system is changed.
    fn admit(
        &mut self,
        patch: &mut Patch,
        files: &Files,
        directory: &mut PatchDirectory,
    ) -> Result {
        let name = patch.name();
        if params::require_signed() {
            patch.desc.module().check_signature().inspect_err(|_| {
                pr_err!("patch '{}': its signature was not verified\n", name);
            })?;
        }
        states::check_compatible(self.patches(), patch)?;
        self.check_no_transition(name)?;
        // First of what is to be undone: it tells a patch that is still leaving, whose relocations
        // are those of this one.
        directory.fill(self.root(), files, patch)?;
        patch.resolve(self.announced(), self.callbacks())?;
        self.reserve()
    }

    fn start_enabling(&mut self, id: PatchId, step: Move) -> Result {
        self.publish_previous_states(id)?;
        let patch = self.patch(id)?;
        let name = patch.name();
        pr_notice!("enabling patch '{}'\n", name);
        debug!("'{}': initializing patching transition\n", name);
        for object in patch.present() {
            object.desc.pre_patch(self.callbacks()).inspect_err(|_| {
                pr_warn!(
                    "pre-patch callback failed for object '{}'\n",
                    object.label()
                );
            })?;
        }
        self.hook(id)?;
        self.demote_changing(step)?;
        pr_notice!(
            "'{}': starting patching transition\n",
            self.patch(id)?.name()
        );
        self.register_probe()?;
        self.start_transition(step)
    }

    /// Takes out a patch that could not be enabled.
    fn expel(&mut self, id: PatchId, retired: &mut RetiredPatches) {
        let Some((patch, directory)) = self.remove(id) else {
            return;
        };
        let name = patch.name();
        pr_warn!("failed to enable patch '{}'\n", name);
        debug!(
            "'{}': canceling patching transition, going to unpatch\n",
            name
        );
        debug!("'{}': completing unpatching transition\n", name);
        self.unhook_retired(retired);
        self.settle_later();
        patch
            .present()
            .for_each(|object| object.desc.post_unpatch(self.callbacks()));
        pr_notice!("'{}': unpatching complete\n", name);
        self.withdraw_previous_states();
        self.retire((patch, directory), false, retired);
    }
}
