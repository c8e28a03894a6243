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

/// The folders in which an operator, a generator or a package enables units.
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

fn is_enabled(system: &System, unit: &str) -> bool {
    let target = if unit == BOOT { "sysinit" } else { "timers" };
    let masked = system.path(&format!("/etc/systemd/system/{unit}"));
    // Only the link is looked for: with --root, its absolute target is not below that root.
    FOLDERS.iter().any(|folder| {
        let link = system.path(&format!("{folder}/{target}.target.wants/{unit}"));
        link.symlink_metadata().is_ok()
    }) && !masked
        .read_link()
        .is_ok_and(|target| target == Path::new("/dev/null"))
}

/// Whether systemd runs. Another init has to run "rlp boot" by itself.
pub(crate) fn has_systemd(system: &System) -> bool {
    system.exists("/run/systemd/system")
}

fn lacks(system: &System, unit: &str) -> bool {
    has_systemd(system) && !is_enabled(system, unit)
}

/// The units of the boot that are not enabled, if systemd runs.
pub(crate) fn missing(system: &System) -> Vec<&'static str> {
    let mut units = vec![BOOT, SURVIVED];
    units.retain(|unit| lacks(system, unit));
    units
}

/// Whether systemd runs, and does not run the heartbeat.
pub(crate) fn lacks_heartbeat(system: &System) -> bool {
    lacks(system, HEARTBEAT)
}

/// Whether systemd runs, and does not apply levels.
pub(crate) fn lacks_apply(system: &System) -> bool {
    lacks(system, APPLY)
}

/// Whether systemd runs `rlp level apply` once an hour.
pub(crate) fn is_apply_timed(system: &System) -> bool {
    has_systemd(system) && is_enabled(system, APPLY)
}

/// Each unit that systemd has to start by itself, and whether it does. Empty without systemd.
pub(crate) fn all_enabled(system: &System) -> Vec<(&'static str, bool)> {
    if !has_systemd(system) {
        return Vec::new();
    }
    let units = [BOOT, SURVIVED, HEARTBEAT, APPLY];
    units
        .into_iter()
        .map(|unit| (unit, is_enabled(system, unit)))
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
