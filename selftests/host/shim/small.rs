// SPDX-License-Identifier: GPL-2.0

//! A machine with one task, a module that comes and goes, and two patch modules. On it, in files of
//! their own, are stand-ins for what the loader asks of `kernel` and `kernel_ext`.
//!
//! Both patches replace a function of the kernel and one of the module. The second replaces all
//! patches before it. Their authors have callbacks that know in which order they may be called.

use std::cell::{Cell, RefCell};

#[path = "small/loader.rs"]
mod loader;
#[path = "small/modules.rs"]
mod modules;
#[path = "small/single.rs"]
mod single;
#[path = "small/tasks.rs"]
mod tasks;

pub(crate) use loader::*;
pub(crate) use modules::*;
pub(crate) use single::*;
pub(crate) use tasks::*;

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
    /// Of the module, if it is there; of a patch's, while it goes.
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

/// What can be wrong with it, beside its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The worker does not hear who asks for it.
    Deaf,
    /// A module is told to be live after its init failed.
    Hasty,
}

thread_local! {
    static FLAW: Cell<Option<Flaw>> = const { Cell::new(None) };
}

pub(crate) fn set_flaw(flaw: Option<Flaw>) {
    FLAW.set(flaw);
}

pub(crate) fn has_flaw(flaw: Flaw) -> bool {
    FLAW.get() == Some(flaw)
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
