// SPDX-License-Identifier: GPL-2.0

//! The worker, which goes on with a transition when nobody waits for it.
//!
//! This is only the means to ask for it: the loader hands in what it does.

use kernel_ext::worker::Worker;

/// Kicked by whoever switches the last task; runs by itself while some are left.
pub(crate) static WORKER: Worker = Worker::new();
