// SPDX-License-Identifier: GPL-2.0

//! Enabling a patch: check and resolve it, hook its functions, and start the transition.

use crate::{
    debug,
    directory::{
        Files,
        PatchDirectory, //
    },
    events::Event,
    patch::Patch,
    registry::{
        self,
        Registry,
        REGISTRY, //
    },
    retire::RetiredPatches,
    states,
    step::{
        PatchId,
        Step, //
    }, //
};
use kernel::{
    prelude::*,
    str::CStr,
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

/// Enables the patch of a module that is being initialised. The patch's directories get `files`.
///
/// # Context
///
/// Process context, in the module's init. May sleep.
///
/// # Errors
///
/// The reason for an error is logged. In particular: `EINVAL` for a description that is not valid,
/// `ENOENT` for a function whose size is unknown, `EEXIST` if the patch is registered already,
/// `EBUSY` if another patch is in transition or an object's module is still loading, `ENOMEM`, and
/// the error of a `pre_patch` callback.
pub(crate) fn enable(desc: PatchDesc, files: &Files) -> Result {
    let patch = desc.clone();
    check_and_start(desc, files).inspect_err(|e| {
        // Each other error was logged where it occurred.
        if *e == ENOMEM {
            pr_err!(
                "patch '{}' cannot be enabled: out of memory\n",
                patch.module().name()
            );
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

/// The number of look-ups of a module that is still loading.
const LOADING_TRIES: u32 = 200;
/// The pause between two look-ups.
const LOADING_PAUSE: Delta = Delta::from_millis(50);

/// Waits until it is known, for each object of `patch`, whether the object's module is loaded. Then
/// locks the registry.
///
/// The notifier does not announce a module whose init began before the loader was loaded, nor one
/// that began to load while memory was short and no patch had an object for it. Such a module
/// already runs unpatched code, so the patch waits until the module is live. A module whose load
/// has just begun may not be announced yet, because the notifier waits for the registry's lock. The
/// notifier announces it between two look-ups, when the registry is unlocked.
///
/// # Context
///
/// Process context. May sleep.
///
/// # Errors
///
/// `EBUSY` if a module that was not announced is still loading after [`LOADING_TRIES`] look-ups.
fn lock_when_known(patch: &Patch) -> Result<Locked<Registry>> {
    for tries_left in (0..LOADING_TRIES).rev() {
        let registry = REGISTRY.lock()?;
        let Some(name) = patch.unannounced(registry.announced()) else {
            return Ok(registry);
        };
        drop(registry);
        if tries_left == 0 {
            pr_err!(
                "patch '{}' cannot be enabled: the loader has no record of module '{}', which is still loading\n",
                patch.name(),
                name
            );
            break;
        }
        fsleep(LOADING_PAUSE);
    }
    Err(EBUSY)
}

impl Registry {
    fn enable(&mut self, mut patch: Patch, files: &Files, retired: &mut RetiredPatches) -> Result {
        let id = patch.id;
        let step = if patch.replace {
            Step::Replace(id)
        } else {
            Step::Enable(id)
        };
        // This check must be the first. If the patch is registered, its module has enabled it a
        // second time, and the code below must not touch the structures that the registered patch
        // uses.
        if self.patches().any(|other| other.name() == patch.name()) {
            pr_err!("patch '{}' is already registered\n", patch.name());
            return Err(EEXIST);
        }
        let mut directory = PatchDirectory::default();
        if let Err(e) = self.admit(&mut patch, files, &mut directory) {
            self.retire((patch, directory), false, retired);
            return Err(e);
        }
        // `admit()` has reserved the room.
        self.add(patch, directory)?;
        let result = self.start_enabling(id, step);
        if let Err(e) = result {
            self.remove_failed(id, retired);
            return Err(e);
        }
        self.advance(retired);
        Ok(())
    }

    /// Checks everything that can be checked before the system is changed, and makes the
    /// directories and the room for `patch`.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Errors
    ///
    /// Those of `check_signature()`, [`states::check_compatible`], [`PatchDirectory::fill`] and
    /// [`Patch::resolve`], `EBUSY` while another patch is in transition, and that of
    /// `check_none_held()`. A line in the log says why the patch cannot be enabled, unless the
    /// error is `ENOMEM`. The caller retires `patch` and `directory`.
    fn admit(
        &mut self,
        patch: &mut Patch,
        files: &Files,
        directory: &mut PatchDirectory,
    ) -> Result {
        let name = patch.name();
        if params::require_signed() {
            patch.desc.module().check_signature().inspect_err(|_| {
                pr_err!(
                    "patch '{}' cannot be enabled: its signature was not verified\n",
                    name
                );
            })?;
        }
        states::check_compatible(self.patches(), patch)?;
        self.check_no_transition(name)?;
        self.check_none_held(name)?;
        // The first step that must be undone. It fails if an earlier patch of the same module is
        // retired and not yet released: that patch has the same relocations as this one.
        directory.fill(self.root(), files, patch)?;
        // No callback of the patch can be called before this, nor after it is retired.
        patch.desc.make_lists(self.callbacks());
        #[expect(unsafe_code, reason = "types cannot express which code runs")]
        // SAFETY: `enable()` has checked that no patch of this module is registered, and the
        // directory that was made above shows that none is retired and not yet released. So this is
        // the only patch of the module, and its functions are not hooked. All other changes of its
        // relocations are made with the registry locked, or when it is released.
        unsafe {
            patch.resolve(self.announced(), self.callbacks())?;
        }
        self.reserve()
    }

    /// Checks that no patch on probation holds other patches. A cumulative patch that has replaced
    /// none holds none.
    ///
    /// # Errors
    ///
    /// `EBUSY`, with a line in the log.
    fn check_none_held(&self, name: &CStr) -> Result {
        let Some(by) = self.held_by() else {
            return Ok(());
        };
        pr_err!(
            "patch '{}' cannot be enabled: '{}' is on probation, confirm or disable it first\n",
            name,
            by.name()
        );
        Err(EBUSY)
    }

    fn start_enabling(&mut self, id: PatchId, step: Step) -> Result {
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
        self.start_transition(step)?;
        self.report(id, Event::Start);
        Ok(())
    }

    /// Removes a patch that could not be enabled.
    fn remove_failed(&mut self, id: PatchId, retired: &mut RetiredPatches) {
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
