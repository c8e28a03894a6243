// SPDX-License-Identifier: GPL-2.0

//! All that a report says, before it has a form.

use crate::digest::Digest;
use crate::output::printable;
use crate::report::exports::Evidence;
use crate::report::policy::{
    Exception,
    Policy,
    DAY, //
};
use crate::report::rows::{
    Cve,
    Host,
    Row,
    Rules,
    State, //
};
use crate::report::totals::Total;
use crate::time;
use std::path::PathBuf;

/// The word for a date or a severity that no level names.
pub(crate) const UNKNOWN: &str = "unknown";

/// The columns of a row, in their order. `report.rst` defines each.
pub(crate) const COLUMNS: [&str; 26] = [
    "cve",
    "severity",
    "host",
    "label",
    "listed",
    "state",
    "reason",
    "disclosed",
    "published",
    "available",
    "applied",
    "verified",
    "last_seen",
    "lost",
    "gaps",
    "forced",
    "days",
    "due",
    "sla",
    "exception",
    "approved_by",
    "exception_end",
    "restarts",
    "boots",
    "kernels",
    "head",
];

/// A file that the report was made from.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) kind: &'static str,
    pub(crate) file: PathBuf,
    pub(crate) sha256: Digest,
}

#[derive(Debug)]
pub(crate) struct Sheet {
    pub(crate) from: u64,
    /// The last second that was asked for, or now if that is earlier.
    pub(crate) end: u64,
    pub(crate) now: u64,
    pub(crate) policy: Policy,
    pub(crate) has_inventory: bool,
    /// Whether the newest heads must be signed.
    pub(crate) checks_signatures: bool,
    pub(crate) inputs: Vec<Input>,
    /// Files in the folders of the evidence that are of no host.
    pub(crate) others: Vec<PathBuf>,
    pub(crate) hosts: Vec<Host>,
    pub(crate) cves: Vec<Cve>,
    pub(crate) rows: Vec<Row>,
    /// The number of CVEs that each host was protected from before the interval.
    pub(crate) left_out: usize,
    pub(crate) total: Total,
    pub(crate) totals: Vec<Total>,
}

/// Seconds as days, with one digit behind the point.
pub(crate) fn days(seconds: u64) -> String {
    let tenths = (seconds * 10 + DAY / 2) / DAY;
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// A time, or nothing.
fn at(time: Option<u64>) -> String {
    time.map(time::rfc3339).unwrap_or_default()
}

/// A date that only a level can name.
pub(crate) fn date(time: Option<u64>) -> String {
    time.map_or_else(|| UNKNOWN.to_owned(), time::rfc3339)
}

impl Sheet {
    pub(crate) fn host(&self, row: &Row) -> &Host {
        &self.hosts[row.host]
    }

    pub(crate) fn cve(&self, row: &Row) -> &Cve {
        &self.cves[row.cve]
    }

    pub(crate) fn exception(&self, row: &Row) -> Option<&Exception> {
        row.exception.map(|nr| &self.policy.exceptions[nr])
    }

    /// Whether no row makes the answer a no. Without a row, each host must have evidence that is
    /// whole, and recent. A report without any host says nothing.
    pub(crate) fn is_yes(&self) -> bool {
        let [none, not_verified, _] = self.evidence();
        let is_known = !self.rows.is_empty() || none + not_verified + self.silent() == 0;
        is_known && !self.hosts.is_empty() && !self.rows.iter().any(Row::is_no)
    }

    /// The number of hosts with evidence that is whole, in which the loader's last words are too
    /// old.
    pub(crate) fn silent(&self) -> usize {
        let rules = Rules {
            from: self.from,
            end: self.end,
            policy: &self.policy,
        };
        let is_silent = |host: &&Host| rules.state(&host.evidence, None) == State::Silent;
        self.hosts.iter().filter(is_silent).count()
    }

    /// The number of hosts that have no evidence, evidence that is not as it was written, and
    /// evidence that is whole.
    pub(crate) fn evidence(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for host in &self.hosts {
            counts[match host.evidence {
                Evidence::None => 0,
                Evidence::NotVerified(_) => 1,
                Evidence::Whole(_) => 2,
            }] += 1;
        }
        counts
    }

    /// The hosts that have evidence and are not in the inventory.
    pub(crate) fn unlisted(&self) -> impl Iterator<Item = &Host> {
        let has_inventory = self.has_inventory;
        self.hosts
            .iter()
            .filter(move |host| has_inventory && !host.is_listed)
    }

    /// Why the state of a row is what it is.
    pub(crate) fn reason(&self, row: &Row) -> String {
        let host = self.host(row);
        let last_word = host.facts().and_then(|facts| facts.last_word);
        match (&host.evidence, row.state) {
            (Evidence::NotVerified(why), _) => printable(why),
            (_, State::Silent) => match last_word {
                Some(word) => format!("no word of the loader since {}", time::rfc3339(word.time)),
                None => "no record has a word of the loader".to_owned(),
            },
            (_, State::Restarted) => {
                format!(
                    "no word of the loader since the restart after {}",
                    at(row.last)
                )
            }
            (_, State::Forced) => "tasks were forced, and may still run the old code".to_owned(),
            (_, State::Open) if row.published.is_none() && self.cve(row).known.is_fixed() => {
                "no level fixes it for a kernel of this host".to_owned()
            }
            (_, State::Open | State::Lost) => self.failure(row).unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// The newest level that would protect the host, and has failed there.
    fn failure(&self, row: &Row) -> Option<String> {
        let facts = self.host(row).facts()?;
        let mut levels = self.cve(row).known.releases(Some(&facts.releases));
        let why = levels.rfind(|release| facts.failed.contains_key(&release.level));
        let why = &facts.failed[&why?.level];
        Some(format!("it has failed on this host: {}", printable(why)))
    }

    /// The ids of the boots that prove the number of restarts.
    pub(crate) fn boots(&self, row: &Row) -> Vec<String> {
        let facts = self.host(row).facts();
        let boots = facts
            .zip(row.boots)
            .map(|(facts, (first, last))| &facts.boots[first..=last]);
        let ids = boots.into_iter().flatten();
        ids.map(|boot| printable(&boot.id)).collect()
    }

    /// The values of a row, in the order of the columns.
    pub(crate) fn cells(&self, row: &Row) -> [String; COLUMNS.len()] {
        let (host, cve, exception) = (self.host(row), self.cve(row), self.exception(row));
        let known = row.verified.is_some();
        let of_exception = |field: fn(&Exception) -> &String| {
            exception
                .map(|exception| printable(field(exception)))
                .unwrap_or_default()
        };
        [
            cve.name.clone(),
            cve.severity().name().to_owned(),
            host.name.clone(),
            printable(&host.label),
            yes(host.is_listed),
            row.state.words().to_owned(),
            self.reason(row),
            date(cve.known.disclosed),
            date(row.published),
            at(row.available),
            at(row.applied),
            at(row.verified),
            at(row.last),
            at(row.lost),
            known.then(|| row.gaps.to_string()).unwrap_or_default(),
            (known || row.forced)
                .then(|| yes(row.forced))
                .unwrap_or_default(),
            row.seconds.map(days).unwrap_or_default(),
            date(row.due),
            row.sla.words().to_owned(),
            of_exception(|exception| &exception.reason),
            of_exception(|exception| &exception.approved_by),
            of_exception(|exception| &exception.end),
            row.restarts()
                .map(|count| count.to_string())
                .unwrap_or_default(),
            self.boots(row).join(" "),
            host.facts().map(kernels).unwrap_or_default(),
            host.whole()
                .map(|whole| format!("{}:{}", whole.head.seq, whole.head.sha256))
                .unwrap_or_default(),
        ]
    }
}

fn kernels(facts: &crate::report::facts::Facts) -> String {
    let names: Vec<_> = facts.releases.iter().map(|name| printable(name)).collect();
    names.join(" ")
}
