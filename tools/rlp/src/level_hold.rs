// SPDX-License-Identifier: GPL-2.0

//! level hold and level release: the operator stops the application of levels, and lets it go on.

use crate::apply::Applied;
use crate::boot;
use crate::change::Subject;
use crate::cli;
use crate::failure::{
    Failure,
    Result, //
};
use crate::history::Action;
use crate::level::Number;
use crate::output::Outcome;
use crate::policy_file;
use crate::store::{
    self,
    Intent,
    State, //
};
use crate::system::System;
use crate::time;

/// Makes a change, with a record before and after it. A change that cannot be recorded is made, and
/// the report says so.
fn recorded(
    system: &System,
    applied: &mut Applied,
    (action, level): (&'static str, Option<Number>),
    detail: &str,
    change: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let subject = Subject::new("", level);
    let mut written = Action::begin(system, action, subject, Some(detail.to_owned())).map(drop);
    let result = change();
    let words = match &result {
        Ok(()) => "done",
        Err(failure) => failure.kind.words(),
    };
    written = written.and(Action::new(system, action, subject).end(words, None));
    if let Err(failure) = written {
        let line = format!("the history was not written: {}", failure.what);
        applied.lines.push(line);
    }
    result
}

fn outcome(dry_run: bool, act: impl FnOnce(&mut Applied) -> Result<()>) -> Outcome {
    let mut applied = Applied {
        dry_run,
        ..Applied::default()
    };
    let failure = act(&mut applied).err();
    Outcome {
        report: Some(Box::new(applied)),
        failure,
    }
}

pub(crate) fn run_hold(system: &System, arguments: &cli::LevelHold) -> Outcome {
    outcome(arguments.dry.dry_run, |applied| {
        hold(system, arguments, applied)
    })
}

fn hold(system: &System, arguments: &cli::LevelHold, applied: &mut Applied) -> Result<()> {
    system.needs_root("hold levels")?;
    let reason = arguments.reason.trim();
    if reason.is_empty() {
        return Err(Failure::refused("a hold needs a reason"));
    }
    let until = arguments.until;
    if until <= time::now() {
        return Err(Failure::refused("the end of the hold is in the past")
            .why(format!("it is {}", time::readable(time::now())))
            .next("--until TIME: the end of the hold, in UTC"));
    }
    let line = format!(
        "no level is applied until {}: {reason}",
        time::readable(until)
    );
    if !applied.dry_run {
        recorded(system, applied, ("hold", None), &line, || {
            policy_file::write_hold(system, until, reason)
        })?;
    }
    applied.lines.push(line);
    applied.lines.extend(longer_hold(system, until));
    if applied.dry_run {
        return Ok(());
    }
    applied
        .lines
        .push("a level that is revoked is taken back nevertheless".to_owned());
    if store::is_busy(system) {
        applied.lines.push(
            "a run applies a level now, and the hold does not stop it: systemctl stop rlp-apply"
                .to_owned(),
        );
    }
    Ok(())
}

/// A line about a hold of the policy that ends later than that of this command. If the policy
/// cannot be read, no level is applied, and there is no line.
fn longer_hold(system: &System, until: u64) -> Option<String> {
    let longer = policy_file::other_hold(system).ok()?;
    let longer = longer.filter(|hold| hold.until > until)?;
    let file = policy_file::hold_file(system).ok()??;
    let end = time::readable(longer.until);
    Some(format!(
        "{file} has a hold that ends later, and counts: until {end}: {}",
        longer.reason
    ))
}

pub(crate) fn run_release(system: &System, arguments: &cli::LevelRelease) -> Outcome {
    outcome(arguments.dry.dry_run, |applied| {
        system.needs_root("release levels")?;
        match arguments.level {
            Some(level) => release_level(system, level, applied),
            None => release_hold(system, applied),
        }
    })
}

/// Ends the hold of `rlp level hold`. A hold in another file stays.
fn release_hold(system: &System, applied: &mut Applied) -> Result<()> {
    let of_policy = |applied: &mut Applied| -> Result<()> {
        if let Some(file) = policy_file::hold_file(system)? {
            applied
                .lines
                .push(format!("{file} has a hold: change that file"));
        }
        Ok(())
    };
    if !policy_file::has_own_hold(system) {
        applied
            .lines
            .push("there is no hold of rlp level hold".to_owned());
        return of_policy(applied);
    }
    if !applied.dry_run {
        recorded(system, applied, ("release", None), "the hold", || {
            policy_file::remove_hold(system)
        })?;
        of_policy(applied)?;
    }
    applied.lines.push("the hold is released".to_owned());
    Ok(())
}

/// Lets a level be applied again that has failed here.
fn release_level(system: &System, level: Number, applied: &mut Applied) -> Result<()> {
    let _lock = if applied.dry_run {
        None
    } else {
        Some(store::lock(system)?)
    };
    let mut state = State::read(system)?;
    let before = state.quarantined.len();
    state.quarantined.retain(|other| other.level != level);
    let failed = Intent::read_failed(system)?;
    let has_failed = failed.is_some_and(|failed| failed.level == level);
    let patches = patches_of(system, level, &state)?;
    let not_booted = boot::quarantined(system)?;
    let of_boot: Vec<_> = patches
        .into_iter()
        .filter(|patch| not_booted.contains(patch))
        .collect();
    if state.quarantined.len() == before && of_boot.is_empty() && !has_failed {
        applied
            .lines
            .push(format!("level {level} is not quarantined"));
        return Ok(());
    }
    if !applied.dry_run {
        let detail = format!("level {level}");
        recorded(system, applied, ("release", Some(level)), &detail, || {
            state.write(system)?;
            if has_failed {
                Intent::remove_failed(system)?;
            }
            of_boot
                .iter()
                .try_for_each(|patch| boot::release(system, patch))
        })?;
    }
    applied
        .lines
        .push(format!("level {level} may be applied again"));
    Ok(())
}

/// The names of the patches of a level on this machine.
fn patches_of(system: &System, level: Number, state: &State) -> Result<Vec<String>> {
    let verified = state.verified.iter();
    let verified = verified.filter(|verified| verified.level == level);
    let mut patches: Vec<_> = verified.map(|verified| verified.patch.clone()).collect();
    if let Some(package) = store::available(system)?.filter(|package| package.level == level) {
        patches.extend(package.kernels.into_iter().map(|kernel| kernel.patch.name));
    }
    patches.sort();
    patches.dedup();
    Ok(patches)
}
