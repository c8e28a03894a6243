// SPDX-License-Identifier: GPL-2.0

//! The chain of the history: each record has a number, the name of the machine, and the hash of the
//! line before it. So a line that is changed, left out or moved does not fit its neighbours.
//!
//! The first record of a chain has the number 1, and the hash of all bytes before it. These bytes
//! may be records that an older version wrote without a chain. A power cut may leave a part of a
//! line. The next record then has the hash of that part, so that the part is not taken for a line
//! that somebody has changed.

use crate::digest::{
    Digest,
    Span,
    Sum, //
};
use crate::failure::{
    on_file,
    Result, //
};
use crate::history::Record;
use crate::host;
use crate::lines::{
    self,
    Mark, //
};
use serde::{
    Deserialize,
    Serialize, //
};
use std::fs::File;
use std::io::{
    BufReader,
    ErrorKind,
    Read,
    Seek,
    SeekFrom, //
};
use std::path::Path;

/// The statement of a record about the lines before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    /// The number of the record in the chain. The first one is 1.
    pub(crate) seq: u64,
    /// The hash of the previous record's line, with its newline. In the first record of a chain,
    /// the hash of all bytes before that record.
    pub(crate) prev: Digest,
    /// In the first record of a chain: the number of bytes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) before: Option<u64>,
    /// A power cut may have left a part of a line between the previous record and this one. The
    /// length and the hash of that part, with its newline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) torn: Option<Span>,
    /// The name of the machine, if it has one.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "host::name"
    )]
    pub(crate) host: Option<String>,
}

/// The kind of a line of a history.
pub(crate) enum Content {
    Chained(Link),
    /// A record that is older than the chain, or was written by an older version of this program.
    Unchained,
    /// A part of a record, as a power cut leaves it.
    Torn,
    /// Anything else.
    Junk,
}

impl Content {
    pub(crate) fn of(text: &[u8]) -> Self {
        // Only the link is parsed: a newer version may write other fields, which this version does
        // not know.
        if let Ok(link) = serde_json::from_slice(text) {
            return Self::Chained(link);
        }
        match serde_json::from_slice::<Record>(text) {
            Ok(_) => Self::Unchained,
            Err(_) if is_torn(text) => Self::Torn,
            Err(_) => Self::Junk,
        }
    }
}

/// Whether a line can be a part of a record. In such a part, the end is missing, or some bytes are
/// still 0 on the disk. An empty line is not such a part, because no write leaves one.
fn is_torn(text: &[u8]) -> bool {
    let is_incomplete =
        || serde_json::from_slice::<serde::de::IgnoredAny>(text).is_err_and(|error| error.is_eof());
    text.contains(&0) || text.starts_with(b"{") && is_incomplete()
}

/// The last record of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LastRecord {
    seq: u64,
    sha256: Digest,
    host: Option<String>,
}

/// The end of a history: what the next record refers to.
#[derive(Debug, PartialEq, Eq)]
enum Tail {
    /// The chain continues. There may be a torn line after its last record.
    Continues(LastRecord, Option<Span>),
    /// There is no chain, or it has ended: another program has written lines after its last record.
    Ended,
}

/// The search for the last record begins with this many bytes at the end of the file.
const NEAR: u64 = 1 << 16;

impl Tail {
    /// Looks at the last lines of a file, and at all lines if the end of the chain is not there.
    fn of(file: &mut File) -> std::io::Result<Self> {
        match Self::near(file)? {
            Self::Ended => rewound(file).and_then(Self::read),
            tail => Ok(tail),
        }
    }

    /// Looks at the last lines of a file. The result `Ended` is not final: the last record of the
    /// chain may be before these lines.
    fn near(file: &mut File) -> std::io::Result<Self> {
        let len = file.seek(SeekFrom::End(0))?;
        let start = len.saturating_sub(NEAR);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(NEAR).read_to_end(&mut bytes)?;
        // The first line may be incomplete, because it may begin before these bytes. It is skipped.
        let first = match bytes.iter().position(|&byte| byte == b'\n') {
            Some(at) if start != 0 => at + 1,
            None if start != 0 => bytes.len(),
            _ => 0,
        };
        Self::read(&bytes[first..])
    }

    /// Looks at all lines.
    fn read(file: impl std::io::BufRead) -> std::io::Result<Self> {
        let mut last = None;
        let mut only_torn_follows = true;
        let read = lines::each(file, |line| match Content::of(line.text) {
            Content::Chained(link) if line.is_whole => {
                last = Some(LastRecord {
                    seq: link.seq,
                    sha256: line.sha256,
                    host: link.host,
                });
                only_torn_follows = true;
                Mark::Marked
            }
            Content::Torn if line.is_whole => Mark::Unmarked,
            _ => {
                only_torn_follows = false;
                Mark::Unmarked
            }
        })?;
        let torn = (read.unmarked.bytes() != 0).then(|| read.unmarked.span());
        Ok(match last {
            Some(last) if only_torn_follows => Self::Continues(last, torn),
            _ => Self::Ended,
        })
    }
}

/// The number and the hash of the last record of the chain in a file, if it has one.
pub(crate) fn last(path: &Path) -> Result<Option<(u64, Digest)>> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(on_file(path))?,
    };
    Ok(match Tail::of(&mut file).map_err(on_file(path))? {
        Tail::Continues(last, _) => Some((last.seq, last.sha256)),
        Tail::Ended => None,
    })
}

fn rewound(file: &mut File) -> std::io::Result<BufReader<&mut File>> {
    file.seek(SeekFrom::Start(0))?;
    Ok(BufReader::new(file))
}

/// The link of the record that will be appended to a file. The caller holds the lock of the
/// history.
pub(crate) fn next(path: &Path, host: Option<String>) -> Result<Link> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(first(&Sum::default(), host))
        }
        file => file.map_err(on_file(path))?,
    };
    match Tail::of(&mut file).map_err(on_file(path))? {
        // The chain also continues if the machine has no id now, or had none when the last record
        // was written.
        Tail::Continues(last, torn)
            if last.host.is_none() || host.is_none() || last.host == host =>
        {
            Ok(Link {
                seq: last.seq.saturating_add(1),
                prev: last.sha256,
                before: None,
                torn,
                host,
            })
        }
        Tail::Continues(..) | Tail::Ended => {
            let read = rewound(&mut file)
                .and_then(|file| lines::each(file, |_| Mark::Unmarked))
                .map_err(on_file(path))?;
            Ok(first(&read.all, host))
        }
    }
}

/// The link of the first record of a chain after these bytes.
fn first(before: &Sum, host: Option<String>) -> Link {
    Link {
        seq: 1,
        prev: before.digest(),
        before: Some(before.bytes()),
        torn: None,
        host,
    }
}
