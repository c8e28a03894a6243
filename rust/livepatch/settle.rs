// SPDX-License-Identifier: GPL-2.0

//! Settling after a transition: unregister its probe, and promote the hooked functions to jumps.
//!
//! A function that jumps cannot have a bpf program. So a function is demoted before a program is
//! attached to it, and promoted again when the program is gone.
//!
//! The worker does this in the background. This is an optimisation: everything also works with the
//! handler alone.

use crate::{
    registry::{
        Registry,
        REGISTRY, //
    },
    view::VIEW,
    worker::WORKER, //
};
use kernel::{
    prelude::*,
    sync::rcu,
    time::Delta, //
};
use kernel_ext::{
    direct::Wanted,
    params,
    rcu::ReadSide, //
};

/// The time without a change after which functions are promoted. Several patches that are enabled
/// in a row then cost one change of the kernel's text.
const QUIET: Delta = Delta::from_millis(500);

/// The time for which no function is promoted after room was made for a bpf program. bpf attaches
/// the program in this time.
const ROOM: Delta = Delta::from_secs(2);

/// The time after which promotion is retried, if a bpf program, or another user of direct targets,
/// has taken a function.
const RETRY: Delta = Delta::from_secs(10);

impl Registry {
    /// Starts the time after which functions are promoted. To be called after each change.
    pub(crate) fn settle_later(&mut self) {
        self.settle_after(QUIET);
    }

    fn settle_after(&mut self, quiet: Delta) {
        self.start_settling(quiet);
        // During a transition the worker has been requested already, maybe without a delay. A
        // request here would delay that run. The completion calls this function again.
        if self.transition().is_none() {
            WORKER.after(millis(quiet));
        }
    }

    /// Returns the time after which functions may be promoted, or `None` if they have settled.
    pub(crate) fn time_to_settle(&self) -> Option<Delta> {
        let (since, quiet) = self.settling()?;
        let left = quiet - since.elapsed();
        let room = self.room_made().map(|made| ROOM - made.elapsed());
        Some(room.map_or(left, |room| left.max(room)))
    }

    /// Promotes functions to jumps if nothing has changed for a while. If the parameter `promote`
    /// is off, demotes them all instead. No transition runs.
    pub(crate) fn settle(&mut self) {
        let Some(left) = self.time_to_settle() else {
            return;
        };
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
            Ok(()) if self.is_any_taken() => self.settle_after(RETRY),
            Ok(()) => self.stop_settling(),
            // ftrace has shut itself down, so a retry would fail for ever.
            Err(e) if e == ENODEV => self.stop_settling(),
            Err(_) => self.settle_later(),
        }
    }

    /// Demotes the functions to which another user is about to attach a direct target.
    fn make_room(&mut self, wanted: Wanted) {
        if !self.is_any_hooked(|site| wanted.includes(site)) {
            return;
        }
        self.note_room();
        self.settle_later();
        if let Err(e) = self.demote_wanted(wanted) {
            pr_warn!(
                "no room was made for a bpf program on a patched function ({})\n",
                e.to_errno()
            );
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

/// Makes room for a bpf program that is about to be attached to functions. The functions do not
/// jump when this returns, unless they cannot be demoted. They are not promoted again before
/// [`ROOM`] has passed.
///
/// # Context
///
/// May sleep. Waits for the registry only if one of the functions may be hooked.
pub(crate) fn make_room(wanted: Wanted) {
    if may_be_hooked(wanted) {
        if let Ok(mut registry) = REGISTRY.lock() {
            registry.make_room(wanted);
        }
    }
}

fn may_be_hooked(wanted: Wanted) -> bool {
    let guard = rcu::read_lock();
    VIEW.read(&ReadSide::from(&guard))
        .is_some_and(|view| match wanted {
            Wanted::One(site) => view.redirects.find(site).is_some(),
            Wanted::Any => true,
        })
}

kernel_ext::on_direct_target!(crate::settle::make_room);
