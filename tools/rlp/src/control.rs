// SPDX-License-Identifier: GPL-2.0

//! confirm, reverse and force: one write to a file of the loader, and its result.

use crate::blockers;
use crate::change::{
    self,
    Change,
    Done,
    Recording, //
};
use crate::cli;
use crate::failure::{
    error_text,
    Failure,
    Result, //
};
use crate::kmsg::Log;
use crate::loader::{
    self,
    Patch,
    State, //
};
use crate::output::{
    Outcome,
    Progress, //
};
use crate::reasons;
use crate::system::System;
use crate::wait::{
    self,
    End, //
};

/// Writes a value to a file of a patch. On failure, the reason is the one that the loader has
/// logged. If the loader has logged none, it is the text of the error. `done` completes the message
/// "PATCH was not ...", for example with "confirmed".
pub(crate) fn write_patch_file(
    system: &System,
    patch: &str,
    file: &str,
    value: &str,
    done: &str,
    log: &mut Log,
) -> Result<()> {
    let path = loader::file(patch, file);
    let Err(error) = system.write(&path, value) else {
        return Ok(());
    };
    let messages = log.problems(patch);
    let failure = Failure::refused(format!("{patch} was not {done}"));
    if !system.exists(&path) {
        return Err(failure.why("the patch was removed meanwhile"));
    }
    if messages.is_empty() {
        return Err(failure.why(error_text(&error)));
    }
    let (why, next) = reasons::explain(&messages);
    let failure = failure.why(why);
    Err(match next {
        Some(next) => failure.next(next),
        None => failure,
    })
}

/// The failure of a command that a signal has interrupted while it waited.
pub(crate) fn interrupted(patch: &Patch, verb: &str) -> Failure {
    let name = &patch.name;
    Failure::in_progress(format!(
        "{name}: {verb} was interrupted, and the transition continues"
    ))
    .why(format!(
        "{} of {} tasks are switched",
        patch.switched, patch.tasks
    ))
    .next(format!(
        "rlp {verb} continues to wait; rlp reverse {name} reverses the transition"
    ))
}

/// The failure of a command whose time is over.
pub(crate) fn timed_out(system: &System, patch: &Patch, verb: &str) -> Failure {
    let name = &patch.name;
    let mut why = format!("{} of {} tasks are switched", patch.switched, patch.tasks);
    // If the blockers cannot be read, the failure is reported without them.
    if let Ok(Some(blockers)) = blockers::read(system, name) {
        for line in blockers.lines() {
            why += &format!("\n{line}");
        }
    }
    Failure::in_progress(format!(
        "{name}: {verb} stopped waiting, and the transition continues"
    ))
    .why(why)
    .next(format!(
        "rlp status shows what holds it up; rlp reverse {name} reverses it"
    ))
}

/// The patch that the user names, which must be there.
fn require_patch(system: &System, argument: &str) -> Result<Patch> {
    let name = loader::name_of(argument);
    loader::patch(system, &name)?.ok_or_else(|| {
        Failure::refused(format!("the loader has no patch {name}"))
            .next("rlp status shows the patches")
    })
}

/// Checks that the transition that enables a patch is complete.
fn check_confirmable(patch: &Patch) -> Result<()> {
    if patch.state != State::Enabling {
        return Ok(());
    }
    let name = &patch.name;
    Err(Failure::refused(format!("{name} was not confirmed"))
        .why("it is not in effect for all tasks yet")
        .next(format!("wait, or rlp reverse {name}")))
}

/// Confirms a patch. Returns the state that the loader reports afterwards.
pub(crate) fn confirm(system: &System, name: &str) -> Result<State> {
    let mut log = Log::from_now(system);
    write_patch_file(system, name, "confirmed", "1", "confirmed", &mut log)?;
    let patch = loader::patch(system, name)?.ok_or_else(|| {
        Failure::error(format!("{name} was not confirmed"))
            .why("the patch was removed meanwhile")
            .next("rlp history shows what has happened to it")
    })?;
    Ok(patch.state)
}

pub(crate) fn run_confirm(system: &System, arguments: &cli::Confirm) -> Outcome {
    let patches = system.needs_root("confirm patches").and_then(|()| {
        if arguments.patches.is_empty() {
            let mut patches = loader::patches(system)?;
            patches.retain(|patch| !patch.confirmed && patch.state != State::Held);
            return Ok(patches);
        }
        arguments
            .patches
            .iter()
            .map(|name| require_patch(system, name))
            .collect()
    });
    let patches = match patches {
        Ok(patches) => patches,
        Err(failure) => return failure.into(),
    };
    let dry_run = arguments.dry.dry_run;
    change::apply_to_each(dry_run, &patches, |patch| {
        let name = &patch.name;
        if patch.confirmed {
            return Ok(Change::new(name, Done::AlreadyConfirmed).state(patch.state));
        }
        if dry_run {
            check_confirmable(patch)?;
            let change = Change::new(name, Done::Confirmed).state(patch.state);
            return Ok(match patch.state {
                State::Disabling => change.note("unless an operator is disabling it"),
                _ => change,
            });
        }
        change::recorded(system, Recording::BestEffort, "confirm", name, None, || {
            check_confirmable(patch)?;
            let state = confirm(system, name)?;
            Ok(Change::new(name, Done::Confirmed).state(state))
        })
    })
}

/// The patch that is in transition: the one that is named, or the only one.
fn in_transition(system: &System, argument: Option<&str>) -> Result<Patch> {
    let patch = match argument {
        Some(argument) => Some(require_patch(system, argument)?),
        None => loader::patches(system)?
            .into_iter()
            .find(|patch| patch.state.is_in_transition()),
    };
    match patch {
        Some(patch) if patch.state.is_in_transition() => Ok(patch),
        Some(patch) => Err(
            Failure::refused(format!("{} is not in transition", patch.name))
                .next(format!("rlp unload {} disables it", patch.name)),
        ),
        None => Err(Failure::refused("no patch is in transition")),
    }
}

pub(crate) fn run_reverse(
    system: &System,
    arguments: &cli::Reverse,
    progress: &mut Progress,
) -> Outcome {
    let patch = system
        .needs_root("reverse transitions")
        .and_then(|()| in_transition(system, arguments.patch.as_deref()));
    let patch = match patch {
        Ok(patch) => patch,
        Err(failure) => return failure.into(),
    };
    let dry_run = arguments.dry.dry_run;
    change::apply_to_each(dry_run, [patch], |patch| {
        let name = &patch.name;
        let enable = patch.state == State::Disabling;
        if dry_run {
            return Ok(Change::new(name, Done::Reversed).note(if enable {
                "it would be in effect again"
            } else {
                "it would not be in effect"
            }));
        }
        change::recorded(system, Recording::BestEffort, "reverse", name, None, || {
            let mut log = Log::from_now(system);
            let value = if enable { "1" } else { "0" };
            write_patch_file(system, name, "enabled", value, "reversed", &mut log)?;
            let until = wait::deadline_after(arguments.wait.timeout);
            let change = Change::new(name, Done::Reversed);
            match wait::until_settled(system, name, until, progress)? {
                End::Gone => Ok(change.note(format!(
                    "it is not in effect; rlp unload {name} unloads its module"
                ))),
                End::Settled(patch) => Ok(change.state(patch.state)),
                End::Late(patch) => Err(timed_out(system, &patch, "reverse")),
                End::Interrupted(patch) => Err(interrupted(&patch, "reverse")),
            }
        })
    })
}

pub(crate) fn run_force(system: &System, arguments: &cli::Force) -> Outcome {
    let patch = system
        .needs_root("force a transition")
        .and_then(|()| in_transition(system, arguments.patch.as_deref()))
        .and_then(|patch| {
            if arguments.yes_i_know || arguments.dry.dry_run {
                return Ok(patch);
            }
            Err(Failure::refused(format!("{} was not forced", patch.name))
                .why(
                    "force switches tasks that may be inside the functions that change: old and \
                     new code then run side by side, and modules stay until the next boot",
                )
                .next(format!(
                    "rlp reverse {0} is safe; if the patch's author agrees: rlp force {0} \
                     --yes-i-know",
                    patch.name
                )))
        });
    let patch = match patch {
        Ok(patch) => patch,
        Err(failure) => return failure.into(),
    };
    change::apply_to_each(arguments.dry.dry_run, [patch], |patch| {
        let name = &patch.name;
        let blockers = blockers::read(system, name)?.unwrap_or_default();
        let held_up: Vec<_> = blockers.counts.iter().map(blockers::Count::words).collect();
        let change = Change::new(name, Done::Forced);
        if arguments.dry.dry_run {
            let change = held_up.into_iter().fold(change, Change::note);
            return Ok(if arguments.yes_i_know {
                change
            } else {
                change.note("only with --yes-i-know")
            });
        }
        let detail = held_up.join("; ");
        let detail = (!detail.is_empty()).then_some(detail);
        change::recorded(system, Recording::Required, "force", name, detail, || {
            let mut log = Log::from_now(system);
            write_patch_file(system, name, "force", "1", "forced", &mut log)?;
            Ok(change.note("modules that this retires stay until the next boot"))
        })
    })
}
