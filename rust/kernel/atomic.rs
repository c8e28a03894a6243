// SPDX-License-Identifier: GPL-2.0

//! Atomics for code that ftrace must not see.
//!
//! These are the types of `core`. [`kernel::sync::atomic`] has nearly all that is needed. It cannot
//! be used in 7.2 and 7.3, for two reasons:
//!
//! - Its operations are C functions, `rust_helper_atomic_*()` in `rust/helpers/atomic.c` and
//!   `atomic_ext.c`. They are inlined if `CONFIG_RUST_INLINE_HELPERS` is on, which needs `EXPERT`,
//!   and clang and rustc with the same LLVM. In other kernels, such as those of distributions, they
//!   are out-of-line functions of vmlinux, and ftrace can trace them. The handler must not call a
//!   function that can be traced: a tracer, or a patch, would run in the middle of the handler, and
//!   the handler would call itself.
//! - It has no ordering `AcqRel`, which [`RcuBox`](crate::rcu::RcuBox) uses. (`Full`, which is
//!   stronger, could replace it.)
//!
//! One kind of atomics is used throughout, so that one file says what the orderings mean. The
//! operations of `core` compile to the instructions themselves. In the kernel's memory model,
//!
//! - `Relaxed` loads and stores are `READ_ONCE()` and `WRITE_ONCE()`;
//! - `Acquire` loads and `Release` stores are `smp_load_acquire()` and `smp_store_release()`;
//! - a read-modify-write with `Relaxed`, `Acquire` or `Release` is the atomic operation with that
//!   suffix (`Documentation/atomic_t.txt`);
//! - a read-modify-write with `AcqRel` gives at least the order of an `Acquire` operation and that
//!   of a `Release` operation;
//! - a read-modify-write with `SeqCst` is fully ordered.
//!
//! Only read-modify-writes use `SeqCst`. No fence is used.

pub use core::sync::atomic::{
    AtomicBool,
    AtomicPtr,
    AtomicU32,
    AtomicUsize,
    Ordering, //
};
