// SPDX-License-Identifier: GPL-2.0

//! Whether a history is as it was written: each record must fit the one before it. If one does not,
//! the numbers and the hashes of its neighbours show what was done to the file.
//!
//! The chain alone does not show that records at its end are missing, or that all of it was written
//! anew. An anchor does: a hash of a record that was kept outside of the machine.

use crate::chain::{
    Content,
    Link, //
};
use crate::digest::Digest;
use crate::lines::{
    self,
    Line,
    Mark, //
};
use serde::Serialize;
use std::collections::HashMap;
use std::io::BufRead;

/// A change of a file that the chain shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    Changed,
    LeftOut,
    Reordered,
    Added,
    /// Records at the end are missing.
    Cut,
    OtherHost,
    /// The file has no chain.
    Unchained,
    /// The file has no records.
    Empty,
    /// A head is not signed by its host.
    Unsigned,
}

impl Kind {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::LeftOut => "left out",
            Self::Reordered => "reordered",
            Self::Added => "added",
            Self::Cut => "cut at the end",
            Self::OtherHost => "taken from another host",
            Self::Unchained => "not chained",
            Self::Empty => "empty",
            Self::Unsigned => "not signed",
        }
    }
}

/// Lines of the file. The numbers are 0 if the file has no such line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Lines {
    #[serde(rename = "line")]
    pub(crate) first: u64,
    #[serde(rename = "last_line")]
    pub(crate) last: u64,
}

impl Lines {
    /// The lines of a finding that concerns no line.
    pub(crate) const NONE: Self = Self { first: 0, last: 0 };

    fn one(nr: u64) -> Self {
        Self {
            first: nr,
            last: nr,
        }
    }

    fn and(self, next: Self) -> Self {
        Self {
            first: self.first,
            last: next.last,
        }
    }

    fn count(self) -> u64 {
        self.last - self.first + 1
    }

    pub(crate) fn words(self) -> String {
        if self.first == self.last {
            format!("line {}", self.first)
        } else {
            format!("lines {} to {}", self.first, self.last)
        }
    }
}

/// Something that was done to the file after it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    #[serde(flatten)]
    pub(crate) lines: Lines,
    pub(crate) text: String,
}

impl Finding {
    /// The finding in one line, without the name of the file.
    pub(crate) fn words(&self) -> String {
        let kind = self.kind.words();
        match self.lines {
            Lines::NONE => format!("{kind}: {}", self.text),
            lines => format!("{}: {kind}: {}", lines.words(), self.text),
        }
    }
}

/// A record of a chain.
#[derive(Debug)]
struct Seen {
    nr: u64,
    seq: u64,
    sha256: Digest,
    prev: Digest,
    /// The position in the list of hosts.
    host: Option<usize>,
    is_first: bool,
    has_torn: bool,
    /// Whether the bytes before the record are those that it names. The first record names all
    /// bytes before it. Each other record names a torn line, or none.
    is_right: bool,
}

/// Lines that are no records of a chain.
#[derive(Debug, Clone, Copy)]
struct Others {
    lines: Lines,
    /// All of them are parts of records.
    are_torn: bool,
    /// One of them is a record without a chain.
    has_record: bool,
}

#[derive(Debug)]
enum Entry {
    Record(Seen),
    Others(Others),
}

/// A record that is known from outside of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Anchor {
    /// The number, if it is known.
    pub(crate) seq: Option<u64>,
    pub(crate) sha256: Digest,
}

/// The last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Head {
    pub(crate) line: u64,
    pub(crate) seq: u64,
    pub(crate) sha256: Digest,
}

/// The lines of a file, as far as they concern the chain.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    entries: Vec<Entry>,
    hosts: Vec<String>,
    /// The position of each host in that list.
    positions: HashMap<String, usize>,
    lines: u64,
}

impl Chain {
    pub(crate) fn read(file: impl BufRead) -> std::io::Result<Self> {
        Self::read_with(file, |_, _| ())
    }

    /// Reads a file, and passes each record of a chain to `see`, in the order of the file. The
    /// records are not judged yet: the caller must use them only if [`Chain::judge`] finds nothing.
    pub(crate) fn read_with(
        file: impl BufRead,
        mut see: impl FnMut(&Line<'_>, &Link),
    ) -> std::io::Result<Self> {
        let mut chain = Self::default();
        lines::each(file, |line| {
            chain.lines = line.nr;
            let content = match Content::of(line.text) {
                _ if !line.is_whole => Content::Junk,
                content => content,
            };
            let Content::Chained(link) = content else {
                chain.other(line.nr, &content);
                return Mark::Unmarked;
            };
            see(line, &link);
            let before = &line.before.unmarked;
            let torn = (before.bytes() != 0).then(|| before.span());
            let is_first = link.seq == 1 && link.before.is_some();
            let is_right = if is_first {
                link.before == Some(line.before.all.bytes())
                    && link.prev == line.before.all.digest()
            } else {
                link.torn == torn
            };
            let host = link.host.map(|host| chain.host(host));
            chain.entries.push(Entry::Record(Seen {
                nr: line.nr,
                seq: link.seq,
                sha256: line.sha256,
                prev: link.prev,
                host,
                is_first,
                has_torn: link.torn.is_some(),
                is_right,
            }));
            Mark::Marked
        })?;
        Ok(chain)
    }

    fn host(&mut self, host: String) -> usize {
        *self.positions.entry(host).or_insert_with_key(|host| {
            self.hosts.push(host.clone());
            self.hosts.len() - 1
        })
    }

    fn other(&mut self, nr: u64, content: &Content) {
        let line = Others {
            lines: Lines::one(nr),
            are_torn: matches!(content, Content::Torn),
            has_record: matches!(content, Content::Unchained),
        };
        if let Some(Entry::Others(others)) = self.entries.last_mut() {
            *others = others.and(line);
        } else {
            self.entries.push(Entry::Others(line));
        }
    }

    /// Judges the file. Without `host`, the last record that names a host decides whose file it is.
    pub(crate) fn judge(&self, host: Option<&str>, anchors: &[Anchor]) -> Judged {
        let records = self.entries.iter().rev();
        let host = match host {
            Some(host) => Some(host.to_owned()),
            None => records
                .filter_map(Entry::record)
                .find_map(|record| Some(self.hosts[record.host?].clone())),
        };
        let mut judge = Judge {
            chain: self,
            places: HashMap::new(),
            last: None,
            seq: 0,
            others: None,
            is_moved: false,
            judged: Judged {
                lines: self.lines,
                host,
                ..Judged::default()
            },
        };
        judge.all(anchors);
        judge.judged
    }
}

impl Entry {
    fn record(&self) -> Option<&Seen> {
        match self {
            Self::Record(seen) => Some(seen),
            Self::Others(_) => None,
        }
    }
}

impl Others {
    fn and(self, next: Self) -> Self {
        Self {
            lines: self.lines.and(next.lines),
            are_torn: self.are_torn && next.are_torn,
            has_record: self.has_record || next.has_record,
        }
    }
}

/// The verdict on a file.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Judged {
    pub(crate) host: Option<String>,
    pub(crate) lines: u64,
    /// The number of records with a chain. Records of other hosts are included.
    pub(crate) records: u64,
    /// The lines before the first chain.
    pub(crate) unchained: Option<Lines>,
    pub(crate) head: Option<Head>,
    /// The number of the last record in the file that an anchor covers.
    pub(crate) anchored_seq: Option<u64>,
    /// The line of that record. 0: there is none.
    #[serde(skip)]
    pub(crate) anchored_line: u64,
    /// The lines that a power cut seems to have torn. They are no findings.
    pub(crate) torn: Vec<Lines>,
    pub(crate) findings: Vec<Finding>,
    /// The number of findings that are not in the list.
    pub(crate) more_findings: u64,
}

/// The most findings of a file that are kept. A hostile file can cause very many.
const MOST: usize = 1000;

impl Judged {
    pub(crate) fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }

    pub(crate) fn found(&mut self, kind: Kind, lines: Lines, text: impl Into<String>) {
        let text = text.into();
        let is_full = self.findings.len() >= MOST;
        match self.findings.last_mut() {
            Some(last)
                if last.kind == kind && last.text == text && last.lines.last + 1 == lines.first =>
            {
                last.lines = last.lines.and(lines);
            }
            _ if is_full => self.more_findings += 1,
            _ => self.findings.push(Finding { kind, lines, text }),
        }
    }
}

struct Judge<'a> {
    chain: &'a Chain,
    /// The first record with each hash. The map is filled when it is first used.
    places: HashMap<Digest, &'a Seen>,
    /// The last record of the chain so far. The next record must name it.
    last: Option<&'a Seen>,
    /// The number that `last` should have.
    seq: u64,
    /// The lines between `last` and the next record.
    others: Option<Others>,
    /// Whether `last` was moved to another place in the file.
    is_moved: bool,
    judged: Judged,
}

impl<'a> Judge<'a> {
    fn all(&mut self, anchors: &[Anchor]) {
        for (at, entry) in self.chain.entries.iter().enumerate() {
            match entry {
                Entry::Others(others) => {
                    let before = self.others.take();
                    self.others = Some(before.map_or(*others, |before| before.and(*others)));
                }
                Entry::Record(record) => {
                    self.judged.records += 1;
                    if self.is_of_host(record) {
                        self.record(at, record, anchors);
                    }
                }
            }
        }
        self.end();
        self.judged.head = self.last.map(|last| Head {
            line: last.nr,
            seq: last.seq,
            sha256: last.sha256,
        });
        for anchor in anchors {
            self.anchor(anchor);
        }
        if self.judged.lines == 0 && self.judged.is_whole() {
            let text = "there is no record: nothing was recorded yet, or the records were removed";
            self.found(Kind::Empty, Lines::NONE, text);
        }
    }

    fn found(&mut self, kind: Kind, lines: Lines, text: impl Into<String>) {
        self.judged.found(kind, lines, text);
    }

    /// The first record with this hash.
    fn place(&mut self, sha256: Digest) -> Option<&'a Seen> {
        if self.places.is_empty() {
            for record in self.chain.entries.iter().filter_map(Entry::record) {
                self.places.entry(record.sha256).or_insert(record);
            }
        }
        self.places.get(&sha256).copied()
    }

    fn is_of_host(&mut self, record: &Seen) -> bool {
        // A record of a time at which the machine had no id belongs to any host.
        let host = record.host.map(|host| &self.chain.hosts[host]);
        if host.is_none() || host == self.judged.host.as_ref() {
            return true;
        }
        let text = "the record names another host";
        self.found(Kind::OtherHost, Lines::one(record.nr), text);
        false
    }

    fn record(&mut self, at: usize, record: &'a Seen, anchors: &[Anchor]) {
        let others = self.others.take();
        if record.is_first {
            self.first(record, others);
            return;
        }
        match self.last {
            Some(last) if last.sha256 == record.prev => {
                self.between(record, others);
                self.seq = self.seq.saturating_add(1);
                if record.seq != self.seq {
                    let text = "the number of this record does not follow the one before";
                    self.found(Kind::Changed, Lines::one(record.nr), text);
                }
                self.is_moved = false;
                self.last = Some(record);
            }
            Some(last) => self.misfit(at, last, record, others, anchors),
            None => {
                match others {
                    Some(others) => {
                        self.found(
                            Kind::Changed,
                            others.lines,
                            "one of these lines was changed",
                        );
                    }
                    None => self.left_out(record, record.seq.saturating_sub(1).max(1)),
                }
                self.accept(record);
            }
        }
    }

    /// Makes this record the last one of the chain so far: the next record must name it.
    fn accept(&mut self, record: &'a Seen) {
        self.last = Some(record);
        self.seq = record.seq;
    }

    /// The first record of a chain.
    fn first(&mut self, record: &'a Seen, others: Option<Others>) {
        if !record.is_right {
            self.found(
                Kind::Changed,
                Lines {
                    first: 1,
                    last: (record.nr - 1).max(1),
                },
                "these are not the lines that the first record of the chain names",
            );
        }
        if self.last.is_some() {
            if let Some(others) = others {
                self.foreign(others);
            }
            self.found(
                Kind::Added,
                Lines::one(record.nr),
                "the chain begins again here",
            );
        } else {
            self.judged.unchained = others.map(|others| others.lines);
        }
        self.accept(record);
    }

    /// Lines that no record names.
    fn foreign(&mut self, others: Others) {
        self.found(Kind::Added, others.lines, "no record names this line");
    }

    /// Judges the lines between `last` and a record that names it.
    fn between(&mut self, record: &Seen, others: Option<Others>) {
        match others {
            None if record.is_right => (),
            Some(others) if record.is_right && others.are_torn => {
                self.judged.torn.push(others.lines);
            }
            Some(others) if record.is_right => {
                let text =
                    "the next record names this as a torn line, but it is not a part of a record";
                self.found(Kind::Added, others.lines, text);
            }
            Some(others) if !record.has_torn => self.foreign(others),
            _ => {
                let lines = others.map_or(Lines::one(record.nr), |others| others.lines);
                let text = "the next record names another torn line in this place";
                self.found(Kind::Changed, lines, text);
            }
        }
    }

    /// A record that does not fit the one before it.
    fn misfit(
        &mut self,
        at: usize,
        last: &'a Seen,
        record: &'a Seen,
        others: Option<Others>,
        anchors: &[Anchor],
    ) {
        let line = Lines::one(record.nr);
        let copy_of = self.place(record.sha256).map(|first| first.nr);
        if copy_of.is_some_and(|nr| nr < record.nr) {
            self.found(Kind::Added, line, "this is a copy of an earlier line");
            return;
        }
        let before = self.place(record.prev);
        match before {
            Some(before) if before.nr > record.nr || self.is_moved || self.seq > record.seq => {
                let text = "this record does not follow the one that it names";
                self.found(Kind::Reordered, line, text);
                self.is_moved = true;
            }
            Some(before) if before.nr > last.nr => {
                self.found(Kind::Added, line, "this record is not a part of the chain");
            }
            Some(before) => {
                let lines = Lines {
                    first: before.nr + 1,
                    last: record.nr - 1,
                };
                self.found(Kind::Added, lines, "no record names this line");
            }
            None => self.changed(at, last, record, others, anchors),
        }
        if before.is_some() || record.seq > self.seq {
            self.accept(record);
        }
    }

    /// A record that names a line that is not in the file.
    fn changed(
        &mut self,
        at: usize,
        last: &Seen,
        record: &Seen,
        others: Option<Others>,
        anchors: &[Anchor],
    ) {
        let changed = "this is not the line that the next record names";
        let missing = record.seq.saturating_sub(self.seq.saturating_add(1));
        if record.seq <= self.seq {
            self.found(
                Kind::Added,
                Lines::one(record.nr),
                "this record is not a part of the chain",
            );
        } else if let Some(others) = others.filter(|_| missing != 0) {
            self.found(Kind::Changed, others.lines, changed);
            self.left_out(record, missing.saturating_sub(others.lines.count()));
        } else if missing != 0 {
            self.left_out(record, missing);
        } else {
            // The record itself may have been changed. Then the record after it does not name it.
            let next = self.chain.entries[at + 1..].iter().find_map(Entry::record);
            let is_named = match next {
                Some(next) => {
                    next.prev == record.sha256 || next.seq != record.seq.saturating_add(1)
                }
                None => anchors.iter().any(|anchor| anchor.sha256 == record.sha256),
            };
            if is_named {
                self.found(Kind::Changed, Lines::one(last.nr), changed);
            } else if next.is_none() {
                let lines = Lines::one(last.nr).and(Lines::one(record.nr));
                self.found(Kind::Changed, lines, "one of these lines was changed");
            }
            if let Some(others) = others {
                self.foreign(others);
            }
        }
    }

    fn left_out(&mut self, record: &Seen, count: u64) {
        match count {
            0 => (),
            1 => self.found(
                Kind::LeftOut,
                Lines::one(record.nr),
                "one record before this one is missing",
            ),
            count => self.found(
                Kind::LeftOut,
                Lines::one(record.nr),
                format!("{count} records before this one are missing"),
            ),
        }
    }

    /// The lines after the last record.
    fn end(&mut self) {
        let Some(others) = self.others.take() else {
            return;
        };
        if self.judged.records == 0 {
            let text =
                "the file has no chain: an older version has written it, or the chain was removed";
            self.found(Kind::Unchained, others.lines, text);
        } else if others.are_torn {
            self.judged.torn.push(others.lines);
        } else if others.has_record {
            self.foreign(others);
        } else {
            self.found(Kind::Changed, others.lines, "this is not a record any more");
        }
    }

    /// The record of an anchor must be in the file.
    fn anchor(&mut self, anchor: &Anchor) {
        if let Some(record) = self.place(anchor.sha256) {
            if anchor.seq.is_some_and(|seq| seq != record.seq) {
                let text = "the head has another number than this record";
                self.found(Kind::Changed, Lines::one(record.nr), text);
            }
            // After a restart of the chain, numbers do not show which record is the later one.
            if record.nr > self.judged.anchored_line {
                self.judged.anchored_line = record.nr;
                self.judged.anchored_seq = Some(record.seq);
            }
            return;
        }
        let end = Lines::one(self.chain.lines);
        let mut records = self.chain.entries.iter().filter_map(Entry::record);
        let Some(seq) = anchor.seq else {
            let text = "the record of the head is not in the file, which was cut or written anew";
            self.found(Kind::Cut, end, text);
            return;
        };
        if let Some(record) = records.find(|record| record.seq == seq) {
            let text = "this is not the record of the head: the file was written anew";
            self.found(Kind::Changed, Lines::one(record.nr), text);
        } else {
            let text = format!("the file ends before the record {seq} of the head");
            self.found(Kind::Cut, end, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{
        Phase,
        Record, //
    };
    use crate::system::System;

    const HISTORY: &str = "var/lib/rlp/history.jsonl";

    /// The same random numbers in each run (xorshift64).
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }

        fn below(&mut self, end: usize) -> usize {
            usize::try_from(self.next() % end.max(1) as u64).unwrap()
        }
    }

    /// A history of a machine, as this program writes it: old lines, records, and a torn line.
    fn history(machine_id: &str, records: usize) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let system = System::new(dir.path().to_owned());
        let path = system.path(HISTORY);
        for (file, text) in [
            ("etc/machine-id", machine_id),
            (HISTORY, "{\"time\":\"2026\"}\n{}\n"),
        ] {
            let path = system.path(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        for nr in 0..records {
            if nr == records / 2 {
                let torn = [std::fs::read(&path).unwrap(), b"{\"seq\":7,\"prev".to_vec()];
                std::fs::write(&path, torn.concat()).unwrap();
            }
            let mut record = Record::new(&system, Phase::Event, "complete", "fix");
            record.detail = Some(format!("the event {nr}"));
            record.append(&system).unwrap();
        }
        std::fs::read(path).unwrap()
    }

    fn judge(history: &[u8], anchors: &[Anchor]) -> Judged {
        Chain::read(history).unwrap().judge(None, anchors)
    }

    /// Changes bytes or lines at random places.
    fn edit(random: &mut Random, history: &[u8], foreign: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = history.to_vec();
        let at = random.below(bytes.len());
        let lines: Vec<_> = history.split_inclusive(|&byte| byte == b'\n').collect();
        let mut lines: Vec<Vec<u8>> = lines.into_iter().map(<[u8]>::to_vec).collect();
        let (one, other) = (random.below(lines.len()), random.below(lines.len()));
        match random.below(11) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, u8::try_from(random.below(256)).unwrap()),
            3 => bytes.insert(at, b'\n'),
            4 => bytes.truncate(at),
            5 => drop(bytes.drain(..at)),
            6 => drop(lines.remove(one)),
            7 => lines.swap(one, other),
            8 => lines.insert(one, lines[other].clone()),
            9 => lines[one].clone_from(&foreign[random.below(foreign.len())]),
            _ => {
                let line = lines.remove(one);
                lines.insert(other.min(lines.len()), line);
            }
        }
        if lines.concat() == history {
            bytes
        } else {
            lines.concat()
        }
    }

    /// Any edit is found if the head is known. This test leaves out two kinds of edits that a power
    /// cut can cause, too: the last line loses its newline, or bytes follow the last line.
    #[test]
    fn any_edit_is_found() {
        let history = history("00112233445566778899aabbccddeeff", 10);
        let foreign = self::history("a0112233445566778899aabbccddeeff", 10);
        let lines: Vec<_> = foreign.split_inclusive(|&byte| byte == b'\n').collect();
        let foreign: Vec<_> = lines.into_iter().map(<[u8]>::to_vec).collect();
        let whole = judge(&history, &[]);
        assert!(whole.is_whole(), "{whole:#?}");
        assert_eq!((whole.records, whole.torn.len(), whole.lines), (10, 1, 13));
        let head = whole.head.unwrap();
        let [numbered, plain] = [Some(head.seq), None].map(|seq| Anchor {
            seq,
            sha256: head.sha256,
        });
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        let (mut edits, mut kinds) = (0, HashMap::new());
        for _ in 0..10_000 {
            let mut edited = history.clone();
            for _ in 0..=random.below(2) {
                edited = edit(&mut random, &edited, &foreign);
                if edited.is_empty() {
                    break;
                }
            }
            if edited.starts_with(history.strip_suffix(b"\n").unwrap()) {
                continue;
            }
            edits += 1;
            for anchor in [&numbered, &plain] {
                let judged = judge(&edited, std::slice::from_ref(anchor));
                let text = String::from_utf8_lossy(&edited);
                assert!(!judged.is_whole(), "{judged:#?}\n{text}");
                for finding in judged.findings {
                    *kinds.entry(finding.kind.words()).or_insert(0) += 1;
                    let lines = finding.lines;
                    assert!(
                        lines.first <= lines.last && lines.last <= judged.lines,
                        "{lines:?}"
                    );
                }
            }
            // Without the head, an edit before the last line is found, if that line is there.
            let last = history
                .split_inclusive(|&byte| byte == b'\n')
                .next_back()
                .unwrap();
            if edited.ends_with(last) {
                assert!(
                    !judge(&edited, &[]).is_whole(),
                    "{}",
                    String::from_utf8_lossy(&edited)
                );
            }
        }
        assert!(edits > 7_500, "{edits}");
        assert_eq!(kinds.len(), 7, "{kinds:?}");
    }
}
