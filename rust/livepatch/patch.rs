// SPDX-License-Identifier: GPL-2.0

//! The model of a patch: its objects and functions, as [checked](crate::describe) and
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
    time::{
        Delta,
        Instant,
        Monotonic, //
    }, //
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
    module::{
        Module,
        Stall, //
    }, //
};

/// The original of a function: the code that is replaced, in an object that is loaded.
pub(crate) struct Original {
    /// The address of the fentry call.
    pub(crate) site: Site,
    /// The function's code.
    pub(crate) code: Range,
    /// The parts of the code that the compiler moved out of the function.
    pub(crate) cold: KVec<Range>,
}

/// One function of a patch.
pub(crate) struct Func {
    /// The name of the function that is replaced.
    pub(crate) name: CString,
    /// The position among the functions of that name, as the author gave it. 0 means that there is
    /// only one.
    pub(crate) sympos: usize,
    /// The code of the replacement.
    pub(crate) replacement: Range,
    /// The parts of the replacement that are outside of its symbol.
    pub(crate) parts: KVec<Range>,
    /// The address of the replacement: the destination of the function's calls.
    pub(crate) target: CallTarget,
    /// The original. `None` while the object is not loaded.
    pub(crate) original: Option<Original>,
}

/// The state of an object.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// The module is not loaded, or cannot be patched yet.
    Absent,
    /// The functions are resolved.
    Present,
    /// The functions are hooked.
    Patched,
}

/// The functions of a patch that belong to one module, or to vmlinux.
pub(crate) struct Object {
    /// The module's name; `None` for vmlinux.
    pub(crate) name: Option<CString>,
    pub(crate) funcs: KVec<Func>,
    pub(crate) presence: Presence,
    /// Whether the patch's relocations that refer to the object are applied.
    pub(crate) relocated: bool,
    /// The author's structure, with the callbacks.
    pub(crate) desc: ObjectDesc,
}

/// The duration and the end of a transition that is complete.
#[derive(Clone, Copy)]
pub(crate) struct TransitionEnd {
    /// The duration in microseconds.
    pub(crate) took_us: i64,
    /// The time of the end, since the Unix epoch.
    pub(crate) at: Delta,
    /// Whether a task was switched by force.
    pub(crate) forced: bool,
}

/// Whether a patch that was enabled must still be confirmed.
#[derive(Clone, Copy)]
pub(crate) enum Probation {
    /// The patch is not in effect yet, or is held and was not confirmed.
    Ahead,
    /// The patch must be confirmed within `probation_s` seconds from this moment.
    Since(Instant<Monotonic>),
    /// The patch was not confirmed in time, and is taken back.
    Failed,
    /// The patch was confirmed, or need not be confirmed.
    Passed,
}

/// A patch, from the check of its description until it is released.
pub(crate) struct Patch {
    pub(crate) id: PatchId,
    pub(crate) objects: KVec<Object>,
    /// Whether the patch replaces all older patches.
    pub(crate) replace: bool,
    /// `None` before the first transition of the patch is complete.
    pub(crate) last_transition: Option<TransitionEnd>,
    /// The seconds after which a transition of the patch is reversed; 0 is never.
    pub(crate) deadline_s: u32,
    /// The seconds in which the patch must be confirmed; 0 if it need not be confirmed.
    pub(crate) probation_s: u32,
    pub(crate) probation: Probation,
    /// The author's structure. Its reference to the module is dropped after the fields above, which
    /// refer to the module.
    pub(crate) desc: PatchDesc,
    /// Keeps the module loaded although it is being unloaded; see `evict.rs`. The module may be
    /// freed when this is dropped, so this is the last field.
    pub(crate) stall: Option<Stall>,
}

impl Patch {
    /// Returns the name of the patch, which is that of its module.
    pub(crate) fn name(&self) -> &CStr {
        self.desc.module().name()
    }

    /// Clears all relocations, so that the module can enable the patch again.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Safety
    ///
    /// - No task runs the patch's code any more.
    /// - No other thread applies or clears relocations of the patch's module at the same time.
    #[expect(unsafe_code, reason = "types cannot express which code runs")]
    pub(crate) unsafe fn clear_relocations(&mut self) {
        for object in &mut self.objects {
            // SAFETY: By the contract.
            unsafe { object.clear_relocations(self.desc.module()) }
        }
    }

    /// Returns the functions whose objects are loaded, with the functions that they replace.
    pub(crate) fn active(&self) -> impl Iterator<Item = (&Func, &Original)> {
        self.objects
            .iter()
            .filter(|object| object.presence != Presence::Absent)
            .flat_map(|object| object.funcs.iter())
            .filter_map(|func| Some((func, func.original.as_ref()?)))
    }

    /// Returns the objects that are loaded.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Object> {
        self.objects
            .iter()
            .filter(|object| object.presence != Presence::Absent)
    }

    /// Resets the object for the module `name`; see [`Object::forget_module`].
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Safety
    ///
    /// As for [`Object::forget_module`].
    #[expect(unsafe_code, reason = "types cannot express which code runs")]
    pub(crate) unsafe fn forget_module(&mut self, name: &CStr, callbacks: &CallbackToken) {
        let patch = self.desc.module();
        let mut objects = self.objects.iter_mut();
        if let Some(object) = objects.find(|object| object.is_module(name)) {
            // SAFETY: By the contract.
            unsafe { object.forget_module(patch, callbacks) }
        }
    }

    /// Whether the patch has an object for the module `name`.
    pub(crate) fn is_for(&self, name: &CStr) -> bool {
        self.objects.iter().any(|object| object.is_module(name))
    }

    /// Returns the object for the module `name`.
    pub(crate) fn object_mut(&mut self, name: &CStr) -> Option<&mut Object> {
        self.objects
            .iter_mut()
            .find(|object| object.is_module(name))
    }
}

impl Object {
    /// Whether this is the object for the module `name`.
    pub(crate) fn is_module(&self, name: &CStr) -> bool {
        self.name.as_deref() == Some(name)
    }

    /// Returns the object's name in sysfs and in messages.
    pub(crate) fn label(&self) -> &CStr {
        self.name.as_deref().unwrap_or(c"vmlinux")
    }

    /// Resets the object, except its relocations.
    pub(crate) fn release(&mut self, callbacks: &CallbackToken) {
        self.release_code();
        self.desc.clear_module(callbacks);
        self.desc.forget_pre_patch(callbacks);
    }

    /// Resets the object when its module is being unloaded, or when the load of the module is
    /// refused. Also clears the relocations in the module `patch`, so that the object's module can
    /// be loaded again.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Safety
    ///
    /// As for [`Object::clear_relocations`].
    #[expect(unsafe_code, reason = "types cannot express which code runs")]
    pub(crate) unsafe fn forget_module(&mut self, patch: Module<'_>, callbacks: &CallbackToken) {
        self.release(callbacks);
        // SAFETY: By the contract.
        unsafe { self.clear_relocations(patch) }
    }

    /// Marks the object as absent. The callbacks can still use the pointer to the module.
    pub(crate) fn release_code(&mut self) {
        self.presence = Presence::Absent;
        for func in &mut self.funcs {
            func.original = None;
        }
    }
}

impl Func {
    /// Returns the position that sysfs shows. A function that is the only one of its name has 1.
    pub(crate) fn position(&self) -> usize {
        self.sympos.max(1)
    }
}
