// SPDX-License-Identifier: GPL-2.0

//! The deadline of a transition, and the report that it takes long.

use crate::{
    blockers,
    events::Event,
    registry::Registry, //
};
use kernel::{
    prelude::*,
    time::Delta, //
};

/// The time after which it is reported that a transition waits for tasks.
const LONG: Delta = Delta::from_secs(10);

/// How many reasons for the delay are logged.
const REASONS: usize = 3;

/// The longest name of a function in the log, in bytes.
const LONGEST_NAME: usize = 128;

impl Registry {
    /// Reports that the transition takes long, and reverses it if its deadline has passed.
    pub(crate) fn watch_transition(&mut self) {
        let (Some(transition), Some(patch)) = (self.transition(), self.moving_patch()) else {
            return;
        };
        let (id, deadline_s) = (patch.id, patch.deadline_s);
        let elapsed = transition.elapsed();
        let deadline = Delta::from_secs(i64::from(deadline_s));
        let is_late = transition.has_deadline && deadline_s != 0 && elapsed >= deadline;
        if !transition.reported && elapsed >= LONG {
            self.report(id, Event::Wait);
            if let Some(transition) = self.transition_mut() {
                transition.reported = true;
            }
        }
        if is_late {
            self.log_lateness(deadline_s);
            self.report(id, Event::Deadline);
            // The only error is `ENOMEM`. The next call retries.
            let _ = self.reverse();
        }
    }

    /// Logs that the transition is reversed, and which tasks have delayed it.
    fn log_lateness(&self, deadline_s: u32) {
        let (Some(transition), Some(patch)) = (self.transition(), self.moving_patch()) else {
            return;
        };
        pr_warn!(
            "patch '{}': the transition is not complete after {} s, and is reversed\n",
            patch.name(),
            deadline_s
        );
        let pending = transition.records().iter_pending();
        let Ok(counts) = blockers::count_by_function(pending.map(|record| record.blocker())) else {
            return;
        };
        for &(blocker, count) in counts.iter().take(REASONS) {
            let _ = blockers::name(blocker, LONGEST_NAME, |reason, function| {
                pr_warn!(
                    "patch '{}': delayed by {} tasks: {} {}\n",
                    patch.name(),
                    count,
                    reason,
                    function
                );
                Ok(())
            });
        }
    }
}
