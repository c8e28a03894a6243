// SPDX-License-Identifier: GPL-2.0

//! The facts about each CVE in the records of one host. A history may be large: each record is
//! looked at once, in the order of the file, and only these facts are kept.
//!
//! A CVE counts as fixed only in a record in which the loader itself names it, in a patch that is
//! in effect for all tasks, and confirmed, and whose tasks were not forced to switch: a task that
//! was forced may still run the old code.

use crate::heartbeat::{
    Machine,
    Seen, //
};
use crate::level::{
    is_cve,
    Number, //
};
use crate::loader::State;
use crate::time;
use serde::{
    Deserialize,
    Deserializer, //
};
use std::collections::{
    BTreeMap,
    BTreeSet, //
};

/// The parts of a record that the report needs. Fields and words of later versions are ignored.
#[derive(Debug, Deserialize)]
struct Record {
    time: String,
    #[serde(default)]
    boot: String,
    #[serde(default)]
    release: String,
    #[serde(default)]
    phase: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    patch: String,
    #[serde(default)]
    result: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    level: Option<Number>,
    #[serde(default, deserialize_with = "known")]
    machine: Option<Machine>,
}

/// A machine that this version cannot read says nothing.
fn known<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Machine>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

impl Record {
    /// Whether the record belongs to a patch that is being loaded. The first records of a boot are
    /// those of the patches that `rlp boot` loads. Only another record shows that the machine ran
    /// in this boot before a patch was loaded, so that the patch needed no restart.
    fn is_about_a_load(&self) -> bool {
        self.action == "load" || self.phase == "event"
    }

    /// The loader's own words about its patches.
    fn patches(&self) -> Option<&[Seen]> {
        self.machine.as_ref()?.patches.as_deref()
    }
}

/// Each CVE with each patch that names it. Only a patch that is in effect for all tasks, and
/// confirmed, counts.
fn named(patches: &[Seen]) -> impl Iterator<Item = (&String, &Seen)> {
    let in_effect = patches
        .iter()
        .filter(|patch| patch.state == State::InEffect);
    in_effect.flat_map(|patch| {
        let cves = patch.cves.iter().filter(|cve| is_cve(cve));
        cves.map(move |cve| (cve, patch))
    })
}

/// Each CVE with the patch that fixes it.
fn fixes(patches: &[Seen]) -> impl Iterator<Item = (&String, &Seen)> {
    named(patches).filter(|(_, patch)| !patch.forced)
}

/// A time, and the boot in which it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    /// In seconds since the epoch, by the clock of the host.
    pub(crate) time: u64,
    /// The position in [`Facts::boots`].
    pub(crate) boot: usize,
}

/// Records that follow each other and have the same boot id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Boot {
    pub(crate) id: String,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// A patch that was loaded in the current boot.
#[derive(Debug, Clone, Copy)]
struct Load {
    at: Moment,
    /// The boot of the last record before it that is not about a load.
    boot_before: usize,
}

/// A time in which a host was not protected any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap {
    pub(crate) lost: u64,
    pub(crate) fixed: u64,
}

/// The facts about one CVE.
#[derive(Debug, Clone)]
pub(crate) struct Track {
    /// When the patch was loaded in which the loader first named the CVE.
    pub(crate) applied: Option<Moment>,
    /// The boot of an earlier record: the last one before the load that is not about a load.
    pub(crate) boot_before: usize,
    /// The first record in which the CVE is fixed.
    pub(crate) verified: Moment,
    /// The last such record.
    pub(crate) last: Moment,
    /// The first record since then that shows that it is not fixed any more.
    pub(crate) lost: Option<u64>,
    /// The times between such a loss and the next record in which it is fixed.
    pub(crate) gaps: Vec<Gap>,
    /// The patches that have the fix, in the last such record.
    patches: BTreeSet<String>,
}

/// A CVE that only patches name whose tasks were forced to switch.
#[derive(Debug, Clone)]
pub(crate) struct Forced {
    /// When the first of these patches was loaded.
    pub(crate) applied: Option<Moment>,
    patches: BTreeSet<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) records: u64,
    /// Records that this version cannot read.
    pub(crate) unread: u64,
    pub(crate) boots: Vec<Boot>,
    pub(crate) releases: BTreeSet<String>,
    /// When each level was first seen on the host.
    pub(crate) available: BTreeMap<Number, Moment>,
    /// The levels that have failed on the host, and why.
    pub(crate) failed: BTreeMap<Number, String>,
    pub(crate) cves: BTreeMap<String, Track>,
    /// The CVEs that are not fixed for sure, because tasks were forced to switch.
    pub(crate) forced: BTreeMap<String, Forced>,
    /// The CVEs of each patch whose tasks were forced to switch at any time.
    pub(crate) ever_forced: BTreeSet<String>,
    /// The last record.
    pub(crate) last: Option<Moment>,
    /// The last record with the loader's own words.
    pub(crate) last_word: Option<Moment>,
    /// How many times the clock was set back.
    pub(crate) set_back: u32,
    /// The boot of the last record that is not about a load.
    boot_before: Option<usize>,
    /// Whether a record was after the interval.
    is_past_end: bool,
    /// The time in the last record.
    clock: u64,
    loads: BTreeMap<String, Load>,
}

/// The end of the interval, and the time of the report, in seconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Until {
    pub(crate) end: u64,
    pub(crate) now: u64,
}

impl Facts {
    /// The CVEs that the loader has named in a patch in effect.
    pub(crate) fn named(&self) -> impl Iterator<Item = &String> {
        self.cves.keys().chain(&self.ever_forced)
    }

    pub(crate) fn has_named(&self, cve: &str) -> bool {
        self.cves.contains_key(cve) || self.ever_forced.contains(cve)
    }

    /// Adds a record. Records after the end are left out. A record that no head covers may have
    /// been added or written anew after the export. So it can show that a CVE is not fixed any
    /// more, and cannot show that it is fixed.
    pub(crate) fn add(&mut self, text: &[u8], until: Until, is_covered: bool) {
        let record = serde_json::from_slice::<Record>(text).ok();
        let time = record
            .as_ref()
            .and_then(|record| time::seconds(&record.time));
        let (Some(record), Some(time)) = (record, time) else {
            self.unread += 1;
            return;
        };
        if time > until.now {
            self.add_from_the_future(&record);
            return;
        }
        if time > until.end {
            self.is_past_end = true;
            return;
        }
        self.records += 1;
        self.set_back += u32::from(time < self.clock);
        self.clock = time;
        // A record is not older than the records before it, whatever the clock says.
        let time = self.last.map_or(time, |last| time.max(last.time));
        let at = self.moment(&record, time);
        let boot_before = self.boot_before.unwrap_or(at.boot);
        self.last = Some(at);
        if !record.release.is_empty() {
            self.releases.insert(record.release.clone());
        }
        self.failures(&record);
        self.losses(&record, at);
        if is_covered {
            self.gains(&record, at, boot_before);
        }
        if !record.is_about_a_load() {
            self.boot_before = Some(at.boot);
        }
    }

    /// A record from the future has a wrong time, and is not older than the record before it. So it
    /// can show that a patch is not in effect any more, and cannot show that it is in effect.
    fn add_from_the_future(&mut self, record: &Record) {
        let Some(last) = self.last else {
            return;
        };
        if self.is_past_end {
            return;
        }
        let at = self.moment(record, last.time);
        self.last = Some(at);
        self.losses(record, at);
    }

    fn moment(&mut self, record: &Record, time: u64) -> Moment {
        match self.boots.last_mut() {
            Some(boot) if boot.id == record.boot => boot.last = time,
            _ => {
                // No patch outlives its boot.
                self.loads.clear();
                self.forced.clear();
                self.boots.push(Boot {
                    id: record.boot.clone(),
                    first: time,
                    last: time,
                });
            }
        }
        Moment {
            time,
            boot: self.boots.len() - 1,
        }
    }

    /// Notes which levels have failed, and may not be applied on this host.
    fn failures(&mut self, record: &Record) {
        let Some(level) = record.level else {
            return;
        };
        match (record.phase.as_str(), record.action.as_str()) {
            ("state", "quarantine") => {
                let why = record.detail.clone().unwrap_or_default();
                self.failed.insert(level, why);
            }
            ("end", "release") if record.result.as_deref() == Some("done") => {
                self.failed.remove(&level);
            }
            _ => (),
        }
    }

    /// Notes which patches are not in effect any more.
    fn losses(&mut self, record: &Record, at: Moment) {
        let result = record.result.as_deref();
        if let ("end", "unload", Some("unloaded"))
        | ("event", "complete", Some("disabled"))
        | ("event", "expire", _) = (record.phase.as_str(), record.action.as_str(), result)
        {
            self.gone(&record.patch, at);
        }
        let Some(patches) = record.patches() else {
            return;
        };
        let fixed: BTreeSet<_> = fixes(patches).map(|(cve, _)| cve).collect();
        for (cve, track) in &mut self.cves {
            if !fixed.contains(cve) {
                track.patches.clear();
                track.lost.get_or_insert(at.time);
            }
        }
        self.note_forced(patches, &fixed, at);
    }

    /// Notes which CVEs only patches name whose tasks were forced to switch.
    fn note_forced(&mut self, patches: &[Seen], fixed: &BTreeSet<&String>, at: Moment) {
        let mut forced: BTreeMap<&String, Vec<&Seen>> = BTreeMap::new();
        for (cve, patch) in named(patches).filter(|(_, patch)| patch.forced) {
            self.ever_forced.insert(cve.clone());
            if !fixed.contains(cve) {
                forced.entry(cve).or_default().push(patch);
            }
        }
        self.forced = forced
            .into_iter()
            .map(|(cve, patches)| {
                let forced = Forced {
                    applied: self.applied(&patches, at),
                    patches: patches.iter().map(|patch| patch.name.clone()).collect(),
                };
                (cve.clone(), forced)
            })
            .collect();
    }

    /// Notes levels, patches that were loaded, and patches in effect.
    fn gains(&mut self, record: &Record, at: Moment, boot_before: usize) {
        let result = record.result.as_deref();
        match (record.phase.as_str(), record.action.as_str(), result) {
            ("end", "load", Some("loaded"))
            | ("event", "complete", Some("enabled" | "probation")) => {
                let load = Load { at, boot_before };
                self.loads.entry(record.patch.clone()).or_insert(load);
            }
            _ => (),
        }
        if let (Some(level), "available") = (record.level, record.action.as_str()) {
            self.available.entry(level).or_insert(at);
        }
        let Some(patches) = record.patches() else {
            return;
        };
        let mut fixed: BTreeMap<&String, Vec<&Seen>> = BTreeMap::new();
        for (cve, patch) in fixes(patches) {
            fixed.entry(cve).or_default().push(patch);
        }
        for (cve, patches) in fixed {
            self.fixed(cve, &patches, at, boot_before);
        }
        // A clock that was ahead for a while must not make these words look newer than they are.
        self.last_word = Some(Moment {
            time: self.clock,
            ..at
        });
    }

    fn gone(&mut self, patch: &str, at: Moment) {
        self.loads.remove(patch);
        self.forced.retain(|_, forced| {
            forced.patches.remove(patch);
            !forced.patches.is_empty()
        });
        for track in self.cves.values_mut() {
            if track.patches.remove(patch) && track.patches.is_empty() {
                track.lost.get_or_insert(at.time);
            }
        }
    }

    /// The loader names the CVE in these patches, which are in effect.
    fn fixed(&mut self, cve: &str, patches: &[&Seen], at: Moment, boot_before: usize) {
        if !self.cves.contains_key(cve) {
            let track = self.first(patches, at, boot_before);
            self.cves.insert(cve.to_owned(), track);
        }
        if let Some(track) = self.cves.get_mut(cve) {
            let lost = track.lost.take();
            track.gaps.extend(lost.map(|lost| Gap {
                lost,
                fixed: at.time,
            }));
            track.last = at;
            track.patches = patches.iter().map(|patch| patch.name.clone()).collect();
        }
    }

    /// The first load of these patches in this boot, if a record has it.
    fn load(&self, patches: &[&Seen]) -> Option<Load> {
        let loads = patches
            .iter()
            .filter_map(|patch| self.loads.get(&patch.name));
        loads.min_by_key(|load| load.at.time).copied()
    }

    /// When the first of these patches was loaded. If no record says when, the loader's file says
    /// when the transition was complete.
    fn applied(&self, patches: &[&Seen], at: Moment) -> Option<Moment> {
        let since = patches.iter().filter_map(|patch| patch.since).min();
        let since = since.map(|time| Moment { time, ..at });
        self.load(patches).map(|load| load.at).or(since)
    }

    /// The first record in which a CVE is fixed. The patch was loaded earlier in the same boot.
    fn first(&self, patches: &[&Seen], at: Moment, boot_before: usize) -> Track {
        let load = self.load(patches);
        Track {
            applied: self.applied(patches, at),
            boot_before: load.map_or(boot_before, |load| load.boot_before),
            verified: at,
            last: at,
            lost: None,
            gaps: Vec::new(),
            patches: BTreeSet::new(),
        }
    }
}
