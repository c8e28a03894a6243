// SPDX-License-Identifier: GPL-2.0

//! The records of a run, and the quarantines.

use super::Run;
use crate::change::Subject;
use crate::failure::Result;
use crate::history::{
    Action,
    Phase as RecordPhase,
    Record, //
};
use crate::level::Number;
use crate::store::{
    self,
    Intent, //
};
use crate::view;

impl Run<'_> {
    /// Writes what is new on this machine.
    pub(super) fn note(&mut self) -> Result<()> {
        self.note_new_level()?;
        self.prove_loader()?;
        self.view.state.write(self.system)?;
        self.note_failed()?;
        self.keep_quarantine_of_boot()
    }

    /// Records a quarantine that could not be written when the level failed.
    fn note_failed(&mut self) -> Result<()> {
        if let Some(failed) = self.view.failed.take() {
            self.record_quarantine(failed.level, &failed.patch, view::FAILED_UNWRITTEN);
        }
        Intent::remove_failed(self.system)
    }

    /// Keeps the quarantines of the boot in the state. When an earlier level is installed for the
    /// boot, the patch that has failed is uninstalled, and the boot forgets its quarantine.
    fn keep_quarantine_of_boot(&mut self) -> Result<()> {
        for failed in self.view.quarantined() {
            if !self.view.state.is_quarantined(failed.level) {
                self.quarantine(failed.level, "", &failed.reason)?;
            }
        }
        Ok(())
    }

    /// Records that a level is available on this machine, and keeps its description.
    fn note_new_level(&mut self) -> Result<()> {
        let is_noted = self.view.is_new || self.view.is_changed;
        let Some(level) = self.view.level.clone().filter(|_| is_noted) else {
            return Ok(());
        };
        if !self.view.is_changed {
            store::keep_description(self.system, &level)?;
        } else if !store::keep_other_description(self.system, &level)? {
            return Ok(());
        }
        let patch = self.view.entry().map(|entry| entry.patch.name.clone());
        let patch = patch.unwrap_or_default();
        let mut record = Record::new(self.system, RecordPhase::State, "available", &patch);
        record.level = Some(level.level);
        let cves: Vec<_> = level.fixes_for(&self.view.release).collect();
        let cves: Vec<_> = cves.iter().map(|fix| fix.cve.as_str()).collect();
        record.detail = Some(format!(
            "{} {} of {}; severity {}; {}",
            if self.view.is_changed {
                "another level"
            } else {
                "level"
            },
            level.level,
            level.published,
            level.severity(&self.view.release).name(),
            match cves.as_slice() {
                [] => "no fix for this kernel".to_owned(),
                cves => format!("fixes {}", cves.join(" ")),
            }
        ));
        self.record(record);
        Ok(())
    }

    /// Appends a record. An operator must be able to get rid of a patch even if the disk is full.
    fn record(&mut self, record: Record) {
        let written = record.append(self.system);
        self.note_unwritten(written);
    }

    fn note_unwritten(&mut self, written: Result<()>) {
        if let Err(failure) = written {
            self.lines
                .push(format!("the history was not written: {}", failure.what));
        }
    }

    pub(super) fn begin(&mut self, action: &'static str, level: Number, patch: &str, detail: &str) {
        let subject = Subject::new(patch, Some(level));
        let detail = Some(detail.to_owned());
        let begun = Action::begin(self.system, action, subject, detail).map(drop);
        self.note_unwritten(begun);
    }

    /// Records the result of an action, and what the loader says is in effect after it.
    pub(super) fn end(
        &mut self,
        action: &'static str,
        subject: (Number, &str),
        result: &str,
        why: Option<&str>,
    ) {
        let (level, patch) = subject;
        let action = Action::new(self.system, action, Subject::new(patch, Some(level)));
        let ended = action.end_with_machine(result, why);
        self.note_unwritten(ended);
    }

    /// Quarantines a level: it is not applied on this machine any more. The first reason stays,
    /// because a later one is a consequence.
    pub(super) fn quarantine(&mut self, level: Number, patch: &str, reason: &str) -> Result<()> {
        if self.view.state.is_quarantined(level) {
            return self.view.state.write(self.system);
        }
        self.view.state.quarantine(level, reason);
        let written = self.view.state.write(self.system);
        self.record_quarantine(level, patch, reason);
        written
    }

    fn record_quarantine(&mut self, level: Number, patch: &str, reason: &str) {
        let mut record = Record::new(self.system, RecordPhase::State, "quarantine", patch);
        record.level = Some(level);
        record.detail = Some(format!("level {level}: {reason}"));
        self.record(record);
        self.lines
            .push(format!("level {level} is quarantined: {reason}"));
    }
}
