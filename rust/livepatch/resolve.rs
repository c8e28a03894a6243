// SPDX-License-Identifier: GPL-2.0

//! Finding what a patch replaces, in an object that is loaded.

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
    /// Finds the functions of those objects that are there, modules among `announced`. Errors are
    /// those of [`Object::resolve`]; which patch it is about is in the log.
    pub(crate) fn resolve(&mut self, announced: &[CString], callbacks: &CallbackToken) -> Result {
        let patch = self.desc.module();
        for object in &mut self.objects {
            if let Some(name) = &object.name {
                let Some(module) = find_module(name, announced) else {
                    continue;
                };
                #[expect(unsafe_code, reason = "the author's structure has no lifetime")]
                // SAFETY: The registry is locked, so that the module stays: see `find_module()`. The
                // notifier is told before it is freed, and `unpatch_module()` clears it then.
                unsafe {
                    object.desc.set_found_module(&module, callbacks);
                }
            }
            object.resolve(patch).inspect_err(|e| {
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

    /// A module that it is for, and that has begun to load before anybody listened.
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
    /// Finds the functions of an object that is loaded, and what the module `patch` refers to in it
    /// by relocations of its own.
    ///
    /// Context: may sleep. `EINVAL`, `ENOENT` with a line in the log, `ENOMEM`, and those of
    /// [`Module::apply_relocations`]; the object is then as before.
    pub(crate) fn resolve(&mut self, patch: Module<'_>) -> Result {
        // For vmlinux the kernel did that when it loaded the patch.
        if let Some(name) = &self.name {
            #[expect(unsafe_code, reason = "which code runs is not a matter of types")]
            // SAFETY: No function of the object is hooked for this patch yet, so that no task runs the
            // code. It is unhooked, and left by every task, before the object's module is freed, by
            // `unpatch_module()`. One thread does this for a patch: with the registry locked, or for
            // one that has left the registry, whose directory still keeps it from being enabled again.
            unsafe {
                patch.apply_relocations(name)?;
            }
            self.relocated = true;
        }
        self.find_functions()
            .inspect_err(|_| self.clear_relocations(patch))
    }

    /// Undoes what of the module `patch` refers to the object, so that it can be done again. Nobody
    /// runs that code. Context: may sleep.
    pub(crate) fn clear_relocations(&mut self, patch: Module<'_>) {
        if let (true, Some(name)) = (core::mem::take(&mut self.relocated), &self.name) {
            #[expect(unsafe_code, reason = "which code runs is not a matter of types")]
            // SAFETY: By the contract of this function nobody runs the code. For one thread at a time
            // see `resolve()`.
            unsafe {
                patch.clear_relocations(name);
            }
        }
    }

    fn find_functions(&mut self) -> Result {
        let mut wanted = KVec::with_capacity(self.funcs.len(), GFP_KERNEL)?;
        for func in &self.funcs {
            wanted.push(SymbolQuery::new(&func.name, func.sympos), GFP_KERNEL)?;
        }
        let mut originals = KVec::with_capacity(self.funcs.len(), GFP_KERNEL)?;
        symbols::find(self.name.as_deref(), wanted, |nr, found| {
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

    /// Two names, or two positions, may lead to one function.
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

    /// What is freed after its module's init cannot stay hooked.
    fn check_not_init_text(&self, originals: &[Option<Original>]) -> Result {
        let Some(module) = self.name.as_deref() else {
            return Ok(());
        };
        for (func, original) in self.funcs.iter().zip(originals.iter().flatten()) {
            if module::is_init_text(module, original.code.start) {
                pr_err!(
                    "function '{}' goes when the module's init is done\n",
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
                "a Rust function, which ftrace cannot hook"
            } else {
                "notrace, or in a section that ftrace does not know"
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

/// The module `name`, if it is loaded, and its coming was announced in case it is new, or its going
/// was not yet: its functions may run until its exit has returned.
///
/// The caller holds the registry's lock, so what is found stays.
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
