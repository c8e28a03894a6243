// SPDX-License-Identifier: GPL-2.0

//! Safe wrappers for what the `kernel` crate does not have yet.
//!
//! All unsafe code of the loader is here (and in the C helpers), each file shaped so that it could
//! become a module of the `kernel` crate of the same name. The loader on top has none.

const __LOG_PREFIX: &[u8] = b"rust_livepatch\0";

pub mod clock;
pub mod cpu;
pub mod direct;
pub mod ftrace;
pub mod ftrace_switch;
pub mod gate;
pub mod kallsyms;
pub mod klp;
mod klp_check;
pub mod klp_shadow;
pub mod kobject;
pub mod module;
mod nofault;
pub mod params;
pub mod rcu;
pub mod sched;
pub mod side_table;
pub mod sort;
pub mod stack;
pub mod statics;
pub mod task;
pub mod worker;

/// Atomics for code that ftrace must not see.
///
/// `kernel::sync::atomic` calls C helpers out of line where `CONFIG_RUST_INLINE_HELPERS` is off, and
/// ftrace can trace those; the handler and the scheduler probe may call nothing of that kind. The
/// types of `core` compile to the instructions themselves. Orderings used: `Relaxed`, `Acquire`,
/// `Release` and `AcqRel`, which mean in the LKMM what `smp_load_acquire()`, `smp_store_release()`
/// and the read-modify-write forms of the same name mean (`Documentation/atomic_t.txt`); and
/// `SeqCst`, for read-modify-writes that are fully ordered.
pub mod atomic {
    pub use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicUsize, Ordering};
}
