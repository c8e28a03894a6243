// SPDX-License-Identifier: GPL-2.0

//! The model of a patch: objects and functions, as [checked](crate::describe) and
//! [resolved](crate::resolve).

use crate::{
    ranges::Range,
    step::PatchId, //
};
use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    },
    time::Delta, //
};
use kernel_ext::{
    ftrace::{
        CallTarget,
        Site, //
    },
    klp::{
        CallbackToken,
        ObjectDesc,
        PatchDesc, //
    },
    module::Module, //
};

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
    /// The replacement's code.
    pub(crate) replacement: Range,
    /// The replacement, to be called.
    pub(crate) target: CallTarget,
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
    pub(crate) relocated: bool,
    /// The author's structure, for callbacks.
    pub(crate) desc: ObjectDesc,
}

/// The end of a transition.
#[derive(Clone, Copy)]
pub(crate) struct TransitionEnd {
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
    pub(crate) last_transition: Option<TransitionEnd>,
    /// The author's structure. Dropped last: the module must stay as long as anything above refers to
    /// it.
    pub(crate) desc: PatchDesc,
}

impl Patch {
    /// Its name: its module's.
    pub(crate) fn name(&self) -> &CStr {
        self.desc.module().name()
    }

    /// Leaves the module as it was loaded, so that it can enable the patch once more. Nobody runs
    /// its code any more. Context: may sleep.
    pub(crate) fn clear_relocations(&mut self) {
        for object in &mut self.objects {
            object.clear_relocations(self.desc.module());
        }
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
    pub(crate) fn forget_module(&mut self, name: &CStr, callbacks: &CallbackToken) {
        let patch = self.desc.module();
        let mut objects = self.objects.iter_mut();
        if let Some(object) = objects.find(|object| object.is_module(name)) {
            object.forget_module(patch, callbacks);
        }
    }

    /// Whether it has an object for module `name`.
    pub(crate) fn is_for(&self, name: &CStr) -> bool {
        self.objects.iter().any(|object| object.is_module(name))
    }

    /// The object for module `name`.
    pub(crate) fn object_mut(&mut self, name: &CStr) -> Option<&mut Object> {
        self.objects
            .iter_mut()
            .find(|object| object.is_module(name))
    }
}

impl Object {
    /// Whether it is the module `name`.
    pub(crate) fn is_module(&self, name: &CStr) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// What it is called in sysfs and in messages.
    pub(crate) fn label(&self) -> &CStr {
        self.name.as_deref().unwrap_or(c"vmlinux")
    }

    /// Forgets what was found: the patch is gone.
    pub(crate) fn release(&mut self, callbacks: &CallbackToken) {
        self.release_code();
        self.desc.clear_module(callbacks);
        self.desc.forget_pre_patch(callbacks);
    }

    /// Forgets what was found: the module of the object goes, or does not come after all. What the
    /// module `patch` knows of it is undone, so that it can come again.
    pub(crate) fn forget_module(&mut self, patch: Module<'_>, callbacks: &CallbackToken) {
        self.release(callbacks);
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
    /// The position as sysfs shows it: a function alone of its name is the first.
    pub(crate) fn position(&self) -> usize {
        self.sympos.max(1)
    }
}
