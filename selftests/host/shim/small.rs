// SPDX-License-Identifier: GPL-2.0

//! A machine with one task, a module that can be loaded and unloaded, and two patch modules. The
//! files in `small/` have stand-ins for the parts of `kernel` and `kernel_ext` that the loader
//! uses.
//!
//! Both patches replace a function of the kernel and a function of the module. The second patch
//! also replaces all patches before it. The callbacks of the patches check the order in which they
//! are called.

use std::cell::{
    Cell,
    RefCell, //
};

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

/// The state of a patch's object, according to the last callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Idle,
    Patching,
    Patched,
    Unpatching,
}

/// The state of the module, or of a patch module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModuleInfo {
    /// For the module: `None` if it is not loaded. For a patch module: `Some` only while it is
    /// being unloaded.
    pub(crate) state: Option<module::State>,
    pub(crate) refs: usize,
    pub(crate) pinned: bool,
    /// ftrace had no memory for its records of the module.
    pub(crate) lacks_sites: bool,
    /// The loader delays the freeing of the module by a [`Stall`](module::Stall).
    pub(crate) stalled: bool,
    /// The patch's relocations for the module are applied.
    pub(crate) relocated: bool,
    /// The patch's module is in its init, which holds a reference of its own.
    pub(crate) in_init: bool,
    /// The patch has a directory.
    pub(crate) directory: bool,
    /// The phases of the patch's objects: the kernel, and the module.
    pub(crate) phases: [Phase; 2],
    /// Whether the patch's lists hold its objects and functions.
    pub(crate) lists: bool,
    /// Whether `post_unpatch` will be called, for each object.
    pub(crate) post_unpatch: [bool; 2],
}

/// The state of everything around the loader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    /// The module is number [`MODULE`]. The patches have the numbers [`PATCHES`].
    pub(crate) modules: [ModuleInfo; 3],
    /// The task's stack holds no affected code.
    pub(crate) clear: bool,
    /// The worker is queued.
    pub(crate) worker_queued: bool,
    /// The parameter `promote`.
    pub(crate) promote: bool,
    /// The parameter `probation`.
    pub(crate) probation: u32,
    /// The number of registered probes.
    pub(crate) probes: usize,
    /// The number of holders that keep ftrace enabled.
    pub(crate) held_on: usize,
    /// The call of `pre_patch` that fails: `Some(0)` is the next call.
    pub(crate) refuse: Option<usize>,
}

/// The module's number; those of the patches are 1 and 2.
pub(crate) const MODULE: usize = 0;
/// See [`MODULE`].
pub(crate) const PATCHES: [usize; 2] = [1, 2];

/// The only task.
pub(crate) const TASK: task::Task = task::Task;

thread_local! {
    static MACHINE: RefCell<Machine> = RefCell::default();
    /// The number of nudges. It is no part of the state that is searched: it only rises.
    pub(crate) static NUDGES: Cell<usize> = const { Cell::new(0) };
}

/// Reads or changes the machine.
pub(crate) fn machine<T>(f: impl FnOnce(&mut Machine) -> T) -> T {
    MACHINE.with_borrow_mut(f)
}

/// A defect of the machine. The defects of its text are in [`crate::text::Broken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Requests for the worker are ignored.
    RequestsIgnored,
    /// A module is reported as live although its init failed.
    FailedInitLive,
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

/// The length of a function, and the distance between the texts of two modules.
const LEN: usize = 0x100;
const APART: usize = 0x10_0000;

/// Returns the address of the function of object `nr`: the replacement in patch `patch`, or the
/// original if `patch` is 0. Object 0 is the kernel, object 1 is the module.
pub(crate) fn code_of(patch: usize, nr: usize) -> usize {
    match (patch, nr) {
        (0, 0) => 0x1000,
        (0, _) => APART,
        _ => APART * (patch + 1) + nr * LEN,
    }
}
