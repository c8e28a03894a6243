// SPDX-License-Identifier: GPL-2.0

//! The units of systemd that load the installed patches at boot, and that note that the machine has
//! survived the boot with them.

use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::program;
use crate::system::System;
use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// Loads the installed patches.
pub(crate) const BOOT: &str = "rlp-boot.service";
/// Notes that the machine has survived the boot. Without this timer, a power cut long after the
/// boot looks like a failure of the patches.
pub(crate) const SURVIVED: &str = "rlp-boot-survived.timer";

/// Records once a day what is in effect. No patch depends on it.
const HEARTBEAT: &str = "rlp-heartbeat.timer";

/// Applies levels. Without it, an installed level is not applied.
const APPLY: &str = "rlp-apply.timer";

/// The command that enables both units of the boot.
pub(crate) const ENABLE: &str = "systemctl enable rlp-boot.service rlp-boot-survived.timer";

/// The folders in which an operator or a package enables and masks units. A file in an earlier one
/// counts.
const FOLDERS: [&str; 3] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
];

/// The folders in which `systemctl enable` makes links.
const CHANGED: [&str; 3] = [
    "/etc/systemd/system/sysinit.target.wants",
    "/etc/systemd/system/timers.target.wants",
    "/etc/systemd/system",
];

/// Whether systemd starts a unit by itself: at each boot, or at the times of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Starts {
    Yes,
    Disabled,
    Masked,
    /// The timer is enabled, and does not run now.
    Stopped,
}

impl Starts {
    /// The fault of the unit, and the remedy.
    pub(crate) fn problem(self, unit: &str) -> Option<(String, String)> {
        Some(match self {
            Self::Yes => return None,
            Self::Disabled => (
                format!("{unit} is not enabled"),
                format!("systemctl enable --now {unit}"),
            ),
            Self::Masked => (
                format!("{unit} is masked"),
                format!("systemctl unmask {unit}; systemctl enable --now {unit}"),
            ),
            Self::Stopped => (
                format!("{unit} is stopped"),
                format!("systemctl start {unit}"),
            ),
        })
    }
}

/// The answer of systemd's files and of systemd itself about a unit. `active` is its state now, if
/// that counts and is known.
fn starts(is_enabled: bool, is_masked: bool, active: Option<&str>) -> Starts {
    match (is_enabled, is_masked, active) {
        (_, true, _) => Starts::Masked,
        (false, ..) => Starts::Disabled,
        (true, false, None | Some("active" | "activating" | "reloading")) => Starts::Yes,
        (true, false, Some(_)) => Starts::Stopped,
    }
}

fn look(system: &System, unit: &str) -> Starts {
    // A unit of the boot works at the next boot. /run is empty then, and its state now says
    // nothing.
    let is_of_boot = [BOOT, SURVIVED].contains(&unit);
    let folders = FOLDERS
        .into_iter()
        .filter(|folder| !is_of_boot || !folder.starts_with("/run/"));
    let target = if unit == BOOT { "sysinit" } else { "timers" };
    // Only the link is looked for: with --root, its absolute target is not below that root.
    let is_enabled = folders.clone().any(|folder| {
        let link = system.path(&format!("{folder}/{target}.target.wants/{unit}"));
        link.symlink_metadata().is_ok()
    });
    // systemd takes the file of the first folder that has one.
    let mut files = folders.map(|folder| system.path(&format!("{folder}/{unit}")));
    let file = files.find(|file| file.symlink_metadata().is_ok());
    let is_masked = file.is_some_and(|file| {
        let target = file.read_link();
        target.is_ok_and(|target| target == Path::new("/dev/null"))
    });
    let active = if is_of_boot || !is_enabled || is_masked {
        None
    } else {
        active(system, unit)
    };
    starts(is_enabled, is_masked, active.as_deref())
}

/// The state of a unit now. `None`: systemd does not answer this user.
fn active(system: &System, unit: &str) -> Option<String> {
    if !system.is_real() {
        return None;
    }
    let mut command = Command::new("systemctl");
    command.args(["show", "--property=ActiveState", "--value", unit]);
    let output = program::output(&mut command, b"", program::LIMIT);
    let output = output.ok().filter(|output| output.status.success())?;
    let state = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (!state.is_empty()).then_some(state)
}

/// Whether systemd runs. Another init has to run "rlp boot" by itself.
pub(crate) fn has_systemd(system: &System) -> bool {
    system.exists("/run/systemd/system")
}

fn lacks(system: &System, unit: &str) -> bool {
    has_systemd(system) && look(system, unit) != Starts::Yes
}

/// The units of the boot that are not enabled, if systemd runs.
pub(crate) fn missing(system: &System) -> Vec<&'static str> {
    let mut units = vec![BOOT, SURVIVED];
    units.retain(|unit| lacks(system, unit));
    units
}

/// The problem of a timer and the remedy, if systemd runs.
fn problem(system: &System, timer: &str) -> Option<(String, String)> {
    has_systemd(system)
        .then(|| look(system, timer))?
        .problem(timer)
}

/// Why systemd does not run the heartbeat, and the remedy.
pub(crate) fn heartbeat_problem(system: &System) -> Option<(String, String)> {
    problem(system, HEARTBEAT)
}

/// Why systemd does not apply levels, and the remedy.
pub(crate) fn apply_problem(system: &System) -> Option<(String, String)> {
    problem(system, APPLY)
}

/// Whether systemd runs `rlp level apply` once an hour.
pub(crate) fn is_apply_timed(system: &System) -> bool {
    has_systemd(system) && look(system, APPLY) == Starts::Yes
}

/// Each unit that systemd has to start by itself, and whether it does. Empty without systemd.
pub(crate) fn all(system: &System) -> Vec<(&'static str, bool)> {
    if !has_systemd(system) {
        return Vec::new();
    }
    let units = [BOOT, SURVIVED, HEARTBEAT, APPLY];
    units
        .into_iter()
        .map(|unit| (unit, look(system, unit) == Starts::Yes))
        .collect()
}

/// Enables both units, if systemd runs. They are enabled on the disk when this returns.
pub(crate) fn enable(system: &System) -> Result<()> {
    if !has_systemd(system) {
        return Ok(());
    }
    if !missing(system).is_empty() {
        run_systemctl(system).map_err(|why| {
            Failure::error("the installed patches are not loaded at boot")
                .why(why)
                .next(ENABLE)
        })?;
    }
    // systemctl does not sync its links. They are synced even if no unit was missing, because an
    // earlier rlp may have been killed before it synced them.
    for folder in CHANGED.map(|folder| system.path(folder)) {
        match File::open(&folder).and_then(|folder| folder.sync_all()) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(on_file(&folder)(error))
            }
            _ => (),
        }
    }
    Ok(())
}

fn run_systemctl(system: &System) -> std::result::Result<(), String> {
    if !system.is_real() {
        return Err("with --root no unit is enabled".to_owned());
    }
    program::run("systemctl", &["enable", BOOT, SURVIVED]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_of_a_timer() {
        for (is_enabled, is_masked, active, expected) in [
            (true, false, Some("active"), Starts::Yes),
            (true, false, Some("inactive"), Starts::Stopped),
            (true, false, Some("failed"), Starts::Stopped),
            (true, false, None, Starts::Yes),
            (false, false, Some("active"), Starts::Disabled),
            (true, true, Some("active"), Starts::Masked),
            (false, true, None, Starts::Masked),
        ] {
            assert_eq!(
                starts(is_enabled, is_masked, active),
                expected,
                "{active:?}"
            );
        }
    }

    /// A mask in /run ends with the boot, and a file in /etc counts before it.
    #[test]
    fn masks() {
        let root = tempfile::tempdir().unwrap();
        let system = System::new(root.path().to_owned());
        let path = |path: &str| {
            let path = system.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        };
        for (target, unit) in [("sysinit", BOOT), ("timers", SURVIVED), ("timers", APPLY)] {
            let link = format!("/etc/systemd/system/{target}.target.wants/{unit}");
            std::fs::write(path(&link), "").unwrap();
            assert_eq!(look(&system, unit), Starts::Yes, "{unit}");
            let mask = path(&format!("/run/systemd/system/{unit}"));
            std::os::unix::fs::symlink("/dev/null", mask).unwrap();
        }
        assert_eq!(look(&system, APPLY), Starts::Masked);
        for unit in [BOOT, SURVIVED] {
            assert_eq!(look(&system, unit), Starts::Yes, "{unit}");
        }
        std::fs::write(path(&format!("/etc/systemd/system/{APPLY}")), "").unwrap();
        assert_eq!(look(&system, APPLY), Starts::Yes);
        for unit in [BOOT, APPLY] {
            let file = path(&format!("/etc/systemd/system/{unit}"));
            let _ = std::fs::remove_file(&file);
            std::os::unix::fs::symlink("/dev/null", file).unwrap();
            assert_eq!(look(&system, unit), Starts::Masked, "{unit}");
        }
    }
}
