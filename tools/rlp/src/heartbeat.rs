// SPDX-License-Identifier: GPL-2.0

//! heartbeat: a record of what is in effect, once a day. It shows that the machine was there and
//! what the loader said, even on days on which nothing was changed.

use crate::cli;
use crate::failure::{
    Failure,
    Result, //
};
use crate::feed::{
    Feed,
    Feeds, //
};
use crate::history::{
    Phase,
    Record, //
};
use crate::loader::{
    self,
    Patch,
    State, //
};
use crate::output::{
    Outcome,
    Paint,
    Report, //
};
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

/// A patch, as the loader's files describe it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) since: Option<u64>,
    pub(crate) level: Option<String>,
    pub(crate) cves: Vec<String>,
    pub(crate) build_id: Option<String>,
    pub(crate) forced: bool,
}

/// The machine at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel_build_id: Option<String>,
    /// The seconds since the boot.
    pub(crate) uptime: Option<u64>,
    /// The number in /proc/sys/kernel/tainted. 0: not tainted.
    pub(crate) tainted: Option<u64>,
    pub(crate) loader_loaded: bool,
    /// `None` if the loader's files cannot be read. Then nothing is known to be in effect.
    pub(crate) patches: Option<Vec<Seen>>,
    /// The indexes of levels that apt has accepted. The machine knows no level that was published
    /// later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) feeds: Vec<Feed>,
}

impl From<Patch> for Seen {
    fn from(patch: Patch) -> Self {
        Self {
            name: patch.name,
            state: patch.state,
            since: patch.since,
            level: patch.level,
            cves: patch.cves,
            build_id: patch.build_id,
            forced: patch.forced,
        }
    }
}

impl Machine {
    /// Looks at the machine. The failure is the reason why the patches are not known.
    pub(crate) fn read(system: &System) -> (Self, Option<Failure>) {
        let first = |path: &str, end: char| {
            let text = system.read(path).ok()?;
            text.split(end).next()?.parse().ok()
        };
        let (patches, failure) = match loader::patches(system) {
            Ok(patches) => (Some(patches.into_iter().map(Seen::from).collect()), None),
            Err(failure) => (None, Some(failure)),
        };
        let machine = Self {
            kernel_build_id: system.kernel_build_id(),
            uptime: first("/proc/uptime", '.'),
            tainted: first("/proc/sys/kernel/tainted", ' '),
            loader_loaded: loader::is_loaded(system),
            patches,
            feeds: Feeds::read(system).known().to_vec(),
        };
        (machine, failure)
    }
}

struct Recorded {
    dry_run: bool,
    record: Record,
}

pub(crate) fn run(system: &System, arguments: cli::Heartbeat) -> Outcome {
    let dry_run = arguments.dry.dry_run;
    match record(system, dry_run) {
        Ok((record, failure)) => Outcome {
            report: Some(Box::new(Recorded { dry_run, record })),
            failure,
        },
        Err(failure) => failure.into(),
    }
}

/// Records the machine, even if the patches are not known.
fn record(system: &System, dry_run: bool) -> Result<(Record, Option<Failure>)> {
    system.needs_root("record what is in effect")?;
    let (machine, failure) = Machine::read(system);
    let mut record = Record::new(system, Phase::State, "heartbeat", "");
    record.detail = failure.as_ref().map(|failure| failure.what.clone());
    record.machine = Some(machine);
    if !dry_run {
        record.clone().append(system)?;
    }
    Ok((record, failure))
}

impl Report for Recorded {
    fn json(&self) -> Value {
        json!({ "dry_run": self.dry_run, "machine": self.record.machine })
    }

    fn text(&self, _paint: &Paint) -> String {
        let lines = self.record.machine.iter().flat_map(Machine::lines);
        lines.map(|line| line + "\n").collect()
    }
}

impl Machine {
    /// The state of the machine, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(uptime) = self.uptime {
            lines.push(format!("up for {}", time::span(uptime)));
        }
        match self.patches.as_deref() {
            None => lines.push("the patches cannot be read".to_owned()),
            Some([]) => lines.push("no patch is loaded".to_owned()),
            Some(patches) => lines.extend(patches.iter().map(|patch| {
                let fixes = match patch.cves.join(" ") {
                    cves if cves.is_empty() => String::new(),
                    cves => format!("; fixes {cves}"),
                };
                format!("{}: {}{fixes}", patch.name, patch.state.words())
            })),
        }
        lines.extend(self.feeds.iter().map(Feed::record_line));
        lines
    }
}
