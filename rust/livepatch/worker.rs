// SPDX-License-Identifier: GPL-2.0

//! The workers: one drives a transition in the background, the other releases retired patches.
//!
//! This file has only the means to request a run. loader.rs passes the functions that run.

use kernel_ext::worker::Worker;

/// The worker. It is kicked when the last record is switched. While records are pending, each run
/// requests the next one.
pub(crate) static WORKER: Worker = Worker::new();

/// Requested when patches have retired. A run waits for RCU-tasks, which can take long, and no
/// transition may wait for that.
pub(crate) static RETIRER: Worker = Worker::new();
