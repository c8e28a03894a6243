// SPDX-License-Identifier: GPL-2.0

//! The patch of a level is loaded, or is there already.

use super::verdict::{
    too_long,
    NoVerdict, //
};
use super::Run;
use crate::check;
use crate::failure::{
    Failure,
    Kind,
    Result, //
};
use crate::interrupt;
use crate::level::Number;
use crate::load::{
    self,
    Plan, //
};
use crate::module_file::ModuleFile;
use crate::modules;
use crate::policy::Source;
use crate::store::{
    Files,
    Intent,
    Phase, //
};

/// How much longer than the loader's deadline a run waits for a transition, in seconds.
const AFTER_DEADLINE: u32 = 60;

impl Run<'_> {
    /// Loads, checks and confirms the patch of a level, or takes it back.
    pub(super) fn apply_level(&mut self, level: Number, from: Source) -> Result<()> {
        let target = self.target(level, from)?;
        let Files { patch, loader } = &target.files;
        check::preflight(self.system, patch, loader.as_deref())?;
        let intent = target.intent(self.system, level, Phase::Loading)?;
        self.announce(&intent, from)?;
        let mut detail = format!("level {level}, {}", patch.display());
        if let Some(lost) = self.lost(&target.module) {
            self.lines.push(format!("level {level}: {lost}"));
            detail += &format!("; {lost}");
        }
        self.begin("apply", level, &target.module.name, &detail);
        let health = self.view.policy.health;
        let plan = Plan {
            confirm: false,
            test: None,
            probation: Some(health.probation),
            deadline: Some(health.deadline),
            parameters: &[],
            timeout: self.patience(),
            dry_run: false,
        };
        // The loader of a level that is not verified is loaded only here, after the intent was
        // written.
        let loaded = modules::load_loader_of(self.system, loader.as_deref())
            .and_then(|()| load::load(self.system, patch, &plan, self.progress));
        match loaded {
            Ok(change) => {
                let notes = change.notes.into_iter();
                // This run has set the probation and the options, so notes about them are left out.
                let own = ["on probation", "--"];
                let notes = notes.filter(|note| !own.iter().any(|own| note.starts_with(own)));
                self.lines
                    .extend(notes.map(|note| format!("level {level}: {note}")));
                self.check_and_finish(intent)
            }
            Err(failure) if failure.kind == Kind::InProgress => {
                let end = if interrupt::is_pending() {
                    NoVerdict::Interrupted(failure.why)
                } else {
                    NoVerdict::TooLong(too_long(self.patience(), failure.why))
                };
                Err(self.stop(&intent, &end))
            }
            Err(failure) => {
                let removed = self.remove_intent();
                let why = failure.why.clone().unwrap_or_else(|| failure.what.clone());
                let result = failure.kind.words();
                self.end("apply", (level, &intent.patch), result, Some(&why));
                Err(failure.also(removed.err().map(|other| other.what)))
            }
        }
    }

    /// The CVEs that are fixed now, and that a cumulative patch does not fix, in words.
    fn lost(&self, module: &ModuleFile) -> Option<String> {
        let patches = self.view.patches_in_effect();
        let mut lost: Vec<_> = patches
            .flat_map(|patch| &patch.cves)
            .filter(|cve| !module.cves.contains(cve))
            .map(String::as_str)
            .collect();
        lost.sort_unstable();
        lost.dedup();
        (!lost.is_empty()).then(|| format!("no longer fixed with it: {}", lost.join(" ")))
    }

    /// Checks the level of the package, which was loaded and confirmed by hand, as if this run had
    /// loaded it.
    pub(super) fn adopt(&mut self, level: Number) -> Result<()> {
        let target = self.target(level, Source::Package)?;
        let intent = target.intent(self.system, level, Phase::Adopting)?;
        self.announce(&intent, Source::Package)?;
        let detail = format!("level {level}, which was loaded by hand");
        self.begin("apply", level, &intent.patch, &detail);
        self.judge(intent)
    }

    /// Writes the intent. A level that was verified here is applied even if the disk is full: it is
    /// the way back, and it has been in effect on this machine.
    fn announce(&mut self, intent: &Intent, from: Source) -> Result<()> {
        let level = intent.level;
        let Err(failure) = intent.write(self.system) else {
            return Ok(());
        };
        if from == Source::Store {
            self.lines.push(format!(
                "level {level}: the intent was not written, and the level is applied nevertheless, \
                 because it was verified on this machine: {}",
                failure.what
            ));
            return Ok(());
        }
        Err(Failure::error(format!(
            "level {level} is not applied: the next boot could not detect a failure of it"
        ))
        .why(failure.what))
    }

    /// How long a run waits for a transition, in seconds.
    pub(super) fn patience(&self) -> u64 {
        let deadline = self.view.policy.health.deadline;
        u64::from(deadline.saturating_add(AFTER_DEADLINE))
    }
}
