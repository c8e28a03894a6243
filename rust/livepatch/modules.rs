// SPDX-License-Identifier: GPL-2.0

//! Modules that come after a patch for them, and go before it.

use crate::{
    patch::{
        Object,
        Patch,
        Presence, //
    },
    registry::{
        Registry,
        REGISTRY, //
    },
    step::PatchId,
    view::VIEW, //
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::rcu as kernel_rcu,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use kernel_ext::{
    ftrace,
    klp::{
        CallbackToken,
        ObjectDesc, //
    },
    module::Module,
    rcu::{
        self,
        ReadSide, //
    }, //
};

/// Applies every patch for `module`, which comes, or refuses it. Context: a module notifier.
pub(crate) fn patch_coming(module: Module<'_>) -> Result {
    let mut registry = REGISTRY.lock()?;
    let announced = registry.announce(module.name());
    registry.patch_module(module, announced).inspect_err(|_| {
        registry.forget_announced(module.name());
    })
}

/// Takes every patch off `module`, which goes. Context: a module notifier.
pub(crate) fn unpatch_going(module: Module<'_>) {
    let Ok(mut registry) = REGISTRY.lock() else {
        return;
    };
    registry.forget_announced(module.name());
    registry.unpatch_module(module, None);
    // A patch that left before may have left it hooked, for want of memory.
    let (text, size) = module.text();
    if registry.is_any_hooked(|site| site.address().wrapping_sub(text) < size) {
        registry.unhook_unused_nofail();
    }
}

impl Registry {
    /// The patches that have an object for the module `name`, oldest first.
    fn patches_for(&self, name: &CStr) -> Result<KVec<PatchId>> {
        let mut ids = KVec::new();
        for patch in self.patches().filter(|patch| patch.is_for(name)) {
            ids.push(patch.id, GFP_KERNEL)?;
        }
        Ok(ids)
    }

    /// Applies every patch for `module`, or none and refuses it. One that could not be `announced`
    /// comes if no patch is for it; a later one waits until it is loaded.
    fn patch_module(&mut self, module: Module<'_>, announced: Result) -> Result {
        let name = module.name();
        let patches_for = self.patches_for(name).and_then(|ids| match announced {
            Err(e) if !ids.is_empty() => Err(e),
            _ => Ok(ids),
        });
        let patches_for = patches_for.inspect_err(|_| {
            pr_err!("out of memory, refusing to load module '{}'\n", name);
        })?;
        for id in patches_for {
            if let Err(e) = self.apply_patch(id, module) {
                let patch = self.patch(id)?.name();
                let module_name = name;
                pr_warn!(
                    "patch '{}' failed for module '{}', refusing to load module '{}'\n",
                    patch,
                    module_name,
                    module_name
                );
                self.unpatch_module(module, Some(id));
                return Err(e);
            }
        }
        Ok(())
    }

    fn apply_patch(&mut self, id: PatchId, module: Module<'_>) -> Result {
        let steady = self.transition_of(id).is_none();
        let (patch, callbacks) = self.patch_and_callbacks(id)?;
        let desc = prepare_object(patch, module, callbacks)?;
        self.hook_and_publish(module, id, &desc)?;
        self.settle_later();
        if steady {
            desc.post_patch(self.callbacks());
        }
        Ok(())
    }

    /// Hooks what was found in `module`, and takes everything back if that fails.
    fn hook_and_publish(&mut self, module: Module<'_>, id: PatchId, desc: &ObjectDesc) -> Result {
        let Err(e) = self.hook(id).and_then(|()| self.publish()) else {
            return Ok(());
        };
        let name = module.name();
        if let Ok(patch) = self.patch(id) {
            pr_warn!(
                "failed to apply patch '{}' to module '{}' ({})\n",
                patch.name(),
                name,
                e.to_errno()
            );
        }
        if let Some(object) = self.object_mut(id, name) {
            object.release_code();
        }
        self.unhook_unused_nofail();
        desc.post_unpatch(self.callbacks());
        self.forget_module(id, name);
        Err(e)
    }

    fn forget_module(&mut self, id: PatchId, name: &CStr) {
        if let Ok((patch, callbacks)) = self.patch_and_callbacks(id) {
            patch.forget_module(name, callbacks);
        }
    }

    /// A hook left behind would be on whatever is loaded at that address next.
    fn unhook_unused_nofail(&mut self) {
        while self.unhook_unused() == Err(ENOMEM) {
            fsleep(Delta::from_millis(10));
        }
    }

    fn object_mut(&mut self, id: PatchId, name: &CStr) -> Option<&mut Object> {
        self.patch_mut(id).ok()?.object_mut(name)
    }

    /// Takes the patches off `module`, up to but without `limit`. Cannot fail.
    fn unpatch_module(&mut self, module: Module<'_>, limit: Option<PatchId>) {
        let name = module.name();
        let count = self.patches().len();
        for at in 0..count {
            let Some(id) = self.patches().nth(at).map(|patch| patch.id) else {
                break;
            };
            if Some(id) == limit {
                break;
            }
            let moves = self.transition_of(id).is_some();
            let Ok((patch, callbacks)) = self.patch_and_callbacks(id) else {
                break;
            };
            let label = patch.desc.module().name();
            let Some(object) = patch
                .objects
                .iter_mut()
                .find(|o| o.is_module(name) && o.presence != Presence::Absent)
            else {
                continue;
            };
            let desc = object.desc.clone();
            if !moves {
                desc.pre_unpatch(callbacks);
            }
            pr_notice!(
                "reverting patch '{}' on unloading module '{}'\n",
                label,
                name
            );
            redirect_to_originals(object);
            object.release_code();
            if self.publish().is_err() {
                // The sites lead to the original code already; wait for those who read before.
                rcu::synchronize();
            }
            self.unhook_unused_nofail();
            desc.post_unpatch(self.callbacks());
            self.forget_module(id, name);
        }
    }
}

/// Finds what `patch` replaces in `module`, and asks its author whether it may.
fn prepare_object(
    patch: &mut Patch,
    module: Module<'_>,
    callbacks: &CallbackToken,
) -> Result<ObjectDesc> {
    let name = module.name();
    let patch_module = patch.desc.module();
    let label = patch_module.name();
    let object = patch
        .objects
        .iter_mut()
        .find(|object| object.is_module(name))
        .ok_or(ENODEV)?;

    #[expect(unsafe_code, reason = "the author's structure has no lifetime")]
    // SAFETY: The notifier is told before the module is freed, and `unpatch_module()` clears it then.
    unsafe {
        object.desc.set_module(module, callbacks);
    }
    let resolved = check_ftrace_records(module).and_then(|()| object.resolve(patch_module));
    resolved.inspect_err(|e| {
        pr_warn!(
            "failed to initialize patch '{}' for module '{}' ({})\n",
            label,
            name,
            e.to_errno()
        );
        object.release(callbacks);
    })?;
    pr_notice!("applying patch '{}' to loading module '{}'\n", label, name);
    object.desc.pre_patch(callbacks).inspect_err(|_| {
        pr_warn!("pre-patch callback failed for object '{}'\n", name);
        object.forget_module(patch_module, callbacks);
    })?;
    Ok(object.desc.clone())
}

/// `ENOMEM` if ftrace had none for the functions of `module`, `ENODEV` if it has shut itself down.
fn check_ftrace_records(module: Module<'_>) -> Result {
    if !module.lacks_sites() {
        return Ok(());
    }
    ftrace::alive()?;
    pr_err!(
        "ftrace has no records of module '{}': it had no memory for them\n",
        module.name()
    );
    Err(ENOMEM)
}

/// Leads the object's functions back in the view in force: no memory is needed for that.
fn redirect_to_originals(object: &Object) {
    let guard = kernel_rcu::read_lock();
    if let Some(view) = VIEW.read(&ReadSide::from(&guard)) {
        for func in &object.funcs {
            if let Some(original) = &func.original {
                view.redirects.restore_original(original.site);
            }
        }
    }
}
