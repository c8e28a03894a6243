// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers that the `kernel` crate does not have yet.
//!
//! Nearly all unsafe code of the loader is here and in the C helpers. The loader itself denies
//! unsafe code, with a few exceptions that each have a reason.
//!
//! Each file is shaped so that it could become the module of the same name in the `kernel` crate.

#![warn(clippy::match_bool)]

const __LOG_PREFIX: &[u8] = b"rust_livepatch\0";

pub mod atomic;
pub mod audit;
pub mod clock;
pub mod cpu;
pub mod direct;
pub mod ftrace;
pub mod ftrace_switch;
pub mod gate;
pub mod insn;
pub mod kallsyms;
pub mod klp;
mod klp_check;
pub mod klp_shadow;
pub mod kobject;
pub mod module;
pub mod module_notifier;
mod nofault;
pub mod panic_mark;
pub mod params;
pub mod rcu;
pub mod rcu_box;
pub mod sched;
pub mod side_table;
pub mod sort;
pub mod stack;
pub mod statics;
pub mod task;
pub mod task_slot;
pub mod tracepoint_probe;
pub mod worker;
