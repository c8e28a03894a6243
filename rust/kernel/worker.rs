// SPDX-License-Identifier: GPL-2.0

//! A function that runs in process context, at the request of any context.
//!
//! See `rust/helpers/worker.c`: an `irq_work` and a timer in front of a work item.

use crate::{
    atomic::{
        AtomicBool,
        Ordering, //
    },
    rcu, //
};
use kernel::{
    prelude::*,
    types::Opaque, //
};

/// The function, and the means to run it. Lives in a `static`.
///
/// # Invariants
///
/// `inner` is zeroed until the worker is started, and initialised from then on. The one caller that
/// has set `claimed` starts and stops it.
///
/// # Examples
///
/// ```
/// use kernel_ext::worker::Worker;
///
/// static WORKER: Worker = Worker::new();
///
/// extern "C" fn run() {
///     // Process context: this may sleep.
/// }
///
/// let started = WORKER.start(run)?;
/// // Allowed in any context.
/// WORKER.kick();
/// // Waits for a run in progress. Later requests are ignored.
/// drop(started);
/// # Ok::<(), Error>(())
/// ```
pub struct Worker {
    inner: Opaque<rlp_bindings::rlp_worker>,
    claimed: AtomicBool,
}

// SAFETY: The workqueue and irq_work cores lock what they share; `claimed` lets one caller start
// and stop the worker.
unsafe impl Sync for Worker {}

impl Worker {
    /// Makes a worker that ignores requests until it is started.
    pub const fn new() -> Self {
        Self {
            inner: Opaque::zeroed(),
            claimed: AtomicBool::new(false),
        }
    }

    /// Starts the worker: from now on each request runs `run`. Dropping the returned value stops
    /// it, for good.
    ///
    /// # Context
    ///
    /// Any.
    ///
    /// # Errors
    ///
    /// `EBUSY` if the worker was started before.
    pub fn start(&'static self, run: extern "C" fn()) -> Result<StartedWorker> {
        // ORDERING: Relaxed. The partner is this line in other threads. Only the swap itself must
        // be atomic: exactly one caller reads false.
        if self.claimed.swap(true, Ordering::Relaxed) {
            return Err(EBUSY);
        }
        // SAFETY: The worker is static, and was not started before: `claimed` was false.
        unsafe { rlp_bindings::rlp_worker_start(self.inner.get(), Some(run)) };
        Ok(StartedWorker(self))
    }

    /// Requests a run as soon as possible. Does nothing unless the worker is started.
    ///
    /// # Context
    ///
    /// Any, also with a runqueue locked.
    pub fn kick(&self) {
        // SAFETY: Zeroed or initialised, by the type invariant. The drop of `StartedWorker` waits
        // for this call.
        unsafe { rlp_bindings::rlp_worker_kick(self.inner.get()) }
    }

    /// Requests a run in `ms` milliseconds. A run that was requested for an earlier time is not
    /// delayed. Does nothing unless the worker is started.
    ///
    /// # Context
    ///
    /// Process context or soft interrupt.
    pub fn after(&self, ms: u32) {
        // SAFETY: As in `kick()`.
        unsafe { rlp_bindings::rlp_worker_after(self.inner.get(), ms) }
    }
}

impl Default for Worker {
    fn default() -> Self {
        Self::new()
    }
}

/// A started worker. Dropping it stops the worker and waits for a run in progress; requests made
/// meanwhile and afterwards are ignored.
///
/// # Context
///
/// The drop may sleep.
pub struct StartedWorker(&'static Worker);

impl Drop for StartedWorker {
    fn drop(&mut self) {
        let worker = self.0.inner.get();
        // SAFETY: Started in `Worker::start()`, and this value is the only one that stops it.
        unsafe { rlp_bindings::rlp_worker_close(worker) };
        // A request that is not ignored has preemption off until it is queued.
        rcu::synchronize();
        // SAFETY: Closed above, and every request that was not ignored is queued.
        unsafe { rlp_bindings::rlp_worker_stop(worker) };
    }
}
