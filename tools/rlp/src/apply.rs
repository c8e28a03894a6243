// SPDX-License-Identifier: GPL-2.0

//! level apply: carries out the decision of the policy, and records it.
//!
//! A level is applied in these steps. The intent on the disk names the step before it begins, so
//! that a run that is killed is finished or undone by the next one, and by the next boot:
//!
//! 1. The files are checked and copied to the store.
//! 2. `Loading`: the patch is loaded, with a deadline and on probation.
//! 3. `Checking`: the checks of health.
//! 4. `Confirmed`: the patch is confirmed, the level is stored as verified, and its patch replaces
//!    the one that is loaded at boot. The first boot after that also loads the loader of the level,
//!    if another one is loaded now.
//!
//! If a check fails, the level is quarantined, and its patch is unloaded (`TakingBack`). A
//! cumulative patch on probation falls back to the patch that it has replaced, so that the level
//! before stays in effect.

use crate::boot;
use crate::change::Subject;
use crate::check;
use crate::cli;
use crate::control;
use crate::digest::Digest;
use crate::failure::{
    on_file,
    Failure,
    Kind,
    Result, //
};
use crate::health::{
    self,
    Before,
    Health, //
};
use crate::history::{
    Action,
    Phase as RecordPhase,
    Record, //
};
use crate::interrupt;
use crate::kmsg;
use crate::leftovers;
use crate::level::{
    self,
    Kernel,
    Number, //
};
use crate::load::{
    self,
    Plan, //
};
use crate::loader::{
    self,
    State, //
};
use crate::manager;
use crate::module_file::ModuleFile;
use crate::modules;
use crate::output::{
    printable,
    Outcome,
    Paint,
    Progress,
    Report, //
};
use crate::policy::{
    Decision,
    Source, //
};
use crate::prune;
use crate::reasons;
use crate::store::{
    self,
    Files,
    Intent,
    Phase,
    StoredLoader,
    Verified, //
};
use crate::stored_loader;
use crate::system::System;
use crate::units;
use crate::unload;
use crate::view::{
    self,
    View, //
};
use crate::wait::{
    self,
    End, //
};
use serde_json::{
    json,
    Value, //
};
use std::path::Path;
use std::time::{
    Duration,
    Instant, //
};

/// How much longer than the loader's deadline a run waits for a transition, in seconds.
const AFTER_DEADLINE: u32 = 60;
/// How long a run waits until a patch that it takes back has left, in seconds.
const LEAVES: u64 = 60;
/// The time between two looks while a level settles.
const PAUSE: Duration = Duration::from_millis(100);
/// Why a run that a signal has ended says nothing about its level.
const INTERRUPTED: &str = "rlp was interrupted";

/// The results of a run.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    pub(crate) dry_run: bool,
    /// Whether rlp-apply.timer runs here.
    pub(crate) is_timed: bool,
    pub(crate) decision: Option<Decision>,
    pub(crate) lines: Vec<String>,
}

/// A decision, for programs.
pub(crate) fn decision_json(decision: &Decision, is_timed: bool) -> Value {
    json!({
        "kind": decision.kind(),
        "text": decision.text(),
        "next": decision.next(is_timed),
        "until": decision.until(),
    })
}

impl Report for Applied {
    fn json(&self) -> Value {
        json!({
            "dry_run": self.dry_run,
            "decision": self
                .decision
                .as_ref()
                .map(|decision| decision_json(decision, self.is_timed)),
            "lines": self.lines,
        })
    }

    fn text(&self, _paint: &Paint) -> String {
        let mut text = String::new();
        if let Some(decision) = &self.decision {
            text += &format!("{}\n", printable(&decision.text()));
            let next = decision.next(self.is_timed);
            if let Some(next) = next.filter(|_| self.dry_run || !decision.is_act()) {
                text += &format!("  next: {next}\n");
            }
        }
        for line in &self.lines {
            text += &format!("{}\n", printable(line));
        }
        text
    }
}

/// A level that is to be applied.
struct Target {
    module: ModuleFile,
    files: Files,
}

impl Target {
    /// The intent of a run in this boot that begins with this phase.
    fn intent(&self, system: &System, level: Number, phase: Phase) -> Result<Intent> {
        Ok(Intent {
            boot: system.boot_id(),
            level,
            phase,
            patch: self.module.name.clone(),
            build_id: self.module.build_id.clone(),
            before: Before::read(system),
            files: Some(self.files.hashes()?),
        })
    }
}

struct Run<'a> {
    system: &'a System,
    progress: &'a mut Progress,
    view: View,
    lines: Vec<String>,
}

pub(crate) fn run(
    system: &System,
    arguments: &cli::LevelApply,
    progress: &mut Progress,
) -> Outcome {
    let mut applied = Applied {
        dry_run: arguments.dry.dry_run,
        is_timed: units::is_apply_timed(system),
        ..Applied::default()
    };
    progress.show_in_unit();
    let result = apply(system, arguments, progress, &mut applied);
    manager::status(&applied.text(&Paint::default()).replace('\n', "; "));
    Outcome {
        report: Some(Box::new(applied)),
        failure: result.err(),
    }
}

fn apply(
    system: &System,
    arguments: &cli::LevelApply,
    progress: &mut Progress,
    applied: &mut Applied,
) -> Result<()> {
    system.needs_root("apply levels")?;
    if boot::is_off(system) {
        applied.lines.push(boot::off_line());
        return Ok(());
    }
    if applied.dry_run {
        return plan(system, arguments.now, applied);
    }
    let _lock = store::lock(system)?;
    let mut run = Run {
        system,
        progress,
        view: View::read(system)?,
        lines: health::notes(system)?,
    };
    run.lines.extend(run.view.notes());
    let result = run.all(arguments.now, applied);
    applied.lines.append(&mut run.lines);
    result
}

/// Says what a run would do, or why it would be refused.
fn plan(system: &System, at_once: bool, applied: &mut Applied) -> Result<()> {
    let view = View::read(system)?;
    if let Some(intent) = Intent::read(system)? {
        applied.lines.push(format!(
            "level {}: an earlier run has not ended, and would be finished or undone first",
            intent.level
        ));
    }
    applied.lines.extend(health::notes(system)?);
    applied.lines.extend(view.notes());
    let decision = view.decide(at_once);
    let files = match (&decision, view.entry()) {
        (
            Decision::Apply {
                level,
                from: Source::Package,
            },
            Some(entry),
        ) => {
            let files = store::checked(system, entry)?;
            check_entry(&files.patch, *level, entry)?;
            Some(files)
        }
        _ => None,
    };
    applied.decision = Some(decision);
    files.map_or(Ok(()), |files| {
        check::preflight(system, &files.patch, files.loader.as_deref())
    })
}

impl Decision {
    /// Whether a run changes what is in effect.
    fn is_act(&self) -> bool {
        matches!(
            self,
            Self::Apply { .. } | Self::Adopt { .. } | Self::TakeBack { .. }
        )
    }
}

impl Run<'_> {
    fn all(&mut self, at_once: bool, applied: &mut Applied) -> Result<()> {
        self.act(at_once, applied)?;
        self.prune();
        Ok(())
    }

    /// Removes files that nothing needs any more. A failure says nothing about the run.
    fn prune(&mut self) {
        let in_use = match Intent::read(self.system) {
            Ok(intent) => intent.map(|intent| intent.level),
            Err(failure) => return self.lines.push(failure.what),
        };
        let package = self.view.level.as_ref().map(|level| level.level);
        let in_use = in_use.into_iter().chain(package).collect();
        match prune::run(self.system, &mut self.view.state, &in_use) {
            Ok(lines) => self.lines.extend(lines),
            Err(failure) => self
                .lines
                .push(format!("old files were not removed: {}", failure.what)),
        }
    }

    fn act(&mut self, at_once: bool, applied: &mut Applied) -> Result<()> {
        // If the disk is full, no new level is applied. A level that was revoked does not stay even
        // then: a stored level replaces it, or its patch is unloaded.
        let noted = self.note();
        if let Err(failure) = self.recover() {
            return self.fall_back(None, failure);
        }
        let noted = noted.and(self.remove_revoked_from_boot());
        let decision = self.view.decide(at_once);
        applied.decision = Some(decision.clone());
        match decision {
            Decision::Apply { level, from } => {
                let result = noted.and_then(|()| self.apply_level(level, from));
                result.or_else(|failure| self.fall_back(Some(level), failure))
            }
            Decision::Adopt { level } => {
                let result = noted.and_then(|()| self.adopt(level));
                result.or_else(|failure| self.fall_back(Some(level), failure))
            }
            Decision::TakeBack { level, to, .. } => {
                self.replace_revoked(level, to, &decision).and(noted)
            }
            Decision::Hold { .. } => noted,
            _ => noted.and_then(|()| self.keep_level_of_boot()),
        }
    }

    /// Writes what is new on this machine.
    fn note(&mut self) -> Result<()> {
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

    /// Uses the stored levels, because another level was not applied: a stored level replaces one
    /// that was revoked, or is applied if none is in effect. If the failure is not about a level
    /// (`failed`), only a level that was revoked is replaced. Returns the failure of the run.
    fn fall_back(&mut self, failed: Option<Number>, failure: Failure) -> Result<()> {
        if interrupt::is_pending() {
            return Err(failure);
        }
        match loader::patches(self.system) {
            Ok(patches) => self.view.patches = patches,
            Err(other) => return Err(failure.also(Some(other.what))),
        }
        let decision = self.view.decide_about_stored();
        let result = match decision {
            Decision::TakeBack { level, to, .. } => {
                self.lines.push(decision.text());
                self.replace_revoked(level, to, &decision)
            }
            Decision::Apply { level, from } if failed.is_some_and(|failed| level != failed) => {
                self.lines.push(decision.text());
                self.apply_level(level, from)
            }
            _ => Ok(()),
        };
        Err(failure.also(result.err().map(|other| other.what)))
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

    fn begin(&mut self, action: &'static str, level: Number, patch: &str, detail: &str) {
        let subject = Subject::new(patch, Some(level));
        let detail = Some(detail.to_owned());
        let begun = Action::begin(self.system, action, subject, detail).map(drop);
        self.note_unwritten(begun);
    }

    /// Records the result of an action, and what the loader says is in effect after it.
    fn end(
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
    fn quarantine(&mut self, level: Number, patch: &str, reason: &str) -> Result<()> {
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

    /// Finishes or undoes what an earlier run has left.
    fn recover(&mut self) -> Result<()> {
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
    fn remove_intent(&self) -> Result<()> {
        Intent::remove(self.system).map_err(|failure| Failure {
            what: format!("the intent was not removed: {}", failure.what),
            ..failure
        })
    }

    fn has_leftover(&self, patch: &str) -> Result<bool> {
        Ok(leftovers::find(self.system, patch)?.is_some())
    }

    /// A level that was revoked is not loaded at the next boot.
    fn remove_revoked_from_boot(&mut self) -> Result<()> {
        let blocked = self.view.blocked();
        let revoked = self.view.state.verified.iter();
        let revoked: Vec<_> = revoked
            .filter(|verified| blocked.contains(&verified.level))
            .cloned()
            .collect();
        for old in revoked {
            if boot::has_file(self.system, &old.release, &old.patch, old.sha256)? {
                self.lines
                    .extend(boot::uninstall(self.system, &old.release, &old.patch)?);
                self.lines.push(format!(
                    "level {} is blocked, and is not loaded at boot any more",
                    old.level
                ));
            }
        }
        Ok(())
    }

    /// Whether the level was verified here with other files than those of the package.
    fn is_verified_otherwise(&self, level: Number, entry: &Kernel) -> bool {
        self.view.stored(level).is_some_and(|verified| {
            let loader = verified.loader.as_ref();
            verified.sha256 != entry.patch.sha256
                || loader.is_some_and(|loader| loader.sha256 != entry.loader.sha256)
        })
    }

    /// The files of a level, checked, and in the store. The stored files of a verified level are
    /// never replaced: the next boot may load them.
    fn target(&self, level: Number, from: Source) -> Result<Target> {
        let files = match (from, self.view.entry()) {
            (Source::Package, Some(entry)) if !self.is_verified_otherwise(level, entry) => {
                let files = store::stage(self.system, level, entry)?;
                check_entry(&files.patch, level, entry)?;
                files
            }
            _ => {
                // The decision has found it in the same list.
                let verified = self.view.stored(level);
                let verified = verified
                    .ok_or_else(|| Failure::error(format!("level {level} is not stored")))?;
                store::stored_files(self.system, verified)?
            }
        };
        Ok(Target {
            module: ModuleFile::read(&files.patch)?,
            files,
        })
    }

    /// Loads, checks and confirms the patch of a level, or takes it back.
    fn apply_level(&mut self, level: Number, from: Source) -> Result<()> {
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
    fn adopt(&mut self, level: Number) -> Result<()> {
        let target = self.target(level, Source::Package)?;
        let intent = target.intent(self.system, level, Phase::Adopting)?;
        self.announce(&intent, Source::Package)?;
        let detail = format!("level {level}, which was loaded by hand");
        self.begin("apply", level, &intent.patch, &detail);
        self.judge(intent)
    }

    /// Checks a patch that is loaded. Stores its level, or takes the patch back.
    fn judge(&mut self, intent: Intent) -> Result<()> {
        let end = match self.health(&intent)? {
            Health::Good => return self.finish(intent),
            Health::Bad(reason) => return Err(self.take_back(intent, &reason)),
            Health::Interrupted => NoVerdict::Interrupted(None),
            Health::Late(why) => NoVerdict::TooLong(why),
        };
        let patch = loader::patch(self.system, &intent.patch);
        let is_in_effect = matches!(patch, Ok(Some(patch)) if patch.state == State::InEffect);
        Err(if is_in_effect || intent.phase == Phase::Adopting {
            self.leave(&intent, &end)
        } else {
            self.stop(&intent, &end)
        })
    }

    /// Leaves a patch that an operator has loaded or confirmed as it is, because it could not be
    /// checked.
    fn leave(&mut self, intent: &Intent, end: &NoVerdict) -> Failure {
        let Intent { level, patch, .. } = intent;
        let removed = self.remove_intent();
        let why = end.why();
        self.end("apply", (*level, patch), end.result(), Some(&why));
        let what = match end {
            NoVerdict::Interrupted(_) => {
                format!("level {level} is in effect, and its checks were interrupted")
            }
            NoVerdict::TooLong(_) => format!("level {level} is in transition, and was not checked"),
        };
        Failure::in_progress(what)
            .why(why)
            .next("the next run checks it again")
            .also(removed.err().map(|other| other.what))
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
    fn patience(&self) -> u64 {
        let deadline = self.view.policy.health.deadline;
        u64::from(deadline.saturating_add(AFTER_DEADLINE))
    }

    /// Waits until the level has settled, and checks it. The loader may take it back meanwhile.
    fn health(&mut self, intent: &Intent) -> Result<Health> {
        let mut messages = kmsg::Log::from_now(self.system);
        let health = match self.settled_health(intent)? {
            Some(Health::Good | Health::Late(_))
                if loader::patch(self.system, &intent.patch)?.is_none() =>
            {
                None
            }
            health => health,
        };
        Ok(health.unwrap_or_else(|| gone(&messages.problems(&intent.patch))))
    }

    /// The same. The result is `None` if the patch has left before it has settled.
    fn settled_health(&mut self, intent: &Intent) -> Result<Option<Health>> {
        let policy = self.view.policy.health;
        let until = wait::deadline_after(self.patience());
        match wait::until_settled(self.system, &intent.patch, until, self.progress)? {
            End::Settled(_) => (),
            End::Gone => return Ok(None),
            End::Late(patch) => {
                let why = control::timed_out(self.system, &patch, "apply").why;
                return Ok(Some(Health::Late(too_long(self.patience(), why))));
            }
            End::Interrupted(_) => return Ok(Some(Health::Interrupted)),
        }
        let mut log = intent.before.log(self.system);
        let until = Instant::now() + Duration::from_secs(u64::from(policy.settle));
        while Instant::now() < until {
            log.look();
            if interrupt::is_pending() {
                return Ok(Some(Health::Interrupted));
            }
            self.progress.update(&format!(
                "level {}: it settles for {} s before its checks",
                intent.level, policy.settle
            ));
            std::thread::sleep(PAUSE);
        }
        let subject = health::Subject {
            level: intent.level,
            patch: &intent.patch,
            limit: Duration::from_secs(u64::from(policy.timeout)),
        };
        let health = health::check(
            self.system,
            &intent.before,
            &mut log,
            subject,
            self.progress,
        );
        health.map(Some)
    }

    /// Checks a patch that a run has loaded. Confirms it, or takes it back.
    fn check_and_finish(&mut self, mut intent: Intent) -> Result<()> {
        intent.phase = Phase::Checking;
        // If this cannot be written, the intent still says that the patch is being loaded. If the
        // boot ends then, the level is quarantined in the same way.
        if let Err(failure) = intent.write(self.system) {
            self.lines.push(intent_unwritten(&failure));
        }
        self.judge(intent)
    }

    /// Confirms the patch, stores the level as verified, and lets each boot load it.
    fn finish(&mut self, mut intent: Intent) -> Result<()> {
        let Intent { level, patch, .. } = intent.clone();
        let state = match loader::patch(self.system, &patch)? {
            Some(loaded) if loaded.state == State::InEffect => State::InEffect,
            _ => match control::confirm(self.system, &patch) {
                Ok(state) => state,
                Err(failure) => {
                    let why = failure.why.unwrap_or(failure.what);
                    return Err(self.take_back(intent, &format!("it was not confirmed: {why}")));
                }
            },
        };
        if state != State::InEffect {
            let why = format!("after the confirmation its state is: {}", state.words());
            return Err(self.take_back(intent, &why));
        }
        self.view.patches = loader::patches(self.system)?;
        let stored = self.store_verified(&mut intent);
        let why = stored.as_ref().err().map(|failure| failure.what.clone());
        let result = if why.is_none() {
            "verified"
        } else {
            "confirmed"
        };
        self.end("apply", (level, &patch), result, why.as_deref());
        self.lines.push(match stored {
            Ok(()) => format!(
                "level {level}: {patch} is in effect and confirmed, and is loaded at each boot"
            ),
            Err(_) => format!(
                "level {level}: {patch} is in effect and confirmed, and that was not stored"
            ),
        });
        stored.and_then(|()| self.remove_intent())
    }

    /// Stores a level as verified, and lets each boot load it.
    fn store_verified(&mut self, intent: &mut Intent) -> Result<()> {
        let level = intent.level;
        let files =
            store::files_of(self.system, &self.view.release, intent).map_err(|failure| {
                // The next run checks the files of the package again.
                failure.also(self.remove_intent().err().map(|other| other.what))
            })?;
        intent.phase = Phase::Confirmed;
        intent.write(self.system)?;
        let bytes = std::fs::read(&files.patch).map_err(on_file(&files.patch))?;
        let module = ModuleFile::parse(&files.patch, &bytes)?;
        let now = self.view.now();
        let loader = stored_loader::of_level(self.system, level, &self.view.release)?;
        if let Some(loader) = &loader {
            self.note_loader(level, loader);
        }
        let verified = Verified {
            level,
            release: self.view.release.clone(),
            kernel_build_id: self.view.build_id.clone().unwrap_or_default(),
            patch: intent.patch.clone(),
            build_id: module.build_id.clone(),
            sha256: Digest::of(&bytes),
            time: now,
            stored: true,
            loader,
        };
        let blocked = self.view.blocked();
        self.view.state.verify(verified, &blocked);
        self.prove_loader()?;
        self.view.state.write(self.system)?;
        self.install_for_boot(level, &module)
    }

    /// Says that the loader of a level is not the one in the kernel.
    fn note_loader(&mut self, level: Number, loader: &StoredLoader) {
        let is_packaged = stored_loader::of_package(self.system, &self.view.release).is_some();
        if !is_packaged && loader.build_id != self.system.module_build_id(loader::MODULE) {
            self.lines.push(format!(
                "level {level}: another loader is loaded, and that of the level is loaded at the \
                 next boot"
            ));
        }
    }

    /// Notes that the loader in the kernel has run here, unless this boot may fail because of it.
    fn prove_loader(&mut self) -> Result<()> {
        if boot::is_on_trial(self.system)? {
            return Ok(());
        }
        if let Some(build_id) = self.system.module_build_id(loader::MODULE) {
            self.view.state.prove_loader(&build_id);
        }
        Ok(())
    }

    /// Lets each boot load the level in effect, if the list of the boot has another one, or none. A
    /// boot may have loaded it in the place of a level that has failed. Or nothing could be written
    /// when it was applied.
    fn keep_level_of_boot(&mut self) -> Result<()> {
        let Some((level, _)) = self.view.in_effect() else {
            return Ok(());
        };
        let Some(verified) = self.view.stored(level).cloned() else {
            return Ok(());
        };
        let installed = boot::installed(self.system, &verified.release)?;
        let mut others = self.view.state.verified.iter();
        let is_other = others.any(|other| {
            other.release == verified.release
                && other.patch != verified.patch
                && installed.contains(&other.patch)
        });
        if installed.contains(&verified.patch) && !is_other {
            return Ok(());
        }
        let path = store::stored_files(self.system, &verified)?.patch;
        self.install_for_boot(level, &ModuleFile::read(&path)?)?;
        self.lines
            .push(format!("level {level} is loaded at each boot from now on"));
        Ok(())
    }

    /// Lets each boot of this kernel load the patch, and no patch of another level.
    fn install_for_boot(&mut self, level: Number, module: &ModuleFile) -> Result<()> {
        let others = self.view.state.verified.iter().filter(|other| {
            other.level != level
                && other.release == module.release
                && other.patch != module.name
                && boot::is_stored(self.system, &other.release, &other.patch)
        });
        let others: Vec<_> = others.map(|other| other.patch.clone()).collect();
        if !others.is_empty() || !boot::is_installed(self.system, module)? {
            boot::install_in_place_of(self.system, module, &others)?;
        }
        if let Err(failure) = units::enable(self.system) {
            let why = failure.why.unwrap_or_default();
            self.lines.push(format!("{}: {why}", failure.what));
        }
        Ok(())
    }

    /// Unloads a patch that has failed. The patch that it has replaced is in effect again. Returns
    /// the failure of the run.
    fn take_back(&mut self, mut intent: Intent, reason: &str) -> Failure {
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
    fn stop(&mut self, intent: &Intent, end: &NoVerdict) -> Failure {
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

    /// Takes back a level that was revoked: to the level before, or to none.
    fn replace_revoked(
        &mut self,
        level: Number,
        to: Option<Number>,
        decision: &Decision,
    ) -> Result<()> {
        let Some((_, patch)) = self.view.in_effect() else {
            return Ok(());
        };
        let patch = patch.name.clone();
        self.begin("take-back", level, &patch, &decision.text());
        let result = match to {
            Some(to) => {
                let applied = self.apply_level(to, Source::Store);
                self.unload_after(applied, level, &patch)
            }
            None => self.unload_revoked(&patch),
        };
        let (result_words, why) = match &result {
            Ok(()) => ("taken back", None),
            Err(failure) => (failure.kind.words(), Some(failure.what.clone())),
        };
        self.end("take-back", (level, &patch), result_words, why.as_deref());
        result?;
        self.lines.push(match to {
            Some(to) => format!("level {level} was taken back, and level {to} is in effect"),
            None => format!("level {level} was taken back, and no level is in effect"),
        });
        Ok(())
    }

    /// A cumulative patch has replaced the revoked one. If the loader says that the revoked patch
    /// is in effect nevertheless, the other one has failed, or is not cumulative. In both cases the
    /// revoked one does not stay. But a run that was interrupted does nothing more.
    fn unload_after(&mut self, applied: Result<()>, level: Number, patch: &str) -> Result<()> {
        if applied.is_err() && interrupt::is_pending() {
            return applied;
        }
        let is_left = match loader::patch(self.system, patch) {
            Ok(old) => old.is_some_and(|old| old.state == State::InEffect),
            Err(failure) => return applied.and(Err(failure)),
        };
        if !is_left {
            return applied;
        }
        let unloaded = self.unload_revoked(patch);
        let Err(failure) = applied else {
            return unloaded;
        };
        if unloaded.is_ok() {
            self.lines.push(format!(
                "level {level} was taken back, and no level is in effect"
            ));
        }
        Err(failure.also(unloaded.err().map(|other| other.what)))
    }

    /// Unloads a patch even if it cannot be removed from the boot, because the disk is full.
    fn unload_revoked(&mut self, patch: &str) -> Result<()> {
        let removed = self.remove_from_boot(patch);
        let until = wait::deadline_after(LEAVES);
        let change = unload::unload(self.system, patch, None, until, self.progress)?;
        self.lines.extend(change.notes);
        removed
    }

    fn remove_from_boot(&mut self, patch: &str) -> Result<()> {
        let installed = boot::installed(self.system, &self.view.release)?;
        if installed.iter().any(|name| name == patch) {
            let note = boot::uninstall(self.system, &self.view.release, patch)?;
            self.lines.extend(note);
        }
        Ok(())
    }
}

/// Why a run ends without a verdict on its level.
enum NoVerdict {
    /// A signal has arrived. A reason has the tasks that were not switched then.
    Interrupted(Option<String>),
    /// The transition was not complete in time.
    TooLong(String),
}

impl NoVerdict {
    /// The result in the record.
    fn result(&self) -> &'static str {
        match self {
            Self::Interrupted(_) => "interrupted",
            Self::TooLong(_) => Kind::InProgress.words(),
        }
    }

    fn why(&self) -> String {
        match self {
            Self::Interrupted(None) => INTERRUPTED.to_owned(),
            Self::Interrupted(Some(more)) => format!("{INTERRUPTED}\n{more}"),
            Self::TooLong(why) => why.clone(),
        }
    }
}

/// Why the transition of a level has taken too long. The reason of the wait names the tasks.
fn too_long(seconds: u64, why: Option<String>) -> String {
    let line = format!("the transition was not complete after {seconds} s");
    why.map_or(line.clone(), |why| format!("{line}\n{why}"))
}

/// The health of a level that the loader does not have any more. The loader's messages say why.
fn gone(messages: &[String]) -> Health {
    let has = |pattern: &str| {
        let mut found = messages.iter().filter_map(|message| reasons::find(message));
        found.any(|(found, ..)| *found == pattern)
    };
    if has(reasons::REVERSED_LATE) {
        let why = "the loader has reversed the transition, because it was not complete in time";
        return Health::Late(why.to_owned());
    }
    let why = if has(reasons::UNCONFIRMED) {
        "its probation was over before its checks were complete"
    } else {
        "its transition was reversed, or the loader has taken it back"
    };
    Health::Bad(why.to_owned())
}

/// The words on the disk about a level that has failed.
enum Noted {
    /// The level has failed, and is being taken back.
    All,
    /// The quarantine is written. The intent still says that the level is being applied.
    Quarantine(Failure),
    /// Only the old intent is there, if it could be written at all.
    Nothing(Failure),
}

fn intent_unwritten(failure: &Failure) -> String {
    format!("the intent was not written: {}", failure.what)
}

/// Checks that a patch is the one that level.json describes.
fn check_entry(path: &Path, level: Number, entry: &Kernel) -> Result<()> {
    let module = ModuleFile::read(path)?;
    let refused = |why: String| {
        Failure::refused(format!("{} is not the file of the level", path.display()))
            .why(why)
            .next("the publisher must build the level again")
    };
    if module.level_number() != Some(level) {
        let found = module.level.as_deref().unwrap_or("none");
        return Err(refused(format!(
            "the level of the patch is {found}, and {} has {level}",
            level::FILE
        )));
    }
    if module.name != entry.patch.name {
        let (found, wanted) = (&module.name, &entry.patch.name);
        return Err(refused(format!(
            "the name of the patch is {found}, and {} has {wanted}",
            level::FILE
        )));
    }
    if module.vermagic != entry.vermagic {
        return Err(refused(format!(
            "its vermagic is '{}', and {} has '{}'",
            module.vermagic,
            level::FILE,
            entry.vermagic
        )));
    }
    if entry.patch.build_id.is_some() && module.build_id != entry.patch.build_id {
        return Err(refused(format!(
            "its build id is another one than in {}",
            level::FILE
        )));
    }
    Ok(())
}
