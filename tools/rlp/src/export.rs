// SPDX-License-Identifier: GPL-2.0

//! evidence export: writes the history and its head to a folder, and signs the head. The files are
//! meant to leave the machine.

use crate::cli;
use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::head::HeadFile;
use crate::history;
use crate::host;
use crate::judge::Chain;
use crate::output::{
    Paint,
    Report, //
};
use crate::signature;
use crate::system::System;
use crate::time;
use crate::verify::Verified;
use serde_json::{
    json,
    Value, //
};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{
    ErrorKind,
    Read, //
};
use std::path::{
    Path,
    PathBuf, //
};

struct Exported {
    dry_run: bool,
    verified: Verified,
    head: PathBuf,
    signature: Option<PathBuf>,
}

/// Reads the history while no record is being appended. Syncs it to the disk first, because a
/// signed head must not name a record that a power cut could still undo.
fn read(system: &System) -> Result<Vec<u8>> {
    let path = system.path(&history::path());
    let _lock = history::lock(system)?;
    let mut file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        file => file.map_err(on_file(&path))?,
    };
    let mut records = Vec::new();
    file.sync_all()
        .and_then(|()| file.read_to_end(&mut records))
        .map_err(on_file(&path))?;
    Ok(records)
}

/// Writes a file, unless this is a dry run. Returns its path.
fn write(arguments: &cli::Export, name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = arguments.folder.join(name);
    if !arguments.dry.dry_run {
        durable::replace(&path, content)?;
    }
    Ok(path)
}

/// The head of an earlier export at this path, if it has the same record. It is signed again, and
/// not replaced, so that its earlier signature stays valid. Others may have written the file, so
/// its text must be what an earlier export has written: a time that has passed, and nothing more.
fn existing(path: &Path, new: &HeadFile) -> Option<Vec<u8>> {
    let (old, text) = HeadFile::read(path).ok()?;
    let is_same = (&old.host, old.seq, old.sha256) == (&new.host, new.seq, new.sha256);
    let is_past = time::seconds(&old.time).is_some_and(|time| time <= time::now());
    (is_same && is_past && old.text() == text).then_some(text)
}

pub(crate) fn run(system: &System, arguments: &cli::Export) -> Result<Box<dyn Report>> {
    system.needs_root("export evidence")?;
    let host = host::id(system).ok_or_else(|| {
        Failure::refused("this machine has no id, so its evidence has no name")
            .next("systemd-machine-id-setup gives it one")
    })?;
    let records = read(system)?;
    let chain = Chain::read(&records[..]).map_err(on_file(&system.path(&history::path())))?;
    let judged = chain.judge(Some(&host), &[]);
    let Some(end) = judged.head else {
        return Err(Failure::refused("there is no record with a chain yet")
            .next("the next change, and rlp heartbeat, write one"));
    };
    let hash = end.sha256.to_string();
    let name = format!("{host}.{}.{}.head", end.seq, &hash[..8]);
    let new = HeadFile::new(&host, end.seq, end.sha256, time::rfc3339(time::now()));
    let head = existing(&arguments.folder.join(&name), &new).unwrap_or_else(|| new.text());
    // If the head cannot be signed, no file is written.
    let signature = if arguments.unsigned {
        None
    } else {
        let key = arguments.key.clone();
        let key = key.unwrap_or_else(|| system.path(signature::HOST_KEY));
        Some(signature::sign(&key, &head)?)
    };
    // Earlier heads and their signatures stay: they are anchors.
    let file = write(arguments, &format!("{host}.jsonl"), &records)?;
    let head = write(arguments, &name, &head)?;
    let signature = signature
        .map(|signature| write(arguments, &format!("{name}.sig"), &signature))
        .transpose()?;
    Ok(Box::new(Exported {
        dry_run: arguments.dry.dry_run,
        verified: Verified {
            file,
            judged,
            is_anchored: false,
            signed: None,
        },
        head,
        signature,
    }))
}

impl Report for Exported {
    fn json(&self) -> Value {
        let mut value = self.verified.json();
        value["dry_run"] = json!(self.dry_run);
        value["head_file"] = json!(self.head.display().to_string());
        value["signature"] = json!(self
            .signature
            .as_ref()
            .map(|path| path.display().to_string()));
        value
    }

    fn text(&self, paint: &Paint) -> String {
        let mut text = self.verified.summary(paint);
        // Writing to a string cannot fail.
        let mut written = |path: &Path| {
            let path = path.display();
            let _ = if self.dry_run {
                writeln!(text, "would be written: {path}")
            } else {
                writeln!(text, "written: {path}")
            };
        };
        written(&self.verified.file);
        written(&self.head);
        match &self.signature {
            Some(path) if self.dry_run => {
                let _ = writeln!(text, "would be signed: {}", path.display());
            }
            Some(path) => {
                let _ = writeln!(text, "signed: {}", path.display());
            }
            None => text.push_str("not signed\n"),
        }
        text
    }

    fn status(&self) -> u8 {
        self.verified.status()
    }
}
