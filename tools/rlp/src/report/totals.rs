// SPDX-License-Identifier: GPL-2.0

//! The rows of each CVE, counted and summed up.

use crate::report::rows::{
    Row,
    State,
    Verdict, //
};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Total {
    pub(crate) hosts: usize,
    pub(crate) protected: usize,
    pub(crate) states: BTreeMap<State, usize>,
    pub(crate) slas: BTreeMap<Verdict, usize>,
    /// The hosts on which the CVE was verified at all.
    pub(crate) applied: usize,
    /// Those of them that were not restarted for it.
    pub(crate) without_restart: usize,
    /// The seconds until each protected host was protected, the shortest first.
    seconds: Vec<u64>,
}

impl Total {
    fn add(&mut self, row: &Row) {
        self.hosts += 1;
        self.protected += usize::from(row.is_protected());
        *self.states.entry(row.state).or_default() += 1;
        *self.slas.entry(row.sla).or_default() += 1;
        self.applied += usize::from(row.restarts().is_some());
        self.without_restart += usize::from(row.restarts() == Some(0));
        if row.is_protected() {
            self.seconds.extend(row.seconds);
        }
    }

    pub(crate) fn state(&self, state: State) -> usize {
        self.states.get(&state).copied().unwrap_or(0)
    }

    pub(crate) fn sla(&self, sla: Verdict) -> usize {
        self.slas.get(&sla).copied().unwrap_or(0)
    }

    /// The time in which so many percent of the protected hosts were protected.
    pub(crate) fn seconds(&self, percent: usize) -> Option<u64> {
        let most = self.seconds.len().checked_sub(1)?;
        self.seconds.get((most * percent).div_ceil(100)).copied()
    }
}

/// The sum of all rows, and that of each CVE.
pub(crate) fn totals(rows: &[Row], cves: usize) -> (Total, Vec<Total>) {
    let mut all = Total::default();
    let mut each: Vec<_> = (0..cves).map(|_| Total::default()).collect();
    for row in rows {
        all.add(row);
        each[row.cve].add(row);
    }
    for total in each.iter_mut().chain([&mut all]) {
        total.seconds.sort_unstable();
    }
    (all, each)
}
