// SPDX-License-Identifier: GPL-2.0

//! Tests of the loader's pure logic, built from the loader's own files.
//!
//! These files import the crates `kernel` and `kernel_ext`. This crate stands for both, and has
//! stand-ins at the same paths. Random cases have a fixed seed, so a failure can be reproduced.

#![allow(dead_code)]

extern crate self as kernel;
extern crate self as kernel_ext;

/// Nothing is logged here.
macro_rules! pr_err {
    ($format:literal $(, $arg:expr)* $(,)?) => {{
        $(let _ = &$arg;)*
    }};
}

/// Formats names of symbols, which are terminated strings.
macro_rules! fmt {
    ($format:literal, $($name:expr),*) => {
        format!($format, $($name.to_str().unwrap()),*)
    };
}

#[path = "shim/address.rs"]
mod address;
#[path = "shim/once.rs"]
mod once;
#[path = "shim/prelude.rs"]
mod prelude;
#[path = "shim/sort.rs"]
mod sort;
#[path = "shim/symbols.rs"]
mod symbols_parts;
#[path = "shim/task_slot.rs"]
mod task_slot;

mod atomic {
    pub(crate) use crate::once::Cell;
    pub(crate) use core::sync::atomic::{
        AtomicBool,
        AtomicU32,
        AtomicUsize,
        Ordering, //
    };
}

/// `kernel::task` and `kernel_ext::task`
mod task {
    /// A task by its number, which stands for its address.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Task(pub(crate) usize);

    pub(crate) struct TaskId(usize);

    impl TaskId {
        pub(crate) fn as_usize(&self) -> usize {
            self.0
        }
    }

    impl From<&Task> for TaskId {
        fn from(task: &Task) -> Self {
            Self(task.0)
        }
    }

    pub(crate) struct NewTaskLock;
}

mod ftrace {
    pub(crate) use crate::address::*;
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
#[path = "../../rust/livepatch/symbols.rs"]
mod symbols;
#[path = "../../rust/livepatch/table.rs"]
mod table;
#[path = "../../rust/livepatch/universe.rs"]
mod universe;

#[path = "unit/plan.rs"]
mod test_plan;
#[path = "unit/ranges.rs"]
mod test_ranges;
#[path = "unit/records.rs"]
mod test_records;
#[path = "unit/redirects.rs"]
mod test_redirects;
#[path = "unit/symbols.rs"]
mod test_symbols;

use symbols_parts::{
    kallsyms,
    page,
    str, //
};

/// Checks `property` for cases that `strategy` generates. Each run has the same cases.
fn check<S: proptest::strategy::Strategy>(
    strategy: S,
    property: impl Fn(S::Value) -> Result<(), proptest::test_runner::TestCaseError>,
) {
    use proptest::test_runner::{
        Config,
        RngAlgorithm,
        TestRng,
        TestRunner, //
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(Config::with_cases(2000), rng)
        .run(&strategy, property)
        .unwrap_or_else(|e| panic!("{e}"));
}
