// SPDX-License-Identifier: GPL-2.0

//! A level that has failed, or that could not be checked: its patch is unloaded.

use super::verdict::NoVerdict;
use super::Run;
use crate::failure::{
    Failure,
    Result, //
};
use crate::loader;
use crate::store::{
    Intent,
    Phase, //
};
use crate::unload;
use crate::wait;

/// How long a run waits until a patch that it takes back has left, in seconds.
pub(super) const LEAVES: u64 = 60;

/// The words on the disk about a level that has failed.
enum Noted {
    /// The level has failed, and is being taken back.
    All,
    /// The quarantine is written. The intent still says that the level is being applied.
    Quarantine(Failure),
    /// Only the old intent is there, if it could be written at all.
    Nothing(Failure),
}

impl Run<'_> {
    /// Unloads a patch that has failed. The patch that it has replaced is in effect again. Returns
    /// the failure of the run.
    pub(super) fn take_back(&mut self, mut intent: Intent, reason: &str) -> Failure {
        let Intent { level, patch, .. } = intent.clone();
        let quarantined = self.quarantine(level, &patch, reason);
        intent.phase = Phase::TakingBack;
        let noted = self.note_taking_back(&intent, quarantined);
        let until = wait::deadline_after(LEAVES);
        let unloaded = unload::unload(self.system, &patch, None, until, self.progress);
        // Without the quarantine, the intent stays. It is the only word about the failure.
        let unwritten = match (noted, &unloaded) {
            (Noted::Nothing(failure), _) => {
                Some(format!("the quarantine was not written: {}", failure.what))
            }
            (_, Ok(_)) => self.remove_intent().err().map(|failure| failure.what),
            (Noted::Quarantine(failure), Err(_)) => Some(intent_unwritten(&failure)),
            (Noted::All, Err(_)) => None,
        };
        let mut why = reason.to_owned();
        if let Some(line) = unwritten {
            why += &format!("\n{line}");
        }
        match unloaded {
            Ok(_) => {
                self.end("apply", (level, &patch), "taken back", Some(&why));
                self.note_what_stays();
                Failure::taken_back(format!("level {level} was taken back"))
                    .why(why)
                    .next(format!(
                        "find out why; rlp level release --level {level} lets it be applied again"
                    ))
            }
            Err(failure) => {
                why += &format!("\n{}", failure.what);
                self.end("apply", (level, &patch), "error", Some(&why));
                Failure::error(format!("level {level} has failed, and was not taken back"))
                    .why(why)
                    .next(format!(
                        "the loader takes it back when its probation ends; or rlp unload {patch}"
                    ))
            }
        }
    }

    /// Notes on the disk that the level has failed, and is taken back. If one of the two cannot be
    /// written, the intent becomes that of a failed level. It must not look like that of a level
    /// that was not loaded yet.
    fn note_taking_back(&self, intent: &Intent, quarantined: Result<()>) -> Noted {
        let unwritten = match quarantined {
            Ok(()) => match intent.write(self.system) {
                Ok(()) => return Noted::All,
                Err(failure) => Noted::Quarantine(failure),
            },
            Err(failure) => Noted::Nothing(failure),
        };
        match Intent::set_failed(self.system) {
            Ok(()) => Noted::All,
            Err(_) => unwritten,
        }
    }

    /// Names the level that is in effect after another one was taken back.
    fn note_what_stays(&mut self) {
        match loader::patches(self.system) {
            Ok(patches) => self.view.patches = patches,
            Err(failure) => return self.lines.push(failure.what),
        }
        let line = match self.view.in_effect() {
            Some((level, _)) => format!("level {level} is in effect"),
            None => "no level is in effect".to_owned(),
        };
        self.lines.push(line);
    }

    /// Unloads a patch because a signal has arrived, or because its transition has taken too long.
    /// That says nothing about the level, so it is not quarantined.
    pub(super) fn stop(&mut self, intent: &Intent, end: &NoVerdict) -> Failure {
        let Intent { level, patch, .. } = intent;
        let until = wait::deadline_after(LEAVES);
        // If this is interrupted, the patch leaves without this program, or its probation ends.
        let unloaded = unload::unload(self.system, patch, None, until, self.progress);
        let removed = self.remove_intent();
        let mut why = end.why();
        for failure in [unloaded.err(), removed.err()].into_iter().flatten() {
            why += &format!("\n{}", failure.what);
        }
        self.end("apply", (*level, patch), end.result(), Some(&why));
        Failure::taken_back(format!(
            "level {level} was not confirmed, and is taken back"
        ))
        .why(why)
        .next("the next run of rlp-apply.timer applies it again")
    }
}

pub(super) fn intent_unwritten(failure: &Failure) -> String {
    format!("the intent was not written: {}", failure.what)
}
