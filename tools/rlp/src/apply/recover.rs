// SPDX-License-Identifier: GPL-2.0

//! An earlier run that was killed: this run finishes or undoes it.

use super::Run;
use crate::failure::{
    Failure,
    Result, //
};
use crate::leftovers;
use crate::loader::{
    self,
    State, //
};
use crate::store::{
    Intent,
    Phase, //
};

impl Run<'_> {
    /// Finishes or undoes what an earlier run has left.
    pub(super) fn recover(&mut self) -> Result<()> {
        let Some(intent) = Intent::read(self.system)? else {
            return Ok(());
        };
        let patch = loader::patch(self.system, &intent.patch)?;
        let state = patch
            .filter(|patch| intent.build_id.is_none() || patch.build_id == intent.build_id)
            .map(|patch| patch.state);
        let is_this_boot = intent.boot == self.system.boot_id();
        match (is_this_boot, intent.phase, state) {
            (false, Phase::Loading | Phase::Checking | Phase::Adopting, _) => {
                let reason = "the machine was started again before the level was confirmed";
                self.quarantine(intent.level, &intent.patch, reason)?;
                let why = Some(reason);
                self.end("apply", (intent.level, &intent.patch), "quarantined", why);
            }
            // The decision begins again.
            (true, Phase::Adopting, _) => (),
            // An operator may have confirmed the patch meanwhile. That says nothing about its
            // checks.
            (
                true,
                Phase::Loading | Phase::Checking,
                Some(State::Probation | State::Enabling | State::InEffect),
            ) => {
                self.lines.push(format!(
                    "level {}: an earlier run was ended, and this one continues it",
                    intent.level
                ));
                return self.check_and_finish(intent);
            }
            (true, Phase::TakingBack, Some(_)) | (true, _, Some(State::Disabling)) => {
                let reason = "an earlier run was ended while it took the level back";
                return Err(self.take_back(intent, reason));
            }
            // The checks have succeeded, the patch was confirmed, and then the run was killed. Or
            // the power was cut then, and another boot has loaded the patch. The list of the boot
            // may still have the patch of the level before, too.
            (_, Phase::Confirmed, Some(State::InEffect)) => {
                let level = intent.level;
                self.finish(intent)?;
                self.lines.push(format!(
                    "level {level}: an earlier run was ended, and is finished"
                ));
            }
            // Nothing was loaded yet.
            (true, Phase::Loading, None) if !self.has_leftover(&intent.patch)? => (),
            // The level was quarantined before this phase began.
            (true, Phase::TakingBack, None) => {
                self.end("apply", (intent.level, &intent.patch), "taken back", None);
            }
            (true, Phase::Loading | Phase::Checking, None) => {
                let reason = "it was taken back before it was confirmed, and the run was ended";
                self.quarantine(intent.level, &intent.patch, reason)?;
                let why = Some(reason);
                self.end("apply", (intent.level, &intent.patch), "taken back", why);
            }
            // The level was confirmed, or is quarantined, and the boot has ended since. Or another
            // patch has replaced it.
            (false, Phase::Confirmed | Phase::TakingBack, _)
            | (true, Phase::Confirmed, None)
            | (true, _, Some(State::Held | State::Probation | State::Enabling)) => (),
        }
        self.remove_intent()?;
        self.view.patches = loader::patches(self.system)?;
        Ok(())
    }

    /// Removes the intent. If that fails, the next run finds it, and has nothing more to do for it.
    pub(super) fn remove_intent(&self) -> Result<()> {
        Intent::remove(self.system).map_err(|failure| Failure {
            what: format!("the intent was not removed: {}", failure.what),
            ..failure
        })
    }

    fn has_leftover(&self, patch: &str) -> Result<bool> {
        Ok(leftovers::find(self.system, patch)?.is_some())
    }
}
