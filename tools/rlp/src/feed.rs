// SPDX-License-Identifier: GPL-2.0

//! The feed: the indexes of repositories of levels that apt has accepted last. apt keeps the old
//! index if it cannot fetch a new one, and if it refuses the new one. So the age of the index shows
//! a feed that is down, frozen or tampered with.

use crate::system::System;
use chrono::DateTime;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The folder of apt with the indexes that it has accepted.
const LISTS: &str = "/var/lib/apt/lists";

/// The label that `rlp-repository` gives to the indexes.
const LABEL: &str = "rlp";

/// The fields are in front of the hashes of the files. This is more than enough for them.
const FRONT: u64 = 4096;

/// An index that apt has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Feed {
    /// The origin and the ring of the repository.
    pub(crate) name: String,
    /// When the index was signed, in seconds since the epoch.
    pub(crate) signed: u64,
    /// apt refuses the index after this time.
    pub(crate) valid_until: Option<u64>,
}

/// The feeds of a machine, as far as they can be read.
pub(crate) struct Feeds(Vec<Feed>);

/// A time such as "Mon, 30 Nov 2026 01:02:03 UTC".
fn seconds(text: &str) -> Option<u64> {
    let time = DateTime::parse_from_rfc2822(&text.replace("UTC", "+0000")).ok()?;
    u64::try_from(time.timestamp()).ok()
}

impl Feed {
    /// Parses the first fields of an index. `None` if it is not that of a repository of levels.
    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = |line: &str| {
                line.strip_prefix(name)?
                    .strip_prefix(": ")
                    .map(str::to_owned)
            };
            text.lines().find_map(value)
        };
        (field("Label")? == LABEL).then_some(())?;
        let names = [field("Origin"), field("Suite")];
        Some(Self {
            name: names.into_iter().flatten().collect::<Vec<_>>().join(" "),
            signed: seconds(&field("Date")?)?,
            valid_until: field("Valid-Until").and_then(|until| seconds(&until)),
        })
    }
}

/// The beginning of a file. `None` if it cannot be read; apt may have removed it meanwhile.
fn front(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(FRONT).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

impl Feeds {
    pub(crate) fn read(system: &System) -> Self {
        let names = system.names(LISTS).unwrap_or_default();
        let indexes = names
            .iter()
            .filter(|name| name.ends_with("_InRelease") || name.ends_with("_Release"));
        let feeds = indexes.filter_map(|name| {
            let text = front(&system.path(&format!("{LISTS}/{name}")))?;
            Feed::parse(&text)
        });
        Self(feeds.collect())
    }

    pub(crate) fn known(&self) -> &[Feed] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASE: &str = "-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Origin: example
Label: rlp
Suite: stable
Codename: stable
Date: Mon, 30 Nov 2026 01:02:03 UTC
Valid-Until: Mon, 07 Dec 2026 01:02:03 UTC
";

    #[test]
    fn the_index_of_a_repository_of_levels() {
        let expected = Feed {
            name: "example stable".to_owned(),
            signed: 1_796_000_523,
            valid_until: Some(1_796_000_523 + 7 * 86_400),
        };
        assert_eq!(Feed::parse(RELEASE), Some(expected));
    }

    #[test]
    fn other_indexes_are_left_out() {
        for (old, new) in [("Label: rlp", "Label: Debian"), ("Date: ", "Date: no ")] {
            assert_eq!(Feed::parse(&RELEASE.replace(old, new)), None);
        }
        let endless = Feed::parse(&RELEASE.replace("Valid-Until", "Other")).unwrap();
        assert_eq!(endless.valid_until, None);
    }
}
