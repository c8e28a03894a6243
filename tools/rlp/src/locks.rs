// SPDX-License-Identifier: GPL-2.0

//! Waits for another command that holds a lock. The wait has a limit, and it names that command.

use crate::failure::{
    Failure,
    Result, //
};
use crate::interrupt;
use crate::output::{
    announce,
    printable,
    ANNOUNCED, //
};
use crate::system::System;
use rustix::fs::{
    major,
    minor, //
};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// The holders of these locks write some small files, so they hold a lock for a moment only.
const LIMIT: Duration = Duration::from_secs(60);

/// The process that holds the lock of a file, as `/proc/locks` has it.
fn process(locks: &str, file: &str) -> Option<u32> {
    // "1: FLOCK  ADVISORY  WRITE 1234 fe:00:5678 0 EOF". The line of a process that waits has "->"
    // after the number.
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [_, "FLOCK", _, _, process, other, ..] if other == file => process.parse().ok(),
            _ => None,
        }
    })
}

/// The process that holds the lock whose file is `path`, and its command. `None`: nobody does.
pub(crate) fn holder(path: &Path) -> Option<String> {
    let file = path.metadata().ok()?;
    let (major, minor) = (major(file.dev()), minor(file.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", file.ino());
    let process = process(&std::fs::read_to_string("/proc/locks").ok()?, &file)?;
    let command = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command).replace('\0', " ");
    Some(match printable(command.trim()).as_str() {
        "" => format!("process {process}"),
        command => format!("process {process} ({command})"),
    })
}

fn holder_or_other(path: &Path) -> String {
    holder(path).unwrap_or_else(|| "another process".to_owned())
}

/// Takes the lock in the file `name` below `/run/rlp`. After some seconds, says who holds it. After
/// a minute, or if a signal arrives, the result is a failure.
pub(crate) fn take(system: &System, name: &str) -> Result<durable::Lock> {
    take_within(system, name, LIMIT)
}

fn take_within(system: &System, name: &str, limit: Duration) -> Result<durable::Lock> {
    let path = system.path(&format!("/run/rlp/{name}"));
    let mut is_announced = false;
    let lock = durable::Lock::take(&path, |waited| {
        if waited >= ANNOUNCED && !is_announced {
            is_announced = true;
            announce(&format!(
                "waiting for {}, which holds {}",
                holder_or_other(&path),
                path.display()
            ));
        }
        waited < limit && !interrupt::is_pending()
    })?;
    lock.ok_or_else(|| {
        Failure::error(format!(
            "{} is held by {}",
            path.display(),
            holder_or_other(&path)
        ))
        .next("try again when that process has ended")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_locks() {
        let locks = "1: POSIX  ADVISORY  WRITE 7 fe:00:12 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 8 fe:00:12 0 EOF\n\
                     2: -> FLOCK  ADVISORY  WRITE 9 fe:00:13 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 10 fe:00:14 0 EOF\n";
        assert_eq!(process(locks, "fe:00:12"), Some(8));
        assert_eq!(process(locks, "fe:00:13"), None);
        assert_eq!(process(locks, "fe:00:14"), Some(10));
        assert_eq!(process(locks, "fe:01:14"), None);
    }

    #[test]
    fn a_lock_that_stays_is_named() {
        let root = tempfile::tempdir().unwrap();
        let system = System::new(root.path().to_owned());
        let path = system.path("/run/rlp/some.lock");
        let first = take_within(&system, "some.lock", Duration::ZERO).unwrap();
        let failure = take_within(&system, "some.lock", Duration::ZERO).unwrap_err();
        let own = format!("process {}", std::process::id());
        assert!(failure.what.contains(&own), "{failure:?}");
        assert!(holder(&path).is_some_and(|holder| holder.starts_with(&own)));
        drop(first);
        assert_eq!(holder(&path), None);
        take_within(&system, "some.lock", Duration::ZERO).unwrap();
    }
}
