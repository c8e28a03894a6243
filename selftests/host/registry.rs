// SPDX-License-Identifier: GPL-2.0

//! An exploration of the life of patches: all reachable states.
//!
//! Most of the loader's own files are built here. Under them are two models: the kernel's
//! text, see [`text`], and a machine, see [`small`]. The machine has one task, one module that can
//! be loaded and unloaded, and two patches for the kernel and for this module. The registry's lock
//! serializes all changes, so the search tries requests and failures only. `states.rs` explores
//! concurrency.

// Items that are used for log messages only are not used here.
#![allow(dead_code, unused_variables)]

extern crate self as kernel;
extern crate self as kernel_ext;

/// The macros of log messages do nothing here.
#[macro_export]
macro_rules! pr_info {
    ($($arg:tt)*) => {
        ()
    };
}

#[path = "shim/address.rs"]
mod address;
#[path = "shim/kernel_ext.rs"]
mod kernel_ext_parts;
#[path = "shim/kernel.rs"]
mod kernel_parts;
#[path = "shim/length.rs"]
mod length;
#[path = "shim/once.rs"]
mod once;
#[path = "shim/prelude.rs"]
mod quiet_prelude;
#[path = "shim/search.rs"]
mod search;
#[path = "shim/small.rs"]
mod small;
#[path = "shim/sort.rs"]
mod sort;
#[path = "shim/task_slot.rs"]
mod task_slot;
#[path = "shim/text.rs"]
mod text;
#[path = "shim/twin.rs"]
mod twin;

mod atomic {
    pub(crate) use crate::once::Cell;
    pub(crate) use core::sync::atomic::{
        AtomicBool,
        AtomicU32,
        AtomicUsize,
        Ordering, //
    };
}

mod prelude {
    pub(crate) use crate::quiet_prelude::*;
    pub(crate) use crate::{
        pr_info as fmt,
        pr_info as pr_err,
        pr_info as pr_notice,
        pr_info as pr_warn, //
    };
}

use kernel_ext_parts::gate;
use kernel_parts::time;
use small::*;
use text::{
    direct,
    ftrace, //
};

#[macro_export]
macro_rules! ftrace_target {
    ($decide:path) => {};
}

#[macro_export]
macro_rules! on_params_changed {
    ($call:path) => {};
}

#[path = "../../rust/livepatch/blockers.rs"]
mod blockers;
#[macro_export]
macro_rules! on_direct_target {
    ($call:path) => {};
}

#[path = "../../rust/livepatch/complete.rs"]
mod complete;
#[path = "../../rust/livepatch/control.rs"]
mod control;
#[path = "../../rust/livepatch/deadline.rs"]
mod deadline;
#[path = "../../rust/livepatch/debug.rs"]
mod debug;
#[path = "../../rust/livepatch/describe.rs"]
mod describe;
#[path = "../../rust/livepatch/enable.rs"]
mod enable;
#[path = "../../rust/livepatch/evict.rs"]
mod evict;
#[path = "../../rust/livepatch/handlers.rs"]
mod handlers;
#[path = "../../rust/livepatch/hooks.rs"]
mod hooks;
#[path = "../../rust/livepatch/jumps.rs"]
mod jumps;
#[path = "../../rust/livepatch/modules.rs"]
mod modules;
#[path = "../../rust/livepatch/notifier.rs"]
mod notifier;
#[path = "../../rust/livepatch/patch.rs"]
mod patch;
#[path = "../../rust/livepatch/plan.rs"]
mod plan;
#[path = "../../rust/livepatch/probation.rs"]
mod probation;
#[path = "../../rust/livepatch/ranges.rs"]
mod ranges;
#[path = "../../rust/livepatch/records.rs"]
mod records;
#[path = "../../rust/livepatch/redirects.rs"]
mod redirects;
#[path = "../../rust/livepatch/registry.rs"]
mod registry;
#[path = "../../rust/livepatch/resolve.rs"]
mod resolve;
#[path = "../../rust/livepatch/retire.rs"]
mod retire;
#[path = "../../rust/livepatch/settle.rs"]
mod settle;
#[path = "../../rust/livepatch/states.rs"]
mod states;
#[path = "../../rust/livepatch/step.rs"]
mod step;
#[path = "../../rust/livepatch/table.rs"]
mod table;
#[path = "../../rust/livepatch/transition.rs"]
mod transition;
#[path = "../../rust/livepatch/universe.rs"]
mod universe;
#[path = "../../rust/livepatch/view.rs"]
mod view;

#[path = "registry/promise.rs"]
mod promise;
#[path = "registry/requests.rs"]
mod requests;
