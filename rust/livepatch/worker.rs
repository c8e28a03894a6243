// SPDX-License-Identifier: GPL-2.0

//! What goes on with a transition when nobody waits for it.

use kernel_ext::worker::Worker;

/// Kicked by whoever switches the last task; runs by itself while some are left.
pub(crate) static WORKER: Worker = Worker::new();

/// Completes the transition, or looks at the stragglers once more.
pub(crate) extern "C" fn run() {
    crate::complete::advance();
}
