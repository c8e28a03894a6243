// SPDX-License-Identifier: GPL-2.0

//! level status: which level is installed, in effect, verified, blocked and quarantined, and what
//! the policy decides about the installed one.

use crate::apply::decision_json;
use crate::boot;
use crate::failure::Result;
use crate::feed::Feeds;
use crate::level::Number;
use crate::output::{
    printable,
    Outcome,
    Paint,
    Report, //
};
use crate::policy::{
    Decision,
    Quarantined, //
};
use crate::store::{
    Intent,
    Phase,
    Seen, //
};
use crate::system::System;
use crate::time;
use crate::units;
use crate::view::View;
use serde_json::{
    json,
    Value, //
};

struct Status {
    release: String,
    /// The level of the package, and when it was published.
    installed: Option<(Number, String)>,
    seen: Option<Seen>,
    ring: Option<&'static str>,
    in_effect: Option<(Number, String)>,
    verified: Vec<Number>,
    blocked: Vec<Number>,
    quarantined: Vec<Quarantined>,
    decision: Decision,
    unfinished: Option<(Number, Phase)>,
    is_off: bool,
    /// The clock is in doubt.
    is_doubted: bool,
    /// Whether rlp-apply.timer runs here, and its runs may act: not with `livepatch.off`.
    is_timed: bool,
    /// Why nothing runs `rlp level apply`, and the remedy.
    timer_problem: Option<(String, String)>,
    /// The lines of [`View::notes`].
    notes: Vec<String>,
    feeds: Feeds,
}

fn read(system: &System) -> Result<Status> {
    let view = View::read(system)?;
    let level = view.level.as_ref();
    let number = level.map(|level| level.level);
    let stored = view.state.stored(&view.release, view.build_id.as_deref());
    let mut verified: Vec<_> = stored.map(|verified| verified.level).collect();
    verified.sort_unstable();
    Ok(Status {
        installed: level.map(|level| (level.level, level.published.clone())),
        seen: number.and_then(|level| view.state.seen(level)).cloned(),
        ring: number.map(|level| view.policy.ring(view.host.as_deref(), level).name()),
        in_effect: view
            .in_effect()
            .map(|(level, patch)| (level, patch.name.clone())),
        verified,
        blocked: view.blocked(),
        quarantined: view.quarantined(),
        decision: view.decide(false),
        unfinished: Intent::read(system)?.map(|intent| (intent.level, intent.phase)),
        is_off: boot::is_off(system),
        is_doubted: view
            .state
            .clock
            .as_ref()
            .is_some_and(|clock| clock.doubted_for.is_some()),
        is_timed: units::is_apply_timed(system) && !boot::is_off(system),
        timer_problem: units::apply_problem(system),
        notes: view.notes(),
        feeds: Feeds::read(system),
        release: view.release,
    })
}

pub(crate) fn run(system: &System) -> Outcome {
    match read(system) {
        Ok(status) => Outcome::of(status),
        Err(failure) => failure.into(),
    }
}

fn numbers(levels: &[Number]) -> String {
    let levels: Vec<_> = levels.iter().map(ToString::to_string).collect();
    levels.join(" ")
}

impl Report for Status {
    fn json(&self) -> Value {
        json!({
            "release": self.release,
            "installed": self.installed.as_ref().map(|(level, published)| json!({
                "level": level,
                "published": published,
                "first_seen": self.seen.as_ref().map(|seen| time::rfc3339(seen.time)),
                "ran_seconds": self.seen.as_ref().map(|seen| seen.ran),
                "ring": self.ring,
            })),
            "in_effect": self.in_effect.as_ref().map(|(level, patch)| json!({
                "level": level,
                "patch": patch,
            })),
            "verified": self.verified,
            "blocked": self.blocked,
            "quarantined": self.quarantined,
            "decision": decision_json(&self.decision, self.is_timed),
            "unfinished": self.unfinished.map(|(level, phase)| json!({
                "level": level,
                "phase": phase,
            })),
            "off": self.is_off,
            "clock_in_doubt": self.is_doubted,
            "timer_missing": self.timer_problem.is_some(),
            "feeds": self.feeds.json(time::now()),
        })
    }

    fn text(&self, paint: &Paint) -> String {
        let mut lines = Vec::new();
        if let (Some((level, published)), Some(seen)) = (&self.installed, &self.seen) {
            lines.push(format!(
                "level {level} of {published} is installed; seen first at {}, and the machine has \
                 run for {} since",
                time::readable(seen.time),
                time::span(seen.ran)
            ));
        }
        match &self.in_effect {
            Some((level, patch)) => lines.push(format!(
                "{}level {level}{:#} is in effect ({patch})",
                paint.good, paint.good
            )),
            None => lines.push(format!(
                "{}no level is in effect{:#}",
                paint.warn, paint.warn
            )),
        }
        lines.push(format!("decision: {}", printable(&self.decision.text())));
        if let Some(next) = self.decision.next(self.is_timed) {
            lines.push(format!("  next: {next}"));
        }
        if let Some(ring) = self.ring {
            lines.push(format!("ring: {ring}"));
        }
        lines.extend(self.feeds.lines(time::now()));
        if self.is_off {
            lines.push(boot::off_line());
        }
        if let Some((problem, next)) = &self.timer_problem {
            lines.push(format!(
                "{}{problem}: no run applies or takes back levels{:#}",
                paint.warn, paint.warn
            ));
            lines.push(format!("  next: {next}"));
        }
        if self.is_doubted {
            lines.push("the clock does not agree with the time that has passed".to_owned());
        }
        if let Some((level, _)) = self.unfinished {
            lines.push(format!(
                "level {level} is being applied, or a run was ended"
            ));
        }
        lines.extend(self.notes.iter().cloned());
        if !self.verified.is_empty() {
            lines.push(format!("verified and stored: {}", numbers(&self.verified)));
        }
        if !self.blocked.is_empty() {
            lines.push(format!("blocked: {}", numbers(&self.blocked)));
        }
        for Quarantined {
            level,
            time,
            reason,
        } in &self.quarantined
        {
            lines.push(format!(
                "quarantined: {level}, since {}: {}",
                time::readable(*time),
                printable(reason)
            ));
        }
        lines.into_iter().map(|line| line + "\n").collect()
    }
}
