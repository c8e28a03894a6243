// SPDX-License-Identifier: GPL-2.0

//! Atomics for code that ftrace must not see.
//!
//! These are the types of `core`. [`kernel::sync::atomic`] has nearly all that is needed, and
//! cannot be used, in 7.2 and 7.3 alike:
//!
//! - Its operations are C functions, `rust_helper_atomic_*()` in `rust/helpers/atomic.c` and
//!   `atomic_ext.c`. They are inlined where `CONFIG_RUST_INLINE_HELPERS` is on, which needs clang
//!   and rustc with one LLVM, and `EXPERT`. Other kernels, those of distributions among them, have
//!   them in vmlinux, out of line, where ftrace can trace them. The handler and the scheduler probe
//!   must not call a function that can be traced: a tracer, or a patch, would run in the middle of
//!   them, and the handler would call itself.
//! - It has no 8-bit unsigned type and no ordering `AcqRel`, for the records of tasks and for
//!   [`RcuBox`](crate::rcu::RcuBox). (`i8`, and `Full`, which is stronger, would do.)
//!
//! One kind of atomics is used throughout, so that one file says what the orderings mean. The
//! operations of `core` compile to the instructions themselves. In the kernel's memory model,
//! `Relaxed` loads and stores are `READ_ONCE()` and `WRITE_ONCE()`; `Acquire` and `Release` are
//! `smp_load_acquire()` and `smp_store_release()`; read-modify-writes with `Relaxed`, `Acquire` and
//! `Release` are those of the same suffix; one with `AcqRel` orders at least what both of these do;
//! and one with `SeqCst` is fully ordered (`Documentation/atomic_t.txt`). `SeqCst` is used for
//! read-modify-writes alone, and no fence is.

pub use core::sync::atomic::{
    AtomicBool,
    AtomicPtr,
    AtomicU8,
    AtomicUsize,
    Ordering, //
};
