// SPDX-License-Identifier: GPL-2.0

//! Explorations of the record table and of the transition, with loom.
//!
//! The files are the loader's own. The machine under them is a model, see [`world`]. loom tries
//! each interleaving of the threads' steps, and each value that the memory orderings let a load
//! return. For the transition, the number of preemptions is bounded.
//!
//! Each property except `force_without_blockers` has twins. In a twin, one thing is broken that the
//! property depends on, and the exploration must find a violation of the property.

#![allow(dead_code, unused_mut)]

extern crate self as kernel;
extern crate self as kernel_ext;

#[path = "shim/address.rs"]
mod address;
#[path = "shim/loom_atomic.rs"]
mod atomic;
#[path = "shim/kernel_ext.rs"]
mod kernel_ext_parts;
#[path = "shim/kernel.rs"]
mod kernel_parts;
#[path = "shim/length.rs"]
mod length;
#[path = "shim/machine.rs"]
mod machine;
#[path = "shim/prelude.rs"]
mod prelude;
#[path = "shim/sort.rs"]
mod sort;
#[path = "shim/task_slot.rs"]
mod task_slot;
#[path = "shim/twin.rs"]
mod twin;
#[path = "shim/world.rs"]
mod world;

use kernel_ext_parts::gate;
use kernel_parts::{
    sync,
    time, //
};
use machine::*;

/// The log macros do nothing here.
#[macro_export]
macro_rules! debug {
    ($text:literal $(, $arg:expr)* $(,)?) => {
        $(let _ = &$arg;)*
    };
}

#[macro_export]
macro_rules! ftrace_target {
    ($decide:path) => {};
}

#[path = "shim/patch.rs"]
mod patch;
#[path = "../../rust/livepatch/plan.rs"]
mod plan;
#[path = "../../rust/livepatch/ranges.rs"]
mod ranges;
#[path = "../../rust/livepatch/records.rs"]
mod records;
#[path = "../../rust/livepatch/redirects.rs"]
mod redirects;
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

#[path = "states/records.rs"]
mod test_records;
#[path = "states/transition.rs"]
mod test_transition;

use world::Broken;

/// Explores `model` on a machine with the defect `broken`, if any. `preemptions` is the bound on
/// the number of preemptions, if there is one.
fn explore(broken: Option<Broken>, preemptions: Option<usize>, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 10_000;
    world::set_broken(broken);
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = count.clone();
    builder.check(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        world::run(model);
    });
    world::set_broken(None);
    println!(
        "{} executions",
        count.load(std::sync::atomic::Ordering::Relaxed)
    );
}

/// Explores `model` on a machine with the defect `broken`. This must end in a panic whose message
/// contains one of `expected`.
fn must_fail(broken: Broken, preemptions: Option<usize>, model: fn(), expected: &[&str]) {
    let search = || explore(Some(broken), preemptions, model);
    twin::must_fail(broken, search, expected);
    world::set_broken(None);
}
