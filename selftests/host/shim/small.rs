// SPDX-License-Identifier: GPL-2.0

//! A machine with one task, a module that comes and goes, and two patch modules; and stand-ins, on
//! it, for what the loader asks of `kernel` and `kernel_ext`.
//!
//! Both patches replace a function of the kernel and one of the module. The second replaces all
//! patches before it. Their authors have callbacks that know in which order they may be called.

use crate::prelude::*;
use std::cell::{Cell, RefCell};

/// What a callback of a patch's object has been told of last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Idle,
    Patching,
    Patched,
    Unpatching,
}

/// A patch module, or the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModuleInfo {
    pub(crate) state: Option<module::State>,
    pub(crate) refs: usize,
    pub(crate) pinned: bool,
    /// The patch's relocations for the module are applied.
    pub(crate) relocated: bool,
    /// The patch's module is in its init, which has a reference of its own.
    pub(crate) in_init: bool,
    /// The patch has a directory.
    pub(crate) directory: bool,
    /// Of its objects, the kernel and the module.
    pub(crate) phases: [Phase; 2],
    /// `post_unpatch` will be called.
    pub(crate) post_unpatch: [bool; 2],
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// [`MODULE`], and the patches by their numbers.
    pub(crate) modules: [ModuleInfo; 3],
    /// The task's stack has nothing on it that is patched.
    pub(crate) clear: bool,
    /// Somebody has asked for the worker.
    pub(crate) asked: bool,
    /// Parameter `promote`.
    pub(crate) promote: bool,
    /// Probes that are registered, and what holds ftrace on.
    pub(crate) probes: usize,
    pub(crate) held_on: usize,
    /// `pre_patch` refuses when it is called the n-th time from now.
    pub(crate) refuse: Option<usize>,
}

/// The module's number; those of the patches are 1 and 2.
pub(crate) const MODULE: usize = 0;
/// See [`MODULE`].
pub(crate) const PATCHES: [usize; 2] = [1, 2];

/// The task.
pub(crate) const TASK: task::Task = task::Task;

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::default();
}

/// Looks at it, or changes it.
pub(crate) fn machine<T>(f: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(f)
}

thread_local! {
    static DEAF: Cell<bool> = const { Cell::new(false) };
}

/// The worker is broken: it does not hear who asks for it.
pub(crate) fn set_deaf(deaf: bool) {
    DEAF.set(deaf);
}

/// How long a function is, and how far its text is from another module's.
const LEN: usize = 0x100;
const APART: usize = 0x10_0000;

/// The code of the function of object `nr`, 0 for the kernel's, in patch `patch`, or where it is 0
/// the original.
pub(crate) fn code_of(patch: usize, nr: usize) -> usize {
    match (patch, nr) {
        (0, 0) => 0x1000,
        (0, _) => APART,
        _ => APART * (patch + 1) + nr * LEN,
    }
}

/// `kernel::str`
pub(crate) mod str {
    use crate::prelude::*;
    pub(crate) use std::ffi::CStr;
    use std::ops::Deref;

    pub(crate) struct CString(std::ffi::CString);

    impl TryFrom<&CStr> for CString {
        type Error = Error;

        fn try_from(from: &CStr) -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            Ok(Self(from.into()))
        }
    }

    impl Deref for CString {
        type Target = CStr;

        fn deref(&self) -> &CStr {
            &self.0
        }
    }

    pub(crate) struct BStr;

    impl BStr {
        pub(crate) fn from_bytes(_bytes: &[u8]) -> Self {
            Self
        }
    }
}

/// `kernel::sync`
pub(crate) mod sync {
    pub(crate) use crate::kernel_parts::sync::*;

    pub(crate) mod rcu {
        pub(crate) struct Guard;

        pub(crate) fn read_lock() -> Guard {
            Guard
        }
    }

    pub(crate) mod lock {
        use std::{
            cell::RefMut,
            marker::PhantomData,
            ops::{Deref, DerefMut},
        };

        pub(crate) mod mutex {
            pub(crate) struct MutexBackend;
        }

        pub(crate) struct Guard<'a, T, B>(
            pub(crate) RefMut<'a, Option<T>>,
            pub(crate) PhantomData<B>,
        );

        impl<T, B> Deref for Guard<'_, T, B> {
            type Target = T;

            fn deref(&self) -> &T {
                self.0.as_ref().unwrap()
            }
        }

        impl<T, B> DerefMut for Guard<'_, T, B> {
            fn deref_mut(&mut self) -> &mut T {
                self.0.as_mut().unwrap()
            }
        }
    }
}

/// `kernel_ext::statics`
pub(crate) mod statics {
    use crate::{
        prelude::*,
        sync::lock::{mutex::MutexBackend, Guard},
    };
    use std::{cell::RefCell, marker::PhantomData};

    pub(crate) struct ModuleMutex<T>(RefCell<Option<T>>);

    // SAFETY: The explorations take turns, see `requests::alone()`.
    unsafe impl<T> Sync for ModuleMutex<T> {}

    impl<T> ModuleMutex<T> {
        pub(crate) const fn new() -> Self {
            Self(RefCell::new(None))
        }

        pub(crate) fn replace(&self, value: Option<T>) {
            let old = self.0.replace(value);
            drop(old);
        }

        pub(crate) fn lock(&'static self) -> Result<Guard<'static, T, MutexBackend>> {
            Ok(Guard(self.0.borrow_mut(), PhantomData))
        }
    }
}

/// `kernel_ext::rcu`
pub(crate) mod rcu {
    use crate::{prelude::*, sync::rcu::Guard};
    use std::{
        marker::PhantomData,
        ptr::null_mut,
        sync::atomic::{AtomicPtr, Ordering},
    };

    pub(crate) struct ReadSide<'a>(PhantomData<&'a ()>);

    impl ReadSide<'_> {
        pub(crate) fn new() -> Self {
            Self(PhantomData)
        }
    }

    impl<'a> From<&'a Guard> for ReadSide<'a> {
        fn from(_guard: &'a Guard) -> Self {
            Self(PhantomData)
        }
    }

    pub(crate) struct RcuBox<T>(AtomicPtr<T>);

    pub(crate) struct Retired<T>(Option<Box<T>>);

    impl<T> RcuBox<T> {
        pub(crate) const fn empty() -> Self {
            Self(AtomicPtr::new(null_mut()))
        }

        pub(crate) fn read<'a>(&'a self, _proof: &'a ReadSide<'_>) -> Option<&'a T> {
            // SAFETY: There is one thread, which publishes nothing while it reads.
            unsafe { self.0.load(Ordering::Relaxed).as_ref() }
        }

        pub(crate) fn publish(&self, new: Option<KBox<T>>) -> Retired<T> {
            let new = new.map_or(null_mut(), |new| Box::into_raw(new.into_inner()));
            let old = self.0.swap(new, Ordering::Relaxed);
            // SAFETY: It was such a box, and nobody has it any more.
            Retired((!old.is_null()).then(|| unsafe { Box::from_raw(old) }))
        }
    }

    pub(crate) fn synchronize() {}

    pub(crate) fn synchronize_tasks() {}
}

/// `kernel::task` and `kernel_ext::task`
pub(crate) mod task {
    use super::TASK;
    pub(crate) use crate::kernel_ext_parts::task::*;
    use crate::{rcu::ReadSide, sync::aref::ARef};

    #[derive(Clone)]
    pub(crate) struct Task;

    impl From<&Task> for TaskId {
        fn from(_task: &Task) -> Self {
            Self(1)
        }
    }

    pub(crate) struct Quiescent<'a>(pub(crate) &'a Task);

    impl Quiescent<'_> {
        pub(crate) fn id(&self) -> TaskId {
            TaskId::from(self.0)
        }
    }

    pub(crate) struct TaskList;

    impl TaskList {
        pub(crate) fn lock() -> Self {
            Self
        }

        pub(crate) fn for_each<F: FnMut(&Task) -> bool>(&self, mut visit: F) {
            visit(&TASK);
        }
    }

    pub(crate) fn idle_task(_cpu: u32) -> Option<ARef<Task>> {
        None
    }

    pub(crate) fn hold_still<R, F>(task: &Task, f: F) -> Option<R>
    where
        F: FnOnce(Option<Quiescent<'_>>, &ReadSide<'_>) -> R,
    {
        Some(f(Some(Quiescent(task)), &ReadSide::new()))
    }

    pub(crate) fn exiting_on() -> Option<u32> {
        None
    }

    pub(crate) fn is_exiting(_task: &Task) -> bool {
        false
    }

    pub(crate) fn is_dead(_task: &Task) -> bool {
        false
    }

    pub(crate) fn nudge(_task: &Task) {}
}

/// `kernel_ext::stack`
pub(crate) mod stack {
    pub(crate) use crate::kernel_ext_parts::stack::*;
    use crate::task::Quiescent;

    pub(crate) fn walk<F: FnMut(usize) -> bool>(_task: &Quiescent<'_>, _looked_for: F) -> Verdict {
        match super::machine(|machine| machine.clear) {
            true => Verdict::Clear,
            false => Verdict::Unreliable,
        }
    }
}

/// `kernel_ext::cpu`: the task is on none.
pub(crate) mod cpu {
    pub(crate) use crate::kernel_ext_parts::cpu::*;
    use crate::rcu::ReadSide;

    pub(crate) fn possible() -> impl Iterator<Item = u32> {
        0..0
    }

    pub(crate) fn interrupt_each<F: Fn(&Interrupted<'_>, &ReadSide<'_>) + Sync>(_f: F) {}
}

/// `kernel_ext::sched`
pub(crate) mod sched {
    use super::machine;
    pub(crate) use crate::kernel_ext_parts::sched::*;
    use crate::prelude::*;
    use std::marker::PhantomData;

    pub(crate) struct SchedSwitch<P>(PhantomData<P>);

    impl<P: SwitchOut> SchedSwitch<P> {
        pub(crate) fn register() -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            machine(|machine| machine.probes += 1);
            Ok(Self(PhantomData))
        }
    }

    impl<P> Drop for SchedSwitch<P> {
        fn drop(&mut self) {
            machine(|machine| machine.probes -= 1);
        }
    }
}

/// `kernel_ext::ftrace_switch`
pub(crate) mod ftrace_switch {
    use super::machine;
    use crate::prelude::*;

    pub(crate) struct HeldOn;

    impl HeldOn {
        pub(crate) fn new() -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            machine(|machine| machine.held_on += 1);
            Ok(Self)
        }
    }

    impl Drop for HeldOn {
        fn drop(&mut self) {
            machine(|machine| machine.held_on -= 1);
        }
    }
}

/// `kernel_ext::params`
pub(crate) mod params {
    pub(crate) fn debug() -> bool {
        false
    }

    pub(crate) fn require_signed() -> bool {
        false
    }

    pub(crate) fn promote() -> bool {
        super::machine(|machine| machine.promote)
    }
}

/// `kernel_ext::kallsyms`
pub(crate) mod kallsyms {
    use crate::prelude::*;

    pub(crate) const NAME_LEN: usize = 512;

    pub(crate) struct Name;

    impl Name {
        pub(crate) fn as_str(&self) -> &str {
            ""
        }
    }

    pub(crate) fn name_of(_addr: usize) -> Result<Name> {
        Ok(Name)
    }
}

/// `kernel_ext::module`
pub(crate) mod module {
    use super::{machine, APART, MODULE};
    use crate::{prelude::*, str::CStr};
    use std::marker::PhantomData;

    pub(crate) const MODULE_NAME_LEN: usize = 56;

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum State {
        Live,
        Coming,
        Going,
        Unformed,
    }

    #[derive(Clone, Copy)]
    pub(crate) struct Module<'a>(pub(crate) usize, pub(crate) PhantomData<&'a ()>);

    impl<'a> Module<'a> {
        pub(crate) fn name(self) -> &'a CStr {
            [c"module", c"patch1", c"patch2"][self.0]
        }

        pub(crate) fn is_livepatch(self) -> bool {
            true
        }

        pub(crate) fn check_signature(self) -> Result {
            Ok(())
        }

        pub(crate) fn text(self) -> (usize, usize) {
            (APART * (self.0 + 1), APART)
        }

        pub(crate) fn apply_relocations(self, _object: &CStr) -> Result {
            KBox::new((), GFP_KERNEL)?;
            machine(|machine| {
                let was = std::mem::replace(&mut machine.modules[self.0].relocated, true);
                assert!(!was, "relocated twice");
            });
            Ok(())
        }

        pub(crate) fn clear_relocations(self, _object: &CStr) {
            machine(|machine| {
                let was = std::mem::take(&mut machine.modules[self.0].relocated);
                assert!(was, "relocations are cleared that were not applied");
            });
        }

        pub(crate) fn get(self) -> Result<ModuleRef> {
            machine(|machine| machine.modules[self.0].refs += 1);
            Ok(ModuleRef(self.0))
        }
    }

    pub(crate) struct ModuleRef(usize);

    impl ModuleRef {
        pub(crate) fn module(&self) -> Module<'_> {
            Module(self.0, PhantomData)
        }

        pub(crate) fn pin(self) {
            machine(|machine| machine.modules[self.0].pinned = true);
            std::mem::forget(self);
        }
    }

    impl Drop for ModuleRef {
        fn drop(&mut self) {
            machine(|machine| machine.modules[self.0].refs -= 1);
        }
    }

    pub(crate) struct Seen {
        pub(crate) state: State,
    }

    pub(crate) fn find(_name: &CStr) -> Option<Seen> {
        let state = machine(|machine| machine.modules[MODULE].state)?;
        Some(Seen { state })
    }

    pub(crate) fn goes_after_init(_name: &CStr, _addr: usize) -> bool {
        false
    }

    pub(crate) trait Events {
        fn coming(module: Module<'_>) -> Result;
        fn going(module: Module<'_>);
    }
}

/// `kernel_ext::klp`
pub(crate) mod klp {
    use super::{code_of, machine, Phase};
    use crate::{
        module::{Module, Seen},
        prelude::*,
        str::CStr,
    };
    use std::marker::PhantomData;

    /// A patch by its number.
    #[derive(Clone, Copy)]
    pub(crate) struct PatchDesc(pub(crate) usize);

    pub(crate) struct StatePtr;

    impl PatchDesc {
        pub(crate) fn module(&self) -> Module<'static> {
            Module(self.0, PhantomData)
        }

        pub(crate) fn replaces(&self) -> bool {
            self.0 == 2
        }

        pub(crate) fn objects(&self) -> Option<impl Iterator<Item = ObjectDesc>> {
            let patch = self.0;
            Some((0..2).map(move |nr| ObjectDesc { patch, nr }))
        }

        pub(crate) fn states(&self) -> impl Iterator<Item = (usize, u32)> {
            std::iter::once((1, 1))
        }

        pub(crate) fn state(&self, _id: usize) -> Option<StatePtr> {
            Some(StatePtr)
        }
    }

    /// The kernel, number 0, or the module in a patch.
    #[derive(Clone, Copy)]
    pub(crate) struct ObjectDesc {
        patch: usize,
        nr: usize,
    }

    impl ObjectDesc {
        pub(crate) fn name(&self) -> Option<&'static CStr> {
            (self.nr != 0).then_some(c"module")
        }

        pub(crate) fn funcs(&self) -> Option<impl Iterator<Item = FuncDesc>> {
            Some(std::iter::once(FuncDesc(*self)))
        }

        pub(crate) fn set_module(&self, _module: Option<Module<'_>>) {}

        pub(crate) fn set_seen(&self, _module: &Seen) {}

        /// Its author is in one of the phases `from`, and then in `to`.
        fn call(&self, from: &[Phase], to: Phase) {
            machine(|machine| {
                let phase = &mut machine.modules[self.patch].phases[self.nr];
                assert!(from.contains(phase), "from {phase:?} to {to:?}");
                *phase = to;
            });
        }

        fn set_post_unpatch(&self, enabled: bool) {
            machine(|machine| machine.modules[self.patch].post_unpatch[self.nr] = enabled);
        }

        pub(crate) fn pre_patch(&self) -> Result {
            let refused = machine(|machine| {
                let left = machine.refuse;
                machine.refuse = left.and_then(|n| n.checked_sub(1));
                left == Some(0)
            });
            self.set_post_unpatch(!refused);
            if refused {
                return Err(EINVAL);
            }
            self.call(&[Phase::Idle], Phase::Patching);
            Ok(())
        }

        pub(crate) fn forget_pre_patch(&self) {
            self.set_post_unpatch(false);
            // Who is replaced is not told.
            self.call(&[Phase::Idle, Phase::Patched], Phase::Idle);
        }

        pub(crate) fn post_patch(&self) {
            self.call(&[Phase::Patching, Phase::Unpatching], Phase::Patched);
        }

        pub(crate) fn pre_unpatch(&self) {
            self.call(&[Phase::Patched], Phase::Unpatching);
        }

        pub(crate) fn post_unpatch(&self) {
            if machine(|machine| machine.modules[self.patch].post_unpatch[self.nr]) {
                self.call(&[Phase::Patching, Phase::Unpatching], Phase::Idle);
            }
            self.forget_pre_patch();
        }
    }

    pub(crate) struct FuncDesc(ObjectDesc);

    impl FuncDesc {
        pub(crate) fn name(&self) -> Option<&'static CStr> {
            Some([c"function", c"module_function"][self.0.nr])
        }

        pub(crate) fn replacement(&self) -> usize {
            code_of(self.0.patch, self.0.nr)
        }

        pub(crate) fn sympos(&self) -> usize {
            0
        }
    }
}

/// The loader's `symbols.rs`: there is a table of them.
pub(crate) mod symbols {
    use super::{code_of, LEN};
    use crate::{prelude::*, ranges::Range, str::CStr};

    pub(crate) struct Wanted<'a>(&'a CStr);

    impl<'a> Wanted<'a> {
        pub(crate) fn new(name: &'a CStr, _sympos: usize) -> Self {
            Self(name)
        }
    }

    pub(crate) struct Found {
        pub(crate) address: usize,
        pub(crate) size: usize,
        pub(crate) code: Range,
        pub(crate) cold: KVec<Range>,
    }

    pub(crate) struct Extents;

    impl Extents {
        pub(crate) fn of_module(_name: &CStr) -> Result<Self> {
            KBox::new((), GFP_KERNEL)?;
            Ok(Self)
        }

        pub(crate) fn of(&self, addr: usize) -> Option<(usize, usize)> {
            Some((addr, LEN))
        }
    }

    pub(crate) fn find<'a>(
        object: Option<&CStr>,
        wanted: KVec<Wanted<'a>>,
        mut found: impl FnMut(usize, Found) -> Result,
    ) -> Result {
        KBox::new((), GFP_KERNEL)?;
        let address = code_of(0, usize::from(object.is_some()));
        for nr in 0..wanted.len() {
            found(
                nr,
                Found {
                    address,
                    size: LEN,
                    code: Range::of(address, LEN),
                    cold: KVec::new(),
                },
            )?;
        }
        Ok(())
    }
}

/// The loader's `sysfs.rs`: who has a directory.
pub(crate) mod sysfs {
    use super::machine;
    use crate::{patch::Patch, prelude::*, str::CStr, text};

    /// Nobody is there to see it.
    fn is_off() -> bool {
        text::text().dead
    }

    pub(crate) struct Root;

    #[derive(Default)]
    pub(crate) struct PatchDirectory(Option<usize>);

    pub(crate) fn is_taken(_name: &CStr) -> bool {
        false
    }

    impl PatchDirectory {
        pub(crate) fn fill(&mut self, _root: &Root, patch: &Patch) -> Result {
            KBox::new((), GFP_KERNEL)?;
            let nr = patch.desc.0;
            machine(|machine| {
                let was = std::mem::replace(&mut machine.modules[nr].directory, true);
                assert!(!was, "two directories");
            });
            self.0 = Some(nr);
            KBox::new((), GFP_KERNEL)?;
            Ok(())
        }
    }

    impl Drop for PatchDirectory {
        fn drop(&mut self) {
            let Some(nr) = self.0 else { return };
            machine(|machine| machine.modules[nr].directory = false);
            let info = machine(|machine| machine.modules[nr].clone());
            // Whoever waits for that unloads the module.
            let free = info.refs == usize::from(info.in_init) || info.pinned;
            assert!(free || is_off(), "the directory goes before the module can");
        }
    }
}

/// The loader's `worker.rs`: it runs when the one who explores says so.
pub(crate) mod worker {
    pub(crate) struct Worker;

    pub(crate) static WORKER: Worker = Worker;

    impl Worker {
        pub(crate) fn kick(&self) {
            self.after(0);
        }

        pub(crate) fn after(&self, _ms: u32) {
            super::machine(|machine| machine.asked = !super::DEAF.get());
        }
    }
}
