// SPDX-License-Identifier: GPL-2.0

//! unload: disable a patch, wait until the loader has removed it, and unload its module.

use crate::boot;
use crate::change::{
    self,
    Change,
    Done,
    Recording, //
};
use crate::cli;
use crate::control;
use crate::failure::{
    Failure,
    Result, //
};
use crate::kmsg::Log;
use crate::leftovers::{
    self,
    Leftover, //
};
use crate::load;
use crate::loader::{
    self,
    Patch,
    State, //
};
use crate::modules;
use crate::output::{
    Outcome,
    Progress, //
};
use crate::reasons;
use crate::status;
use crate::system::System;
use crate::units;
use crate::wait::{
    self,
    End, //
};
use std::time::Instant;

pub(crate) fn run(system: &System, arguments: &cli::Unload, progress: &mut Progress) -> Outcome {
    if let Err(failure) = system.needs_root("unload patches") {
        return failure.into();
    }
    let names: Vec<String> = if arguments.all {
        match loader::patches(system) {
            // The newest patch is unloaded first. If it holds an older patch, the older patch is in
            // effect again after that, and is unloaded next. If another process confirms the newest
            // patch before it is unloaded, the older patch leaves, and only the module of the older
            // patch is unloaded.
            Ok(patches) => patches.into_iter().rev().map(|patch| patch.name).collect(),
            Err(failure) => return failure.into(),
        }
    } else {
        arguments.patches.clone()
    };
    let dry_run = arguments.dry.dry_run;
    change::apply_to_each(dry_run, &names, |name| {
        let name = loader::name_of(name);
        if dry_run {
            return plan(system, &name, arguments.deadline);
        }
        let until = wait::deadline_after(arguments.wait.timeout);
        if loader::patch(system, &name)?.is_none() && leftovers::find(system, &name)?.is_none() {
            return Ok(Change::new(&name, Done::NotLoaded));
        }
        change::recorded(system, Recording::BestEffort, "unload", &name, None, || {
            unload(system, &name, arguments.deadline, until, progress)
        })
    })
}

/// Checks that the module of a patch that has left can be unloaded.
fn check_leftover(system: &System, left: &Leftover) -> Result<()> {
    let failure = Failure::refused(format!("module {} cannot be unloaded", left.name));
    if modules::are_disabled(system) {
        return Err(failure
            .why(status::NO_MODULES)
            .next(status::NO_MODULES_NEXT));
    }
    let Some(why) = left.why() else {
        return Ok(());
    };
    Err(failure
        .why(why)
        .next("lsmod shows what uses it; if tasks were forced, it stays until the next boot"))
}

/// Adds a note if the patch is installed, because it is loaded again at the next boot.
fn with_boot_note(system: &System, change: Change) -> Change {
    // If the list cannot be read, there is no note. status reports the error.
    let installed = boot::installed(system, &system.release()).unwrap_or_default();
    if !installed.contains(&change.patch) || units::missing(system).contains(&units::BOOT) {
        return change;
    }
    let name = change.patch.clone();
    change.note(format!(
        "it is loaded again at the next boot, unless: rlp uninstall {name}"
    ))
}

/// Says what an unload would do, or why it would be refused.
fn plan(system: &System, name: &str, deadline: Option<u32>) -> Result<Change> {
    let mut change = Change::new(name, Done::Unloaded);
    let Some(patch) = loader::patch(system, name)? else {
        let Some(left) = leftovers::find(system, name)? else {
            return Ok(Change::new(name, Done::NotLoaded));
        };
        check_leftover(system, &left)?;
        return Ok(change.note("only its module is still loaded"));
    };
    if modules::are_disabled(system) {
        change = change.note(format!("its module would stay: {}", status::NO_MODULES));
    }
    check_held(system, &patch)?;
    change = change.state(patch.state);
    if patch.state != State::Disabling {
        change.notes.append(&mut load::wait_notes(system, name)?);
    }
    change.notes.extend(load::deadline_note(deadline));
    for held in held_by(system, &patch)? {
        change = change.note(format!("{held} would be in effect again"));
    }
    if !patch.cves.is_empty() {
        change = change.note(format!(
            "would no longer be fixed: {}",
            patch.cves.join(" ")
        ));
    }
    Ok(with_boot_note(system, change))
}

/// The patches that are in effect again if this patch is disabled.
fn held_by(system: &System, patch: &Patch) -> Result<Vec<String>> {
    if !patch.is_holder() {
        return Ok(Vec::new());
    }
    let patches = loader::patches(system)?.into_iter();
    Ok(patches
        .filter(|other| other.state == State::Held)
        .map(|other| other.name)
        .collect())
}

fn check_held(system: &System, patch: &Patch) -> Result<()> {
    if patch.state != State::Held {
        return Ok(());
    }
    let mut patches = loader::patches(system)?.into_iter();
    match patches.find(Patch::is_holder) {
        Some(holder) => Err(
            Failure::refused(format!("{} cannot be unloaded", patch.name))
                .why(format!(
                    "{0} has replaced it; it takes effect again if {0} is not confirmed",
                    holder.name
                ))
                .next(format!("rlp confirm {0}, or rlp unload {0}", holder.name)),
        ),
        // The holder was confirmed or taken back after `patch` was read.
        None => Ok(()),
    }
}

/// Unloads a patch that the loader has, or whose module is left.
pub(crate) fn unload(
    system: &System,
    name: &str,
    deadline: Option<u32>,
    until: Instant,
    progress: &mut Progress,
) -> Result<Change> {
    let mut change = Change::new(name, Done::Unloaded);
    if let Some(patch) = loader::patch(system, name)? {
        check_held(system, &patch)?;
        let mut log = Log::from_now(system);
        let held = held_by(system, &patch)?;
        if let Some(seconds) = deadline {
            load::set_deadline(system, name, seconds)?;
        }
        if matches!(
            patch.state,
            State::Enabling | State::InEffect | State::Probation
        ) {
            load::wait_for_other_transitions(system, name, until, progress)?;
            control::write_patch_file(system, name, "enabled", "0", "disabled", &mut log)?;
        }
        match wait::until_gone(system, name, until, progress)? {
            End::Gone => (),
            End::Late(patch) => return Err(control::timed_out(system, &patch, "unload")),
            End::Interrupted(patch) => return Err(control::interrupted(&patch, "unload")),
            End::Settled(_) => {
                let failure = Failure::taken_back(format!("{name} is still in effect"));
                let (why, next) = reasons::explain(&log.problems(name));
                let failure = failure.next(next.unwrap_or("rlp history shows by whom"));
                return Err(if why.is_empty() {
                    failure.why("its transition was reversed")
                } else {
                    failure.why(why)
                });
            }
        }
        for held in held {
            if loader::patch(system, &held)?.is_some_and(|held| held.state != State::Held) {
                change = change.note(format!("{held} is in effect again"));
            }
        }
    } else if let Some(left) = leftovers::find(system, name)? {
        check_leftover(system, &left)?;
    }
    modules::unload(system, name)?;
    Ok(with_boot_note(system, change))
}
