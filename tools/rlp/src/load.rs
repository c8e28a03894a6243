// SPDX-License-Identifier: GPL-2.0

//! load: from a file to a patch that is in effect, and confirmed or taken back.

use crate::change::{
    self,
    Change,
    Done,
    Lock,
    Recording,
    Subject, //
};
use crate::cli;
use crate::control;
use crate::failure::{
    Failure,
    Result, //
};
use crate::interrupt;
use crate::kmsg::Log;
use crate::leftovers::{
    self,
    Leftover, //
};
use crate::loader::{
    self,
    Patch,
    State, //
};
use crate::module_file::ModuleFile;
use crate::modules;
use crate::output::{
    Outcome,
    Progress, //
};
use crate::reasons;
use crate::status;
use crate::system::System;
use crate::trial;
use crate::wait::{
    self,
    End, //
};
use std::path::Path;
use std::time::Instant;

/// The probation for a test of the patch, if none is set.
const TEST_PROBATION: u32 = 300;

/// How a patch is loaded, and what happens when it is in effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan<'a> {
    pub(crate) confirm: bool,
    pub(crate) test: Option<&'a str>,
    pub(crate) probation: Option<u32>,
    pub(crate) deadline: Option<u32>,
    pub(crate) parameters: &'a [String],
    pub(crate) timeout: u64,
    pub(crate) dry_run: bool,
}

pub(crate) fn run(system: &System, arguments: &cli::Load, progress: &mut Progress) -> Outcome {
    let plan = Plan {
        confirm: arguments.confirm,
        test: arguments.test.as_deref(),
        probation: arguments.probation,
        deadline: arguments.deadline,
        parameters: &arguments.parameters,
        timeout: arguments.wait.timeout,
        dry_run: arguments.dry.dry_run,
    };
    if let Err(failure) = system.needs_root("load patches") {
        return failure.into();
    }
    change::apply_to_each(plan.dry_run, &arguments.files, |file| {
        load(system, file, &plan, progress)
    })
}

/// Loads one patch, unless it is loaded already.
pub(crate) fn load(
    system: &System,
    file: &Path,
    plan: &Plan<'_>,
    progress: &mut Progress,
) -> Result<Change> {
    let module = ModuleFile::read(file)?;
    let kernel = system.kernel_build_id();
    if let Some(misfit) = module.misfit(&system.release(), kernel.as_deref()) {
        return Err(misfit);
    }
    let name = &module.name;
    let present = loader::patch(system, name)?;
    if let Some(patch) = &present {
        check_same(&module, patch)?;
    }
    if plan.dry_run {
        return dry_run(system, &module, present.as_ref(), plan);
    }
    match present {
        Some(patch) if !patch.state.is_in_transition() && !wants_confirmation(&patch, plan) => {
            let mut change = loaded_change(&patch, Done::AlreadyLoaded);
            change.notes.append(&mut unused_options(&patch, plan));
            return Ok(change);
        }
        _ => (),
    }
    change::recorded(
        system,
        Recording::BestEffort,
        "load",
        Subject::new(name, module.level_number()),
        Some(describe(&module)),
        || load_new(system, &module, present, plan, progress),
    )
}

fn wants_confirmation(patch: &Patch, plan: &Plan<'_>) -> bool {
    patch.state == State::Probation && (plan.confirm || plan.test.is_some())
}

/// A note for each option that has no effect on a patch that is loaded already.
fn unused_options(patch: &Patch, plan: &Plan<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if plan.probation.is_some() {
        notes.push("--probation has no effect: the patch is loaded already".to_owned());
    }
    if plan.deadline.is_some() && !patch.state.is_in_transition() {
        notes.push("--deadline has no effect: the transition is complete".to_owned());
    }
    if plan.test.is_some() && patch.state == State::InEffect {
        notes.push("--test was not run: the patch is confirmed already".to_owned());
    }
    if !plan.parameters.is_empty() {
        notes.push("--parameter has no effect: the patch is loaded already".to_owned());
    }
    notes
}

/// The file, and what it fixes, for the history.
fn describe(module: &ModuleFile) -> String {
    let mut text = module.path.display().to_string();
    if let Some(level) = &module.level {
        text += &format!(", level {level}");
    }
    if let Some(build_id) = &module.build_id {
        text += &format!(", build id {build_id}");
    }
    if !module.cves.is_empty() {
        text += &format!(", {}", module.cves.join(" "));
    }
    text
}

/// Checks that the patch that the loader has is the one in the file, and that it is neither being
/// disabled nor held.
fn check_same(module: &ModuleFile, patch: &Patch) -> Result<()> {
    let name = &patch.name;
    let difference = match (&module.build_id, &patch.build_id) {
        (Some(file), Some(loaded)) if file == loaded => None,
        (Some(file), Some(loaded)) => Some(format!(
            "another build of {name} is loaded: its build id is {loaded}, the file has {file}"
        )),
        _ => Some(format!(
            "nothing shows that the patch {name} that is loaded is the one in the file, because \
             one of them has no build id"
        )),
    };
    if let Some(difference) = difference {
        return Err(Failure::refused(format!("{name} was not loaded"))
            .why(difference)
            .next(format!("rlp unload {name}, then load the file")));
    }
    match patch.state {
        State::Disabling => Err(Failure::refused(format!("{name} is being disabled"))
            .next(format!("wait, or rlp reverse {name}"))),
        State::Held => Err(Failure::refused(format!("{name} was replaced")).why(
            "the patch that has replaced it is on probation; it takes effect again if that patch \
             is not confirmed",
        )),
        State::Enabling | State::Probation | State::InEffect => Ok(()),
    }
}

/// Says what a load would do, or why it would be refused. The checks are those of the load itself.
fn dry_run(
    system: &System,
    module: &ModuleFile,
    present: Option<&Patch>,
    plan: &Plan<'_>,
) -> Result<Change> {
    if let Some(patch) = present {
        let mut change = loaded_change(patch, Done::AlreadyLoaded);
        change.notes.append(&mut unused_options(patch, plan));
        if patch.state == State::Enabling {
            change.notes.extend(deadline_note(plan.deadline));
        }
        if wants_confirmation(patch, plan) {
            change.notes.append(&mut confirmation_notes(plan));
        }
        return Ok(change);
    }
    check_possible(system, module)?;
    let mut change = Change::new(&module.name, Done::Loaded);
    if !loader::is_loaded(system) {
        modules::check_loader(system)?;
        change = change.note("the loader would be loaded first");
    }
    change.notes.append(&mut wait_notes(system, &module.name)?);
    if system.has_module(&module.name) {
        change =
            change.note("the module of the same name, which is not in effect, would be unloaded");
    }
    if !module.cves.is_empty() {
        change = change.note(format!("fixes {}", module.cves.join(" ")));
    }
    let own = system
        .read(change::PROBATION_PARAMETER)
        .ok()
        .and_then(|value| value.parse().ok());
    let seconds = probation(system, plan).or(own);
    if let Some(seconds) = seconds.filter(|&seconds| seconds != 0) {
        change = change.note(format!("it would be on probation for {seconds} s"));
        change.notes.append(&mut confirmation_notes(plan));
    }
    change.notes.extend(deadline_note(plan.deadline));
    Ok(change)
}

pub(crate) fn deadline_note(deadline: Option<u32>) -> Option<String> {
    let seconds = deadline.filter(|&seconds| seconds != 0)?;
    Some(format!(
        "the loader would reverse the transition if it is not complete after {seconds} s"
    ))
}

fn confirmation_notes(plan: &Plan<'_>) -> Vec<String> {
    match plan.test {
        Some(command) => vec![
            format!("then: sh -c '{command}'"),
            "it would be confirmed if that succeeds, and taken back if not".to_owned(),
        ],
        None if plan.confirm => vec!["it would be confirmed as soon as it is in effect".to_owned()],
        None => Vec::new(),
    }
}

/// A note for each other patch that is in transition, because only one can be.
pub(crate) fn wait_notes(system: &System, name: &str) -> Result<Vec<String>> {
    let others = loader::patches(system)?.into_iter();
    Ok(others
        .filter(|other| other.name != name && other.state.is_in_transition())
        .map(|other| format!("it would wait for {}, which is in transition", other.name))
        .collect())
}

/// Checks what the kernel or the loader would refuse for certain.
fn check_possible(system: &System, module: &ModuleFile) -> Result<()> {
    let name = &module.name;
    let refused = |why: String| Failure::refused(format!("{name} was not loaded")).why(why);
    if modules::are_disabled(system) {
        return Err(refused(status::NO_MODULES.to_owned()).next(status::NO_MODULES_NEXT));
    }
    if system.has_value("/proc/sys/kernel/ftrace_enabled", "0") {
        return Err(
            refused("ftrace is switched off".to_owned()).next("sysctl kernel.ftrace_enabled=1")
        );
    }
    if loader::requires_signatures(system) && !module.is_signed {
        return Err(
            refused("it is not signed, and the loader requires a signature".to_owned())
                .next("sign it with a key that the kernel trusts"),
        );
    }
    let patches = loader::patches(system)?;
    if patches.iter().any(|patch| patch.state == State::Held) {
        if let Some(Patch { name: holder, .. }) = patches.iter().find(|patch| patch.is_holder()) {
            return Err(refused(format!(
                "{holder} is on probation, and holds the patches that it has replaced"
            ))
            .next(format!("rlp confirm {holder}, or rlp unload {holder}")));
        }
    }
    check_leftover(system, name).map(drop)
}

/// Returns whether an old module of this name is left. Fails if that module cannot be unloaded.
fn check_leftover(system: &System, name: &str) -> Result<bool> {
    let left = leftovers::find(system, name)?;
    match left.as_ref().and_then(Leftover::why) {
        Some(why) => Err(Failure::refused(format!("{name} was not loaded"))
            .why(why)
            .next("give the patch another name, or reboot")),
        None => Ok(left.is_some()),
    }
}

/// The probation that a load sets. A patch that is tested must be on probation.
fn probation(system: &System, plan: &Plan<'_>) -> Option<u32> {
    if plan.test.is_some() && plan.probation.is_none() {
        let is_set = system
            .read(change::PROBATION_PARAMETER)
            .is_ok_and(|value| value != "0");
        return (!is_set).then_some(TEST_PROBATION);
    }
    plan.probation
}

/// The change for a patch that the loader has, with a note of what is left to be done.
fn loaded_change(patch: &Patch, done: Done) -> Change {
    let change = Change::new(&patch.name, done).state(patch.state);
    match patch.state {
        State::Probation => change.note(format!(
            "on probation: the loader takes it back in {} s, unless: rlp confirm {}",
            patch.probation_left, patch.name
        )),
        State::Enabling => change.note("the transition is not complete yet"),
        _ => change,
    }
}

fn load_new(
    system: &System,
    module: &ModuleFile,
    present: Option<Patch>,
    plan: &Plan<'_>,
    progress: &mut Progress,
) -> Result<Change> {
    let name = &module.name;
    let until = wait::deadline_after(plan.timeout);
    let mut log = Log::from_now(system);
    let mut done = Done::AlreadyLoaded;
    let mut unused = Vec::new();
    let mut unrestored = None;
    match &present {
        Some(patch) => unused = unused_options(patch, plan),
        None => {
            check_possible(system, module)?;
            modules::load_loader(system)?;
            if let Inserted::ByThis(note) = insert(system, module, plan, until, progress)? {
                done = Done::Loaded;
                unrestored = note;
            }
        }
    }
    // A transition that another command has started gets the deadline, too.
    let is_settled = present.is_some_and(|patch| !patch.state.is_in_transition());
    let deadline = plan.deadline.filter(|_| !is_settled);
    let change = deadline
        .map_or(Ok(()), |seconds| set_deadline(system, name, seconds))
        .and_then(|()| settle(system, name, done, plan, until, &mut log, progress))
        .map(|mut change| {
            change.notes.append(&mut unused);
            change
        });
    change::with_note(change, unrestored)
}

/// Waits until the transition of a patch is complete, and confirms or tests the patch as planned.
fn settle(
    system: &System,
    name: &str,
    done: Done,
    plan: &Plan<'_>,
    until: Instant,
    log: &mut Log,
    progress: &mut Progress,
) -> Result<Change> {
    match wait::until_settled(system, name, until, progress)? {
        End::Settled(patch) => confirmed_or_taken_back(system, &patch, done, plan, progress),
        End::Late(patch) => Err(control::timed_out(system, &patch, "load")),
        End::Interrupted(patch) => Err(control::interrupted(&patch, "load")),
        End::Gone => Err(taken_back(system, name, &log.problems(name))),
    }
}

/// Waits until no other patch is in transition, because only one can be.
pub(crate) fn wait_for_other_transitions(
    system: &System,
    name: &str,
    until: Instant,
    progress: &mut Progress,
) -> Result<()> {
    for other in loader::patches(system)? {
        if other.name == name || !other.state.is_in_transition() {
            continue;
        }
        if let End::Late(other) | End::Interrupted(other) =
            wait::until_settled(system, &other.name, until, progress)?
        {
            return Err(Failure::refused(format!(
                "{name} must wait: {} is in transition",
                other.name
            ))
            .next(format!("rlp reverse {} reverses it", other.name)));
        }
    }
    Ok(())
}

/// How the module of a patch was loaded.
enum Inserted {
    /// This process has loaded it. There is a note if the loader's parameter was not restored.
    ByThis(Option<String>),
    /// Another process has loaded the patch meanwhile.
    ByAnother,
}

/// Loads the module, when no other patch is in transition. If an old module of that name is left,
/// it is unloaded first.
fn insert(
    system: &System,
    module: &ModuleFile,
    plan: &Plan<'_>,
    until: Instant,
    progress: &mut Progress,
) -> Result<Inserted> {
    let name = &module.name;
    let lock = loop {
        wait_for_other_transitions(system, name, until, progress)?;
        let lock = Lock::take(system, name, until)?;
        // While this process waited for the lock, another one may have loaded this patch, or a
        // patch that is in transition now.
        if let Some(patch) = loader::patch(system, name)? {
            check_same(module, &patch)?;
            return Ok(Inserted::ByAnother);
        }
        let mut patches = loader::patches(system)?.into_iter();
        if !patches.any(|patch| patch.state.is_in_transition()) {
            break lock;
        }
    };
    if check_leftover(system, name)? {
        modules::unload(system, name)?;
    }
    let probation = probation(system, plan);
    let (loaded, unrestored) = lock.with_probation(system, probation, || {
        modules::load(system, &module.path, name, plan.parameters)
    })?;
    match loaded {
        Ok(()) => Ok(Inserted::ByThis(unrestored)),
        Err(failure) => Err(failure.also(unrestored)),
    }
}

pub(crate) fn set_deadline(system: &System, name: &str, seconds: u32) -> Result<()> {
    let path = loader::file(name, "deadline");
    match system.write(&path, &seconds.to_string()) {
        Err(_) if !system.exists(&path) => Ok(()),
        result => result.map_err(crate::failure::on_file(&system.path(&path))),
    }
}

fn confirmed_or_taken_back(
    system: &System,
    patch: &Patch,
    done: Done,
    plan: &Plan<'_>,
    progress: &mut Progress,
) -> Result<Change> {
    let in_effect_note = format!("in effect after {} ms", patch.transition_us.div_ceil(1000));
    if let Some(command) = plan.test {
        let why = failed_test(command, &patch.name);
        // A test that was interrupted says nothing about the patch.
        if interrupt::is_pending() {
            return Err(interrupted_test(patch));
        }
        if let Some(why) = why {
            return Err(take_back_after_test(system, patch, &why, progress));
        }
    }
    if wants_confirmation(patch, plan) {
        let state = control::confirm(system, &patch.name)?;
        return Ok(Change::new(&patch.name, done)
            .state(state)
            .note(in_effect_note)
            .note("confirmed"));
    }
    let mut change = loaded_change(patch, done);
    change.notes.insert(0, in_effect_note);
    Ok(change)
}

/// Runs the operator's test, and returns why it has failed.
fn failed_test(command: &str, patch: &str) -> Option<String> {
    let ended = trial::run(
        trial::command()
            .args(["/bin/sh", "-c", command])
            .env("RLP_PATCH", patch),
        None,
    );
    match ended {
        Ok(trial::End::Exited(status)) if status.success() => None,
        Ok(trial::End::Exited(status)) => {
            Some(format!("the test '{command}' has failed: {status}"))
        }
        // The caller looks for the signal. Without a limit, the test is never late.
        Ok(trial::End::Interrupted | trial::End::Late) => None,
        Err(error) => Some(format!(
            "the test '{command}' cannot be run: {}",
            crate::failure::error_text(&error)
        )),
    }
}

fn interrupted_test(patch: &Patch) -> Failure {
    let name = &patch.name;
    Failure::in_progress(format!("{name} is in effect, and its test was interrupted"))
        .why("the loader takes it back if it is not confirmed in time")
        .next(format!("rlp confirm {name}, or rlp unload {name}"))
}

fn take_back_after_test(
    system: &System,
    patch: &Patch,
    why: &str,
    progress: &mut Progress,
) -> Failure {
    let name = &patch.name;
    match crate::unload::unload(system, name, None, wait::deadline_after(60), progress) {
        Ok(_) => Failure::taken_back(format!("{name} was taken back")).why(why),
        Err(failure) => Failure::error(format!(
            "the test of {name} has failed, and {name} was not unloaded"
        ))
        .why(format!("{why}\n{}", failure.what))
        .next(format!("rlp unload {name}")),
    }
}

/// Unloads the module of a patch whose transition was reversed while the patch was being enabled.
/// Returns the failure of the load.
fn taken_back(system: &System, name: &str, log: &[String]) -> Failure {
    let unloaded = modules::unload(system, name);
    let (mut why, next) = reasons::explain(log);
    if let Err(failure) = unloaded {
        why += &format!("\n{}", failure.what);
    }
    let failure = Failure::taken_back(format!(
        "{name} was loaded, and its transition was reversed"
    ));
    let failure = failure.next(next.unwrap_or("rlp history shows by whom"));
    if why.is_empty() {
        failure
    } else {
        failure.why(why)
    }
}
