// SPDX-License-Identifier: GPL-2.0

//! The worker, which drives a transition in the background.
//!
//! This file has only the means to request a run. loader.rs passes the function that runs.

use kernel_ext::worker::Worker;

/// The worker. It is kicked when the last record is switched. While records are pending, each run
/// requests the next one.
pub(crate) static WORKER: Worker = Worker::new();
