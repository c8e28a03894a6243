// SPDX-License-Identifier: GPL-2.0

//! Driving a transition, and completing it when every task is in the target universe.

use crate::{
    debug,
    events::{
        Event,
        State, //
    },
    patch::TransitionEnd,
    registry::{
        self,
        Registry,
        REGISTRY, //
    },
    retire::RetiredPatches,
    step::{
        PatchId,
        Step, //
    },
    universe::Universe,
    worker::{
        RETIRER,
        WORKER, //
    }, //
};
use kernel::prelude::*;
use kernel_ext::clock;

/// The pause before a failed completion is retried, in milliseconds.
const RETRY_MS: u32 = 100;

/// Drives the transition if one runs. Otherwise lets hooked functions settle, and takes back a
/// patch that was not confirmed in time. The worker calls this.
///
/// Patches that retire are left to [`release_retired`], so that the worker is free for the next
/// transition.
///
/// # Context
///
/// Process context, with the registry unlocked. May sleep.
pub(crate) fn advance() {
    if let Ok(mut registry) = REGISTRY.lock() {
        let mut retired = registry.take_unreleased();
        registry.advance(&mut retired);
        if !retired.is_empty() {
            registry.put_unreleased(retired);
            RETIRER.after(0);
        }
    }
}

/// Releases the patches that [`advance`] has retired. The second worker calls this.
///
/// # Context
///
/// As for [`advance`].
pub(crate) fn release_retired() {
    let Ok(mut registry) = REGISTRY.lock() else {
        return;
    };
    let retired = registry.take_unreleased();
    drop(registry);
    registry::release(retired);
}

impl Registry {
    /// Starts to remove a patch whose module is stalled, if there is one. Then sweeps once if the
    /// transition waits for tasks, and completes the transition if every task is switched. Without
    /// a transition, lets hooked functions settle, and takes back a patch that was not confirmed in
    /// time.
    pub(crate) fn advance(&mut self, retired: &mut RetiredPatches) {
        self.remove_stalled(retired);
        if self.transition().is_none() {
            self.settle();
            self.check_probation();
            return;
        }
        self.sweep_pending();
        match self.transition_mut() {
            Some(transition) if !transition.is_done() => transition.schedule(),
            _ => {
                if let Err(e) = self.complete(retired) {
                    self.warn_once(e);
                    WORKER.after(RETRY_MS);
                }
            }
        }
    }

    /// Sweeps once if tasks are pending. If tasks are still pending after that, checks how long the
    /// transition has taken.
    fn sweep_pending(&mut self) {
        let is_pending = |registry: &Self| registry.transition().is_some_and(|t| !t.is_done());
        if !is_pending(self) {
            return;
        }
        // `grow_records()` does nothing while there is room.
        if self.grow_records().is_err() {
            // The next run retries this. Children that find no room meanwhile are counted.
            debug!("no memory for more records\n");
        }
        if let Some(transition) = self.transition_mut() {
            transition.sweep();
        }
        if is_pending(self) {
            self.watch_transition();
        }
    }

    /// Makes the target universe the only one. Called when every task is in it.
    ///
    /// # Errors
    ///
    /// `ENOMEM`. Nothing has changed then.
    fn complete(&mut self, retired: &mut RetiredPatches) -> Result {
        let transition = self.transition().ok_or(EINVAL)?;
        let (step, target, forced) = (transition.step, transition.target, transition.forced);
        let patching = transition.patching();
        let patch = self.patch_in_transition().ok_or(EINVAL)?;
        let (id, name) = (patch.id, patch.name());
        retired.reserve(self.patches().len())?;
        debug!(
            "'{}': completing {} transition\n",
            name,
            direction(patching)
        );
        let transition = self.conclude_transition()?;
        let left_out = transition.left_out();
        if left_out != 0 {
            pr_warn!(
                "'{}': new tasks switched before their parents, because there was no room for their records: {}\n",
                self.patch(id)?.name(),
                left_out
            );
        }
        let ended = TransitionEnd {
            took_us: transition.elapsed_us(),
            at: clock::since_epoch(),
            forced,
        };
        drop(transition);

        self.patch_mut(id)?.last_transition = Some(ended);
        let patch = self.patch(id)?;
        for object in patch.present() {
            if patching {
                object.desc.post_patch(self.callbacks());
            } else {
                object.desc.post_unpatch(self.callbacks());
            }
        }
        pr_notice!("'{}': {} complete\n", patch.name(), direction(patching));
        if patching {
            self.begin_probation(id)?;
            self.report(id, Event::Complete);
        } else {
            self.report_as(id, Event::Complete, State::Disabled);
        }
        match (step, target) {
            (Step::Replace(_), Universe::New) => self.log_replaced(id),
            (Step::Restore(_), Universe::New) => self.report_restored(id)?,
            _ => (),
        }
        self.withdraw_previous_states();
        let confirmed = self.patch(id)?.is_confirmed();
        self.end_step(step, target, confirmed, forced, retired);
        self.update_panic_mark();
        self.unhook_retired(retired);
        self.settle_later();
        Ok(())
    }

    /// Logs once per transition that its completion failed and is retried.
    fn warn_once(&mut self, e: Error) {
        let Some(transition) = self.transition_mut() else {
            return;
        };
        if !core::mem::replace(&mut transition.warned, true) {
            pr_warn!(
                "failed to complete the transition ({}), retrying\n",
                e.to_errno()
            );
        }
    }

    /// Logs which patches were replaced. The time of the message is the time of the replacement: a
    /// retired patch has no file that could show it.
    fn log_replaced(&self, by: PatchId) {
        let Ok(by) = self.patch(by) else { return };
        for patch in self.patches().filter(|patch| patch.id != by.id) {
            pr_notice!("'{}': replaced by '{}'\n", patch.name(), by.name());
        }
    }
}

fn direction(patching: bool) -> &'static str {
    if patching {
        "patching"
    } else {
        "unpatching"
    }
}
