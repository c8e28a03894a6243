// SPDX-License-Identifier: GPL-2.0

//! The reports of the commands that change the machine, and the records of these changes.

use crate::failure::{
    Failure,
    Result, //
};
use crate::history::Action;
use crate::interrupt;
use crate::level::Number;
use crate::loader::State;
use crate::output::{
    Outcome,
    Paint,
    Report, //
};
use crate::system::System;
use rustix::fs::{
    flock,
    FlockOperation, //
};
use rustix::io::Errno;
use serde::Serialize;
use serde_json::{
    json,
    Value, //
};
use std::fs::File;
use std::time::{
    Duration,
    Instant, //
};

/// The result of a change of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Done {
    Loaded,
    AlreadyLoaded,
    Unloaded,
    NotLoaded,
    Confirmed,
    AlreadyConfirmed,
    Reversed,
    Forced,
    Installed,
    AlreadyInstalled,
    Uninstalled,
    NotInstalled,
}

impl Done {
    /// The words for a result, and for what a dry run would do.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Loaded => ("loaded", "would be loaded"),
            Self::AlreadyLoaded => ("is loaded already", "is loaded already"),
            Self::Unloaded => ("unloaded", "would be unloaded"),
            Self::NotLoaded => ("is not loaded", "is not loaded"),
            Self::Confirmed => ("confirmed", "would be confirmed"),
            Self::AlreadyConfirmed => ("is confirmed already", "is confirmed already"),
            Self::Reversed => ("reversed", "would be reversed"),
            Self::Forced => ("forced", "would be forced"),
            Self::Installed => ("installed", "would be installed"),
            Self::AlreadyInstalled => ("is installed already", "is installed already"),
            Self::Uninstalled => ("uninstalled", "would be uninstalled"),
            Self::NotInstalled => ("is not installed", "is not installed"),
        }
    }
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Change {
    pub(crate) patch: String,
    pub(crate) result: Done,
    /// The patch's state after the change, if the loader still has the patch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<State>,
    /// Further facts for the reader.
    pub(crate) notes: Vec<String>,
}

impl Change {
    pub(crate) fn new(patch: &str, result: Done) -> Self {
        Self {
            patch: patch.to_owned(),
            result,
            state: None,
            notes: Vec::new(),
        }
    }

    pub(crate) fn state(mut self, state: State) -> Self {
        self.state = Some(state);
        self
    }

    /// The words for the result, or for the result that a run without `--dry-run` would have.
    pub(crate) fn words(&self, dry_run: bool) -> &'static str {
        let (done, would) = self.result.words();
        if dry_run {
            would
        } else {
            done
        }
    }

    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}

#[derive(Debug)]
struct Changes {
    dry_run: bool,
    changes: Vec<Change>,
}

impl Report for Changes {
    fn json(&self) -> Value {
        json!({ "dry_run": self.dry_run, "changes": self.changes })
    }

    fn text(&self, paint: &Paint) -> String {
        let mut text = String::new();
        for change in &self.changes {
            let words = change.words(self.dry_run);
            text += &format!("{}{}{:#}: {words}\n", paint.bold, change.patch, paint.bold);
            for note in &change.notes {
                text += &format!("  {note}\n");
            }
        }
        if self.changes.is_empty() {
            text.push_str("nothing to do\n");
        }
        text
    }
}

/// Changes one patch after the other. Stops at the first failure. If a signal arrives during a
/// change, stops before the next patch.
pub(crate) fn apply_to_each<T>(
    dry_run: bool,
    items: impl IntoIterator<Item = T>,
    mut change: impl FnMut(T) -> Result<Change>,
) -> Outcome {
    let mut changes = Vec::new();
    let mut failure = None;
    for item in items {
        if !changes.is_empty() && interrupt::is_pending() {
            let refused = Failure::refused("the other patches were not changed");
            failure = Some(
                refused
                    .why("a signal has arrived")
                    .next("give the command again"),
            );
            break;
        }
        match change(item) {
            Ok(change) => changes.push(change),
            Err(error) => {
                failure = Some(error);
                break;
            }
        }
    }
    // If the first change has failed, the failure is printed without "nothing to do".
    let report: Option<Box<dyn Report>> = if changes.is_empty() && failure.is_some() {
        None
    } else {
        Some(Box::new(Changes { dry_run, changes }))
    };
    Outcome { report, failure }
}

/// Whether a change may be made if it cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recording {
    /// The change is made, and the report says that it was not recorded. An operator must be able
    /// to get rid of a patch even if the disk is full.
    BestEffort,
    /// The change is not made.
    Required,
}

/// The patch that a change is about, and the level that the patch belongs to, if it belongs to one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) patch: &'a str,
    pub(crate) level: Option<Number>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new(patch: &'a str, level: Option<Number>) -> Self {
        Self { patch, level }
    }
}

impl<'a, T: AsRef<str> + ?Sized> From<&'a T> for Subject<'a> {
    fn from(patch: &'a T) -> Self {
        Self::new(patch.as_ref(), None)
    }
}

/// Records the beginning of a change in the history, makes the change, and records its result.
pub(crate) fn recorded<'a>(
    system: &System,
    recording: Recording,
    action: &str,
    subject: impl Into<Subject<'a>>,
    detail: Option<String>,
    change: impl FnOnce() -> Result<Change>,
) -> Result<Change> {
    let subject = subject.into();
    let (begun, unrecorded) = match Action::begin(system, action, subject, detail) {
        Ok(begun) => (Some(begun), None),
        Err(failure) if recording == Recording::BestEffort => (None, Some(failure)),
        Err(failure) => {
            return Err(Failure {
                what: format!("the history cannot be written: {}", failure.what),
                ..failure
            }
            .next(format!("make it writable: {action} must be recorded")))
        }
    };
    let result = change();
    // The result is recorded even if the beginning could not be recorded.
    let begun = begun.unwrap_or_else(|| Action::new(system, action, subject));
    let ended = match &result {
        Ok(change) => begun.end(change.result.words().0, None),
        Err(failure) => {
            let why = failure.why.as_deref().unwrap_or(&failure.what);
            begun.end(failure.kind.words(), Some(why))
        }
    };
    let ended = unrecorded.map_or(ended, Err);
    let Err(unwritten) = ended else {
        return result;
    };
    let note = format!("the history was not written: {}", unwritten.what);
    with_note(result, Some(note))
}

/// Adds a note to a change, or to the reason why it has failed.
pub(crate) fn with_note(result: Result<Change>, note: Option<String>) -> Result<Change> {
    match result {
        Ok(mut change) => {
            change.notes.extend(note);
            Ok(change)
        }
        Err(failure) => Err(failure.also(note)),
    }
}

/// The lock that a command holds while it loads a patch. The command may set the loader's parameter
/// `probation` for its own patch, and no other command may load a patch meanwhile.
pub(crate) struct Lock {
    _file: File,
}

/// The time between two attempts to get the lock.
const PAUSE: Duration = Duration::from_millis(50);
/// The file that keeps the old value of the loader's parameter while a command has changed it.
const SAVED_PROBATION: &str = "/run/rlp/probation";
/// The loader's parameter: the probation of a patch if a command sets none.
pub(crate) const PROBATION_PARAMETER: &str = "/sys/module/rust_livepatch/parameters/probation";

impl Lock {
    /// Waits for the lock, in order to load the patch `name`. If an earlier command was killed
    /// before it restored the loader's parameter, this restores the parameter.
    pub(crate) fn take(system: &System, name: &str, until: Instant) -> Result<Self> {
        let path = system.path("/run/rlp/lock");
        let file = durable::lock_file(&path)?;
        while let Err(errno) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
            if !matches!(errno, Errno::WOULDBLOCK | Errno::INTR) {
                return Err(crate::failure::on_file(&path)(errno.into()));
            }
            if interrupt::is_pending() || Instant::now() >= until {
                return Err(Failure::refused(format!(
                    "{name} must wait: another rlp is loading a patch"
                ))
                .next("try again when that has ended"));
            }
            std::thread::sleep(PAUSE);
        }
        let lock = Self { _file: file };
        lock.restore_probation(system)?;
        Ok(lock)
    }

    fn restore_probation(&self, system: &System) -> Result<()> {
        let Ok(value) = system.read(SAVED_PROBATION) else {
            return Ok(());
        };
        // If the loader was unloaded meanwhile, the parameter is gone.
        if system.exists(PROBATION_PARAMETER) && !value.is_empty() {
            let path = system.path(PROBATION_PARAMETER);
            system
                .write(PROBATION_PARAMETER, &value)
                .map_err(crate::failure::on_file(&path))?;
        }
        Ok(durable::remove(&system.path(SAVED_PROBATION))?)
    }

    /// Sets the loader's parameter to this probation, calls `load`, and restores the parameter.
    /// Without a probation, it only calls `load`. Returns the result of `load`, and a note if the
    /// parameter could not be restored.
    ///
    /// # Errors
    ///
    /// The parameter could not be set, so `load` was not called.
    pub(crate) fn with_probation<T>(
        &self,
        system: &System,
        seconds: Option<u32>,
        load: impl FnOnce() -> T,
    ) -> Result<(T, Option<String>)> {
        let Some(seconds) = seconds else {
            return Ok((load(), None));
        };
        let path = system.path(PROBATION_PARAMETER);
        let before = system
            .read(PROBATION_PARAMETER)
            .map_err(crate::failure::on_file(&path))?;
        durable::replace(&system.path(SAVED_PROBATION), before.as_bytes())?;
        let changed = system
            .write(PROBATION_PARAMETER, &seconds.to_string())
            .map_err(crate::failure::on_file(&path));
        let result = changed.map(|()| load());
        let restored = self.restore_probation(system);
        let note = restored.err().map(|failure| {
            format!(
                "the loader's parameter probation was not restored: {}; the next rlp load tries \
                 again",
                failure.what
            )
        });
        match result {
            Ok(loaded) => Ok((loaded, note)),
            Err(failure) => Err(failure.also(note)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The patch is loaded, and the parameter cannot be restored. The result of the load counts.
    #[test]
    fn a_parameter_that_is_not_restored() {
        let root = tempfile::tempdir().unwrap();
        let system = System::new(root.path().to_owned());
        let parameter = system.path(PROBATION_PARAMETER);
        std::fs::create_dir_all(parameter.parent().unwrap()).unwrap();
        std::fs::write(&parameter, "0\n").unwrap();
        let take = || Lock::take(&system, "fix", Instant::now()).unwrap();
        let (loaded, note) = take()
            .with_probation(&system, Some(9), || {
                let set = std::fs::read_to_string(&parameter).unwrap();
                std::fs::remove_file(&parameter).unwrap();
                std::fs::create_dir(&parameter).unwrap();
                set
            })
            .unwrap();
        assert_eq!(loaded, "9");
        assert!(note.unwrap().contains("Is a directory"));
        // The next command that loads a patch restores the parameter.
        std::fs::remove_dir(&parameter).unwrap();
        std::fs::write(&parameter, "9\n").unwrap();
        let (loaded, note) = take().with_probation(&system, None, || 1).unwrap();
        assert_eq!((loaded, note), (1, None));
        assert_eq!(std::fs::read_to_string(&parameter).unwrap(), "0");
    }
}
