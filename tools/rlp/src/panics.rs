// SPDX-License-Identifier: GPL-2.0

//! Panics while a patch was on probation. The loader names the patch in the last lines of the
//! kernel's log, and pstore keeps these lines until after the reboot.

use crate::failure::{
    on_file,
    Failure, //
};
use crate::module_file::is_name;
use crate::system::System;
use std::path::{
    Path,
    PathBuf, //
};

/// The loader's words in front of the name of the patch.
const MARK: &str = "the kernel panics while patch '";

/// Where logs are: the kernel's own folder, and the one that systemd-pstore.service moves them to.
const FOLDERS: [&str; 2] = ["/sys/fs/pstore", "/var/lib/systemd/pstore"];

/// The advice for a reader of the log.
pub(crate) const ADVICE: &str = "read that log, and remove it when the cause is known";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panic {
    pub(crate) patch: String,
    /// The file with the log. The file does not identify the panic: other files may have the same
    /// log, and systemd moves the logs.
    pub(crate) log: PathBuf,
    /// The line of the log. The line begins with the time of the panic, unless the kernel logs no
    /// times (`printk.time=0`).
    pub(crate) line: String,
}

impl Panic {
    pub(crate) fn words(&self) -> String {
        format!(
            "the kernel has panicked while {} was on probation ({})",
            self.patch,
            self.log.display()
        )
    }
}

/// Reads the logs. The second value has the files and folders that this user may not read.
pub(crate) fn read(system: &System) -> (Vec<Panic>, Vec<Failure>) {
    let mut panics = Vec::new();
    let mut denied = Vec::new();
    let mut deny = |path: &Path, error| denied.push(on_file(path)(error));
    let mut folders: Vec<_> = FOLDERS.iter().map(|folder| system.path(folder)).collect();
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                deny(&folder, error);
                continue;
            }
        };
        for log in entries.flatten().map(|entry| entry.path()) {
            if log.is_dir() {
                folders.push(log);
                continue;
            }
            let bytes = match std::fs::read(&log) {
                Ok(bytes) => bytes,
                Err(error) => {
                    deny(&log, error);
                    continue;
                }
            };
            let text = String::from_utf8_lossy(&bytes);
            panics.extend(text.lines().filter_map(|line| {
                let (_, rest) = line.split_once(MARK)?;
                let patch = rest.split('\'').next().filter(|name| is_name(name))?;
                Some(Panic {
                    patch: patch.to_owned(),
                    log: log.clone(),
                    line: line.trim().to_owned(),
                })
            }));
        }
    }
    panics.sort_by(|a, b| (&a.line, &a.log).cmp(&(&b.line, &b.log)));
    panics.dedup_by(|later, kept| later.line == kept.line);
    denied.retain(|failure| failure.is_denied);
    (panics, denied)
}
