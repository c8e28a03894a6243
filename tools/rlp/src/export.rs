// SPDX-License-Identifier: GPL-2.0

//! evidence export: the history in files that leave the machine, with its head, signed.

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
use std::io::ErrorKind;
use std::path::{
    Path,
    PathBuf, //
};

struct Exported {
    verified: Verified,
    head: PathBuf,
    signature: Option<PathBuf>,
}

/// The history as it is between two records.
fn read(system: &System) -> Result<Vec<u8>> {
    let path = system.path(&history::path());
    let _lock = history::lock(system)?;
    match std::fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        records => records.map_err(on_file(&path)),
    }
}

fn write(folder: &Path, name: &str, content: &[u8]) -> Result<PathBuf> {
    let path = folder.join(name);
    durable::replace(&path, content)?;
    Ok(path)
}

pub(crate) fn run(system: &System, arguments: &cli::Export) -> Result<Box<dyn Report>> {
    system.needs_root("export evidence")?;
    let host = host::id(system).ok_or_else(|| {
        Failure::refused("this machine has no id, so that its evidence has no name")
            .next("systemd-machine-id-setup gives it one")
    })?;
    let records = read(system)?;
    let chain = Chain::read(&records[..]).map_err(on_file(&system.path(&history::path())))?;
    let judged = chain.judge(Some(&host), &[]);
    let Some(end) = judged.head else {
        return Err(Failure::refused("there is no record with a chain yet")
            .next("the next change, and rlp heartbeat, write one"));
    };
    let head = HeadFile::new(&host, end.seq, end.sha256, time::rfc3339(time::now())).text();
    // Nothing is written if it cannot be signed.
    let signature = if arguments.unsigned {
        None
    } else {
        let key = arguments.key.clone();
        let key = key.unwrap_or_else(|| system.path(signature::HOST_KEY));
        Some(signature::sign(&key, &head)?)
    };
    let folder = &arguments.folder;
    let file = write(folder, &format!("{host}.jsonl"), &records)?;
    let signature = match signature {
        Some(signature) => Some(write(folder, &format!("{host}.head.sig"), &signature)?),
        None => {
            durable::remove(&folder.join(format!("{host}.head.sig")))?;
            None
        }
    };
    Ok(Box::new(Exported {
        verified: Verified {
            file,
            judged,
            is_anchored: false,
        },
        head: write(folder, &format!("{host}.head"), &head)?,
        signature,
    }))
}

impl Report for Exported {
    fn json(&self) -> Value {
        let mut value = self.verified.json();
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
        let _ = writeln!(text, "written: {}", self.verified.file.display());
        let _ = writeln!(text, "written: {}", self.head.display());
        match &self.signature {
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
