// SPDX-License-Identifier: GPL-2.0

//! The units of systemd that load the installed patches at boot.

use crate::failure::{
    error_text,
    Failure,
    Result, //
};
use crate::system::System;
use std::io::ErrorKind;
use std::process::{
    Command,
    Stdio, //
};

/// The link that enables the unit that loads the patches.
const LINK: &str = "/etc/systemd/system/sysinit.target.wants/rlp-boot.service";

/// The command that enables the units.
pub(crate) const ENABLE: &str = "systemctl enable rlp-boot.service rlp-boot-survived.timer";

fn are_enabled(system: &System) -> bool {
    // Only the link is looked for: with --root, its absolute target is not below that root.
    system.path(LINK).symlink_metadata().is_ok()
}

/// Whether systemd runs, and does not load the installed patches at boot. Another init may run
/// "rlp boot" by itself.
pub(crate) fn are_missing(system: &System) -> bool {
    system.exists("/run/systemd/system") && !are_enabled(system)
}

/// The result of [`enable`].
pub(crate) enum Units {
    Enabled,
    /// There is nothing that could be enabled, for this reason.
    NoSystemd(&'static str),
}

/// Enables the units, if they are not enabled yet.
pub(crate) fn enable(system: &System) -> Result<Units> {
    if are_enabled(system) {
        return Ok(Units::Enabled);
    }
    if !system.is_real() {
        return Ok(Units::NoSystemd("with --root no unit is enabled"));
    }
    let failed = |why: String| {
        Failure::error("the patch is installed, and is not loaded at boot")
            .why(why)
            .next(ENABLE)
    };
    let mut words = ENABLE.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program)
        .args(words)
        .stdin(Stdio::null())
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(Units::Enabled),
        Ok(output) => Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        )),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Ok(Units::NoSystemd("there is no systemctl"))
        }
        Err(error) => Err(failed(format!("{program}: {}", error_text(&error)))),
    }
}
