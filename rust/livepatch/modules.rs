// SPDX-License-Identifier: GPL-2.0

//! Late modules: patching a module when it is loaded after the patch, and reverting its patches
//! before it is freed.

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

/// Applies every patch for `module`, which is being loaded, or refuses the module.
///
/// # Context
///
/// A module notifier, before the module's init.
///
/// # Errors
///
/// `ENOMEM`, `ENODEV` if ftrace has shut itself down, the errors of [`Object::resolve`] and
/// [`Registry::hook`], and that of a `pre_patch` callback. The kernel then does not load the
/// module.
pub(crate) fn patch_coming(module: Module<'_>) -> Result {
    let mut registry = REGISTRY.lock()?;
    let announced = registry.announce(module.name());
    let result = registry.patch_module(module, announced).inspect_err(|_| {
        registry.forget_announced(module.name());
    });
    drop(registry);
    if result.is_err() {
        wait_until_unhooked(module);
    }
    result
}

/// Reverts every patch of `module`, which is being unloaded.
///
/// # Context
///
/// A module notifier, after the module's exit.
pub(crate) fn unpatch_going(module: Module<'_>) {
    let Ok(mut registry) = REGISTRY.lock() else {
        return;
    };
    registry.forget_announced(module.name());
    registry.unpatch_module(module, None);
    drop(registry);
    wait_until_unhooked(module);
}

/// The pause between two attempts to unhook the functions of a module while memory is short.
const PAUSE: Delta = Delta::from_millis(10);

/// Unhooks the functions of `module`, which no patch has any more. Waits for memory if there is
/// none, with the registry unlocked.
///
/// The module's memory is about to be freed. A hook that is left would apply to the next code that
/// is loaded at its address. If memory was short earlier, the completion of a transition may have
/// left such hooks, too.
fn wait_until_unhooked(module: Module<'_>) {
    let (text, size) = module.text();
    loop {
        let Ok(mut registry) = REGISTRY.lock() else {
            return;
        };
        let is_hooked = registry.is_any_hooked(|site| site.address().wrapping_sub(text) < size);
        if !is_hooked || registry.unhook_unused() != Err(ENOMEM) {
            return;
        }
        drop(registry);
        fsleep(PAUSE);
    }
}

impl Registry {
    /// Returns the patches that have an object for the module `name`, oldest first.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    fn patches_for(&self, name: &CStr) -> Result<KVec<PatchId>> {
        let mut ids = KVec::new();
        for patch in self.patches().filter(|patch| patch.is_for(name)) {
            ids.push(patch.id, GFP_KERNEL)?;
        }
        Ok(ids)
    }

    /// Applies every patch for `module`. If one cannot be applied, reverts the others and fails.
    ///
    /// `announced` is the result of announcing the module. If that failed, the module can still be
    /// loaded as long as no patch has an object for it: a patch that is enabled later waits until
    /// the module is live.
    ///
    /// # Context
    ///
    /// A module notifier, before the module's init. May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`, and those of [`prepare_object`] and of
    /// [`hook_and_publish`](Self::hook_and_publish), with a line in the log.
    fn patch_module(&mut self, module: Module<'_>, announced: Result) -> Result {
        let name = module.name();
        let ids = self.patches_for(name).and_then(|ids| match announced {
            Err(e) if !ids.is_empty() => Err(e),
            _ => Ok(ids),
        });
        let ids = ids.inspect_err(|_| {
            pr_err!("out of memory, refusing to load module '{}'\n", name);
        })?;
        for id in ids {
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
        let in_transition = self.transition_of(id).is_some();
        let (patch, callbacks) = self.patch_and_callbacks(id)?;
        let desc = prepare_object(patch, module, callbacks)?;
        self.hook_and_publish(module, id, &desc)?;
        self.settle_later();
        if !in_transition {
            desc.post_patch(self.callbacks());
        }
        Ok(())
    }

    /// Hooks the functions of `id` in `module` and publishes the view. On failure the module is as
    /// if it had not been patched.
    ///
    /// # Errors
    ///
    /// Those of [`Registry::hook`] and [`Registry::publish`], with a line in the log.
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
        self.try_to_unhook_unused();
        desc.post_unpatch(self.callbacks());
        #[expect(unsafe_code, reason = "types cannot express which code runs")]
        // SAFETY: The module's init has not begun, so no function of the module was called.
        unsafe {
            self.forget_module(id, name);
        }
        Err(e)
    }

    /// Resets the object of the patch `id` for the module `name`.
    ///
    /// # Safety
    ///
    /// No task runs the patch's code for the object, until the module is loaded again.
    #[expect(unsafe_code, reason = "types cannot express which code runs")]
    unsafe fn forget_module(&mut self, id: PatchId, name: &CStr) {
        if let Ok((patch, callbacks)) = self.patch_and_callbacks(id) {
            // SAFETY: By the contract. The relocations of registered patches are changed with the
            // registry locked.
            unsafe { patch.forget_module(name, callbacks) }
        }
    }

    /// Unhooks the functions that no patch has any more. If memory is short, the functions stay
    /// hooked until [`wait_until_unhooked`]. Nothing calls them: the module's init has not begun,
    /// or its exit has returned.
    fn try_to_unhook_unused(&mut self) {
        let _ = self.unhook_unused();
    }

    fn object_mut(&mut self, id: PatchId, name: &CStr) -> Option<&mut Object> {
        self.patch_mut(id).ok()?.object_mut(name)
    }

    /// Reverts the patches of `module` that are older than `stop_at`, or all of them. Cannot fail.
    fn unpatch_module(&mut self, module: Module<'_>, stop_at: Option<PatchId>) {
        let name = module.name();
        let count = self.patches().len();
        for at in 0..count {
            let Some(id) = self.patches().nth(at).map(|patch| patch.id) else {
                break;
            };
            if Some(id) == stop_at {
                break;
            }
            let in_transition = self.transition_of(id).is_some();
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
            if !in_transition {
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
                // The current view already redirects the functions to their original code. Wait for
                // handlers that have read a replacement before.
                rcu::synchronize();
            }
            self.try_to_unhook_unused();
            desc.post_unpatch(self.callbacks());
            #[expect(unsafe_code, reason = "types cannot express which code runs")]
            // SAFETY: The module's init has not begun or has failed, or its exit has returned. The
            // kernel frees the module's code next, so no task is in a function of the module, nor
            // in the replacement of such a function.
            unsafe {
                self.forget_module(id, name);
            }
        }
    }
}

/// Resolves the functions of `patch` in `module` and calls the `pre_patch` callback.
///
/// On failure the object is absent, as it was before.
///
/// # Errors
///
/// `ENODEV` if the patch has no object for `module`; those of [`check_ftrace_records`] and
/// [`Object::resolve`], and that of the callback, with a line in the log.
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
    // SAFETY: The notifier is called before the module is freed, and `unpatch_module()` clears the
    // pointer then.
    unsafe {
        object.desc.set_module(module, callbacks);
    }
    let resolved = check_ftrace_records(module).and_then(|()| {
        #[expect(unsafe_code, reason = "types cannot express which code runs")]
        // SAFETY: The module's init has not begun, so no function of the module was called, and
        // none is hooked for the patch. `unpatch_module()` is called before the module is freed.
        // The relocations of registered patches are changed with the registry locked.
        unsafe {
            object.resolve(patch_module)
        }
    });
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
        #[expect(unsafe_code, reason = "types cannot express which code runs")]
        // SAFETY: As for `resolve()` above. No function of the object was hooked since.
        unsafe {
            object.forget_module(patch_module, callbacks);
        }
    })?;
    Ok(object.desc.clone())
}

/// Checks that ftrace has records of the functions of `module`.
///
/// # Errors
///
/// `ENOMEM` if ftrace could not allocate the records, `ENODEV` if ftrace has shut itself down.
fn check_ftrace_records(module: Module<'_>) -> Result {
    if !module.lacks_sites() {
        return Ok(());
    }
    ftrace::alive()?;
    pr_err!(
        "ftrace has no records of module '{}': ftrace could not allocate them\n",
        module.name()
    );
    Err(ENOMEM)
}

/// Redirects the object's functions to the original code, in the current view. Needs no memory.
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
