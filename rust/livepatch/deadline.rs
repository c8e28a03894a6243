// SPDX-License-Identifier: GPL-2.0

//! The deadline of a transition, and the report that it takes long.

use crate::{
    blockers,
    events::Event,
    records::Records,
    registry::Registry,
    step::PatchId,
    transition::Deadline, //
};
use kernel::{
    prelude::*,
    str::CString,
    time::Delta, //
};
use kernel_ext::task;

/// The time after which it is reported that a transition waits for tasks.
const LONG: Delta = Delta::from_secs(10);

/// How many reasons for the delay are logged.
const REASONS: usize = 3;

/// How many tasks that have delayed the transition are named in the log.
const TASKS: usize = 3;

/// The longest name of a function in the log, in bytes. A line of the kernel's log has room for
/// [`TASKS`] such names.
const LONGEST_NAME: usize = 128;

impl Registry {
    /// Reports once that the transition has run for [`LONG`]. Reverses the transition if its
    /// deadline has passed.
    pub(crate) fn watch_transition(&mut self) {
        let (Some(transition), Some(patch)) = (self.transition(), self.patch_in_transition())
        else {
            return;
        };
        let (id, deadline_s) = (patch.id, patch.deadline_s);
        let elapsed = transition.elapsed();
        let deadline = Delta::from_secs(i64::from(deadline_s));
        let has_deadline = transition.deadline != Deadline::None && deadline_s != 0;
        if !transition.reported && elapsed >= LONG {
            self.report(id, Event::Wait);
            if let Some(transition) = self.transition_mut() {
                transition.reported = true;
            }
        }
        if has_deadline && elapsed >= deadline {
            self.reverse_late(id, deadline_s);
        }
    }

    /// Reverses the transition of the patch `id`, whose deadline has passed. The first call in a
    /// transition reports that. If the reversal fails, the next sweep calls this again.
    fn reverse_late(&mut self, id: PatchId, deadline_s: u32) {
        let is_first = self.transition_mut().is_some_and(|transition| {
            core::mem::replace(&mut transition.deadline, Deadline::Passed) == Deadline::Ahead
        });
        if is_first {
            self.log_lateness(deadline_s);
            self.report(id, Event::Deadline);
        }
        if let (Err(e), true, Ok(patch)) = (self.reverse(), is_first, self.patch(id)) {
            pr_warn!(
                "patch '{}': the transition was not reversed ({}), retrying\n",
                patch.name(),
                e.to_errno()
            );
        }
    }

    /// Sets the deadline of the patch `id`. If its transition has passed the old deadline, and
    /// passes the new one, too, this is reported once more.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the patch is not registered.
    pub(crate) fn set_deadline(&mut self, id: PatchId, seconds: u32) -> Result {
        self.patch_mut(id)?.deadline_s = seconds;
        let is_moving = self
            .patch_in_transition()
            .is_some_and(|patch| patch.id == id);
        match self.transition_mut() {
            Some(transition) if is_moving && transition.deadline == Deadline::Passed => {
                transition.deadline = Deadline::Ahead;
            }
            _ => (),
        }
        Ok(())
    }

    /// Logs that the transition is reversed, and which tasks have delayed it.
    fn log_lateness(&self, deadline_s: u32) {
        let (Some(transition), Some(patch)) = (self.transition(), self.patch_in_transition())
        else {
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
                    "patch '{}': tasks not switched: {} {} {}\n",
                    patch.name(),
                    count,
                    reason,
                    function
                );
                Ok(())
            });
        }
        match list_tasks(transition.records()) {
            Ok(tasks) if !tasks.is_empty() => {
                pr_warn!("patch '{}': blocked by {}\n", patch.name(), &*tasks);
            }
            _ => {}
        }
    }
}

/// Lists some tasks that are not switched: "NAME (PID) REASON FUNCTION, ..., and N more".
///
/// # Errors
///
/// Fails with `ENOMEM`.
fn list_tasks(records: &Records) -> Result<CString> {
    let mut list = CString::try_from(c"")?;
    let mut pending = records.iter_pending();
    for record in pending.by_ref().take(TASKS) {
        let comma = if list.is_empty() { "" } else { ", " };
        let (comm, pid) = (task::comm(record.task()), record.task().pid());
        blockers::name(record.blocker(), LONGEST_NAME, |reason, function| {
            // A reason without a function has "-" in place of the function.
            let function = if function == "-" { "" } else { function };
            let space = if function.is_empty() { "" } else { " " };
            list = CString::try_from_fmt(fmt!(
                "{}{}{} ({}) {}{}{}",
                &*list,
                comma,
                comm.name(),
                pid,
                reason,
                space,
                function
            ))?;
            Ok(())
        })?;
    }
    match pending.count() {
        0 => Ok(list),
        more => Ok(CString::try_from_fmt(fmt!(
            "{}, and {} more",
            &*list,
            more
        ))?),
    }
}
