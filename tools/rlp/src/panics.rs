// SPDX-License-Identifier: GPL-2.0

//! Panics while a patch was on probation. The loader names the patch in the last lines of the
//! kernel's log, and the firmware keeps that log.

use crate::failure::{on, Failure};
use crate::system::System;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// What the loader writes in front of the name of the patch.
const MARK: &str = "the kernel panics while patch '";

/// Where logs are: the kernel's own folder, and the one that systemd-pstore.service moves them to.
const FOLDERS: [&str; 2] = ["/sys/fs/pstore", "/var/lib/systemd/pstore"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Panic {
    pub(crate) patch: String,
    /// The file with the log.
    pub(crate) log: PathBuf,
    /// The time of the file. The kernel uses the name of a file again for the next panic.
    modified: u64,
}

impl Panic {
    /// A line that no other panic of this machine has.
    pub(crate) fn key(&self) -> String {
        format!("{} {}", self.modified, self.log.display())
    }
}

/// Reads the logs. The second value has the files and folders that this user may not read.
pub(crate) fn read(system: &System) -> (Vec<Panic>, Vec<Failure>) {
    let mut panics = Vec::new();
    let mut denied = Vec::new();
    let mut deny = |path: &Path, error| denied.push(on(path)(error));
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
            let Some((_, rest)) = text.split_once(MARK) else {
                continue;
            };
            let modified = log
                .metadata()
                .and_then(|metadata| metadata.modified())
                .ok()
                .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
            panics.push(Panic {
                patch: rest.split('\'').next().unwrap_or_default().to_owned(),
                log,
                modified: modified.map_or(0, |time| time.as_secs()),
            });
        }
    }
    panics.sort_by_key(Panic::key);
    denied.retain(|failure| failure.is_denied);
    (panics, denied)
}
