// SPDX-License-Identifier: GPL-2.0

//! Settling after a transition: unregister its probe, and promote the hooked functions to jumps.
//!
//! A function that jumps cannot have a bpf program. So a function is demoted before a program is
//! attached to it, and promoted again when the program is detached.
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
    direct::AttachRequest,
    params,
    rcu::ReadSide, //
};

/// The time without a change after which functions are promoted. Several patches that are enabled
/// in a row then cost one change of the kernel's text.
const QUIET_TIME: Delta = Delta::from_millis(500);

/// The time for which no function is promoted after functions were demoted for a bpf program. bpf
/// attaches the program in this time.
const ATTACH_TIME: Delta = Delta::from_secs(2);

/// The time after which promotion is retried, if a bpf program, or another user of direct targets,
/// has taken a function.
const TAKEN_RETRY: Delta = Delta::from_secs(10);

impl Registry {
    /// Starts the time after which functions are promoted. To be called after each change.
    pub(crate) fn settle_later(&mut self) {
        self.settle_after(QUIET_TIME);
    }

    fn settle_after(&mut self, quiet: Delta) {
        self.start_settling(quiet);
        // During a transition nothing settles, and the completion calls this function again.
        if self.transition().is_none() {
            WORKER.after(millis(quiet));
        }
    }

    /// Returns the time after which functions may be promoted, or `None` if they have settled.
    pub(crate) fn time_to_settle(&self) -> Option<Delta> {
        let (since, quiet) = self.settling()?;
        let left = quiet - since.elapsed();
        let attach = self
            .last_attach_request()
            .map(|request| ATTACH_TIME - request.elapsed());
        Some(attach.map_or(left, |attach| left.max(attach)))
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
            Ok(()) if self.is_any_taken() => self.settle_after(TAKEN_RETRY),
            Ok(()) => self.stop_settling(),
            // ftrace has shut itself down, so a retry would fail for ever.
            Err(e) if e == ENODEV => self.stop_settling(),
            Err(_) => self.settle_later(),
        }
    }

    /// Demotes the functions to which another user is about to attach a direct target.
    fn demote_for_attach(&mut self, request: AttachRequest) {
        if !self.is_any_hooked(|site| request.includes(site)) {
            return;
        }
        self.note_attach_request();
        self.settle_later();
        if let Err(e) = self.demote_for(request) {
            pr_warn!(
                "a bpf program cannot be attached to a patched function, because the function still jumps ({})\n",
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

/// Demotes the functions to which a bpf program is about to be attached. The functions do not
/// jump when this returns, unless they cannot be demoted. They are not promoted again before
/// [`ATTACH_TIME`] has passed.
///
/// # Context
///
/// May sleep. Waits for the registry only if one of the functions may be hooked.
pub(crate) fn before_attach(request: AttachRequest) {
    if may_be_hooked(request) {
        if let Ok(mut registry) = REGISTRY.lock() {
            registry.demote_for_attach(request);
        }
    }
}

fn may_be_hooked(request: AttachRequest) -> bool {
    let guard = rcu::read_lock();
    VIEW.read(&ReadSide::from(&guard))
        .is_some_and(|view| match request {
            AttachRequest::One(site) => view.redirects.find(site).is_some(),
            AttachRequest::Any => true,
        })
}

kernel_ext::on_direct_target!(crate::settle::before_attach);
