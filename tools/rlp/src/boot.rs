// SPDX-License-Identifier: GPL-2.0

//! install, uninstall and boot: the patches that are loaded at each boot of a kernel.
//!
//! `/var/lib/rlp/boot/RELEASE/` has the modules, and the file `list` with their names in the order
//! in which they are loaded. A module without a line in the list is not loaded. `NAME.kernel` has
//! the build of the kernel that the module is for (see `installed_for`). `install` stores the
//! module before it adds the name to the list, and `uninstall` removes the name first. So each name
//! in the list has its module, even after a power cut between two steps.
//!
//! Before patches are loaded at boot, the id of the boot and the names of these patches are written
//! to `/var/lib/rlp/boot/intent`. That file is removed 3 minutes after the boot, or earlier by a
//! clean shutdown. If another boot finds the file, the patches in it are quarantined: a patch that
//! makes the machine panic does so once. The intent also names the level whose loader runs for the
//! first time, so that this level is quarantined, too. A patch that was on probation when the
//! kernel panicked is quarantined as well, if it is installed. The file `panics` lists the panics
//! that were judged. A listed panic does not quarantine the patch again, because an operator may
//! have installed the patch once more.

use crate::boot_levels::{
    self,
    Choice,
    Stored, //
};
use crate::change::{
    self,
    Change,
    Done,
    Recording, //
};
use crate::cli;
use crate::digest::Digest;
use crate::failure::{
    error_text,
    on_file,
    Failure,
    Result, //
};
use crate::installed_for;
use crate::level::Number;
use crate::load::{
    self,
    Plan, //
};
use crate::loader;
use crate::locks;
use crate::manager;
use crate::module_file::{
    is_name,
    ModuleFile,
    TargetLoader, //
};
use crate::output::{
    Outcome,
    Paint,
    Progress,
    Report, //
};
use crate::panics::{
    self,
    Panic, //
};
use crate::store;
use crate::system::{
    System,
    STATE, //
};
use crate::units;
use serde::{
    Deserialize,
    Serialize, //
};
use serde_json::{
    json,
    Value, //
};
use std::io::ErrorKind;
use std::path::Path;

/// The word on the kernel's command line that keeps patches from being loaded at boot.
const OFF_WORD: &str = "livepatch.off";

/// The longest time that the boot waits for a transition, in seconds. After that time, the
/// transition continues in the background.
const TRANSITION_WAIT: u64 = 15;

/// A transition that was started at boot is reversed if it is not complete after this many seconds.
const DEADLINE: u32 = 600;

/// The build of the kernel that a patch is installed for is not known.
pub(crate) const NO_BUILD: &str =
    "its build of the kernel is not known: a boot compares only the release";

fn folder(release: &str) -> String {
    format!("{STATE}/boot/{release}")
}

fn list(release: &str) -> String {
    format!("{}/list", folder(release))
}

fn intent_path() -> String {
    format!("{STATE}/boot/intent")
}

fn quarantine_path() -> String {
    format!("{STATE}/boot/quarantine")
}

/// Reads a file with a name in each line. A file that does not exist has none.
fn names(system: &System, path: &str) -> Result<Vec<String>> {
    match system.read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        text => Ok(text
            .map_err(on_file(&system.path(path)))?
            .lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()),
    }
}

/// Each text in a line of its own.
fn lines(texts: &[String]) -> String {
    texts.iter().fold(String::new(), |mut all, text| {
        all.push_str(text);
        all.push('\n');
        all
    })
}

fn write_names(system: &System, path: &str, names: &[String]) -> Result<()> {
    Ok(durable::replace(
        &system.path(path),
        lines(names).as_bytes(),
    )?)
}

/// The patches that are installed for a release, in their order.
pub(crate) fn installed(system: &System, release: &str) -> Result<Vec<String>> {
    names(system, &list(release))
}

/// The patches that are installed for the other releases.
pub(crate) fn installed_elsewhere(system: &System, release: &str) -> Result<Vec<Installed>> {
    let mut all = Vec::new();
    for other in system.names(&format!("{STATE}/boot"))? {
        let patches = if other != release && system.path(&folder(&other)).is_dir() {
            installed(system, &other)?
        } else {
            Vec::new()
        };
        if !patches.is_empty() {
            all.push(Installed {
                release: other,
                patches,
            });
        }
    }
    Ok(all)
}

/// The patches that are installed for a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Installed {
    pub(crate) release: String,
    pub(crate) patches: Vec<String>,
}

/// The patches that are not loaded at boot any more.
pub(crate) fn quarantined(system: &System) -> Result<Vec<String>> {
    names(system, &quarantine_path())
}

/// Whether the kernel's command line keeps patches from being loaded at boot.
pub(crate) fn is_off(system: &System) -> bool {
    system.command_line().iter().any(|word| word == OFF_WORD)
}

/// Takes the lock that a command holds while it changes files below `/var/lib/rlp/boot`. Removes
/// the files that killed commands have left there.
fn lock(system: &System) -> Result<durable::Lock> {
    let lock = locks::take(system, "boot.lock")?;
    // The folder may not exist yet, and a file that cannot be removed does no harm.
    let _ = durable::remove_partial(&system.path(&format!("{STATE}/boot")));
    Ok(lock)
}

/// Whether the patch is installed for any kernel.
fn is_installed_anywhere(system: &System, name: &str) -> Result<bool> {
    for release in system.names(&format!("{STATE}/boot"))? {
        let is_folder = system.path(&folder(&release)).is_dir();
        if is_folder
            && installed(system, &release)?
                .iter()
                .any(|other| other == name)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn release_quarantine(system: &System, name: &str) -> Result<()> {
    let mut names = quarantined(system)?;
    let before = names.len();
    names.retain(|other| other != name);
    if names.len() == before {
        return Ok(());
    }
    write_names(system, &quarantine_path(), &names)
}

/// Lets the next boot load a patch again that was quarantined.
pub(crate) fn release(system: &System, name: &str) -> Result<()> {
    let _lock = lock(system)?;
    release_quarantine(system, name)
}

pub(crate) fn run_install(system: &System, arguments: &cli::Install) -> Outcome {
    if let Err(failure) = system.needs_root("install patches") {
        return failure.into();
    }
    let dry_run = arguments.dry.dry_run;
    let mut outcome = change::apply_to_each(dry_run, &arguments.files, |file| {
        install_file(system, file, arguments)
    });
    if !dry_run && outcome.failure.is_none() {
        outcome.failure = units::enable(system).err();
    }
    outcome
}

fn install_file(system: &System, file: &Path, arguments: &cli::Install) -> Result<Change> {
    let module = ModuleFile::read(file)?;
    check_installable(system, &module)?;
    if arguments
        .release
        .as_ref()
        .is_some_and(|release| *release != module.release)
    {
        return Err(
            Failure::refused(format!("{} was not installed", file.display()))
                .why(format!("it is built for {}", module.release)),
        );
    }
    let is_same = is_installed(system, &module)?;
    let done = if is_same {
        Done::AlreadyInstalled
    } else {
        Done::Installed
    };
    let mut change = Change::new(&module.name, done);
    if module.release != system.release() {
        change = change.note(format!("for the kernel {}", module.release));
    } else if loader::patch(system, &module.name)?.is_none() {
        change = change.note(format!("to load it now: rlp load {}", file.display()));
    }
    if installed_for::wanted(system, &module).is_none() {
        change = change.note(NO_BUILD);
    }
    if !units::has_systemd(system) {
        change = change.note("systemd does not run here: each boot must run rlp boot");
    } else if arguments.dry.dry_run {
        for unit in units::missing(system) {
            change = change.note(format!("{unit} would be enabled"));
        }
    }
    if arguments.dry.dry_run || is_same {
        return Ok(change);
    }
    let detail = Some(format!("{}, for {}", file.display(), module.release));
    let name = module.name.clone();
    change::recorded(
        system,
        Recording::BestEffort,
        "install",
        &name,
        detail,
        || {
            install(system, &module)?;
            Ok(change)
        },
    )
}

/// Checks that a module is a live patch for this loader. If it is for the release of the running
/// kernel, it must also fit that kernel. A kernel that is not running cannot be compared with it.
fn check_installable(system: &System, module: &ModuleFile) -> Result<()> {
    let refused = |why: &str| {
        Err(Failure::refused(format!("{} was not installed", module.path.display())).why(why))
    };
    match module.target {
        TargetLoader::InTree => return refused("it is built for in-tree livepatch"),
        TargetLoader::None => return refused("it is not a live patch"),
        TargetLoader::ThisLoader => (),
    }
    if module.release == system.release() {
        let kernel = system.kernel_build_id();
        if let Some(misfit) = module.misfit(&module.release, kernel.as_deref()) {
            return Err(misfit);
        }
    }
    Ok(())
}

fn stored_path(system: &System, release: &str, name: &str) -> std::path::PathBuf {
    system.path(&format!("{}/{name}.ko", folder(release)))
}

/// A patch of the list, with its file.
pub(crate) fn stored(system: &System, release: &str, name: String) -> Stored {
    Stored {
        file: stored_path(system, release, &name),
        name,
    }
}

/// Whether the same file is installed for the same build of the kernel, and is loaded at boot.
pub(crate) fn is_installed(system: &System, module: &ModuleFile) -> Result<bool> {
    let stored = stored_path(system, &module.release, &module.name);
    let same = match std::fs::read(&stored) {
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        bytes => {
            let bytes = bytes.map_err(on_file(&stored))?;
            // If `NAME.kernel` has no line for this module, or names another build of the kernel,
            // the installation writes it again.
            bytes == std::fs::read(&module.path).map_err(on_file(&module.path))?
                && installed_for::read(&stored, &bytes)
                    .is_ok_and(|build_id| build_id == installed_for::wanted(system, module))
        }
    };
    Ok(same
        && installed(system, &module.release)?.contains(&module.name)
        && !quarantined(system)?.contains(&module.name))
}

/// Whether a patch is loaded at boot, and its file is the one with this hash.
pub(crate) fn has_file(system: &System, release: &str, name: &str, sha256: Digest) -> Result<bool> {
    if !installed(system, release)?
        .iter()
        .any(|other| other == name)
    {
        return Ok(false);
    }
    let path = stored_path(system, release, name);
    let bytes = std::fs::read(&path).map_err(on_file(&path))?;
    Ok(Digest::of(&bytes) == sha256)
}

/// The module is on the disk before its name is in the list.
pub(crate) fn install(system: &System, module: &ModuleFile) -> Result<()> {
    install_in_place_of(system, module, &[])
}

/// Installs a patch, and uninstalls others. After a power cut, the list has the old names or the
/// new ones.
pub(crate) fn install_in_place_of(
    system: &System,
    module: &ModuleFile,
    others: &[String],
) -> Result<()> {
    let _lock = lock(system)?;
    let release = &module.release;
    let bytes = std::fs::read(&module.path).map_err(on_file(&module.path))?;
    let stored = stored_path(system, release, &module.name);
    let build_id = installed_for::wanted(system, module);
    installed_for::write(&stored, &bytes, build_id.as_deref())?;
    durable::replace(&stored, &bytes)?;
    let old = installed(system, release)?;
    let mut new = old.clone();
    new.retain(|name| !others.contains(name));
    if !new.contains(&module.name) {
        new.push(module.name.clone());
    }
    if new != old {
        write_names(system, &list(release), &new)?;
    }
    for other in others {
        remove_file(system, release, other)?;
    }
    release_quarantine(system, &module.name)
}

/// Whether the module of a patch is stored, listed or not.
pub(crate) fn is_stored(system: &System, release: &str, name: &str) -> bool {
    stored_path(system, release, name).exists()
}

pub(crate) fn run_uninstall(system: &System, arguments: &cli::Uninstall) -> Outcome {
    if let Err(failure) = system.needs_root("uninstall patches") {
        return failure.into();
    }
    let release = arguments
        .release
        .clone()
        .unwrap_or_else(|| system.release());
    if !is_name(&release) {
        return Failure::refused(format!("'{release}' is not a kernel release")).into();
    }
    let dry_run = arguments.dry.dry_run;
    change::apply_to_each(dry_run, &arguments.patches, |name| {
        let name = loader::name_of(name);
        // The patch is installed for no kernel, and is still quarantined.
        let is_left =
            quarantined(system)?.contains(&name) && !is_installed_anywhere(system, &name)?;
        if !installed(system, &release)?.contains(&name) && !is_left {
            return Ok(Change::new(&name, Done::NotInstalled));
        }
        let mut change = Change::new(&name, Done::Uninstalled);
        if loader::patch(system, &name)?.is_some() {
            change = change.note(format!(
                "it stays in effect; to unload it now: rlp unload {name}"
            ));
        }
        if dry_run {
            return Ok(change);
        }
        let detail = Some(format!("for {release}"));
        change::recorded(
            system,
            Recording::BestEffort,
            "uninstall",
            &name,
            detail,
            || {
                let mut change = change;
                change.notes.extend(uninstall(system, &release, &name)?);
                Ok(change)
            },
        )
    })
}

/// Removes the name from the list, and then the module. On a full disk, the list cannot be written,
/// so the module goes first, and makes room for the list. A boot that finds a name without a module
/// loads the others. Returns a note if the module went first.
pub(crate) fn uninstall(system: &System, release: &str, name: &str) -> Result<Option<String>> {
    let _lock = lock(system)?;
    let mut names = installed(system, release)?;
    let mut note = None;
    if names.iter().any(|other| other == name) {
        names.retain(|other| other != name);
        let path = system.path(&list(release));
        let written = durable::replace(&path, lines(&names).as_bytes());
        if let Err(failed) = written {
            if !is_full(&failed.error) {
                return Err(failed.into());
            }
            note = Some(format!(
                "its module was removed before the list of the boot was written: {}",
                error_text(&failed.error)
            ));
            durable::remove(&stored_path(system, release, name))?;
            durable::replace(&path, lines(&names).as_bytes()).map_err(|failed| {
                Failure::from(failed)
                    .why("its module is removed, so it is not loaded at boot any more")
                    .next("make room on the disk, then give the command again")
            })?;
        }
    }
    remove_file(system, release, name)?;
    Ok(note)
}

/// Whether the disk or the quota is full. An error of a write to a temporary file keeps only its
/// kind, and has no number.
fn is_full(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

/// Removes the module of a patch that is not in the list any more.
fn remove_file(system: &System, release: &str, name: &str) -> Result<()> {
    let stored = stored_path(system, release, name);
    durable::remove(&stored)?;
    durable::remove(&installed_for::file(&stored))?;
    if is_installed_anywhere(system, name)? {
        return Ok(());
    }
    release_quarantine(system, name)
}

/// The patches that a boot is about to load.
#[derive(Debug, Serialize, Deserialize)]
struct Intent {
    boot: String,
    patches: Vec<String>,
    /// The patch of the level whose loader runs for the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    loader: Option<String>,
}

impl Intent {
    /// A line about each patch that is quarantined if the machine does not survive the boot, and
    /// the name of the patch.
    fn blamed(self) -> Vec<(String, String)> {
        let Self {
            patches, loader, ..
        } = self;
        let loader = loader.filter(|name| !patches.contains(name));
        let of_loader = loader.map(|name| (new_loader_line(&name), name));
        let of_patches = patches.into_iter().map(|name| (failed_line(&name), name));
        of_patches.chain(of_loader).collect()
    }
}

/// The results of a boot.
#[derive(Debug, Default)]
struct Booted {
    dry_run: bool,
    lines: Vec<String>,
}

impl Report for Booted {
    fn json(&self) -> Value {
        json!({ "dry_run": self.dry_run, "lines": self.lines })
    }

    fn text(&self, _paint: &Paint) -> String {
        lines(&self.lines)
    }
}

/// Runs `rlp boot`: loads the installed patches, or says with `--dry-run` what that would do. With
/// `--survived`, only removes the intent of this boot. A patch that cannot be loaded does not keep
/// the others from being loaded, and never fails the boot: the exit status is 0.
pub(crate) fn run(system: &System, arguments: cli::Boot, progress: &mut Progress) -> Outcome {
    let mut booted = Booted {
        dry_run: arguments.dry.dry_run,
        lines: Vec::new(),
    };
    progress.show_in_unit();
    let result = match (arguments.survived, booted.dry_run) {
        (true, _) => survived(system, &mut booted),
        (false, true) => plan_boot(system, &mut booted, progress),
        (false, false) => load_installed(system, &mut booted, progress),
    };
    if let Err(failure) = result {
        booted.failed(&failure);
    }
    manager::status(&booted.lines.join("; "));
    Outcome::of(booted)
}

impl Booted {
    fn changed(&mut self, change: &Change) {
        let words = change.words(self.dry_run);
        self.lines.push(format!("{}: {words}", change.patch));
    }

    fn failed(&mut self, failure: &Failure) {
        self.lines.push(failure.what.clone());
        if let Some(why) = &failure.why {
            self.lines
                .extend(why.lines().map(|line| format!("  {line}")));
        }
    }
}

fn read_intent(system: &System) -> Result<Option<Intent>> {
    let path = system.path(&intent_path());
    match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        // The file is replaced as a whole. If it is damaged nevertheless, it names nothing.
        bytes => Ok(serde_json::from_slice(&bytes.map_err(on_file(&path))?).ok()),
    }
}

fn panics_path() -> String {
    format!("{STATE}/boot/panics")
}

/// The panics that were not judged yet, and the lines of the file `panics`. That file lists the
/// panics that were judged.
fn new_panics(system: &System) -> Result<(Vec<Panic>, Vec<String>)> {
    let judged = names(system, &panics_path())?;
    let (mut panics, _denied) = panics::read(system);
    panics.retain(|panic| !judged.contains(&panic.line));
    Ok((panics, judged))
}

fn panic_line(name: &str) -> String {
    format!(
        "{name}: the kernel has panicked while it was on probation, so it is not loaded any more"
    )
}

fn failed_line(name: &str) -> String {
    format!("{name}: the machine failed after the last boot with it, so it is not loaded any more")
}

fn new_loader_line(name: &str) -> String {
    format!(
        "{name}: the machine failed after the first boot with the loader of its level, so neither \
         is loaded any more"
    )
}

/// Whether this boot has loaded patches, and has not survived them yet.
pub(crate) fn is_on_trial(system: &System) -> Result<bool> {
    let boot = system.boot_id();
    Ok(read_intent(system)?.is_some_and(|intent| intent.boot == boot))
}

/// The level that was being applied when that boot ended. It is to blame, and not the patches that
/// the boot has loaded. `rlp level apply` quarantines it. If the next boot fails, too, that one has
/// another id, and its patches are quarantined.
fn applied_level(system: &System, intent: &Intent) -> Result<Option<Number>> {
    let level = store::Intent::read(system)?;
    let level = level.filter(|level| level.boot == intent.boot && level.phase.is_unconfirmed());
    Ok(level.map(|level| level.level))
}

fn applied_line(level: Number) -> String {
    format!(
        "level {level}: the machine failed while it was applied, so the patches of that boot are \
         loaded again"
    )
}

/// The intent of an earlier boot, if that boot has not removed it. Then the earlier boot has not
/// survived its patches.
fn failed_intent(system: &System) -> Result<Option<Intent>> {
    let boot = system.boot_id();
    Ok(read_intent(system)?.filter(|intent| intent.boot != boot))
}

/// Records each panic that happened while a patch was on probation. Quarantines that patch if it is
/// installed for any kernel. Each panic is judged once.
fn judge_panics(system: &System, booted: &mut Booted) -> Result<()> {
    use crate::history::{
        Phase,
        Record, //
    };
    let (panics, mut judged) = new_panics(system)?;
    if panics.is_empty() {
        return Ok(());
    }
    let mut quarantined = quarantined(system)?;
    for panic in panics {
        let name = &panic.patch;
        let mut record = Record::new(system, Phase::Event, "panic", name);
        record.result = Some("probation".to_owned());
        record.detail = Some(panic.log.display().to_string());
        if let Err(failure) = record.append(system) {
            booted.failed(&failure);
        }
        judged.push(panic.line);
        if !is_installed_anywhere(system, name)? {
            continue;
        }
        booted.lines.push(panic_line(name));
        if !quarantined.contains(name) {
            quarantined.push(name.clone());
        }
    }
    write_names(system, &quarantine_path(), &quarantined)?;
    // After a power cut between the two writes, the panics are judged once more.
    write_names(system, &panics_path(), &judged)
}

/// Judges the new panics. Then quarantines the patches of an earlier boot that the machine has not
/// survived.
fn judge_last_boot(system: &System, booted: &mut Booted) -> Result<()> {
    judge_panics(system, booted)?;
    let Some(intent) = failed_intent(system)? else {
        return Ok(());
    };
    // If the intent of the level cannot be read, the patches of the boot are quarantined.
    if let Ok(Some(level)) = applied_level(system, &intent) {
        booted.lines.push(applied_line(level));
        return Ok(durable::remove(&system.path(&intent_path()))?);
    }
    let mut names = quarantined(system)?;
    for (line, name) in intent.blamed() {
        booted.lines.push(line);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    write_names(system, &quarantine_path(), &names)?;
    Ok(durable::remove(&system.path(&intent_path()))?)
}

/// Judges the last boot, chooses what this boot loads, and writes the names of these patches.
fn write_intent(
    system: &System,
    release: &str,
    failed: &[Number],
    booted: &mut Booted,
) -> Result<Choice> {
    let refuse_without_intent = |failure: Failure| {
        Failure::error("no patch is loaded: the next boot could not detect a failure of this one")
            .why(failure.what)
    };
    let _lock = lock(system)?;
    judge_last_boot(system, booted).map_err(refuse_without_intent)?;
    let choice = boot_levels::choose(system, release, &quarantined(system)?, failed)?;
    if choice.patches.is_empty() {
        return Ok(choice);
    }
    let intent = Intent {
        boot: system.boot_id(),
        patches: choice.names(),
        loader: choice.loader_on_trial(),
    };
    // Strings are always valid JSON.
    let text = serde_json::to_vec(&intent).unwrap_or_default();
    durable::replace(&system.path(&intent_path()), &text)
        .map_err(|failed| refuse_without_intent(failed.into()))?;
    Ok(choice)
}

pub(crate) fn off_line() -> String {
    format!("{OFF_WORD} is on the kernel's command line: nothing is loaded")
}

fn load_installed(system: &System, booted: &mut Booted, progress: &mut Progress) -> Result<()> {
    if is_off(system) {
        booted.lines.push(off_line());
        return Ok(());
    }
    if !system.exists(&format!("{STATE}/boot")) {
        return Ok(());
    }
    let release = system.release();
    load_chosen(system, booted, progress, |failed, booted| {
        write_intent(system, &release, failed, booted)
    })
}

/// Says what a boot would load, and what it would not load because of an earlier boot.
fn plan_boot(system: &System, booted: &mut Booted, progress: &mut Progress) -> Result<()> {
    if is_off(system) {
        booted.lines.push(off_line());
        return Ok(());
    }
    let mut quarantined = quarantined(system)?;
    for name in &quarantined {
        booted
            .lines
            .push(format!("{name}: is quarantined, and would not be loaded"));
    }
    for panic in new_panics(system)?.0 {
        if is_installed_anywhere(system, &panic.patch)? {
            booted.lines.push(panic_line(&panic.patch));
            quarantined.push(panic.patch);
        }
    }
    if let Some(intent) = failed_intent(system)? {
        if let Ok(Some(level)) = applied_level(system, &intent) {
            booted.lines.push(applied_line(level));
        } else {
            for (line, name) in intent.blamed() {
                booted.lines.push(line);
                quarantined.push(name);
            }
        }
    }
    let release = system.release();
    load_chosen(system, booted, progress, |failed, _| {
        boot_levels::choose(system, &release, &quarantined, failed)
    })
}

/// Loads what is chosen, or says what that would do. If a level is refused, there is another
/// choice, without that level.
fn load_chosen(
    system: &System,
    booted: &mut Booted,
    progress: &mut Progress,
    mut choose: impl FnMut(&[Number], &mut Booted) -> Result<Choice>,
) -> Result<()> {
    let (mut failed, mut tried) = (Vec::new(), Vec::new());
    loop {
        let mut choice = choose(&failed, booted)?;
        booted.lines.append(&mut choice.lines);
        if choice.patches.is_empty() {
            return Ok(());
        }
        let is_refused = load_choice(system, &choice, &mut tried, booted, progress);
        let levels = choice.levels();
        if !is_refused || levels.is_empty() {
            return Ok(());
        }
        failed.extend(levels);
    }
}

/// Loads the patches that were not tried yet. Returns whether the level is refused: its loader or
/// its patch. A transition that takes long is no refusal.
fn load_choice(
    system: &System,
    choice: &Choice,
    tried: &mut Vec<String>,
    booted: &mut Booted,
    progress: &mut Progress,
) -> bool {
    if booted.dry_run {
        booted.lines.extend(choice.loader_line());
    } else if let Err(failure) = choice.load_loader(system) {
        booted.failed(&failure);
        return true;
    }
    let mut is_refused = false;
    for Stored { name, file } in &choice.patches {
        if tried.contains(name) {
            continue;
        }
        tried.push(name.clone());
        match load_stored(system, file, name, &plan(booted.dry_run), progress) {
            Ok(change) => booted.changed(&change),
            Err(failure) => {
                booted.failed(&failure);
                let is_level = choice.level.as_ref().is_some_and(|it| it.patch == *name);
                is_refused |= is_level && !matches!(loader::patch(system, name), Ok(Some(_)));
            }
        }
    }
    is_refused
}

/// How a patch is loaded at boot.
fn plan(dry_run: bool) -> Plan<'static> {
    Plan {
        // The patch is confirmed as soon as it is in effect: the intent guards this boot, and no
        // probation is needed.
        confirm: true,
        test: None,
        probation: None,
        deadline: Some(DEADLINE),
        parameters: &[],
        timeout: TRANSITION_WAIT,
        dry_run,
    }
}

fn load_stored(
    system: &System,
    file: &Path,
    name: &str,
    plan: &Plan<'_>,
    progress: &mut Progress,
) -> Result<Change> {
    let change = load::load(system, file, plan, progress)?;
    if change.patch == name {
        return Ok(change);
    }
    Err(Failure::error(format!(
        "{} has the patch {}",
        file.display(),
        change.patch
    )))
}

fn survived(system: &System, booted: &mut Booted) -> Result<()> {
    if !system.exists(&intent_path()) {
        return Ok(());
    }
    let _lock = if booted.dry_run {
        None
    } else {
        Some(lock(system)?)
    };
    let intent = read_intent(system)?;
    if intent.is_some_and(|intent| intent.boot == system.boot_id()) {
        if booted.dry_run {
            booted
                .lines
                .push("this boot would count as survived".to_owned());
            return Ok(());
        }
        durable::remove(&system.path(&intent_path()))?;
        booted
            .lines
            .push("this boot has survived its patches".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::is_full;
    use rustix::io::Errno;
    use std::io::Error;

    #[test]
    fn a_full_disk() {
        for full in [Errno::NOSPC, Errno::DQUOT].map(Error::from) {
            assert!(is_full(&full));
            assert!(is_full(&Error::new(full.kind(), "wrapped by tempfile")));
        }
        assert!(!is_full(&Error::from(Errno::IO)));
    }
}
