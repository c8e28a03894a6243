// SPDX-License-Identifier: GPL-2.0

//! The checks of a level that is in effect and on probation: the operator's programs in
//! /etc/rlp/health.d, new complaints of the kernel, and units of systemd that have failed since.

use crate::failure::{
    error_text,
    Result, //
};
use crate::interrupt;
use crate::kmsg::Watch;
use crate::level::Number;
use crate::output::Progress;
use crate::program;
use crate::system::System;
use crate::trial::{
    self,
    End, //
};
use crate::units;
use serde::{
    Deserialize,
    Serialize, //
};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

const FOLDER: &str = "/etc/rlp/health.d";

/// The unit of the runs themselves. A run that was killed has failed, and says nothing about the
/// level.
const OWN_UNIT: &str = "rlp-apply.service";

/// How the machine was before the patch was loaded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Before {
    /// The number of the last record in the kernel's log, if the log can be read.
    log: Option<u64>,
    /// The units that had failed already, if systemd has answered.
    failed_units: Option<Vec<String>>,
}

/// The result of the checks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Health {
    Good,
    /// Why the level is not good.
    Bad(String),
    /// A signal has ended the checks.
    Interrupted,
    /// The transition was not complete in time, and why. That says nothing about the level.
    Late(String),
}

/// The object of the checks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) level: Number,
    pub(crate) patch: &'a str,
    /// The longest time for each program.
    pub(crate) limit: Duration,
}

impl Before {
    pub(crate) fn read(system: &System) -> Self {
        Self {
            log: Watch::last_number(system).ok(),
            failed_units: failed_units(system),
        }
    }

    /// The kernel's log since then.
    pub(crate) fn log(&self, system: &System) -> Log {
        Log(self.log.map(|number| Watch::after(system, number)))
    }
}

/// The kernel's log since the patch was loaded, if it could be read before that.
pub(crate) struct Log(Option<io::Result<Watch>>);

impl Log {
    /// Reads the new records. To be called often, because new records overwrite old ones.
    pub(crate) fn look(&mut self) {
        if let Some(Ok(watch)) = &mut self.0 {
            watch.look();
        }
    }

    /// Why the log does not show that the kernel is well, if it does not.
    fn trouble(&self) -> Option<String> {
        match &self.0 {
            None => None,
            Some(Ok(watch)) => watch.trouble(),
            Some(Err(error)) => Some(format!(
                "the kernel's log could be read before the patch was loaded, and cannot be read \
                 now: {}",
                error_text(error)
            )),
        }
    }
}

/// The units that have failed, or `None` if systemd does not answer. Without systemd, there is no
/// unit.
fn failed_units(system: &System) -> Option<Vec<String>> {
    if !system.is_real() || !units::has_systemd(system) {
        return Some(Vec::new());
    }
    let mut command = Command::new("systemctl");
    command.args([
        "list-units",
        "--state=failed",
        "--plain",
        "--no-legend",
        "--no-pager",
    ]);
    let output = program::output(&mut command, b"", program::LIMIT);
    let output = output.ok().filter(|output| output.status.success())?;
    Some(unit_names(&String::from_utf8_lossy(&output.stdout)))
}

/// The first word of each line, without the unit of the runs themselves.
fn unit_names(text: &str) -> Vec<String> {
    let names = text
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    names
        .filter(|&name| name != OWN_UNIT)
        .map(str::to_owned)
        .collect()
}

/// The operator's programs in their order, and the files that are no programs.
fn programs(system: &System) -> Result<(Vec<String>, Vec<String>)> {
    let mut names = system.names(FOLDER)?;
    names.retain(|name| !name.starts_with('.') && !name.ends_with('~') && !name.contains(".dpkg-"));
    let is_program = |name: &String| {
        let path = system.path(&format!("{FOLDER}/{name}"));
        let meta = path.metadata();
        meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    Ok(names.into_iter().partition(is_program))
}

/// Notes for files in the folder that are not run.
pub(crate) fn notes(system: &System) -> Result<Vec<String>> {
    let (_, others) = programs(system)?;
    let notes = others.iter();
    Ok(notes
        .map(|name| format!("{FOLDER}/{name} is not executable, and is not run"))
        .collect())
}

/// Runs a program. Its exit status decides whether the level is good. A program that cannot be run
/// makes the level bad.
fn run(system: &System, name: &str, subject: Subject<'_>) -> Health {
    let path = system.path(&format!("{FOLDER}/{name}"));
    let mut command = trial::command();
    command
        .arg(path)
        .env("RLP_LEVEL", subject.level.to_string())
        .env("RLP_PATCH", subject.patch);
    match trial::run(&mut command, Some(subject.limit)) {
        Ok(End::Exited(status)) if status.success() => Health::Good,
        // When systemd stops the unit, it ends this check as well. Such an end says nothing about
        // the level.
        Ok(End::Exited(_)) if interrupt::is_pending() => Health::Interrupted,
        Ok(End::Exited(status)) => Health::Bad(format!("the check {name} has failed: {status}")),
        Ok(End::Late) => Health::Bad(format!(
            "the check {name} was not complete after {} s",
            subject.limit.as_secs()
        )),
        Ok(End::Interrupted) => Health::Interrupted,
        Err(error) => Health::Bad(format!(
            "the check {name} cannot be run: {}",
            error_text(&error)
        )),
    }
}

/// Makes all checks, in their order, up to the first one that is not good.
pub(crate) fn check(
    system: &System,
    before: &Before,
    log: &mut Log,
    subject: Subject<'_>,
    progress: &mut Progress,
) -> Result<Health> {
    let (programs, _) = programs(system)?;
    for name in programs {
        progress.update(&format!("level {}: the check {name} runs", subject.level));
        let health = run(system, &name, subject);
        log.look();
        match health {
            Health::Good => (),
            other => return Ok(other),
        }
    }
    log.look();
    if let Some(trouble) = log.trouble() {
        return Ok(Health::Bad(trouble));
    }
    Ok(new_failures(
        before.failed_units.as_deref(),
        failed_units(system),
    ))
}

/// Compares the units that had failed before with those that have failed now. If the former are not
/// known, old failures cannot be distinguished from new ones, and no failure counts.
fn new_failures(before: Option<&[String]>, now: Option<Vec<String>>) -> Health {
    match (before, now) {
        (None, _) => Health::Good,
        (Some(_), None) => Health::Bad(
            "systemd answered before the patch was loaded, and does not answer now".into(),
        ),
        (Some(before), Some(mut now)) => {
            now.retain(|unit| !before.contains(unit));
            if now.is_empty() {
                return Health::Good;
            }
            Health::Bad(format!(
                "units have failed since the patch was loaded: {}",
                now.join(" ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(programs: &[(&str, &str, u32)]) -> (tempfile::TempDir, System) {
        let folder = tempfile::tempdir().unwrap();
        let system = System::new(folder.path().to_owned());
        for (name, script, mode) in programs {
            let path = system.path(&format!("{FOLDER}/{name}"));
            durable::replace(&path, format!("#!/bin/sh\n{script}\n").as_bytes()).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(*mode)).unwrap();
        }
        (folder, system)
    }

    fn health(system: &System, before: &Before) -> Health {
        let subject = Subject {
            level: 7,
            patch: "fix",
            limit: Duration::from_millis(500),
        };
        let (mut log, mut progress) = (before.log(system), Progress::new(true));
        check(system, before, &mut log, subject, &mut progress).unwrap()
    }

    #[test]
    fn programs_run_in_their_order() {
        let (folder, system) = machine(&[
            (
                "10-a",
                "test $RLP_LEVEL-$RLP_PATCH = 7-fix && echo a >>${0%/*}/../ran",
                0o755,
            ),
            ("20-b", "echo b >>${0%/*}/../ran; exit 3", 0o755),
            ("30-c", "echo c >>${0%/*}/../ran", 0o755),
            (".hidden", "exit 1", 0o755),
            ("05-old.dpkg-old", "exit 1", 0o755),
            ("07-text", "exit 1", 0o644),
        ]);
        let bad = Health::Bad("the check 20-b has failed: exit status: 3".to_owned());
        assert_eq!(health(&system, &Before::default()), bad);
        let ran = std::fs::read_to_string(folder.path().join("etc/rlp/ran")).unwrap();
        assert_eq!(ran, "a\nb\n");
        let notes = notes(&system).unwrap();
        assert_eq!(
            notes,
            ["/etc/rlp/health.d/07-text is not executable, and is not run"]
        );
    }

    #[test]
    fn a_program_has_a_limit() {
        let (_folder, system) = machine(&[("10-slow", "sleep 60", 0o755)]);
        let bad = Health::Bad("the check 10-slow was not complete after 0 s".to_owned());
        assert_eq!(health(&system, &Before::default()), bad);
        let (_folder, system) = machine(&[]);
        assert_eq!(health(&system, &Before::default()), Health::Good);
    }

    #[test]
    fn units_that_have_failed() {
        let before =
            unit_names("a.service loaded failed failed A\nrlp-apply.service loaded failed\n");
        assert_eq!(before, ["a.service"]);
        let now = |names: &[&str]| Some(names.iter().map(|&name| name.to_owned()).collect());
        let bad = |text: &str| Health::Bad(text.to_owned());
        assert_eq!(
            new_failures(Some(&before), now(&["a.service"])),
            Health::Good
        );
        assert_eq!(
            new_failures(Some(&before), now(&["a.service", "b.service"])),
            bad("units have failed since the patch was loaded: b.service")
        );
        // Without an answer of systemd before, no failure is blamed on the level. If systemd has
        // answered before and does not now, the level is bad.
        assert_eq!(new_failures(None, now(&["a.service"])), Health::Good);
        assert_eq!(
            new_failures(Some(&before), None),
            bad("systemd answered before the patch was loaded, and does not answer now")
        );
    }

    #[test]
    fn complaints_of_the_kernel() {
        let (_folder, system) = machine(&[]);
        let path = system.path(crate::kmsg::DEVICE);
        durable::replace(&path, b"4,6,1,-;WARNING: CPU: 0 PID: 1 at old\n").unwrap();
        let before = Before::read(&system);
        assert_eq!(health(&system, &before), Health::Good);
        let log = "4,6,1,-;WARNING: CPU: 0 PID: 1 at old\n6,7,2,-;fine\n12,8,3,-;WARNING: a user\n";
        durable::replace(&path, log.as_bytes()).unwrap();
        assert_eq!(health(&system, &before), Health::Good);
        let log = format!("{log}4,9,4,-;WARNING: CPU: 0 PID: 1 at new\n SUBSYSTEM=x\n");
        durable::replace(&path, log.as_bytes()).unwrap();
        let bad = "the kernel has complained: WARNING: CPU: 0 PID: 1 at new";
        assert_eq!(health(&system, &before), Health::Bad(bad.to_owned()));
        // The complaint was overwritten.
        let lost = "records of the kernel's log were overwritten before they were read";
        durable::replace(&path, b"6,10,5,-;much\n6,11,6,-;more\n").unwrap();
        assert_eq!(health(&system, &before), Health::Bad(lost.to_owned()));
        // A record that was overwritten later was read in time.
        let log = "6,7,2,-;fine\n4,8,4,-;WARNING: CPU: 0 PID: 1 at new\n";
        durable::replace(&path, log.as_bytes()).unwrap();
        let watched = before.log(&system);
        durable::replace(&path, b"6,9,5,-;much\n6,10,6,-;more\n").unwrap();
        assert_eq!(watched.trouble().as_deref(), Some(bad));
        std::fs::remove_file(&path).unwrap();
        let unreadable = "the kernel's log could be read before the patch was loaded, and cannot \
                          be read now: No such file or directory";
        assert_eq!(health(&system, &before), Health::Bad(unreadable.to_owned()));
    }
}
