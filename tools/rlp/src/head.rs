// SPDX-License-Identifier: GPL-2.0

//! The file of a head. A head names the record that was the last one of a chain at a certain time.
//! `rlp evidence export` writes the file and signs it, unless `--unsigned` is given. A signed head
//! shows what the machine had recorded up to that time.

use crate::digest::Digest;
use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::host;
use crate::judge::Anchor;
use serde::{
    Deserialize,
    Serialize, //
};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The longest file that is read. A head is much shorter, and a host may send any file.
const LONGEST: u64 = 65_536;

/// The version of the format.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadFile {
    /// The version of the format.
    pub(crate) evidence: u32,
    pub(crate) host: String,
    /// The number of the last record.
    pub(crate) seq: u64,
    /// The hash of its line.
    pub(crate) sha256: Digest,
    /// When this was written, in UTC.
    pub(crate) time: String,
}

fn no_head(path: &Path) -> Failure {
    Failure::error(format!("{} is not a head of evidence", path.display()))
        .next("rlp evidence export writes such a file beside the records")
}

impl HeadFile {
    pub(crate) fn new(host: &str, seq: u64, sha256: Digest, time: String) -> Self {
        Self {
            evidence: FORMAT,
            host: host.to_owned(),
            seq,
            sha256,
            time,
        }
    }

    pub(crate) fn text(&self) -> Vec<u8> {
        // A structure of strings and numbers is always valid JSON.
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Parses the content of the file at `path`.
    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self> {
        match serde_json::from_slice::<Self>(text) {
            Ok(head) if head.evidence == FORMAT && !host::is_name(&head.host) => {
                Err(no_head(path).why("its host is not a machine's name"))
            }
            Ok(head) if head.evidence == FORMAT => Ok(head),
            Ok(head) => Err(Failure::error(format!(
                "{} has the format {}, which this program does not know",
                path.display(),
                head.evidence
            ))
            .next("verify it with the version of rlp that has written it")),
            Err(error) => Err(no_head(path).why(error.to_string())),
        }
    }

    pub(crate) fn read(path: &Path) -> Result<(Self, Vec<u8>)> {
        let mut text = Vec::new();
        File::open(path)
            .and_then(|file| file.take(LONGEST).read_to_end(&mut text))
            .map_err(on_file(path))?;
        Ok((Self::parse(path, &text)?, text))
    }

    pub(crate) fn anchor(&self) -> Anchor {
        Anchor {
            seq: Some(self.seq),
            sha256: self.sha256,
        }
    }
}

/// Parses "HASH" or "NUMBER:HASH", as verify prints a head.
pub(crate) fn parse(text: &str) -> std::result::Result<Anchor, String> {
    let (seq, sha256) = match text.split_once(':') {
        Some((seq, sha256)) => (Some(seq), sha256),
        None => (None, text),
    };
    let seq = seq.map(str::parse).transpose();
    Ok(Anchor {
        seq: seq
            .map_err(|_| "a head is HASH or NUMBER:HASH, as rlp verify prints it".to_owned())?,
        sha256: sha256.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_users() {
        let sha256 = Digest::of(b"");
        assert_eq!(parse(&sha256.to_string()), Ok(Anchor { seq: None, sha256 }));
        let numbered = parse(&format!("12:{sha256}"));
        assert_eq!(
            numbered,
            Ok(Anchor {
                seq: Some(12),
                sha256
            })
        );
        for other in [
            "",
            "12:",
            "x:",
            &format!("-1:{sha256}"),
            &format!(":{sha256}"),
        ] {
            assert!(parse(other).is_err(), "{other}");
        }
    }

    /// A host may send a sparse file of any length. Only its beginning is read.
    #[test]
    fn a_file_that_is_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("host.head");
        let file = File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        let failure = HeadFile::read(&path).unwrap_err();
        assert!(failure.what.ends_with("is not a head of evidence"));
    }

    #[test]
    fn head_files() {
        let path = Path::new("host.head");
        let head = HeadFile::new(
            "bd71d9b3044e43799c788578c2877b77",
            3,
            Digest::of(b""),
            "2026-11-30T01:02:03Z".to_owned(),
        );
        assert_eq!(HeadFile::parse(path, &head.text()).unwrap(), head);
        assert!(HeadFile::parse(path, b"{}").is_err());
        // The host's name is printed, so a name with control characters must be rejected.
        let odd = HeadFile {
            host: "\x1b[2J".to_owned(),
            ..head.clone()
        };
        let failure = HeadFile::parse(path, &odd.text()).unwrap_err();
        assert_eq!(failure.what, "host.head is not a head of evidence");
        let newer = HeadFile {
            evidence: 2,
            ..head
        };
        let failure = HeadFile::parse(path, &newer.text()).unwrap_err();
        assert_eq!(
            failure.what,
            "host.head has the format 2, which this program does not know"
        );
    }
}
