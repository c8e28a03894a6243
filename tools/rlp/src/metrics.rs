// SPDX-License-Identifier: GPL-2.0

//! metrics: the state of the machine in the text format of Prometheus. node_exporter's textfile
//! collector passes the file on.
//!
//! A number that cannot be read is left out, and is never replaced by a good one: without the
//! loader's files, no metric says that a patch is in effect. Each metric is named even if it has no
//! number now, so that a test can compare the names with those in rules.

use crate::chain;
use crate::cli;
use crate::failure::{
    Failure,
    Result, //
};
use crate::feed::Feeds;
use crate::history;
use crate::host;
use crate::kmsg;
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
use crate::status;
use crate::system::System;
use crate::time;
use crate::units;
use crate::view::View;
use serde_json::{
    json,
    Map,
    Value, //
};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

type Labels = Vec<(&'static str, String)>;

/// A metric, with a number for each set of labels.
struct Metric {
    name: &'static str,
    help: &'static str,
    samples: Vec<(Labels, u64)>,
}

/// The metrics that were read, and the first failure.
struct Metrics {
    metrics: Vec<Metric>,
    failure: Option<Failure>,
}

impl Metrics {
    fn add(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        self.metrics.push(Metric {
            name,
            help,
            samples: samples.into_iter().collect(),
        });
    }

    /// Adds a number without labels, if it is known.
    fn one(&mut self, name: &'static str, help: &'static str, number: Option<u64>) {
        self.add(name, help, number.map(|number| (Labels::new(), number)));
    }

    /// The value of a result. The first failure is kept.
    fn or_failure<T>(&mut self, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(failure) => {
                self.failure.get_or_insert(failure);
                None
            }
        }
    }
}

fn label(name: &'static str, value: impl Into<String>) -> Labels {
    vec![(name, value.into())]
}

/// Reads the machine, and changes nothing.
fn read(system: &System) -> Metrics {
    let mut all = Metrics {
        metrics: Vec::new(),
        failure: None,
    };
    all.one(
        "rlp_metrics_time_seconds",
        "When these metrics were written",
        Some(time::now()),
    );
    let info = vec![
        ("host", host::id(system).unwrap_or_default()),
        ("release", system.release()),
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    all.add(
        "rlp_host_info",
        "The name of the machine in evidence, its kernel, and the version of rlp",
        [(info, 1)],
    );
    all.add_loader(system);
    all.add_units(system);
    all.add_level(system);
    all.add_evidence(system);
    all.add_feed(system);
    all
}

impl Metrics {
    fn add_loader(&mut self, system: &System) {
        let patches = self.or_failure(loader::patches(system));
        let verdict = status::read(system);
        self.one(
            "rlp_verdict",
            "The exit status of rlp status --nagios",
            Some(
                verdict
                    .map_or(status::UNKNOWN, |status| status.verdict().status())
                    .into(),
            ),
        );
        self.one(
            "rlp_loader_readable",
            "Whether the loader's files can be read",
            Some(patches.is_some().into()),
        );
        self.one(
            "rlp_loader_loaded",
            "Whether the loader is loaded",
            Some(loader::is_loaded(system).into()),
        );
        let messages = kmsg::since_boot(system).ok();
        let problems = messages.map(|messages| {
            messages
                .iter()
                .filter(|message| message.is_problem())
                .count()
        });
        self.one(
            "rlp_loader_problems",
            "The errors and warnings of the loader that the kernel's log has",
            problems.map(|problems| problems as u64),
        );
        self.add_patches(patches.as_deref());
    }

    /// Without the loader's files, nothing is known about patches.
    fn add_patches(&mut self, patches: Option<&[Patch]>) {
        let count = |is_counted: &dyn Fn(&Patch) -> bool| {
            let patches = patches?.iter().filter(|patch| is_counted(patch));
            Some(patches.count() as u64)
        };
        let states = [
            ("in-effect", State::InEffect),
            ("probation", State::Probation),
            ("enabling", State::Enabling),
            ("disabling", State::Disabling),
            ("held", State::Held),
        ];
        let states: Vec<_> = states
            .into_iter()
            .filter_map(|(name, state)| {
                Some((label("state", name), count(&|patch| patch.state == state)?))
            })
            .collect();
        self.add(
            "rlp_patches",
            "The patches of the loader in each state",
            states,
        );
        self.one(
            "rlp_patches_forced",
            "The patches whose last transition was forced",
            count(&|patch| patch.forced),
        );
        let moving = patches.map(|patches| {
            let moving = patches
                .iter()
                .filter(|patch| patch.state.is_in_transition());
            moving
                .map(|patch| patch.tasks.saturating_sub(patch.switched))
                .sum()
        });
        self.one(
            "rlp_transition_tasks",
            "The tasks that a transition waits for",
            moving,
        );
    }

    fn add_units(&mut self, system: &System) {
        let units = units::all(system).into_iter();
        self.add(
            "rlp_unit_enabled",
            "Whether systemd starts the unit by itself",
            units.map(|(unit, is_enabled)| (label("unit", unit), is_enabled.into())),
        );
    }

    fn add_level(&mut self, system: &System) {
        let view = self.or_failure(View::read(system));
        self.one(
            "rlp_level_readable",
            "Whether the levels and the policy can be read",
            Some(view.is_some().into()),
        );
        let view = view.as_ref();
        let level = view.and_then(|view| view.level.as_ref());
        self.one(
            "rlp_level_installed",
            "The level of the package; 0 is none",
            view.map(|_| level.map_or(0, |level| level.level.into())),
        );
        self.one(
            "rlp_level_published_time_seconds",
            "When the level of the package was published",
            level.and_then(|level| time::seconds(&level.published)),
        );
        self.one(
            "rlp_level_in_effect",
            "The level that is in effect and confirmed; 0 is none",
            view.map(|view| view.in_effect().map_or(0, |(level, _)| level.into())),
        );
        self.add(
            "rlp_level_quarantined",
            "A level that has failed on this machine",
            view.iter()
                .flat_map(|view| view.quarantined())
                .map(|it| (label("level", it.level.to_string()), 1)),
        );
        self.add(
            "rlp_level_decision",
            "The decision of the policy about the level of the package",
            view.map(|view| (label("kind", view.decide(false).kind()), 1)),
        );
        let ring = view
            .zip(level)
            .map(|(view, level)| view.policy.ring(view.host.as_deref(), level.level).name());
        self.add(
            "rlp_level_ring",
            "The ring of the machine for the level of the package",
            ring.map(|ring| (label("ring", ring), 1)),
        );
        let clock = view.and_then(|view| view.state.clock.as_ref());
        self.one(
            "rlp_clock_in_doubt",
            "Whether the clock does not agree with the time that has passed",
            clock.map(|clock| clock.doubted_for.is_some().into()),
        );
    }

    fn add_evidence(&mut self, system: &System) {
        let head = self
            .or_failure(chain::last(&system.path(&history::path())))
            .flatten();
        self.one(
            "rlp_evidence_records",
            "The number of the last record in the chain",
            head.map(|(seq, _)| seq),
        );
        self.add(
            "rlp_evidence_head",
            "The head of the chain: the number and the hash of its last record",
            head.map(|(seq, sha256)| {
                let labels = vec![("seq", seq.to_string()), ("sha256", sha256.to_string())];
                (labels, 1)
            }),
        );
        let heartbeat = self.or_failure(history::last_heartbeat(system)).flatten();
        self.one(
            "rlp_heartbeat_time_seconds",
            "When the last heartbeat was recorded",
            heartbeat,
        );
    }

    fn add_feed(&mut self, system: &System) {
        let feeds = Feeds::read(system);
        self.one(
            "rlp_feed_readable",
            "Whether the indexes of apt can be read",
            Some((!matches!(feeds, Feeds::Unreadable(_))).into()),
        );
        let count = match &feeds {
            Feeds::Unknown | Feeds::Unreadable(_) => None,
            Feeds::Never | Feeds::Known(_) => Some(feeds.known().len() as u64),
        };
        self.one(
            "rlp_feed_indexes",
            "The indexes of the repository that apt has accepted; 0 is none",
            count,
        );
        let feeds = feeds.known().iter();
        self.add(
            "rlp_feed_signed_time_seconds",
            "When the index of the repository that apt has accepted last was signed",
            oldest(feeds.clone().map(|feed| (&*feed.name, feed.signed))),
        );
        self.add(
            "rlp_feed_valid_until_time_seconds",
            "When the index of the repository that apt has accepted last expires",
            oldest(feeds.filter_map(|feed| Some((&*feed.name, feed.valid_until?)))),
        );
    }
}

/// The earliest time of each feed. Two indexes may have the same origin and ring, and
/// node_exporter drops the whole file if a series is in it twice.
fn oldest<'a>(feeds: impl Iterator<Item = (&'a str, u64)>) -> Vec<(Labels, u64)> {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, time) in feeds {
        let earliest = all.entry(name).or_insert(time);
        *earliest = time.min(*earliest);
    }
    all.into_iter()
        .map(|(name, time)| (label("feed", name), time))
        .collect()
}

/// A value of a label, as the text format has it.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

impl Metric {
    fn write(&self, text: &mut String) {
        let Self { name, help, .. } = self;
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (labels, number) in &self.samples {
            let labels: Vec<_> = labels
                .iter()
                .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
                .collect();
            let _ = match labels.join(",") {
                labels if labels.is_empty() => writeln!(text, "{name} {number}"),
                labels => writeln!(text, "{name}{{{labels}}} {number}"),
            };
        }
    }

    fn json(&self) -> Value {
        let samples = self.samples.iter().map(|(labels, number)| {
            let labels: Map<_, _> = labels
                .iter()
                .map(|(label, value)| ((*label).to_owned(), json!(value)))
                .collect();
            json!({ "labels": labels, "value": number })
        });
        json!({
            "name": self.name,
            "help": self.help,
            "samples": samples.collect::<Vec<_>>(),
        })
    }
}

/// The report of the command.
struct Written {
    metrics: Vec<Metric>,
    /// The file that has the metrics. Without it, they are printed.
    output: Option<PathBuf>,
}

impl Written {
    fn exposition(&self) -> String {
        let mut text = String::new();
        for metric in &self.metrics {
            metric.write(&mut text);
        }
        text
    }
}

impl Report for Written {
    fn json(&self) -> Value {
        json!({
            "metrics": self.metrics.iter().map(Metric::json).collect::<Vec<_>>(),
            "output": self.output.as_ref().map(|path| path.display().to_string()),
        })
    }

    fn text(&self, _paint: &Paint) -> String {
        match &self.output {
            Some(path) => format!("written: {}\n", path.display()),
            None => self.exposition(),
        }
    }
}

pub(crate) fn run(system: &System, arguments: &cli::Metrics) -> Outcome {
    let Metrics { metrics, failure } = read(system);
    let written = Written {
        metrics,
        output: arguments.output.clone(),
    };
    if let Some(path) = &written.output {
        if let Err(failed) = durable::replace(path, written.exposition().as_bytes()) {
            return Failure::from(failed).into();
        }
    }
    Outcome {
        report: Some(Box::new(written)),
        failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let metric = Metric {
            name: "rlp_x",
            help: "x",
            samples: vec![(label("a", "b\"c\\d\n"), 1)],
        };
        let mut text = String::new();
        metric.write(&mut text);
        let sample = text.lines().last();
        assert_eq!(sample, Some("rlp_x{a=\"b\\\"c\\\\d\\n\"} 1"));
    }
}
