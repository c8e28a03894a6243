// SPDX-License-Identifier: GPL-2.0

//! The rows of a report: each CVE on each host, and whether the host was protected in time. A host
//! without evidence, or with evidence that is not as it was written, has rows, too.

use crate::level::Severity;
use crate::report::exports::{
    Evidence,
    Whole, //
};
use crate::report::facts::{
    Facts,
    Gap,
    Moment,
    Track, //
};
use crate::report::levels::{
    Data,
    Known, //
};
use crate::report::policy::{
    Policy,
    Start,
    DAY, //
};
use serde::Serialize;
use std::collections::BTreeSet;

/// The state of a CVE on a host at the end of the interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// The loader itself has named the CVE in a patch that is in effect.
    Verified,
    /// The same, but the machine was restarted since. No patch outlives its boot.
    Restarted,
    /// The same, but tasks were forced to switch to the patch, and may still run the old code.
    Forced,
    /// The loader's last words, whether they name the CVE or not, are older than the policy allows.
    Silent,
    /// It was in effect, and is not any more.
    Lost,
    /// The evidence is whole, and the loader has not named the CVE.
    Open,
    /// The evidence is not as it was written.
    NotVerified,
    /// There is no evidence.
    NoEvidence,
}

impl State {
    pub(crate) const ALL: [Self; 8] = [
        Self::Verified,
        Self::Restarted,
        Self::Forced,
        Self::Silent,
        Self::Lost,
        Self::Open,
        Self::NotVerified,
        Self::NoEvidence,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Verified => "verified",
            Self::Restarted => "restarted",
            Self::Forced => "forced",
            Self::Silent => "silent",
            Self::Lost => "lost",
            Self::Open => "open",
            Self::NotVerified => "not verified",
            Self::NoEvidence => "no evidence",
        }
    }

    fn is_protected(self) -> bool {
        self == Self::Verified
    }
}

/// Whether the host was protected before the due date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Verdict {
    Met,
    Missed,
    /// The host is not protected, and the due date is not over.
    Open,
    /// Not in time, and an exception covers that.
    Excepted,
    /// The severity or the date is not known, or the policy has no days for the severity.
    Unknown,
}

impl Verdict {
    pub(crate) const ALL: [Self; 5] = [
        Self::Met,
        Self::Missed,
        Self::Open,
        Self::Excepted,
        Self::Unknown,
    ];

    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Open => "open",
            Self::Excepted => "excepted",
            Self::Unknown => "unknown",
        }
    }
}

/// A host of the report.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) label: String,
    pub(crate) is_listed: bool,
    pub(crate) evidence: Evidence,
}

impl Host {
    pub(crate) fn whole(&self) -> Option<&Whole> {
        match &self.evidence {
            Evidence::Whole(whole) => Some(whole),
            Evidence::None | Evidence::NotVerified(_) => None,
        }
    }

    pub(crate) fn facts(&self) -> Option<&Facts> {
        self.whole().map(|whole| &whole.facts)
    }
}

/// The interval, and the operator's rules.
pub(crate) struct Rules<'a> {
    pub(crate) from: u64,
    pub(crate) end: u64,
    pub(crate) policy: &'a Policy,
}

/// One CVE on one host. All times are in seconds since the epoch.
#[derive(Debug)]
pub(crate) struct Row {
    /// The positions in the lists of CVEs and of hosts.
    pub(crate) cve: usize,
    pub(crate) host: usize,
    pub(crate) state: State,
    pub(crate) published: Option<u64>,
    pub(crate) available: Option<u64>,
    pub(crate) applied: Option<u64>,
    pub(crate) verified: Option<u64>,
    /// The last record in which the CVE is fixed.
    pub(crate) last: Option<u64>,
    pub(crate) lost: Option<u64>,
    pub(crate) gaps: usize,
    pub(crate) forced: bool,
    /// From the start of the SLA's days until it was verified.
    pub(crate) seconds: Option<u64>,
    pub(crate) due: Option<u64>,
    pub(crate) sla: Verdict,
    /// The position in the policy's list.
    pub(crate) exception: Option<usize>,
    /// Whether an exception has not ended at the end of the interval. The host need not be
    /// protected then.
    pub(crate) is_excused: bool,
    /// The first and the last boot of the records that prove the application.
    pub(crate) boots: Option<(usize, usize)>,
}

impl Row {
    /// Whether this row makes the answer of the report a no. An exception excuses a host that is
    /// not protected. It does not excuse one whose evidence is missing, before or after the due
    /// date: an exception for all hosts must not hide such a host.
    pub(crate) fn is_no(&self) -> bool {
        match (self.state, self.sla) {
            (State::Silent | State::NotVerified | State::NoEvidence, _) => true,
            (_, Verdict::Missed) => true,
            (State::Verified, _) => false,
            (State::Restarted, _) => !self.is_excused,
            (State::Forced | State::Lost | State::Open, sla) => sla == Verdict::Unknown,
        }
    }

    pub(crate) fn is_protected(&self) -> bool {
        self.state.is_protected()
    }

    /// Whether the host is not protected, and there is time left until the SLA ends.
    pub(crate) fn has_time(&self) -> bool {
        self.sla == Verdict::Open && !self.is_no()
    }

    /// The number of restarts between the record before the application and the verification.
    pub(crate) fn restarts(&self) -> Option<usize> {
        self.boots.map(|(first, last)| last - first)
    }
}

/// A CVE of the report.
#[derive(Debug)]
pub(crate) struct Cve {
    pub(crate) name: String,
    pub(crate) known: Known,
}

impl Cve {
    pub(crate) fn severity(&self) -> Severity {
        self.known.severity
    }
}

/// The key that sorts CVE numbers by the year and the number: CVE-2026-9999 is before
/// CVE-2026-10000.
fn age(name: &str) -> (&str, usize, &str) {
    let (year, number) = name.split_at(name.len().min("CVE-2026-".len()));
    let number = number.trim_start_matches('0');
    (year, number.len(), number)
}

/// The CVEs that the levels or the records name, the oldest first. A CVE that was disclosed after
/// the end is left out.
pub(crate) fn cves(data: &Data, hosts: &[Host], end: u64) -> Vec<Cve> {
    let facts = hosts.iter().filter_map(Host::facts);
    let mut names: BTreeSet<&String> = facts.flat_map(Facts::named).collect();
    names.extend(data.keys());
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort_by(|one, other| age(one).cmp(&age(other)));
    let cve = |name: &String| Cve {
        name: name.clone(),
        known: data.get(name).cloned().unwrap_or(Known::UNKNOWN),
    };
    let is_later = |cve: &Cve| {
        let first = cve.known.disclosed.or(cve.known.published(None));
        let is_seen = || {
            hosts
                .iter()
                .filter_map(Host::facts)
                .any(|facts| facts.has_named(&cve.name))
        };
        first.is_some_and(|first| first > end) && !is_seen()
    };
    names
        .into_iter()
        .map(cve)
        .filter(|cve| !is_later(cve))
        .collect()
}

/// A row for each CVE on each host, in the order of the lists. A CVE is left out if each host was
/// protected from it before the interval, and still is. Returns the number of these, too.
pub(crate) fn rows(cves: &mut Vec<Cve>, hosts: &[Host], rules: &Rules<'_>) -> (Vec<Row>, usize) {
    let mut rows = Vec::new();
    let count = cves.len();
    let mut kept = 0;
    cves.retain(|cve| {
        let all: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(nr, host)| rules.row((kept, cve), (nr, host)))
            .collect();
        let was_before = |row: &Row| {
            row.is_protected() && row.gaps == 0 && row.verified.is_some_and(|at| at < rules.from)
        };
        let is_old = all.iter().all(was_before);
        if !is_old {
            rows.extend(all);
            kept += 1;
        }
        !is_old
    });
    (rows, count - kept)
}

impl Rules<'_> {
    fn row(&self, (cve_nr, cve): (usize, &Cve), (host_nr, host): (usize, &Host)) -> Row {
        let facts = host.facts();
        let track = facts.and_then(|facts| facts.cves.get(&cve.name));
        let releases = facts
            .map(|facts| &facts.releases)
            .filter(|known| !known.is_empty());
        let published = cve.known.published(releases);
        let forced = facts.and_then(|facts| facts.forced.get(&cve.name));
        let state = self.state(&host.evidence, Some(&cve.name));
        let start = match self.policy.sla.start {
            Start::Disclosed => cve.known.disclosed,
            Start::Published => published,
        };
        let days = self.policy.sla.days(cve.severity());
        let due = start
            .zip(days)
            .map(|(start, days)| start + u64::from(days) * DAY);
        let verified = track.map(|track| track.verified.time);
        let available = facts.and_then(|facts| available(&cve.known, facts));
        let exception = self.policy.exception(&cve.name, &host.name);
        // After a restart, it is not known whether the host is protected now. The time at which it
        // was first protected stays known.
        let is_kept = matches!(state, State::Verified | State::Restarted);
        let gaps = track.map_or(&[][..], |track| &track.gaps);
        let protected = verified
            .filter(|_| is_kept)
            .map(|at| in_effect_since(at, gaps, due));
        Row {
            cve: cve_nr,
            host: host_nr,
            state,
            published,
            available: available.map(|at| at.time),
            applied: track
                .map_or_else(|| forced?.applied, |track| track.applied)
                .map(|at| at.time),
            verified,
            last: track.map(|track| track.last.time),
            lost: track.and_then(|track| track.lost),
            gaps: gaps.len(),
            forced: facts.is_some_and(|facts| facts.ever_forced.contains(&cve.name)),
            seconds: start
                .zip(verified)
                .map(|(start, at)| at.saturating_sub(start)),
            due,
            sla: self.met(due, protected, exception),
            exception,
            is_excused: exception.is_some_and(|nr| self.end <= self.policy.exceptions[nr].until),
            boots: track.map(|track| boots(track, available)),
        }
    }

    /// The state of a CVE on a host, or of a host for which no CVE is known.
    pub(crate) fn state(&self, evidence: &Evidence, cve: Option<&String>) -> State {
        let facts = match evidence {
            Evidence::None => return State::NoEvidence,
            Evidence::NotVerified(_) => return State::NotVerified,
            Evidence::Whole(whole) => &whole.facts,
        };
        let silence = u64::from(self.policy.silent_days) * DAY;
        let is_fresh = |at: Moment| at.time + silence >= self.end;
        let is_silent = !facts.last_word.is_some_and(is_fresh);
        let is_forced = cve.is_some_and(|cve| facts.forced.contains_key(cve));
        match cve.and_then(|cve| facts.cves.get(cve)) {
            _ if is_forced && !is_silent => State::Forced,
            Some(track) if track.lost.is_some() => State::Lost,
            _ if is_silent => State::Silent,
            None => State::Open,
            Some(track) if facts.last.is_some_and(|last| last.boot > track.last.boot) => {
                State::Restarted
            }
            Some(_) => State::Verified,
        }
    }

    /// An exception moves the due date to its end.
    fn met(&self, due: Option<u64>, protected: Option<u64>, exception: Option<usize>) -> Verdict {
        // A host that is not protected is measured at the end of the interval.
        let at = protected.unwrap_or(self.end);
        let until = exception.map(|nr| self.policy.exceptions[nr].until);
        let is_excepted = until.is_some_and(|until| at <= until);
        match due {
            Some(due) if at <= due && protected.is_some() => Verdict::Met,
            Some(due) if at <= due => Verdict::Open,
            None if protected.is_some() => Verdict::Unknown,
            _ if is_excepted => Verdict::Excepted,
            Some(_) => Verdict::Missed,
            None => Verdict::Unknown,
        }
    }
}

/// When the host was protected for the SLA: the first time, unless it was not protected any more at
/// the due time. Then it is the time at which it was fixed again.
fn in_effect_since(verified: u64, gaps: &[Gap], due: Option<u64>) -> u64 {
    let is_around = |gap: &&Gap| due.is_some_and(|due| gap.lost <= due && due < gap.fixed);
    gaps.iter()
        .find(is_around)
        .map_or(verified, |gap| gap.fixed)
}

/// When a level that fixes the CVE for this host was first seen there.
fn available(known: &Known, facts: &Facts) -> Option<Moment> {
    let releases = known.releases(Some(&facts.releases));
    let seen = releases.filter_map(|release| facts.available.get(&release.level));
    seen.min_by_key(|at| at.time).copied()
}

/// The boots that show whether the machine was restarted: from the record in which the level was
/// available, or from the record before the application, to the verification.
fn boots(track: &Track, available: Option<Moment>) -> (usize, usize) {
    let last = track.verified.boot;
    let first = available.map_or(track.boot_before, |at| at.boot);
    (first.min(track.boot_before).min(last), last)
}
