// SPDX-License-Identifier: GPL-2.0

//! Shows in "systemctl status" what this program does, if a unit of systemd has started it.

use crate::output::printable;
use libsystemd::daemon::{
    notify,
    NotifyState, //
};

/// Sets the status text of the unit. Does nothing without a service manager. The text is for
/// readers only, so an error is ignored.
pub(crate) fn status(text: &str) {
    let _ = notify(false, &[NotifyState::Status(printable(text))]);
}
