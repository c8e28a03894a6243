// SPDX-License-Identifier: GPL-2.0

//! The exported histories: whose they are, and whether they are as they were written. Only records
//! up to the newest head can show that a host is protected, because later ones may have been added
//! after the export.

use crate::failure::{
    error_text,
    on_file,
    Failure,
    Result, //
};
use crate::head::HeadFile;
use crate::host;
use crate::judge::{
    Anchor,
    Chain,
    Head, //
};
use crate::report::facts::{
    Facts,
    Until, //
};
use crate::report::files;
use crate::signature;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{
    Path,
    PathBuf, //
};

/// The ending of the files with records, and of the files with heads.
const RECORDS: &str = ".jsonl";
const HEAD: &str = ".head";

/// The evidence of one host.
#[derive(Debug)]
pub(crate) enum Evidence {
    /// There is no file.
    None,
    /// A file is not as it was written, or is of another host. Nothing in it counts.
    NotVerified(String),
    Whole(Box<Whole>),
}

/// A history that is as it was written, up to its newest head.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) facts: Facts,
    pub(crate) head: Head,
    /// The fingerprint of the key that has signed the head, if signatures were checked.
    pub(crate) key: Option<String>,
}

/// The files of one host.
#[derive(Debug, Default)]
pub(crate) struct Export {
    records: Vec<PathBuf>,
    heads: Vec<PathBuf>,
}

/// The exports by host, and the files that are of no host.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    pub(crate) hosts: BTreeMap<String, Export>,
    pub(crate) others: Vec<PathBuf>,
}

/// The host that the name of a file begins with, if it has this ending.
fn host_of(path: &Path, ending: &str) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(ending)?;
    let host = name.split('.').next()?;
    let is_right = host::is_name(host) && (ending == HEAD || name == host);
    is_right.then(|| host.to_owned())
}

/// Whether a file in a folder has records or a head, by its name.
fn is_evidence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(RECORDS) || name.ends_with(HEAD)
}

/// Finds the files, and the heads beside the files that are named.
pub(crate) fn find(paths: &[PathBuf]) -> Result<Exports> {
    let mut exports = Exports::default();
    for path in files::find(&with_heads(paths)?, is_evidence)? {
        if let Some(host) = host_of(&path, RECORDS) {
            exports.hosts.entry(host).or_default().records.push(path);
        } else if let Some(host) = host_of(&path, HEAD) {
            exports.hosts.entry(host).or_default().heads.push(path);
        } else {
            exports.others.push(path);
        }
    }
    Ok(exports)
}

/// These paths. For a file with records, also the heads of its host in the same folder.
fn with_heads(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = paths.to_vec();
    for path in paths {
        let Some(host) = host_of(path, RECORDS) else {
            continue;
        };
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        let folder = folder.unwrap_or(Path::new("."));
        for entry in std::fs::read_dir(folder).map_err(on_file(folder))? {
            let path = entry.map_err(on_file(folder))?.path();
            let is_head = host_of(&path, HEAD).as_ref() == Some(&host) && path.is_file();
            all.extend(is_head.then_some(path));
        }
    }
    Ok(all)
}

/// The reason why a file proves nothing.
type Reason = String;

fn in_file(path: &Path, why: &str) -> Reason {
    format!("{}: {why}", path.display())
}

/// The heads of a host.
struct Heads {
    anchors: Vec<Anchor>,
    newest: HeadFile,
    key: Option<String>,
}

/// Reads the heads. With `allowed`, the newest one must be signed by the host.
fn heads(
    host: &str,
    files: &[PathBuf],
    allowed: Option<&Path>,
) -> Result<std::result::Result<Heads, Reason>> {
    let mut anchors = Vec::new();
    let mut newest: Option<(&PathBuf, HeadFile, Vec<u8>)> = None;
    for file in files {
        let (head, text) = match HeadFile::read(file) {
            Ok(read) => read,
            Err(failure) => return Ok(Err(failure.what)),
        };
        if head.host != host {
            let why = format!("the head is of the host {}", head.host);
            return Ok(Err(in_file(file, &why)));
        }
        anchors.push(head.anchor());
        if newest
            .as_ref()
            .is_none_or(|(_, newest, _)| newest.seq < head.seq)
        {
            newest = Some((file, head, text));
        }
    }
    let Some((file, newest, text)) = newest else {
        return Ok(Err(
            "there is no head of the records: export them again".to_owned()
        ));
    };
    let key = match allowed {
        None => None,
        Some(allowed) => match signed(host, file, &text, allowed)? {
            Ok(key) => Some(key),
            Err(why) => return Ok(Err(in_file(file, &why))),
        },
    };
    Ok(Ok(Heads {
        anchors,
        newest,
        key,
    }))
}

/// Checks the signature beside a head. Returns the fingerprint of the key.
fn signed(
    host: &str,
    head: &Path,
    text: &[u8],
    allowed: &Path,
) -> Result<std::result::Result<String, Reason>> {
    let mut signature = head.as_os_str().to_owned();
    signature.push(".sig");
    let signature = PathBuf::from(signature);
    // The host has written these files. A wrong one concerns this host alone, and a read of a pipe
    // would wait.
    if !signature.is_file() {
        return Ok(Err("the head is not signed".to_owned()));
    }
    if let Err(error) = File::open(&signature) {
        return Ok(Err(format!(
            "the signature is not valid: {}",
            error_text(&error)
        )));
    }
    let checked = signature::verify(allowed, host, &signature, text)?;
    Ok(checked.map_err(|why| format!("the signature is not valid: {}", why.replace('\n', "; "))))
}

/// A file with records.
struct History<'a> {
    path: &'a Path,
    chain: Chain,
    facts: Facts,
    /// Whether a record names the host.
    is_named: bool,
}

impl<'a> History<'a> {
    fn read(path: &'a Path, newest: &HeadFile, until: Until) -> std::result::Result<Self, Reason> {
        let broken = |failure: Failure| failure.what;
        let file = File::open(path).map_err(on_file(path)).map_err(broken)?;
        let mut facts = Facts::default();
        let (mut is_covered, mut is_named) = (true, false);
        let chain = Chain::read_with(BufReader::new(file), |line, link| {
            is_named |= link.host.is_some();
            facts.add(line.text, until, is_covered);
            is_covered &= line.sha256 != newest.sha256;
        });
        Ok(Self {
            path,
            chain: chain.map_err(on_file(path)).map_err(broken)?,
            facts,
            is_named,
        })
    }

    /// Returns the last record, or why the file is not as it was written.
    fn judge(&self, host: &str, anchors: &[Anchor]) -> std::result::Result<Head, Reason> {
        let judged = self.chain.judge(Some(host), anchors);
        match (judged.findings.first(), judged.head) {
            (Some(first), _) => Err(in_file(self.path, &first.words())),
            (None, Some(head)) if self.is_named => Ok(head),
            (None, _) => Err(in_file(self.path, "no record names the host")),
        }
    }
}

impl Export {
    fn judge(&self, host: &str, allowed: Option<&Path>, until: Until) -> Result<Evidence> {
        let heads = match heads(host, &self.heads, allowed)? {
            Ok(heads) => heads,
            Err(why) => return Ok(Evidence::NotVerified(why)),
        };
        Ok(match self.longest(host, &heads, until) {
            Ok((facts, head)) => Evidence::Whole(Box::new(Whole {
                facts,
                head,
                key: heads.key,
            })),
            Err(why) => Evidence::NotVerified(why),
        })
    }

    /// The file with the most records must have the record of each head, and the last record of
    /// each other file: earlier exports of the same host have the beginning of the same chain.
    fn longest(
        &self,
        host: &str,
        heads: &Heads,
        until: Until,
    ) -> std::result::Result<(Facts, Head), Reason> {
        let mut longest: Option<(u64, History<'_>)> = None;
        let mut anchors = heads.anchors.clone();
        for path in &self.records {
            let history = History::read(path, &heads.newest, until)?;
            let Head { seq, sha256, .. } = history.judge(host, &[])?;
            anchors.push(Anchor {
                seq: Some(seq),
                sha256,
            });
            if longest.as_ref().is_none_or(|(longest, _)| *longest < seq) {
                longest = Some((seq, history));
            }
        }
        let Some((_, history)) = longest else {
            return Err("there is a head, and no file with records".to_owned());
        };
        let head = history.judge(host, &anchors)?;
        Ok((history.facts, head))
    }
}

/// Judges the files of each host. Records after `end` are left out. It is a failure if signatures
/// cannot be checked at all: this says nothing about any host.
pub(crate) fn judge_all(
    exports: &Exports,
    allowed: Option<&Path>,
    until: Until,
) -> Result<BTreeMap<String, Evidence>> {
    if let Some(allowed) = allowed {
        std::fs::read(allowed).map_err(on_file(allowed))?;
    }
    let judge = |(host, export): (&String, &Export)| {
        Ok((host.clone(), export.judge(host, allowed, until)?))
    };
    exports.hosts.iter().map(judge).collect()
}
