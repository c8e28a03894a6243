// SPDX-License-Identifier: GPL-2.0

//! After a transition: its probe is removed, and patched functions come to be jumps.
//!
//! In the background, and an optimisation only: everything works under the handler.

use crate::{
    registry::{
        Registry,
        REGISTRY, //
    },
    worker::WORKER, //
};
use kernel::{
    prelude::*,
    time::Delta, //
};
use kernel_ext::params;

/// How long nothing must have changed, so that patches in a row cost one change of the text.
const QUIET: Delta = Delta::from_millis(500);

impl Registry {
    /// Something changed: looks at the hooks in a while.
    pub(crate) fn settle_later(&mut self) {
        self.start_settling();
        // A transition has asked for the worker already, maybe for at once: that must not be put
        // off. It comes here again when it is complete.
        if self.transition().is_none() {
            WORKER.after(millis(QUIET));
        }
    }

    /// Lets functions jump if nothing has changed for a while, or puts them under the handler if
    /// the parameter says so. No transition runs.
    pub(crate) fn settle(&mut self) {
        let Some(since) = self.settling_since() else {
            return;
        };
        let left = QUIET - since.elapsed();
        if !left.is_negative() && !left.is_zero() {
            WORKER.after(millis(left));
            return;
        }
        self.unregister_probe();
        // What a completion may have left for want of memory goes now.
        let result = self.unhook_unused().and_then(|()| match params::promote() {
            true => self.promote(),
            false => self.demote_all(),
        });
        match result {
            Ok(()) => self.stop_settling(),
            // ftrace has shut itself down: nothing comes of it any more.
            Err(e) if e == ENODEV => self.stop_settling(),
            Err(_) => self.settle_later(),
        }
    }
}

fn millis(delta: Delta) -> u32 {
    u32::try_from(delta.as_millis())
        .unwrap_or(0)
        .saturating_add(1)
}

/// The parameter `promote` was written. Context: may sleep.
pub(crate) fn params_changed() {
    if let Ok(mut registry) = REGISTRY.lock() {
        registry.settle_later();
    }
}

kernel_ext::on_params_changed!(crate::settle::params_changed);
