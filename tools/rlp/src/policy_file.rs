// SPDX-License-Identifier: GPL-2.0

//! The files of the policy: the one that is built in, /etc/rlp/policy.toml, and the files in
//! /etc/rlp/policy.d. A later value replaces an earlier one. Of several holds, the one that ends
//! last counts: a hold on one machine must not shorten that of the fleet. A key that this program
//! does not know is refused, because a word with a wrong letter must not change the policy
//! silently.

use crate::failure::{
    on_file,
    Failure,
    Result, //
};
use crate::policy::{
    Hold,
    Policy, //
};
use crate::system::System;
use crate::time;
use toml::{
    Table,
    Value, //
};

/// The policy of a machine that has no file.
const DEFAULT: &str = include_str!("../policy.toml");

const FILE: &str = "/etc/rlp/policy.toml";
const FOLDER: &str = "/etc/rlp/policy.d";

/// The file that `rlp level hold` writes. It is read after all names that an operator would choose.
const HOLD: &str = "/etc/rlp/policy.d/zz-hold.toml";

/// The list that the files add to.
const JOINED: &str = "blocked";

/// The table with the hold.
const HOLD_KEY: &str = "hold";

/// The end of a hold, if it is a time.
fn end_of(hold: &Table) -> Option<u64> {
    time::moment(hold.get("until")?.as_str()?).ok()
}

/// Adds the values of a hold to those of an earlier file, unless that one ends later. A hold with a
/// wrong end replaces the other one, so that the file is refused.
fn merge_hold(old: &mut Table, new: Table) {
    let mut joined = old.clone();
    merge(&mut joined, new, false);
    let ends = end_of(&joined).zip(end_of(old));
    if ends.is_none_or(|(new, old)| new >= old) {
        *old = joined;
    }
}

/// Adds the values of a file to those of the files before it.
fn merge(into: &mut Table, from: Table, is_top: bool) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if is_top && key == HOLD_KEY => {
                merge_hold(old, new);
            }
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new, false),
            (Some(Value::Array(old)), Value::Array(new)) if is_top && key == JOINED => {
                old.extend(new);
            }
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

/// Joins the values of the files. The result is checked after each file, so that a failure names
/// the file with the wrong value.
fn read_files(system: &System, files: &[String]) -> Result<Policy> {
    let wrong = |path: &str, why: String| {
        Failure::refused(format!("{path} is not a valid policy file"))
            .why(why)
            .next("correct the file; until then, no level is applied or taken back")
    };
    let mut all = Table::new();
    let mut policy = None;
    for path in std::iter::once(None).chain(files.iter().map(Some)) {
        let name = path.map_or("the built-in policy", |path| path);
        let text = match path {
            None => DEFAULT.to_owned(),
            Some(path) => system.read(path).map_err(on_file(&system.path(path)))?,
        };
        let table: Table = text
            .parse()
            .map_err(|error: toml::de::Error| wrong(name, error.message().to_owned()))?;
        merge(&mut all, table, true);
        let next: Policy = all
            .clone()
            .try_into()
            .map_err(|error: toml::de::Error| wrong(name, error.to_string().trim().to_owned()))?;
        if let Some(why) = next.wrong() {
            return Err(wrong(name, why));
        }
        policy = Some(next);
    }
    policy.ok_or_else(|| wrong(FILE, "there is no policy".to_owned()))
}

/// The files of this machine, in their order.
fn files(system: &System) -> Result<Vec<String>> {
    let mut files = Vec::new();
    if system.exists(FILE) {
        files.push(FILE.to_owned());
    }
    let mut names = system.names(FOLDER)?;
    names.retain(|name| name.ends_with(".toml") && !name.starts_with('.'));
    files.extend(names.iter().map(|name| format!("{FOLDER}/{name}")));
    Ok(files)
}

pub(crate) fn read(system: &System) -> Result<Policy> {
    read_files(system, &files(system)?)
}

/// The first line of the file with a hold.
const HOLD_COMMENT: &str =
    "# rlp level hold has written this file, and rlp level release removes it.";

/// Writes the hold of `rlp level hold`, which replaces the one that it has written before.
pub(crate) fn write_hold(system: &System, until: u64, reason: &str) -> Result<()> {
    let mut hold = Table::new();
    hold.insert("until".to_owned(), Value::String(time::rfc3339(until)));
    hold.insert("reason".to_owned(), Value::String(reason.to_owned()));
    let mut all = Table::new();
    all.insert(HOLD_KEY.to_owned(), Value::Table(hold));
    let text = format!("{HOLD_COMMENT}\n{all}");
    Ok(durable::replace(&system.path(HOLD), text.as_bytes())?)
}

/// Whether `write_hold` has written a hold.
pub(crate) fn has_own_hold(system: &System) -> bool {
    system.path(HOLD).symlink_metadata().is_ok()
}

/// Removes the hold that `write_hold` has written.
pub(crate) fn remove_hold(system: &System) -> Result<()> {
    Ok(durable::remove(&system.path(HOLD))?)
}

/// The hold of the other files, which counts without that of `write_hold`.
pub(crate) fn other_hold(system: &System) -> Result<Option<Hold>> {
    let mut files = files(system)?;
    files.retain(|path| path != HOLD);
    Ok(read_files(system, &files)?.hold)
}

/// The file with the hold that counts without that of `write_hold`, for the advice of an operator
/// who wants to end it.
pub(crate) fn hold_file(system: &System) -> Result<Option<String>> {
    let mut last: Option<(u64, String)> = None;
    for path in files(system)?.into_iter().filter(|path| path != HOLD) {
        let text = system.read(&path).map_err(on_file(&system.path(&path)))?;
        let table: Table = text.parse().unwrap_or_default();
        let Some(hold) = table.get(HOLD_KEY).and_then(Value::as_table) else {
            continue;
        };
        // A hold without an end takes the end of a file before it.
        let end = end_of(hold).unwrap_or(0);
        if last.as_ref().is_none_or(|(other, _)| *other <= end) {
            last = Some((end, path));
        }
    }
    Ok(last.map(|(_, path)| path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{
        Choice,
        Policy, //
    };

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, System) {
        let folder = tempfile::tempdir().unwrap();
        let system = System::new(folder.path().to_owned());
        for (name, text) in files {
            let path = system.path(&format!("/etc/rlp/{name}"));
            durable::replace(&path, text.as_bytes()).unwrap();
        }
        (folder, system)
    }

    fn policy(files: &[(&str, &str)]) -> Result<Policy> {
        let (_folder, system) = machine(files);
        read(&system)
    }

    #[test]
    fn later_files_replace_values() {
        let built_in = policy(&[]).unwrap();
        assert_eq!((built_in.ring, built_in.shares.canary), (Choice::Auto, 2));
        let changed = policy(&[
            (
                "policy.toml",
                "ring = 'early'\nblocked = [3]\n[delay.late]\nhigh = 1",
            ),
            (
                "policy.d/20-b.toml",
                "ring = 'late'\nblocked = [5]\n[shares]\ncanary = 9",
            ),
            ("policy.d/10-a.toml", "ring = 'canary'"),
            ("policy.d/notes.txt", "not TOML"),
        ])
        .unwrap();
        assert_eq!(changed.ring, Choice::Late);
        assert_eq!(changed.blocked, [3, 5]);
        assert_eq!((changed.shares.canary, changed.shares.early), (9, 20));
        assert_eq!(changed.delay.late.high, 1);
        assert_eq!(changed.delay.late.low, built_in.delay.late.low);
    }

    #[test]
    fn wrong_files_are_refused() {
        for (text, why) in [
            ("rnig = 'late'", "unknown field `rnig`"),
            ("ring = 'first'", "unknown variant `first`"),
            ("[delay.late]\nhigh = -1", "invalid value"),
            ("[hold]\nreason = 'x'", "missing field `until`"),
            (
                "[hold]\nuntil = 'soon'\nreason = 'x'",
                "'soon' is no time such as",
            ),
            (
                "[hold]\nuntil = '2026-12-01'\nreason = ' '",
                "a hold needs a reason",
            ),
            ("[shares]\ncanary = 90", "more than 100 %"),
            ("[health]\nsettle = 900", "health.probation must be longer"),
            ("[health]\ntimeout = 0", "must not be 0"),
            ("[window]\nfrom = '1:00'\nto = '02:00'", "no time of day"),
            ("ring =", ""),
        ] {
            let failure = policy(&[("policy.d/x.toml", text)]).unwrap_err();
            assert!(failure.what.contains("policy.d/x.toml"), "{failure:?}");
            let found = failure.why.unwrap();
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    #[test]
    fn a_hold_is_written_and_removed() {
        let (_folder, system) = machine(&[(
            "policy.d/50-x.toml",
            "[hold]\nuntil = '2026-11-01'\nreason = 'a'",
        )]);
        write_hold(&system, 1_796_000_523, "say \"no\"\n").unwrap();
        let hold = read(&system).unwrap().hold.unwrap();
        assert_eq!(
            (hold.until, hold.reason.as_str()),
            (1_796_000_523, "say \"no\"\\n")
        );
        assert!(has_own_hold(&system));
        assert_eq!(
            hold_file(&system).unwrap().as_deref(),
            Some("/etc/rlp/policy.d/50-x.toml")
        );
        remove_hold(&system).unwrap();
        assert!(!has_own_hold(&system));
        assert_eq!(
            hold_file(&system).unwrap().as_deref(),
            Some("/etc/rlp/policy.d/50-x.toml")
        );
    }

    /// The order of the files does not count.
    #[test]
    fn the_hold_that_ends_last_counts() {
        let hold = |until: &str, reason: &str| {
            format!("hold = {{ until = '{until}', reason = '{reason}' }}")
        };
        let (long, short) = (hold("2027-01-10", "fleet"), hold("2026-12-25", "here"));
        for files in [[&long, &short], [&short, &long]] {
            let files = [
                ("policy.d/10-a.toml", files[0].as_str()),
                ("policy.d/20-b.toml", files[1]),
            ];
            let (_folder, system) = machine(&files);
            assert_eq!(read(&system).unwrap().hold.unwrap().reason, "fleet");
            let file = hold_file(&system).unwrap().unwrap();
            assert!(system.read(&file).unwrap().contains("fleet"), "{file}");
        }
        // Parts of a hold: a longer end takes the reason of the file before it.
        let parts = policy(&[
            ("policy.d/10-a.toml", &short),
            ("policy.d/20-b.toml", "hold.until = '2026-12-26'"),
            ("policy.d/30-c.toml", "hold.until = '2026-12-01'"),
        ]);
        let parts = parts.unwrap().hold.unwrap();
        assert_eq!(parts.reason, "here");
        assert_eq!(parts.until, time::moment("2026-12-26").unwrap());
        assert!(policy(&[
            ("policy.d/10-a.toml", &long),
            ("policy.d/20-b.toml", "hold.until = 'soon'"),
        ])
        .is_err());
    }
}
