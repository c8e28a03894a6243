// SPDX-License-Identifier: GPL-2.0

//! Waiting for the loader, with poll(2) on its files.

use crate::blockers;
use crate::failure::{
    on_file,
    Result, //
};
use crate::interrupt;
use crate::loader::{
    self,
    Patch, //
};
use crate::output::Progress;
use crate::system::{
    read_again,
    System, //
};
use rustix::event::PollFlags;
use std::fs::File;
use std::time::{
    Duration,
    Instant, //
};

/// The time after which blockers are shown.
const BLOCKERS_AFTER: Duration = Duration::from_secs(5);
/// The time between two updates of the progress on a terminal.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(300);

/// How a wait has ended.
#[derive(Debug)]
pub(crate) enum End {
    /// No transition of the patch runs.
    Settled(Box<Patch>),
    /// The loader does not have the patch any more.
    Gone,
    /// The time is over, and the transition continues.
    Late(Box<Patch>),
    /// A signal has arrived, and the transition continues.
    Interrupted(Box<Patch>),
}

/// A file of the loader that can be polled.
struct Watch(File);

impl Watch {
    fn open(system: &System, path: &str) -> Result<Option<Self>> {
        match File::open(system.path(path)) {
            Ok(file) => Ok(Some(Self(file))),
            Err(_) if !system.exists(path) => Ok(None),
            Err(error) => Err(on_file(&system.path(path))(error)),
        }
    }

    /// Reads the file. From then on, poll reports each change after this read. Returns false if the
    /// patch is gone.
    fn read(&mut self) -> bool {
        read_again(&mut self.0).is_ok()
    }

    /// Sleeps until the file changes, but not longer than `time`.
    fn sleep(&self, time: Duration) {
        interrupt::sleep(&self.0, PollFlags::PRI, Some(time));
    }
}

/// The time when a wait of so many seconds ends.
pub(crate) fn deadline_after(seconds: u64) -> Instant {
    let now = Instant::now();
    // If the end is too far away to be represented, the wait ends after a year.
    now.checked_add(Duration::from_secs(seconds))
        .unwrap_or(now + Duration::from_secs(365 * 86_400))
}

/// Waits until `is_done` is true of the patch, or the patch is gone. If that takes long, the
/// blockers are shown.
fn wait_for(
    system: &System,
    patch: &str,
    until: Instant,
    progress: &mut Progress,
    is_done: impl Fn(&Patch) -> bool,
) -> Result<End> {
    let path = loader::file(patch, "transition");
    let Some(mut watch) = Watch::open(system, &path)? else {
        return Ok(End::Gone);
    };
    let start = Instant::now();
    let mut shown = false;
    loop {
        // This read comes first: a change after it ends the sleep below.
        if !watch.read() {
            // The folder is being removed, or there is a new one already.
            std::thread::sleep(Duration::from_millis(20));
            let Some(again) = Watch::open(system, &path)? else {
                return Ok(End::Gone);
            };
            watch = again;
            // If no time is left for another read, the wait ends with the state that is read below.
            if Instant::now() < until && !interrupt::is_pending() {
                continue;
            }
        }
        let Some(now) = loader::patch(system, patch)? else {
            return Ok(End::Gone);
        };
        if is_done(&now) {
            return Ok(End::Settled(Box::new(now)));
        }
        if interrupt::is_pending() {
            return Ok(End::Interrupted(Box::new(now)));
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(End::Late(Box::new(now)));
        }
        progress.update(&format!(
            "{patch}: {} of {} tasks switched",
            now.switched, now.tasks
        ));
        // The loader wakes pollers at each event, and before it removes the folder. A change of the
        // number of switched tasks is no event, so the progress on a terminal needs short sleeps.
        let mut sleep = if progress.is_watched() {
            left.min(PROGRESS_INTERVAL)
        } else {
            left
        };
        if !shown {
            let patience = BLOCKERS_AFTER.saturating_sub(start.elapsed());
            if patience.is_zero() {
                show_blockers(system, &now, progress)?;
                shown = true;
            } else {
                sleep = sleep.min(patience);
            }
        }
        watch.sleep(sleep);
    }
}

/// Waits until the transition of the patch is complete.
pub(crate) fn until_settled(
    system: &System,
    patch: &str,
    until: Instant,
    progress: &mut Progress,
) -> Result<End> {
    wait_for(system, patch, until, progress, |now| {
        !now.state.is_in_transition()
    })
}

/// Waits until the loader does not have the patch any more, or has enabled it again.
pub(crate) fn until_gone(
    system: &System,
    patch: &str,
    until: Instant,
    progress: &mut Progress,
) -> Result<End> {
    use crate::loader::State;
    wait_for(system, patch, until, progress, |now| {
        matches!(now.state, State::InEffect | State::Probation)
    })
}

fn show_blockers(system: &System, patch: &Patch, progress: &mut Progress) -> Result<()> {
    let mut lines = vec![format!(
        "{}: {} of {} tasks are switched, waiting for the others",
        patch.name, patch.switched, patch.tasks
    )];
    if let Some(blockers) = blockers::read(system, &patch.name)? {
        lines.extend(blockers.lines().into_iter().map(|line| format!("  {line}")));
    }
    progress.lines(&lines);
    Ok(())
}
