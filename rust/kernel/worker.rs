// SPDX-License-Identifier: GPL-2.0

//! A function in process context that any context may ask for.
//!
//! See `rust/helpers/worker.c`: an `irq_work` in front of a `delayed_work`.

use crate::atomic::{AtomicBool, Ordering};
use kernel::{prelude::*, types::Opaque};

/// The function and its means to run. Lives in a `static`.
///
/// # Invariants
///
/// `inner` is initialised whenever `started` is true.
pub struct Worker {
    inner: Opaque<rlp_bindings::rlp_worker>,
    started: AtomicBool,
}

// SAFETY: The workqueue and irq_work cores lock what they share.
unsafe impl Sync for Worker {}

impl Worker {
    /// A worker that does nothing yet.
    pub const fn new() -> Self {
        Self {
            inner: Opaque::uninit(),
            started: AtomicBool::new(false),
        }
    }

    /// Lets requests through to `run`. The returned value ends that when it is dropped.
    ///
    /// # Errors
    ///
    /// `EBUSY` if it was started already.
    pub fn start(&'static self, run: extern "C" fn()) -> Result<Started> {
        // ORDERING: Relaxed; module init is the only one that starts.
        if self.started.load(Ordering::Relaxed) {
            return Err(EBUSY);
        }
        // SAFETY: Static, and not in use since it was not started.
        unsafe { rlp_bindings::rlp_worker_init(self.inner.get(), Some(run)) };
        // ORDERING: Release, pairs with Acquire in `is_started()`: who sees the flag sees the
        // initialised worker.
        self.started.store(true, Ordering::Release);
        Ok(Started(self))
    }

    #[inline(always)]
    fn is_started(&self) -> bool {
        // ORDERING: Acquire, pairs with Release in `start()`.
        self.started.load(Ordering::Acquire)
    }

    /// Asks for a run soon. Context: any, a locked runqueue included.
    pub fn kick(&self) {
        if self.is_started() {
            // SAFETY: Initialised, by the type invariant.
            unsafe { rlp_bindings::rlp_worker_kick(self.inner.get()) }
        }
    }

    /// Asks for a run in `ms` milliseconds, in place of one asked for before. Context: process.
    pub fn after(&self, ms: u32) {
        if self.is_started() {
            // SAFETY: Initialised, by the type invariant.
            unsafe { rlp_bindings::rlp_worker_after(self.inner.get(), ms) }
        }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}

/// A started worker. Dropping it waits for a run under way. Context of the drop: may sleep.
pub struct Started(&'static Worker);

impl Drop for Started {
    fn drop(&mut self) {
        // ORDERING: Relaxed; who drops this has made sure that nobody kicks any more.
        self.0.started.store(false, Ordering::Relaxed);
        // SAFETY: Initialised in `start()`.
        unsafe { rlp_bindings::rlp_worker_stop(self.0.inner.get()) }
    }
}
