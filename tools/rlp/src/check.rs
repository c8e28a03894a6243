// SPDX-License-Identifier: GPL-2.0

//! check and doctor: what keeps this kernel from being patched, whether a file fits, and everything
//! that is wrong. Nothing is changed.

use crate::boot;
use crate::cli;
use crate::failure::{
    Failure,
    Result,
    ANSWER_IS_NO, //
};
use crate::feed::Feeds;
use crate::leftovers::{
    self,
    Leftover, //
};
use crate::loader;
use crate::module_file::ModuleFile;
use crate::modules;
use crate::output::{
    Outcome,
    Paint,
    Report, //
};
use crate::panics;
use crate::status::{
    self,
    Verdict, //
};
use crate::stored_loader;
use crate::system::{
    System,
    STATE, //
};
use crate::time;
use crate::trust;
use crate::units;
use serde::Serialize;
use serde_json::{
    json,
    Value, //
};
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Ok,
    /// It works, and could be better.
    Note,
    Wrong,
}

#[derive(Debug, Clone, Serialize)]
struct Finding {
    level: Level,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    /// Adds a finding, unless another check has found the same.
    fn add(&mut self, level: Level, text: impl Into<String>, next: Option<&str>) {
        let text = text.into();
        if self.0.iter().any(|other| other.text == text) {
            return;
        }
        self.0.push(Finding {
            level,
            text,
            next: next.map(str::to_owned),
        });
    }

    fn ok(&mut self, text: impl Into<String>) {
        self.add(Level::Ok, text, None);
    }

    fn note(&mut self, text: impl Into<String>, next: &str) {
        self.add(Level::Note, text, Some(next));
    }

    fn wrong(&mut self, text: impl Into<String>, next: &str) {
        self.add(Level::Wrong, text, Some(next));
    }

    fn failure(&mut self, failure: &Failure) {
        let text = match &failure.why {
            Some(why) => format!("{}: {why}", failure.what),
            None => failure.what.clone(),
        };
        // A file that this user may not read does not show that anything is wrong.
        let level = if failure.is_denied {
            Level::Note
        } else {
            Level::Wrong
        };
        self.add(level, text, failure.next.as_deref());
    }
}

impl Report for Findings {
    fn json(&self) -> Value {
        json!({ "findings": self.0 })
    }

    fn text(&self, paint: &Paint) -> String {
        let mut text = String::new();
        for finding in &self.0 {
            let (style, word) = match finding.level {
                Level::Ok => (paint.good, "ok"),
                Level::Note => (paint.warn, "note"),
                Level::Wrong => (paint.bad, "wrong"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{style}{word:<5}{style:#}  {}", finding.text);
            if let Some(next) = &finding.next {
                let _ = writeln!(text, "       next: {next}");
            }
        }
        text
    }

    fn status(&self) -> u8 {
        if self.0.iter().any(|finding| finding.level == Level::Wrong) {
            ANSWER_IS_NO
        } else {
            0
        }
    }
}

/// Adds a note if this user may not read a file or a folder. Other errors are ignored.
fn note_denied(path: &Path, error: std::io::Error, findings: &mut Findings) {
    let failure = crate::failure::on_file(path)(error);
    if failure.is_denied {
        findings.failure(&failure);
    }
}

/// Checks the kernel, and the loader that would be loaded: that of a package, a given file, or the
/// one that is found.
fn check_kernel(system: &System, loader: Option<&Path>, findings: &mut Findings) {
    let release = system.release();
    if loader::is_loaded(system) {
        findings.ok(format!("the loader is loaded in {release}"));
    } else if let Some(path) = stored_loader::of_package(system, &release)
        .or_else(|| loader.map(Path::to_owned))
        .or_else(|| stored_loader::any(system, &release))
    {
        findings.ok(format!(
            "the loader is installed for {release}, and is not loaded"
        ));
        // A compressed file is not read here: the kernel checks the module when it is loaded.
        if let Ok(module) = ModuleFile::read(&path) {
            check_signature(system, &module, findings);
        }
    } else {
        findings.wrong(
            format!("the loader is not installed for {release}"),
            "install the loader that was built for this release",
        );
    }
    match system.read("/proc/sys/kernel/ftrace_enabled").as_deref() {
        Ok("1") => findings.ok("ftrace is switched on"),
        Ok(_) => findings.wrong("ftrace is switched off", "sysctl kernel.ftrace_enabled=1"),
        Err(error) if error.kind() == ErrorKind::NotFound => findings.wrong(
            "the kernel has no ftrace",
            "use a kernel with CONFIG_DYNAMIC_FTRACE",
        ),
        Err(_) => findings.wrong(status::DEAD_FTRACE, "plan a reboot"),
    }
    if modules::are_disabled(system) {
        findings.wrong(status::NO_MODULES, status::NO_MODULES_NEXT);
    }
    match trust::secure_boot(system) {
        Some(true) => findings.ok("Secure Boot is switched on"),
        Some(false) => findings.ok("Secure Boot is switched off"),
        None => (),
    }
    let lockdown = system.read(trust::LOCKDOWN).unwrap_or_else(|error| {
        note_denied(&system.path(trust::LOCKDOWN), error, findings);
        String::new()
    });
    if trust::is_locked_down(&lockdown) {
        findings.note(
            "the kernel is locked down: the loader and the patches must be signed",
            "see Secure Boot in user-guide.rst",
        );
    }
    match system.names("/sys/kernel/livepatch") {
        Ok(names) if !names.is_empty() => findings.note(
            format!("in-tree livepatch has patches, too: {}", names.join(" ")),
            "only one of the two loaders can replace a function",
        ),
        _ => (),
    }
    if system.kernel_build_id().is_none() {
        findings.note(
            "the kernel does not show its build id",
            "it cannot be checked whether a patch was proved for this build",
        );
    }
}

/// Checks that a module is signed if it must be, and that the kernel has the key.
fn check_signature(system: &System, module: &ModuleFile, findings: &mut Findings) {
    let shown = module.path.display();
    let wanted_by = if trust::kernel_requires_signatures(system) {
        Some("kernel")
    } else if module.name != loader::MODULE && loader::requires_signatures(system) {
        Some("loader")
    } else {
        None
    };
    if !module.is_signed {
        if let Some(part) = wanted_by {
            findings.wrong(
                format!("{shown} is not signed, and the {part} requires a signature"),
                "sign it with a key that the kernel trusts",
            );
        }
        return;
    }
    match (&module.signer, trust::Keys::read(system)) {
        (Some(signer), Some(keys)) if !keys.has(signer) => findings.add(
            match wanted_by {
                Some(_) => Level::Wrong,
                None => Level::Note,
            },
            format!("{shown} is signed with the key {signer}, which the kernel does not have"),
            Some(
                "mokutil --import CERTIFICATE.der, then reboot and confirm the key: see \
                 user-guide.rst",
            ),
        ),
        (Some(signer), Some(_)) => findings.ok(format!(
            "{shown} is signed with the key {signer}, which the kernel has"
        )),
        _ => findings.ok(format!("{shown} is signed")),
    }
}

fn check_file(system: &System, path: &Path, findings: &mut Findings) -> Result<()> {
    let module = ModuleFile::read(path)?;
    let release = system.release();
    let kernel = system.kernel_build_id();
    if let Some(misfit) = module.misfit(&release, kernel.as_deref()) {
        return Err(misfit);
    }
    let shown = path.display();
    findings.ok(format!("{shown} is a live patch for {release}"));
    match (&module.kernel_build_id, kernel) {
        (Some(_), Some(_)) => {
            findings.ok(format!("{shown} has a proof for this build of the kernel"));
        }
        (None, _) => findings.note(
            format!("{shown} has no proof beside it"),
            "the loader compares names and positions, not code: rlp-build writes a proof",
        ),
        (Some(_), None) => (),
    }
    for field in &module.not_shown {
        findings.note(
            format!("the loader cannot show the field {field} of {shown}: a symbol is missing"),
            "build it with the loader's header or with livepatch::info!",
        );
    }
    check_signature(system, &module, findings);
    if let Some(patch) = loader::patch(system, &module.name)? {
        if module.build_id.is_some() && module.build_id == patch.build_id {
            findings.ok(format!("{} is loaded already", module.name));
        } else {
            findings.wrong(
                format!("another build of {} is loaded", module.name),
                "unload that first",
            );
        }
    } else if let Some(why) = leftovers::find(system, &module.name)?
        .as_ref()
        .and_then(Leftover::why)
    {
        findings.wrong(
            format!("{} cannot be loaded: {why}", module.name),
            "give the patch another name, or reboot",
        );
    }
    Ok(())
}

pub(crate) fn run(system: &System, arguments: &cli::Check) -> Outcome {
    let mut findings = Findings::default();
    if arguments.kernel {
        check_kernel(system, None, &mut findings);
    }
    for path in &arguments.files {
        if let Err(failure) = check_file(system, path, &mut findings) {
            findings.failure(&failure);
        }
    }
    Outcome::of(findings)
}

/// Fails with the first thing that `rlp check --kernel FILE` would find wrong. `loader` is the file
/// that is loaded if the loader is not loaded yet, and no package has one.
pub(crate) fn preflight(system: &System, path: &Path, loader: Option<&Path>) -> Result<()> {
    let mut findings = Findings::default();
    check_kernel(system, loader, &mut findings);
    check_file(system, path, &mut findings)?;
    let mut wrong = findings.0.into_iter();
    match wrong.find(|finding| finding.level == Level::Wrong) {
        None => Ok(()),
        Some(wrong) => Err(Failure {
            next: wrong.next,
            ..Failure::refused(format!("{} was not loaded", path.display())).why(wrong.text)
        }),
    }
}

pub(crate) fn doctor(system: &System) -> Outcome {
    let mut findings = Findings::default();
    check_kernel(system, None, &mut findings);
    match status::read(system) {
        Ok(status) => check_patches(system, &status, &mut findings),
        Err(failure) => {
            findings.failure(&failure);
            for panic in panics::read(system).0 {
                findings.wrong(panic.words(), panics::ADVICE);
            }
        }
    }
    if let Err(failure) = check_store(system, &mut findings) {
        findings.failure(&failure);
    }
    check_feeds(system, &mut findings);
    check_log(system, &mut findings);
    Outcome::of(findings)
}

/// Adds the feeds if all of them work. Those that do not are reasons of the status.
fn check_feeds(system: &System, findings: &mut Findings) {
    let (feeds, now) = (Feeds::read(system), time::now());
    if feeds.problems(now).is_empty() {
        for line in feeds.lines(now) {
            findings.ok(line);
        }
    }
}

/// Notes what the loader has logged since the boot. The problems in the log may be solved already.
fn check_log(system: &System, findings: &mut Findings) {
    let logged = match status::logged(system) {
        Ok(logged) => logged,
        Err(failure) => {
            let what = format!("not seen: what the loader has logged ({})", failure.what);
            return findings.note(what, "dmesg shows it, perhaps only to root");
        }
    };
    for logged in logged {
        let mut text = format!("the loader has logged: {} {}", logged.time(), logged.text);
        if let Some(words) = logged.words {
            text += &format!("\n       {words}");
        }
        findings.add(Level::Note, text, logged.next);
    }
}

fn check_patches(system: &System, status: &status::Status, findings: &mut Findings) {
    for what in &status.unseen {
        findings.note(format!("not seen: {what}"), "run this command as root");
    }
    for reason in &status.reasons {
        let level = match reason.verdict {
            Verdict::Critical => Level::Wrong,
            Verdict::Warning | Verdict::Ok => Level::Note,
        };
        findings.add(level, &reason.text, reason.next.as_deref());
    }
    if status.reasons.is_empty() && status.unseen.is_empty() {
        findings.ok("each patch is in effect for all tasks, and confirmed");
    }
    let parameter = |name: &str, value: &str| {
        let path = format!("/sys/module/rust_livepatch/parameters/{name}");
        system.has_value(&path, value)
    };
    if parameter("deadline", "0") {
        findings.note(
            "transitions have no deadline: a task that stays in a function blocks them for ever",
            "options rust_livepatch deadline=600 in /etc/modprobe.d",
        );
    }
    if parameter("promote", "N") {
        findings.note(
            "replaced functions are called through ftrace, which is slower (promote=N)",
            "echo Y >/sys/module/rust_livepatch/parameters/promote",
        );
    }
}

fn check_store(system: &System, findings: &mut Findings) -> Result<()> {
    let release = system.release();
    match crate::history::damaged(system) {
        Ok(0) => (),
        Ok(damaged) => findings.note(
            format!("damaged lines in the history, as after a power cut: {damaged}"),
            "rlp verify checks the chain of the records; the undamaged lines can be read",
        ),
        Err(failure) => findings.failure(&failure),
    }
    if let Some((problem, next)) = units::heartbeat_problem(system) {
        findings.note(
            format!("{problem}: days without a change have no record"),
            &next,
        );
    }
    // If this user may not see the list, the status notes that.
    let installed = boot::installed(system, &release).or_else(|failure| {
        if failure.is_denied {
            Ok(Vec::new())
        } else {
            Err(failure)
        }
    })?;
    for name in &installed {
        let path = system.path(&format!("{STATE}/boot/{release}/{name}.ko"));
        match ModuleFile::read(&path) {
            Ok(module) => {
                let kernel = system.kernel_build_id();
                match module.misfit(&release, kernel.as_deref()) {
                    Some(misfit) => findings.failure(&misfit),
                    None => findings.ok(format!("{name} is installed for this kernel")),
                }
                if module.kernel_build_id.is_none() && module.installed_for.is_none() {
                    findings.note(
                        format!("{name}: {}", boot::NO_BUILD),
                        "install the patch again: rlp install FILE",
                    );
                }
                check_signature(system, &module, findings);
            }
            Err(failure) => findings.failure(&failure),
        }
    }
    for other in system.names("/lib/modules")? {
        if other != release && stored_loader::any(system, &other).is_none() {
            findings.note(
                format!("the loader is not installed for {other}"),
                "install it before that kernel is booted",
            );
        }
    }
    Ok(())
}
