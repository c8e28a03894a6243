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
//!
//! This file has the order of a run: `recover` deals with an earlier run, the policy decides, and
//! the decision is carried out. For a new level, `target` finds the files, `load` loads the patch,
//! `verdict` checks it, and `finish` or `take_back` ends the run. `revoked` replaces a level that
//! was revoked. `notes` keeps the records and the quarantines.

mod finish;
mod load;
mod notes;
mod recover;
mod revoked;
mod take_back;
mod target;
mod verdict;

use crate::boot;
use crate::check;
use crate::cli;
use crate::failure::{
    Failure,
    Result, //
};
use crate::health;
use crate::interrupt;
use crate::level::Number;
use crate::loader;
use crate::manager;
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
use crate::store::{
    self,
    Intent, //
};
use crate::system::System;
use crate::units;
use crate::view::View;
use serde_json::{
    json,
    Value, //
};
use target::check_entry;

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
}
