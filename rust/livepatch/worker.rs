// SPDX-License-Identifier: GPL-2.0

//! The worker, which drives a transition in the background.
//!
//! This file has only the means to request a run. loader.rs passes the function that runs.

use kernel_ext::worker::Worker;

/// Kicked when the last record is switched. Requests its own runs as long as records are pending.
pub(crate) static WORKER: Worker = Worker::new();
