// SPDX-License-Identifier: GPL-2.0

//! Settling after a transition: unregister its probe, and promote the hooked functions to jumps.
//!
//! The worker does this in the background. This is an optimisation: everything also works with the
//! handler alone.

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

/// The time without a change after which functions are promoted. Several patches that are enabled
/// in a row then cost one change of the kernel's text.
const QUIET: Delta = Delta::from_millis(500);

impl Registry {
    /// Starts the time after which functions are promoted. To be called after each change.
    pub(crate) fn settle_later(&mut self) {
        self.start_settling();
        // During a transition the worker has been requested already, maybe without a delay. A
        // request here would delay that run. The completion calls this function again.
        if self.transition().is_none() {
            WORKER.after(millis(QUIET));
        }
    }

    /// Promotes functions to jumps if nothing has changed for [`QUIET`]. If the parameter `promote`
    /// is off, demotes them all instead. Called while no transition runs.
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
        // If memory was short, the completion of a transition may have left functions hooked.
        let result = self.unhook_unused().and_then(|()| {
            if params::promote() {
                self.promote()
            } else {
                self.demote_all()
            }
        });
        match result {
            Ok(()) => self.stop_settling(),
            // ftrace has shut itself down, so a retry would fail for ever.
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

/// Starts the settling time again because the parameter `promote` was written.
///
/// # Context
///
/// May sleep.
pub(crate) fn params_changed() {
    if let Ok(mut registry) = REGISTRY.lock() {
        registry.settle_later();
    }
}

kernel_ext::on_params_changed!(crate::settle::params_changed);
