// SPDX-License-Identifier: GPL-2.0

//! The feed: the repository from which apt gets the levels. A publisher signs its indexes anew each
//! day. So the age of the newest index that apt has accepted shows whether the feed works. A feed
//! that is down, that is frozen, or whose indexes apt refuses, looks the same: the index gets old.
//!
//! The files are those of apt, which has checked their signatures. Nothing is fetched here.

use crate::failure::{
    on_file,
    Result, //
};
use crate::output::printable;
use crate::system::System;
use crate::time;
use serde::{
    Deserialize,
    Serialize, //
};
use serde_json::{
    json,
    Value, //
};
use std::fs::File;
use std::io::{
    ErrorKind,
    Read, //
};
use std::path::Path;

/// The folder in which apt has the indexes that it has accepted.
const LISTS: &str = "/var/lib/apt/lists";
/// The file of rlp-archive-keyring, which names the repository.
const SOURCE: &str = "/etc/apt/sources.list.d/rlp.sources";
/// The label that `repository` gives to the indexes.
const LABEL: &str = "rlp";
/// The fields are in front of the checksums, of which an index of Debian has thousands.
const FRONT: u64 = 4096;
/// The age at which a feed is old, in seconds: two of the daily signatures are missing.
const OLD: u64 = 2 * 86_400;
/// How far ahead the clock of the publisher may be, in seconds.
const AHEAD: u64 = 3600;

/// An index of a ring of the repository, which apt has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Feed {
    /// The origin and the ring.
    pub(crate) name: String,
    /// When the publisher has signed it, in seconds since the epoch.
    pub(crate) signed: u64,
    /// When apt refuses it. `None`: the index has no end, and apt accepts a frozen feed for ever.
    pub(crate) valid_until: Option<u64>,
}

/// The feeds of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Feeds {
    /// Nothing says that apt gets levels from a repository.
    Unknown,
    /// The machine has a source of levels, and apt has never got its index.
    Never,
    Known(Vec<Feed>),
    /// The files of apt cannot be read, and why.
    Unreadable(String),
}

/// How old an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Age {
    Fresh,
    /// One of the two clocks is wrong, and nothing shows how old the index is.
    Future,
    Old,
    Expired,
}

/// A fault of a feed, and the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) text: String,
    pub(crate) next: &'static str,
    /// No newer level can reach the machine.
    pub(crate) is_expired: bool,
}

const NEXT: &str = "apt update says why; the publisher's repository status shows the other end";
const NEXT_CLOCK: &str = "timedatectl shows the clock of this machine";

impl Feed {
    /// Reads the fields of an index. `None` if it is not that of a repository of levels.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let rest = |line: &str| {
                line.strip_prefix(name)?
                    .strip_prefix(": ")
                    .map(str::to_owned)
            };
            text.lines().find_map(rest)
        };
        if field("Label")? != LABEL {
            return None;
        }
        let names = [field("Origin"), field("Suite")];
        Some(Self {
            name: names.into_iter().flatten().collect::<Vec<_>>().join(" "),
            signed: time::of_rfc5322(&field("Date")?)?,
            valid_until: field("Valid-Until").and_then(|until| time::of_rfc5322(&until)),
        })
    }

    pub(crate) fn age(&self, now: u64) -> Age {
        if self.valid_until.is_some_and(|until| until <= now) {
            Age::Expired
        } else if self.signed.saturating_sub(now) > AHEAD {
            Age::Future
        } else if now.saturating_sub(self.signed) > OLD {
            Age::Old
        } else {
            Age::Fresh
        }
    }

    fn problem(&self, now: u64) -> Option<Problem> {
        let name = printable(&self.name);
        let signed = time::readable(self.signed);
        let text = match self.age(now) {
            Age::Fresh => return None,
            Age::Future => format!(
                "the feed {name} is from the future: its index was signed at {signed}, by the \
                 clock of its publisher"
            ),
            Age::Old => format!(
                "the feed {name} is old: its index was signed at {signed}, and is signed each day"
            ),
            Age::Expired => format!(
                "the feed {name} has expired: its index was signed at {signed}, and no newer one \
                 was accepted"
            ),
        };
        Some(Problem {
            text,
            next: if self.age(now) == Age::Future {
                NEXT_CLOCK
            } else {
                NEXT
            },
            is_expired: self.age(now) == Age::Expired,
        })
    }

    /// The index in a record: without its age, which changes.
    pub(crate) fn record_line(&self) -> String {
        let signed = time::readable(self.signed);
        format!("feed: {}, signed {signed}", printable(&self.name))
    }

    fn line(&self, now: u64) -> String {
        let until = match self.valid_until {
            Some(until) => format!("valid until {}", time::readable(until)),
            None => "without an end, so a frozen feed would not be noticed".to_owned(),
        };
        if self.signed > now {
            return format!("{}, {until}", self.record_line());
        }
        format!(
            "feed: {}, signed {} ago, {until}",
            printable(&self.name),
            time::span(now.saturating_sub(self.signed))
        )
    }
}

impl Feeds {
    /// A file of apt never keeps a level from being applied, so this cannot fail.
    pub(crate) fn read(system: &System) -> Self {
        match accepted(system) {
            Err(failure) => Self::Unreadable(failure.what),
            Ok(feeds) if !feeds.is_empty() => Self::Known(feeds),
            Ok(_) if system.exists(SOURCE) => Self::Never,
            Ok(_) => Self::Unknown,
        }
    }

    /// The indexes, for the records.
    pub(crate) fn known(&self) -> &[Feed] {
        match self {
            Self::Unknown | Self::Never | Self::Unreadable(_) => &[],
            Self::Known(feeds) => feeds,
        }
    }

    /// The feeds that an operator should look at.
    pub(crate) fn problems(&self, now: u64) -> Vec<Problem> {
        match self {
            Self::Unknown => Vec::new(),
            Self::Never => vec![Problem {
                text: format!("apt has no index of the repository in {SOURCE}"),
                next: NEXT,
                is_expired: false,
            }],
            Self::Known(feeds) => feeds.iter().filter_map(|feed| feed.problem(now)).collect(),
            Self::Unreadable(why) => vec![Problem {
                text: format!("the indexes of apt cannot be read: {why}"),
                next: "ls -l /var/lib/apt/lists",
                is_expired: false,
            }],
        }
    }

    /// The state of each feed, and its problem.
    pub(crate) fn lines(&self, now: u64) -> Vec<String> {
        let mut lines: Vec<_> = self.known().iter().map(|feed| feed.line(now)).collect();
        for problem in self.problems(now) {
            lines.push(problem.text);
            lines.push(format!("  next: {}", problem.next));
        }
        lines
    }

    /// `null` if nothing is known about feeds, and an empty list if apt has never got an index.
    pub(crate) fn json(&self, now: u64) -> Value {
        let feed = |feed: &Feed| {
            json!({
                "name": feed.name,
                "signed": time::rfc3339(feed.signed),
                "valid_until": feed.valid_until.map(time::rfc3339),
                "age": feed.age(now),
            })
        };
        match self {
            Self::Unknown | Self::Unreadable(_) => Value::Null,
            Self::Never | Self::Known(_) => self.known().iter().map(feed).collect(),
        }
    }
}

/// The indexes of repositories of levels that apt has accepted.
fn accepted(system: &System) -> Result<Vec<Feed>> {
    let mut feeds = Vec::new();
    for name in system.names(LISTS)? {
        if !name.ends_with("_InRelease") && !name.ends_with("_Release") {
            continue;
        }
        if let Some(text) = front(&system.path(&format!("{LISTS}/{name}")))? {
            feeds.extend(Feed::parse(&text));
        }
    }
    feeds.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(feeds)
}

/// The beginning of a file. `None` if apt has removed it meanwhile.
fn front(path: &Path) -> Result<Option<String>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FRONT).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(on_file(path)(error)),
        Ok(_) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_796_000_523;
    const DAY: u64 = 86_400;

    /// An index as reprepro writes it.
    fn index(label: &str, rest: &str) -> String {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: example\n\
             Label: {label}\nSuite: stable\nCodename: stable\n{rest}Architectures: amd64\n\
             MD5Sum:\n 0 0 main/binary-amd64/Packages\n"
        )
    }

    #[test]
    fn an_index() {
        let dates = "Date: Mon, 30 Nov 2026 01:02:03 UTC\n\
                     Valid-Until: Mon, 07 Dec 2026 01:02:03 UTC\n";
        let feed = Feed {
            name: "example stable".to_owned(),
            signed: NOW,
            valid_until: Some(NOW + 7 * DAY),
        };
        assert_eq!(Feed::parse(&index("rlp", dates)), Some(feed.clone()));
        for (label, rest) in [
            ("Debian", dates),
            ("rlp2", dates),
            ("rlp", ""),
            ("rlp", "Date: yesterday\n"),
        ] {
            assert_eq!(Feed::parse(&index(label, rest)), None, "{label} {rest}");
        }
        let date = "Date: Mon, 30 Nov 2026 01:02:03 UTC\n";
        let endless = Feed::parse(&index("rlp", date)).unwrap();
        assert_eq!(endless.valid_until, None);
        assert_eq!(endless.age(u64::MAX), Age::Old);

        for (after, age) in [
            (0, Age::Fresh),
            (2 * DAY, Age::Fresh),
            (2 * DAY + 1, Age::Old),
            (7 * DAY - 1, Age::Old),
            (7 * DAY, Age::Expired),
        ] {
            assert_eq!(feed.age(NOW + after), age, "{after}");
            assert_eq!(feed.problem(NOW + after).is_some(), age != Age::Fresh);
        }
        // The clock of the publisher is ahead, or that of the machine is behind.
        assert_eq!(feed.age(NOW - 3600), Age::Fresh);
        assert_eq!(feed.age(NOW - 3601), Age::Future);
        let problem = feed.problem(NOW - DAY).unwrap();
        assert!(!problem.is_expired, "{problem:?}");
    }

    #[test]
    fn several_feeds() {
        let feed = |name: &str, signed| Feed {
            name: name.to_owned(),
            signed,
            valid_until: None,
        };
        let feeds = Feeds::Known(vec![feed("one", NOW), feed("two", NOW - 3 * DAY)]);
        let problems = feeds.problems(NOW);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].text.starts_with("the feed two is old"));
        assert_eq!(feeds.lines(NOW).len(), 4);
        assert_eq!(Feeds::Unknown.lines(NOW), [""; 0]);
        assert_eq!(Feeds::Never.lines(NOW).len(), 2);
    }
}
