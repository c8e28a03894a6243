// SPDX-License-Identifier: GPL-2.0

//! Shows in "systemctl status" what this program does, if a unit of systemd has started it.

use crate::output::printable;
use libsystemd::daemon::{
    notify,
    NotifyState, //
};

/// The longest text, in characters. systemd ignores a message of more than 4096 bytes.
const LONGEST: usize = 1000;

/// Sets the status text of the unit. Does nothing without a service manager. The text is for
/// readers only, so an error is ignored. This waits if systemd does not read its messages, so only
/// the commands of units and long waits use it.
pub(crate) fn status(text: &str) {
    let text = printable(text).chars().take(LONGEST).collect();
    let _ = notify(false, &[NotifyState::Status(text)]);
}
