// SPDX-License-Identifier: GPL-2.0

//! Probation: a patch that is not confirmed in time is taken back, even if user space is dead.
//!
//! A cumulative patch on probation holds the patches that it has replaced. If it is taken back,
//! they are in effect again.

use crate::{
    events::Event,
    patch::{
        Patch,
        Probation, //
    },
    registry::{
        self,
        Registry,
        REGISTRY, //
    },
    retire::RetiredPatches,
    step::PatchId,
    transition::Deadline,
    worker::WORKER, //
};
use kernel::{
    prelude::*,
    time::{
        Delta,
        Instant, //
    }, //
};

/// The pause before a retry, in milliseconds, if a patch could not be taken back.
const RETRY_MS: u32 = 1000;

/// The longest time for which the worker sleeps until a probation ends, in milliseconds.
const LONGEST_SLEEP_MS: i64 = 60_000;

/// Confirms the patch `id`, so that the patch is not taken back. If a transition that takes the
/// patch back has begun, reverses the transition.
///
/// # Context
///
/// Process context. May sleep.
///
/// # Errors
///
/// `EBUSY` if the patch is not in effect yet, or is being disabled by an operator; `ENODEV` if the
/// patch is not registered; `ENOMEM`.
pub(crate) fn confirm(id: PatchId) -> Result {
    let mut registry = REGISTRY.lock()?;
    let mut retired = RetiredPatches::empty();
    let result = registry.confirm(id, &mut retired);
    drop(registry);
    registry::release(retired);
    result
}

impl Patch {
    /// Whether the patch was confirmed, or need not be confirmed.
    pub(crate) fn is_confirmed(&self) -> bool {
        match self.probation {
            Probation::Ahead => self.probation_s == 0,
            Probation::Since(_) | Probation::Failed => false,
            Probation::Passed => true,
        }
    }

    /// Returns the time that is left to confirm the patch, if it is on probation.
    pub(crate) fn probation_left(&self) -> Option<Delta> {
        match self.probation {
            Probation::Since(start) => {
                let left = Delta::from_secs(i64::from(self.probation_s)) - start.elapsed();
                Some(if left.is_negative() {
                    Delta::ZERO
                } else {
                    left
                })
            }
            Probation::Failed => Some(Delta::ZERO),
            Probation::Ahead | Probation::Passed => None,
        }
    }
}

impl Registry {
    /// Begins the probation of the patch `id`, which is in effect from now on. The caller then
    /// updates the panic mark. A patch that need not be confirmed passes at once. Does nothing if
    /// the probation has begun or ended already.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the patch is not registered.
    pub(crate) fn begin_probation(&mut self, id: PatchId) -> Result {
        let patch = self.patch_mut(id)?;
        if !matches!(patch.probation, Probation::Ahead) {
            return Ok(());
        }
        if patch.probation_s == 0 {
            patch.probation = Probation::Passed;
            return Ok(());
        }
        patch.probation = Probation::Since(Instant::now());
        pr_notice!(
            "'{}': on probation, must be confirmed within {} s\n",
            patch.name(),
            patch.probation_s
        );
        Ok(())
    }

    /// Reports the patches that were held for the patch `by`, and are in effect again. The
    /// probation of a patch that was not confirmed begins again.
    ///
    /// # Errors
    ///
    /// `ENODEV` if a patch is not registered.
    pub(crate) fn report_restored(&mut self, by: PatchId) -> Result {
        let count = self.patches().len();
        for at in 0..count {
            let Some(id) = self.patches().nth(at).map(|patch| patch.id) else {
                break;
            };
            if id != by {
                pr_notice!("'{}': in effect again\n", self.patch(id)?.name());
                self.begin_probation(id)?;
                self.report(id, Event::Restore);
            }
        }
        Ok(())
    }

    /// Takes back a patch whose probation has ended. Called while no transition runs.
    pub(crate) fn check_probation(&mut self) {
        let left = |patch: &Patch| Some((patch.id, patch.probation_left()?));
        let mut patches = self.patches().filter_map(left);
        let Some((id, left)) = patches.by_ref().min_by_key(|&(_, left)| left.as_nanos()) else {
            return;
        };
        drop(patches);
        if !left.is_zero() {
            let ms = left.as_millis().clamp(0, LONGEST_SLEEP_MS);
            WORKER.after(u32::try_from(ms).unwrap_or(0).saturating_add(1));
            return;
        }
        if self.take_back(id).is_err() {
            WORKER.after(RETRY_MS);
        }
    }

    fn take_back(&mut self, id: PatchId) -> Result {
        let patch = self.patch_mut(id)?;
        if !matches!(patch.probation, Probation::Failed) {
            pr_warn!(
                "patch '{}' was not confirmed within {} s, and is taken back\n",
                patch.name(),
                patch.probation_s
            );
            patch.probation = Probation::Failed;
            self.report(id, Event::Expire);
        }
        self.disable(id)?;
        if let Some(transition) = self.transition_mut() {
            transition.deadline = Deadline::None;
        }
        Ok(())
    }

    fn confirm(&mut self, id: PatchId, retired: &mut RetiredPatches) -> Result {
        let patch = self.patch(id)?;
        let is_failed = match patch.probation {
            Probation::Passed => return Ok(()),
            Probation::Ahead => {
                pr_err!(
                    "patch '{}' cannot be confirmed: it is not in effect yet\n",
                    patch.name()
                );
                return Err(EBUSY);
            }
            Probation::Since(_) => false,
            Probation::Failed => true,
        };
        match self.transition_of(id) {
            None => {
                retired.reserve(self.patches().len())?;
                self.retire_held(retired);
                self.unhook_retired(retired);
                self.settle_later();
            }
            // The patches that are held retire when the reversed transition is complete.
            Some(transition) if is_failed && !transition.patching() => self.reverse()?,
            Some(transition) if transition.patching() => (),
            Some(_) => {
                pr_err!(
                    "patch '{}' cannot be confirmed: it is being disabled\n",
                    patch.name()
                );
                return Err(EBUSY);
            }
        }
        let patch = self.patch_mut(id)?;
        patch.probation = Probation::Passed;
        pr_notice!("'{}': confirmed\n", patch.name());
        self.update_panic_mark();
        self.report(id, Event::Confirm);
        Ok(())
    }
}
