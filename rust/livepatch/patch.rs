// SPDX-License-Identifier: GPL-2.0

//! The model of a patch: objects and functions, as checked and resolved.

use crate::{
    ranges::Range,
    symbols::{self, Extents, Found, Wanted},
    sysfs,
};
use kernel::{
    prelude::*,
    str::{BStr, CStr, CString},
    time::Delta,
};
use kernel_ext::{
    atomic::{AtomicUsize, Ordering},
    ftrace::{self, Site},
    kallsyms,
    klp::{FuncDesc, ObjectDesc, PatchDesc},
    module::{self, Module, ModuleRef, Seen, State, MODULE_NAME_LEN},
    sort,
};

/// Names a patch for as long as the loader lives; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PatchId(usize);

impl PatchId {
    fn next() -> Self {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        // ORDERING: Relaxed, with itself: numbers that differ.
        Self(LAST.fetch_add(1, Ordering::Relaxed))
    }
}

/// The function to be replaced, once its object is loaded.
pub(crate) struct Original {
    /// Where ftrace hooks it.
    pub(crate) site: Site,
    /// Its code.
    pub(crate) code: Range,
    /// Code of it that the compiler put elsewhere.
    pub(crate) cold: KVec<Range>,
}

/// One function of a patch.
pub(crate) struct Func {
    /// Name of the function to be replaced.
    pub(crate) name: CString,
    /// As the author gave it: 0 if there is but one of that name.
    pub(crate) sympos: usize,
    /// The replacement.
    pub(crate) replacement: Range,
    /// What is replaced; `None` while its object is not loaded.
    pub(crate) original: Option<Original>,
}

/// Whether an object is there to be patched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The module is not loaded, or not far enough.
    Absent,
    /// Its functions are resolved.
    Present,
    /// Its functions are hooked.
    Patched,
}

/// The functions of a patch that belong to one module, or to vmlinux.
pub(crate) struct Object {
    /// The module's name; `None` for vmlinux.
    pub(crate) name: Option<CString>,
    /// Its functions.
    pub(crate) funcs: KVec<Func>,
    /// Whether it is there.
    pub(crate) presence: Presence,
    /// Whether the patch's relocations for it were applied.
    relocated: bool,
    /// The author's structure, for callbacks.
    pub(crate) desc: ObjectDesc,
}

/// The end of a transition.
#[derive(Clone, Copy)]
pub(crate) struct Ended {
    /// How long it took, in microseconds.
    pub(crate) took_us: i64,
    /// When, since the Unix epoch.
    pub(crate) at: Delta,
    /// Not every task had moved.
    pub(crate) forced: bool,
}

/// A patch.
pub(crate) struct Patch {
    /// Its number.
    pub(crate) id: PatchId,
    /// Its objects.
    pub(crate) objects: KVec<Object>,
    /// Whether it replaces all that came before.
    pub(crate) replace: bool,
    /// How its last transition ended.
    pub(crate) ended: Option<Ended>,
    /// The author's structure.
    pub(crate) desc: PatchDesc,
    /// Its directory; `None` until it has one.
    pub(crate) directory: Option<sysfs::PatchDirectory>,
    /// Dropped last: the module must stay as long as anything above refers to it.
    pub(crate) module: ModuleRef,
}

impl Patch {
    /// Checks what a patch module says of itself, and takes a reference to it.
    ///
    /// Nothing in the system is changed. Context: may sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` with a line in the log; `ENODEV` if the module is on its way out; `ENOMEM`.
    pub(crate) fn new(desc: PatchDesc) -> Result<Self> {
        let module = desc.module();
        let name = module.name();
        let descs = desc.objects().ok_or(EINVAL).inspect_err(|_| {
            pr_err!("patch '{}' has no array of objects\n", name);
        })?;
        if !module.is_livepatch() {
            pr_err!("module {} is not marked as a livepatch module\n", name);
            return Err(EINVAL);
        }

        let extents = Extents::of_module(name)?;
        let mut objects = KVec::new();
        for desc in descs {
            let object = Object::new(module, &extents, desc)?;
            if objects.iter().any(|other: &Object| other.is_same(&object)) {
                pr_err!("patch '{}' names object '{}' twice\n", name, object.label());
                return Err(EINVAL);
            }
            objects.push(object, GFP_KERNEL)?;
        }
        if objects.is_empty() {
            pr_err!("patch '{}' has no objects\n", name);
            return Err(EINVAL);
        }
        Ok(Self {
            id: PatchId::next(),
            objects,
            replace: desc.replaces(),
            ended: None,
            desc,
            directory: None,
            module: module.get()?,
        })
    }

    /// Its name: its module's.
    pub(crate) fn name(&self) -> &CStr {
        self.module.module().name()
    }

    /// Leaves the module as it was loaded, so that it can enable the patch once more. Nobody runs
    /// its code any more. Context: may sleep.
    pub(crate) fn clear_relocations(&mut self) {
        for object in &mut self.objects {
            object.clear_relocations(self.module.module());
        }
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

    /// Functions whose object is there, with what they replace.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&Func, &Original)> {
        self.objects
            .iter()
            .filter(|object| object.presence != Presence::Absent)
            .flat_map(|object| object.funcs.iter())
            .filter_map(|func| Some((func, func.original.as_ref()?)))
    }

    /// Objects that are there.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(|object| object.presence != Presence::Absent)
    }

    /// Forgets what was found in the module `name`; see [`Object::forget_module`].
    pub(crate) fn forget_module(&mut self, name: &CStr) {
        let patch = self.module.module();
        if let Some(object) = self
            .objects
            .iter_mut()
            .find(|object| object.name.as_deref() == Some(name))
        {
            object.forget_module(patch);
        }
    }

    /// The object for module `name`.
    pub(crate) fn object_mut(&mut self, name: &CStr) -> Option<&mut Object> {
        self.objects
            .iter_mut()
            .find(|object| object.name.as_deref() == Some(name))
    }
}

impl Object {
    fn new(module: Module<'_>, extents: &Extents, desc: ObjectDesc) -> Result<Self> {
        let patch = module.name();
        let name = match desc.name() {
            Some(name) => Some(checked_name(module, name)?),
            None => None,
        };
        let label = name.as_deref().unwrap_or(c"vmlinux");
        let descs = desc.funcs().ok_or(EINVAL).inspect_err(|_| {
            pr_err!(
                "patch '{}': object '{}' has no array of functions\n",
                patch,
                label
            );
        })?;

        let mut funcs = KVec::new();
        for desc in descs {
            funcs.push(Func::new(module, extents, &desc)?, GFP_KERNEL)?;
        }
        check_unique(patch, label, &funcs)?;
        Ok(Self {
            name,
            funcs,
            presence: Presence::Absent,
            relocated: false,
            desc,
        })
    }

    /// What it is called in sysfs and in messages.
    pub(crate) fn label(&self) -> &CStr {
        self.name.as_deref().unwrap_or(c"vmlinux")
    }

    fn is_same(&self, other: &Self) -> bool {
        self.name.as_deref() == other.name.as_deref()
    }

    /// Finds the functions of an object that is loaded, and what the module `patch` refers to in it
    /// by relocations of its own.
    ///
    /// Context: may sleep. `EINVAL`, `ENOENT` with a line in the log, `ENOMEM`, and those of
    /// [`Module::apply_relocations`]; the object is then as before.
    pub(crate) fn resolve(&mut self, patch: Module<'_>) -> Result {
        // For vmlinux the kernel did that when it loaded the patch.
        if let Some(name) = &self.name {
            patch.apply_relocations(name)?;
            self.relocated = true;
        }
        self.find_functions()
            .inspect_err(|_| self.clear_relocations(patch))
    }

    /// Undoes what of the module `patch` refers to the object, so that it can be done again. Nobody
    /// runs that code. Context: may sleep.
    fn clear_relocations(&mut self, patch: Module<'_>) {
        if let (true, Some(name)) = (core::mem::take(&mut self.relocated), &self.name) {
            patch.clear_relocations(name);
        }
    }

    fn find_functions(&mut self) -> Result {
        let mut wanted = KVec::with_capacity(self.funcs.len(), GFP_KERNEL)?;
        for func in &self.funcs {
            wanted.push(Wanted::new(&func.name, func.sympos), GFP_KERNEL)?;
        }
        let mut originals = KVec::with_capacity(self.funcs.len(), GFP_KERNEL)?;
        symbols::find(self.name.as_deref(), wanted, |nr, found| {
            let func = self.funcs.get(nr).ok_or(EINVAL)?;
            originals.push(Some(func.locate(found)?), GFP_KERNEL)?;
            Ok(())
        })?;
        self.check_distinct(&originals)?;
        self.check_lasting(&originals)?;
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
            let site = original.as_ref().map_or(0, |original| original.site);
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
    fn check_lasting(&self, originals: &[Option<Original>]) -> Result {
        let Some(module) = self.name.as_deref() else {
            return Ok(());
        };
        for (func, original) in self.funcs.iter().zip(originals.iter().flatten()) {
            if module::goes_after_init(module, original.code.start) {
                pr_err!(
                    "function '{}' goes when the module's init is done\n",
                    *func.name
                );
                return Err(EINVAL);
            }
        }
        Ok(())
    }

    /// Forgets what was found: the patch is gone.
    pub(crate) fn release(&mut self) {
        self.release_code();
        self.desc.set_module(None);
        self.desc.forget_pre_patch();
    }

    /// Forgets what was found: the module of the object goes, or does not come after all. What the
    /// module `patch` knows of it is undone, so that it can come again.
    pub(crate) fn forget_module(&mut self, patch: Module<'_>) {
        self.release();
        self.clear_relocations(patch);
    }

    /// As [`release`](Self::release), for callbacks that still want to know the module.
    pub(crate) fn release_code(&mut self) {
        self.presence = Presence::Absent;
        for func in &mut self.funcs {
            func.original = None;
        }
    }
}

impl Func {
    fn new(module: Module<'_>, extents: &Extents, desc: &FuncDesc) -> Result<Self> {
        let patch = module.name();
        let name = desc.name().ok_or(EINVAL).inspect_err(|_| {
            pr_err!("patch '{}' has a function without a name\n", patch);
        })?;
        if name.to_bytes().len() >= kallsyms::NAME_LEN || name.is_empty() {
            pr_err!(
                "patch '{}' has a function whose name is empty or too long\n",
                patch
            );
            return Err(EINVAL);
        }
        let start = desc.replacement();
        if start == 0 {
            pr_err!("patch '{}': no replacement for '{}'\n", patch, name);
            return Err(EINVAL);
        }
        let (text, size) = module.text();
        if start.wrapping_sub(text) >= size {
            pr_err!(
                "patch '{}': the replacement for '{}' is not in the text of the patch module\n",
                patch,
                name
            );
            return Err(EINVAL);
        }
        let size = match extents.of(start) {
            Some((symbol, size)) if symbol == start => size,
            _ => {
                pr_err!(
                    "patch '{}': kallsyms size lookup failed for '{}' replacement\n",
                    patch,
                    name
                );
                return Err(ENOENT);
            }
        };
        Ok(Self {
            name: CString::try_from(name)?,
            sympos: desc.sympos(),
            replacement: Range::of(start, size),
            original: None,
        })
    }

    /// The position as sysfs shows it: a function alone of its name is the first.
    pub(crate) fn position(&self) -> usize {
        self.sympos.max(1)
    }

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

/// No function twice. A name alone of its kind is the first of them.
fn check_unique(patch: &CStr, object: &CStr, funcs: &[Func]) -> Result {
    let mut keys = KVec::with_capacity(funcs.len(), GFP_KERNEL)?;
    for func in funcs {
        keys.push((func.name.to_bytes(), func.position()), GFP_KERNEL)?;
    }
    sort::by_key(&mut keys, |&key| key);
    for pair in keys.windows(2) {
        let [a, b] = pair else { continue };
        if a == b {
            let name = BStr::from_bytes(a.0);
            pr_err!(
                "patch '{}' names function '{}' of '{}' twice\n",
                patch,
                name,
                object
            );
            return Err(EINVAL);
        }
    }
    Ok(())
}

/// A module's name that a module can have.
fn checked_name(patch: Module<'_>, name: &CStr) -> Result<CString> {
    let bytes = name.to_bytes();
    let why = if bytes.is_empty() {
        "is empty"
    } else if bytes.len() >= MODULE_NAME_LEN {
        "is too long"
    } else if bytes.contains(&b'/') {
        "is a path"
    } else if bytes == b"vmlinux" {
        "is no module: leave the name out"
    } else if sysfs::is_taken(name) {
        "is that of a file in the patch's directory"
    } else {
        return Ok(CString::try_from(name)?);
    };
    let patch = patch.name();
    // A name that is too long has no place in the log.
    pr_err!("patch '{}': an object's name {}\n", patch, why);
    Err(EINVAL)
}

/// The module `name`, if it is loaded, and its coming was announced in case it is new, or its going
/// was not yet: its functions may run until its exit has returned.
///
/// The caller holds the registry's lock, so what is found stays.
pub(crate) fn find_module(name: &CStr, announced: &[CString]) -> Option<Seen> {
    module::find(name).filter(|seen| match seen.state {
        State::Live => true,
        State::Coming | State::Going => is_announced(name, announced),
        State::Unformed => false,
    })
}

fn is_announced(name: &CStr, announced: &[CString]) -> bool {
    announced.iter().any(|other| **other == *name)
}
