// SPDX-License-Identifier: GPL-2.0

//! Events of a patch, for user space that waits for them: a uevent, an audit record, and files that
//! can be polled.

use kernel::{
    prelude::*,
    str::{
        CStr,
        CString, //
    }, //
};
use kernel_ext::{
    audit,
    kobject::{
        Attribute,
        Directory,
        Entry, //
    }, //
};

/// An event in the life of a patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A transition has started.
    Start,
    /// The transition was reversed.
    Reverse,
    /// The transition is not complete at its deadline, and is reversed next.
    Deadline,
    /// The remaining tasks were switched without proof.
    Force,
    /// The transition has waited for tasks for a long time.
    Wait,
    /// The transition is complete.
    Complete,
    /// The patch was confirmed.
    Confirm,
    /// The patch was not confirmed in time, and is taken back.
    Expire,
    /// The patch is in effect again, because the patch that had replaced it was taken back.
    Restore,
    /// The patch has left: its module can be unloaded, unless tasks were forced.
    Leave,
}

impl Event {
    /// Returns the name that user space sees.
    fn name(self) -> &'static CStr {
        match self {
            Self::Start => c"start",
            Self::Reverse => c"reverse",
            Self::Deadline => c"deadline",
            Self::Force => c"force",
            Self::Wait => c"wait",
            Self::Complete => c"complete",
            Self::Confirm => c"confirm",
            Self::Expire => c"expire",
            Self::Restore => c"restore",
            Self::Leave => c"leave",
        }
    }
}

/// The state of a patch after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Patching,
    Unpatching,
    /// In effect, and confirmed.
    Enabled,
    /// In effect, and not confirmed yet.
    Probation,
    Disabled,
}

impl State {
    /// Returns the name that user space sees.
    fn name(self) -> &'static CStr {
        match self {
            Self::Patching => c"patching",
            Self::Unpatching => c"unpatching",
            Self::Enabled => c"enabled",
            Self::Probation => c"probation",
            Self::Disabled => c"disabled",
        }
    }
}

/// Reports an `event` of the patch that has the `directory`: wakes the tasks that poll the files in
/// `polled`, sends a uevent, and writes an audit record. `us` is the time in microseconds since the
/// transition started. If no transition of the patch runs, `us` is the duration of its last one.
///
/// # Context
///
/// Process context. May sleep.
pub(crate) fn report<T: Entry>(
    directory: &Directory<T>,
    polled: &[&Attribute<T>],
    (event, state): (Event, State),
    us: i64,
) {
    let name = directory.name();
    polled.iter().for_each(|file| directory.notify(file));
    let sent = send_uevent(directory, name, event, state, us);
    if let Err(e) = sent {
        pr_warn!(
            "patch '{}': the uevent '{}' was not sent ({})\n",
            name,
            event.name(),
            e.to_errno()
        );
    }
    audit::record(name, event.name(), state.name(), us);
}

fn send_uevent<T: Entry>(
    directory: &Directory<T>,
    name: &CStr,
    event: Event,
    state: State,
    us: i64,
) -> Result {
    directory.send_change(&[
        &CString::try_from_fmt(fmt!("PATCH={}", name))?,
        &CString::try_from_fmt(fmt!("EVENT={}", event.name()))?,
        &CString::try_from_fmt(fmt!("STATE={}", state.name()))?,
        &CString::try_from_fmt(fmt!("US={}", us))?,
    ])
}
