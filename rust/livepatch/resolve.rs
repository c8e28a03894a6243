// SPDX-License-Identifier: GPL-2.0

//! Finding the functions that a patch replaces, in an object that is loaded.

use crate::{
    patch::{
        Func,
        Object,
        Original,
        Patch,
        Presence, //
    },
    symbols::{
        self,
        Found,
        SymbolQuery, //
    }, //
};
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    }, //
};
use kernel_ext::{
    ftrace,
    klp::CallbackToken,
    module::{
        self,
        FoundModule,
        Module,
        State, //
    },
    sort, //
};

impl Patch {
    /// Resolves the objects that are loaded. Modules that are being loaded or unloaded count as
    /// loaded if they are among `announced`.
    ///
    /// # Context
    ///
    /// Process context, with the registry locked. May sleep.
    ///
    /// # Errors
    ///
    /// Those of [`Object::resolve`], with a line in the log that names the patch.
    ///
    /// # Safety
    ///
    /// - The patch is not registered, and its functions are not hooked.
    /// - No other thread applies or clears relocations of the patch's module at the same time.
    #[expect(unsafe_code, reason = "types cannot express which code runs")]
    pub(crate) unsafe fn resolve(
        &mut self,
        announced: &[CString],
        callbacks: &CallbackToken,
    ) -> Result {
        let patch = self.desc.module();
        for object in &mut self.objects {
            if let Some(name) = &object.name {
                let Some(module) = find_module(name, announced) else {
                    continue;
                };
                // SAFETY: The registry is locked, so the module stays loaded: see `find_module()`.
                // The notifier is called before the module is freed, and `unpatch_module()` clears
                // the pointer then.
                unsafe {
                    object.desc.set_found_module(&module, callbacks);
                }
            }
            // SAFETY: By the contract. A patch that is not registered has no task in its code. The
            // module of the object was found loaded above, and `unpatch_module()` is called before
            // the module is freed.
            unsafe { object.resolve(patch) }.inspect_err(|e| {
                if *e != ENOMEM {
                    pr_err!(
                        "failed to initialize patch '{}' for object '{}' ({})\n",
                        patch.name(),
                        object.label(),
                        e.to_errno()
                    );
                }
            })?;
        }
        Ok(())
    }

    /// Returns the name of a module that is being loaded and is not among `announced`, and for
    /// which this patch has an object.
    pub(crate) fn unannounced(&self, announced: &[CString]) -> Option<&CStr> {
        let names = self
            .objects
            .iter()
            .filter_map(|object| object.name.as_deref());
        let mut names = names.filter(|&name| !is_announced(name, announced));
        names.find(|name| module::find(name).is_some_and(|seen| seen.state == State::Coming))
    }
}

impl Object {
    /// Resolves an object that is loaded: applies the relocations of the module `patch` that refer
    /// to the object, and finds the object's functions.
    ///
    /// # Context
    ///
    /// Process context. May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` or `ENOENT` with a line in the log, `ENOMEM`, and those of
    /// [`Module::apply_relocations`]. The object is then as it was before. For `ENOEXEC`, some
    /// relocations of `patch` stay applied.
    ///
    /// # Safety
    ///
    /// - No task runs the patch's code for the object until this returns. So no function of the
    ///   object is hooked for the patch.
    /// - Afterwards, tasks only run that code while the object's module is loaded.
    /// - No other thread applies or clears relocations of `patch` at the same time.
    #[expect(unsafe_code, reason = "types cannot express which code runs")]
    pub(crate) unsafe fn resolve(&mut self, patch: Module<'_>) -> Result {
        // The kernel applied the relocations for vmlinux when it loaded the patch module.
        if let Some(name) = &self.name {
            // SAFETY: By the contract.
            unsafe { patch.apply_relocations(name) }?;
            self.relocated = true;
        }
        self.find_functions().inspect_err(|_| {
            // SAFETY: By the contract. The functions were not found, so they are not hooked, and
            // `resolve()` must succeed before they are.
            unsafe { self.clear_relocations(patch) }
        })
    }

    /// Clears the relocations of the module `patch` that refer to the object, so that they can be
    /// applied again.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Safety
    ///
    /// - No task runs the patch's code for the object until [`resolve`](Self::resolve) has
    ///   succeeded again.
    /// - No other thread applies or clears relocations of `patch` at the same time.
    #[expect(unsafe_code, reason = "types cannot express which code runs")]
    pub(crate) unsafe fn clear_relocations(&mut self, patch: Module<'_>) {
        if let (true, Some(name)) = (core::mem::take(&mut self.relocated), &self.name) {
            // SAFETY: By the contract.
            unsafe { patch.clear_relocations(name) }
        }
    }

    fn find_functions(&mut self) -> Result {
        let mut queries = KVec::with_capacity(self.funcs.len(), GFP_KERNEL)?;
        for func in &self.funcs {
            queries.push(SymbolQuery::new(&func.name, func.sympos), GFP_KERNEL)?;
        }
        let mut originals = KVec::with_capacity(self.funcs.len(), GFP_KERNEL)?;
        symbols::find(self.name.as_deref(), queries, |nr, found| {
            let func = self.funcs.get(nr).ok_or(EINVAL)?;
            originals.push(Some(func.locate(found)?), GFP_KERNEL)?;
            Ok(())
        })?;
        self.check_distinct(&originals)?;
        self.check_not_init_text(&originals)?;
        for (func, original) in self.funcs.iter_mut().zip(originals.iter_mut()) {
            func.original = original.take();
        }
        self.presence = Presence::Present;
        Ok(())
    }

    /// Checks that no two names or positions resolve to the same function.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a line in the log, if two do; `ENOMEM`.
    fn check_distinct(&self, originals: &[Option<Original>]) -> Result {
        let mut sites = KVec::with_capacity(originals.len(), GFP_KERNEL)?;
        for (nr, original) in originals.iter().enumerate() {
            let site = original.as_ref().map(|original| original.site);
            sites.push((site, nr), GFP_KERNEL)?;
        }
        sort::by_key(&mut sites, |&entry| entry);
        for pair in sites.windows(2) {
            let [(a, _), (b, nr)] = pair else { continue };
            if a == b {
                let name = self.funcs.get(*nr).map_or(c"", |func| &func.name);
                pr_err!("function '{}' of '{}' is named twice\n", name, self.label());
                return Err(EINVAL);
            }
        }
        Ok(())
    }

    /// Checks that no function is in the module's init text, which is freed after the module's
    /// init. A function there could not stay hooked.
    ///
    /// # Errors
    ///
    /// `EINVAL`, with a line in the log, if a function is.
    fn check_not_init_text(&self, originals: &[Option<Original>]) -> Result {
        let Some(module) = self.name.as_deref() else {
            return Ok(());
        };
        for (func, original) in self.funcs.iter().zip(originals.iter().flatten()) {
            if module::is_init_text(module, original.code.start) {
                pr_err!(
                    "function '{}' cannot be patched: it is freed after the module's init\n",
                    *func.name
                );
                return Err(EINVAL);
            }
        }
        Ok(())
    }
}

impl Func {
    fn locate(&self, found: Found) -> Result<Original> {
        let Some(site) = ftrace::site_of(found.address, found.size) else {
            let why = if self.name.to_bytes().starts_with(b"_R") {
                "it is a Rust function, which ftrace cannot hook"
            } else {
                "it is notrace, or in a section that ftrace does not know"
            };
            pr_err!(
                "failed to find location for function '{}': {}\n",
                *self.name,
                why
            );
            return Err(EINVAL);
        };
        Ok(Original {
            site,
            code: found.code,
            cold: found.cold,
        })
    }
}

/// Returns the module `name` if its functions can run.
///
/// A module that is being loaded counts if the notifier was called for it. A module that is being
/// unloaded counts until the notifier is called for the unload, since functions of the module may
/// run until its exit function has returned. The caller holds the registry's lock, so the result
/// stays true.
fn find_module(name: &CStr, announced: &[CString]) -> Option<FoundModule> {
    module::find(name).filter(|seen| match seen.state {
        State::Live => true,
        State::Coming | State::Going => is_announced(name, announced),
        State::Unformed => false,
    })
}

fn is_announced(name: &CStr, announced: &[CString]) -> bool {
    announced.iter().any(|other| **other == *name)
}
