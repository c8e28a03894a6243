// SPDX-License-Identifier: GPL-2.0

//! A transition that takes long: the report of that, and its reversal at the deadline, or if
//! another patch has to be taken back.

use crate::{
    blockers,
    events::Event,
    patch::Patch,
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

/// The time after which the loader reports that a transition waits for tasks. After this time, the
/// transition is also reversed if another patch has to be taken back.
const LONG: Delta = Delta::from_secs(10);

/// Why the loader reverses a transition.
#[derive(Clone, Copy)]
enum Cause {
    /// The deadline has passed, in seconds.
    Deadline(u32),
    /// This patch was not confirmed in time. It can only be taken back when no transition runs.
    Unconfirmed(PatchId),
}

/// How many reasons for the delay are logged.
const REASONS: usize = 3;

/// How many tasks that have delayed the transition are named in the log.
const TASKS: usize = 3;

/// The longest name of a function in the log, in bytes. A line of the kernel's log has room for
/// [`TASKS`] such names.
const LONGEST_NAME: usize = 128;

impl Registry {
    /// Reports once that the transition has run for [`LONG`]. Reverses the transition if its
    /// deadline has passed, or if it has run for [`LONG`] and another patch has to be taken back.
    pub(crate) fn watch_transition(&mut self) {
        let (Some(transition), Some(patch)) = (self.transition(), self.patch_in_transition())
        else {
            return;
        };
        let id = patch.id;
        if !transition.reported && transition.elapsed() >= LONG {
            self.report(id, Event::Wait);
            if let Some(transition) = self.transition_mut() {
                transition.reported = true;
            }
        }
        if let Some(cause) = self.cause_to_reverse() {
            self.reverse_late(id, cause);
        }
    }

    /// Returns why the transition must be reversed now, if it must.
    fn cause_to_reverse(&self) -> Option<Cause> {
        let (transition, patch) = (self.transition()?, self.patch_in_transition()?);
        if transition.deadline == Deadline::None {
            return None;
        }
        let elapsed = transition.elapsed();
        let deadline = Delta::from_secs(i64::from(patch.deadline_s));
        if patch.deadline_s != 0 && elapsed >= deadline {
            return Some(Cause::Deadline(patch.deadline_s));
        }
        if elapsed <= LONG {
            return None;
        }
        let is_late = |other: &&Patch| other.probation_left().is_some_and(Delta::is_zero);
        let mut others = self.patches().filter(|other| other.id != patch.id);
        Some(Cause::Unconfirmed(others.find(is_late)?.id))
    }

    /// Reverses the transition of the patch `id` for `cause`. The first call in a transition logs
    /// that. If the reversal fails, the next sweep calls this again.
    fn reverse_late(&mut self, id: PatchId, cause: Cause) {
        let is_first = self.transition_mut().is_some_and(|transition| {
            core::mem::replace(&mut transition.deadline, Deadline::Passed) == Deadline::Ahead
        });
        if is_first {
            self.log_reversal(cause);
            if matches!(cause, Cause::Deadline(_)) {
                self.report(id, Event::Deadline);
            }
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

    /// Logs why the transition is reversed, and which tasks have delayed it.
    fn log_reversal(&self, cause: Cause) {
        let (Some(transition), Some(patch)) = (self.transition(), self.patch_in_transition())
        else {
            return;
        };
        match cause {
            Cause::Deadline(seconds) => pr_warn!(
                "patch '{}': the transition is not complete after {} s, and is reversed\n",
                patch.name(),
                seconds
            ),
            Cause::Unconfirmed(other) => {
                let Ok(other) = self.patch(other) else { return };
                pr_warn!(
                    "patch '{}': the transition is reversed, because '{}' was not confirmed in time\n",
                    patch.name(),
                    other.name()
                );
            }
        }
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
