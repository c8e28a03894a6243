// SPDX-License-Identifier: GPL-2.0

//! The decision whether and when a level is applied on a machine. It depends on its arguments
//! alone: it reads no file, no clock and no kernel. So a test can decide for 50,000 machines.
//!
//! The order of the rules: a level that was revoked does not stay in effect; a level that is not
//! for this kernel, is blocked, or has failed here is not applied; a hold keeps everything as it
//! is; then the delay of the ring and of the severity, and the window.

use crate::clock::{
    Clock,
    DOUBT, //
};
use crate::digest::Digest;
use crate::level::{
    Kernel,
    Level,
    Number,
    Severity, //
};
use crate::time;
use crate::window::{
    Window,
    Zone, //
};
use serde::{
    Deserialize,
    Serialize, //
};

const HOUR: u64 = 3600;

/// A part of the fleet. An earlier ring gets a level first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Ring {
    Canary,
    Early,
    Late,
}

impl Ring {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Early => "early",
            Self::Late => "late",
        }
    }
}

/// How the ring of a machine is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Choice {
    /// From a hash of the machine's name and of the level. So it is not always the same machines
    /// that get a level first.
    Auto,
    Canary,
    Early,
    Late,
}

/// How many percent of the machines are in the first two rings. The others are late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shares {
    pub(crate) canary: u8,
    pub(crate) early: u8,
}

/// The hours between the moment when a machine has first seen a level and the application of it,
/// for each severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hours {
    pub(crate) critical: u32,
    pub(crate) high: u32,
    pub(crate) medium: u32,
    pub(crate) low: u32,
    pub(crate) unknown: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Delays {
    pub(crate) canary: Hours,
    pub(crate) early: Hours,
    pub(crate) late: Hours,
}

/// An order of the operator to apply nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hold {
    #[serde(deserialize_with = "moment")]
    pub(crate) until: u64,
    #[serde(deserialize_with = "printable")]
    pub(crate) reason: String,
}

/// The conditions of a confirmation, and their limits in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Health {
    /// The time between the end of the transition and the checks.
    pub(crate) settle: u32,
    /// The longest time for each check.
    pub(crate) timeout: u32,
    /// The loader takes the patch back if it is not confirmed in this time.
    pub(crate) probation: u32,
    /// The loader reverses a transition that takes longer.
    pub(crate) deadline: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    pub(crate) ring: Choice,
    pub(crate) shares: Shares,
    pub(crate) delay: Delays,
    pub(crate) health: Health,
    #[serde(default)]
    pub(crate) window: Option<Window>,
    #[serde(default)]
    pub(crate) hold: Option<Hold>,
    /// Levels that must not be in effect on this machine.
    #[serde(default)]
    pub(crate) blocked: Vec<Number>,
}

fn moment<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text = String::deserialize(from)?;
    time::moment(&text).map_err(serde::de::Error::custom)
}

fn printable<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if text.trim().is_empty() {
        return Err(serde::de::Error::custom("a hold needs a reason"));
    }
    Ok(crate::output::printable(&text))
}

impl Hours {
    fn of(&self, severity: Severity) -> u32 {
        match severity {
            Severity::Critical => self.critical,
            Severity::High => self.high,
            Severity::Medium => self.medium,
            Severity::Low => self.low,
            Severity::Unknown => self.unknown,
        }
    }
}

impl Policy {
    /// The rule that the values break, if there is one.
    pub(crate) fn wrong(&self) -> Option<String> {
        if u16::from(self.shares.canary) + u16::from(self.shares.early) > 100 {
            return Some("the shares of the rings canary and early are more than 100 %".to_owned());
        }
        if self.health.probation <= self.health.settle {
            return Some("health.probation must be longer than health.settle".to_owned());
        }
        if self.health.timeout == 0 || self.health.deadline == 0 {
            return Some("health.timeout and health.deadline must not be 0".to_owned());
        }
        None
    }

    /// The ring of a machine for a level. A machine without a name is late.
    pub(crate) fn ring(&self, host: Option<&str>, level: Number) -> Ring {
        match (self.ring, host) {
            (Choice::Canary, _) => Ring::Canary,
            (Choice::Early, _) => Ring::Early,
            (Choice::Late, _) | (Choice::Auto, None) => Ring::Late,
            (Choice::Auto, Some(host)) => {
                let place = place(host, level);
                let canary = u32::from(self.shares.canary) * 100;
                if place < canary {
                    Ring::Canary
                } else if place < canary + u32::from(self.shares.early) * 100 {
                    Ring::Early
                } else {
                    Ring::Late
                }
            }
        }
    }

    fn hours(&self, ring: Ring, severity: Severity) -> u32 {
        match ring {
            Ring::Canary => self.delay.canary.of(severity),
            Ring::Early => self.delay.early.of(severity),
            Ring::Late => self.delay.late.of(severity),
        }
    }

    /// The shortest delay among the fixes that the machine does not have yet. A level without such
    /// a fix has the longest delay of the ring.
    fn delay(&self, ring: Ring, new: impl Iterator<Item = Severity>) -> (u32, Option<Severity>) {
        let new = new.map(|severity| (self.hours(ring, severity), Some(severity)));
        new.min().unwrap_or_else(|| {
            let all = [
                Severity::Critical,
                Severity::High,
                Severity::Medium,
                Severity::Low,
                Severity::Unknown,
            ];
            let longest = all.map(|severity| self.hours(ring, severity));
            (longest.into_iter().max().unwrap_or(0), None)
        })
    }
}

/// The place of a machine among all machines, for one level: 0 to 9999.
fn place(host: &str, level: Number) -> u32 {
    let hash = Digest::of(format!("{host} {level}").as_bytes()).to_string();
    // A hash has 64 digits. The error of the remainder is less than 10000 / 2^32.
    u32::from_str_radix(&hash[..8], 16).unwrap_or(0) % 10_000
}

/// A level that has failed on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quarantined {
    pub(crate) level: Number,
    /// In seconds since the epoch.
    pub(crate) time: u64,
    pub(crate) reason: String,
}

/// The machine, as far as the decision depends on it.
#[derive(Debug, Clone)]
pub(crate) struct Host<'a> {
    /// The name in evidence.
    pub(crate) name: Option<&'a str>,
    pub(crate) release: &'a str,
    pub(crate) build_id: Option<&'a str>,
    /// The level that the loader says is in effect.
    pub(crate) in_effect: Option<Number>,
    /// Whether that level was verified on this machine. If not, somebody has loaded it by hand.
    pub(crate) is_verified: bool,
    /// The CVEs that the loader says are fixed.
    pub(crate) fixed: &'a [String],
    /// The CVEs among them that are fixed by an operator's patch, which belongs to no level.
    pub(crate) own: &'a [String],
    /// The levels that were verified on this machine, and whose patch for this kernel is stored.
    pub(crate) stored: &'a [Number],
    pub(crate) quarantined: &'a [Quarantined],
    /// The levels that any level on this machine has revoked.
    pub(crate) revoked: &'a [Number],
    /// The seconds that the machine has run since it first saw the level.
    pub(crate) age: u64,
    pub(crate) clock: &'a Clock,
    /// The operator wants no delay and no window.
    pub(crate) at_once: bool,
}

/// The origin of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    Policy,
    Publisher,
    /// It has failed here.
    Here(String),
    /// It lacks these CVEs, which patches of an operator fix.
    Lacks(Vec<String>),
}

/// The reason of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delay {
    Ring {
        ring: Ring,
        hours: u32,
        /// `None`: the level has no fix that is new here.
        severity: Option<Severity>,
    },
    Window,
    Clock,
}

/// Where the patch of a level is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The package.
    Package,
    /// The levels that were verified on this machine.
    Store,
}

/// The reason why a level does not cover a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Gap {
    /// There is no entry for the release.
    Release(String),
    /// The entry is for another build.
    Build { release: String, wanted: String },
    /// The kernel does not show its build id.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    Apply {
        level: Number,
        from: Source,
    },
    Wait {
        level: Number,
        until: u64,
        why: Delay,
    },
    Hold {
        level: Number,
        /// `None`: the time of day is in doubt.
        until: Option<u64>,
        reason: String,
    },
    Blocked {
        level: Number,
        by: Block,
    },
    /// A level that is in effect was revoked.
    TakeBack {
        level: Number,
        to: Option<Number>,
        by: Block,
    },
    /// The level of the package was loaded by hand.
    Adopt {
        level: Number,
    },
    InEffect {
        level: Number,
        /// The level of the package, if that is older.
        older: Option<Number>,
    },
    NoLevel,
    NotCovered {
        level: Number,
        why: Gap,
    },
}

/// Decides what is to be done on a machine. `level` is that of the package.
pub(crate) fn decide(
    policy: &Policy,
    level: Option<&Level>,
    host: &Host<'_>,
    zone: Zone<'_>,
) -> Decision {
    let wanted = of_package(policy, level, host, zone);
    // A newer level replaces one that was revoked, too.
    if matches!(wanted, Decision::Apply { .. }) {
        return wanted;
    }
    if let Some(in_effect) = host.in_effect {
        return match revoked_by(policy, in_effect, host) {
            Some(by) => Decision::TakeBack {
                level: in_effect,
                to: newest_good(policy, host, in_effect),
                by,
            },
            None => wanted,
        };
    }
    let is_held = matches!(wanted, Decision::Hold { .. }) || hold(policy, host).is_some();
    match newest_good(policy, host, 0) {
        // The stored level may lack what the operator's patches fix.
        Some(level) if !is_held && host.own.is_empty() => Decision::Apply {
            level,
            from: Source::Store,
        },
        _ => wanted,
    }
}

/// The origin of a revocation. A quarantine does not count as a revocation: a level that has failed
/// here was taken back when it failed.
fn revoked_by(policy: &Policy, level: Number, host: &Host<'_>) -> Option<Block> {
    if host.revoked.contains(&level) {
        Some(Block::Publisher)
    } else if policy.blocked.contains(&level) {
        Some(Block::Policy)
    } else {
        None
    }
}

fn blocked_by(policy: &Policy, level: Number, host: &Host<'_>) -> Option<Block> {
    revoked_by(policy, level, host).or_else(|| {
        let mut failed = host.quarantined.iter();
        let failed = failed.find(|failed| failed.level == level)?;
        Some(Block::Here(failed.reason.clone()))
    })
}

/// The newest stored level besides `except` that may be in effect.
fn newest_good(policy: &Policy, host: &Host<'_>, except: Number) -> Option<Number> {
    let stored = host.stored.iter().copied();
    stored
        .filter(|&level| level != except && blocked_by(policy, level, host).is_none())
        .max()
}

/// The entry of a level for a kernel, or the reason why there is none.
pub(crate) fn entry<'a>(
    level: &'a Level,
    release: &str,
    build_id: Option<&str>,
) -> Result<&'a Kernel, Gap> {
    let entry = level
        .kernel(release)
        .ok_or_else(|| Gap::Release(release.to_owned()))?;
    match build_id {
        None => Err(Gap::Unknown),
        Some(build_id) if build_id != entry.build_id => Err(Gap::Build {
            release: release.to_owned(),
            wanted: entry.build_id.clone(),
        }),
        Some(_) => Ok(entry),
    }
}

fn hold(policy: &Policy, host: &Host<'_>) -> Option<(Option<u64>, String)> {
    let hold = policy.hold.as_ref()?;
    if host.clock.doubted_for.is_some() {
        return Some((None, hold.reason.clone()));
    }
    (host.clock.now < hold.until).then(|| (Some(hold.until), hold.reason.clone()))
}

/// The decision about the level of the package alone.
fn of_package(policy: &Policy, level: Option<&Level>, host: &Host<'_>, zone: Zone<'_>) -> Decision {
    let Some(package) = level else {
        return Decision::NoLevel;
    };
    let level = package.level;
    if let Err(why) = entry(package, host.release, host.build_id) {
        return Decision::NotCovered { level, why };
    }
    if let Some(by) = blocked_by(policy, level, host) {
        return Decision::Blocked { level, by };
    }
    // A newer level that was revoked does not stay.
    let newer = host
        .in_effect
        .filter(|&newer| newer > level && revoked_by(policy, newer, host).is_none());
    if let Some(newer) = newer {
        return Decision::InEffect {
            level: newer,
            older: Some(level),
        };
    }
    if host.in_effect == Some(level) {
        return if host.is_verified || hold(policy, host).is_some() {
            Decision::InEffect { level, older: None }
        } else {
            Decision::Adopt { level }
        };
    }
    let fixes: Vec<_> = package.fixes_for(host.release).map(|it| &it.cve).collect();
    let lacks = host.own.iter().filter(|cve| !fixes.contains(cve));
    let lacks: Vec<_> = lacks.cloned().collect();
    if !lacks.is_empty() && !host.at_once {
        let by = Block::Lacks(lacks);
        return Decision::Blocked { level, by };
    }
    if let Some((until, reason)) = hold(policy, host) {
        return Decision::Hold {
            level,
            until,
            reason,
        };
    }
    match delay(policy, package, host, zone) {
        Some((until, why)) => Decision::Wait { level, until, why },
        None => Decision::Apply {
            level,
            from: Source::Package,
        },
    }
}

/// How long the level has to wait, and why.
fn delay(policy: &Policy, level: &Level, host: &Host<'_>, zone: Zone<'_>) -> Option<(u64, Delay)> {
    if host.at_once {
        return None;
    }
    let now = host.clock.now;
    let ring = policy.ring(host.name, level.level);
    let new = level
        .fixes_for(host.release)
        .filter(|fix| !host.fixed.contains(&fix.cve))
        .map(|fix| fix.severity);
    let (hours, severity) = policy.delay(ring, new);
    let delay = u64::from(hours) * HOUR;
    if host.age < delay {
        let why = Delay::Ring {
            ring,
            hours,
            severity,
        };
        return Some((now + (delay - host.age), why));
    }
    let window = policy.window.as_ref()?;
    if let Some(doubted) = host.clock.doubted_for {
        return Some((now + DOUBT.saturating_sub(doubted), Delay::Clock));
    }
    let opens = window.opens(now, zone);
    (opens > now).then_some((opens, Delay::Window))
}

impl Block {
    fn words(&self) -> String {
        match self {
            Self::Policy => "the policy of this machine blocks it".to_owned(),
            Self::Publisher => "its publisher has revoked it".to_owned(),
            Self::Here(reason) => format!("it has failed on this machine: {reason}"),
            Self::Lacks(cves) => format!(
                "it lacks fixes of an operator's patches that are in effect: {}",
                cves.join(" ")
            ),
        }
    }
}

impl Delay {
    fn words(self) -> String {
        match self {
            Self::Ring {
                ring,
                hours,
                severity,
            } => {
                let ring = ring.name();
                match severity {
                    Some(severity) => format!(
                        "the ring {ring} waits {hours} h for a fix of severity {}",
                        severity.name()
                    ),
                    None => {
                        format!("the ring {ring} waits {hours} h for a level without a new fix")
                    }
                }
            }
            Self::Window => "the window of the policy is closed".to_owned(),
            Self::Clock => {
                "the clock does not agree with the time that has passed, and the policy has a \
                 window"
                    .to_owned()
            }
        }
    }
}

impl Gap {
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Release(release) => format!("it has no patch for {release}"),
            Self::Build { release, wanted } => {
                format!("its patch is for another build of {release}, with the build id {wanted}")
            }
            Self::Unknown => "the kernel does not show its build id".to_owned(),
        }
    }
}

impl Decision {
    /// The word in JSON.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Apply { .. } => "apply",
            Self::Wait { .. } => "wait",
            Self::Hold { .. } => "hold",
            Self::Blocked { .. } => "blocked",
            Self::TakeBack { .. } => "take-back",
            Self::Adopt { .. } => "adopt",
            Self::InEffect { .. } | Self::NoLevel => "nothing",
            Self::NotCovered { .. } => "not-covered",
        }
    }

    /// The decision with its reason.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Apply {
                level,
                from: Source::Package,
            } => format!("level {level} is due"),
            Self::Apply {
                level,
                from: Source::Store,
            } => format!("no level is in effect, and level {level} was verified on this machine"),
            Self::Wait { level, why, .. } => format!("level {level} waits: {}", why.words()),
            Self::Hold { level, reason, .. } => format!("level {level} is held: {reason}"),
            Self::Blocked { level, by } => format!("level {level} is blocked: {}", by.words()),
            Self::TakeBack { level, by, .. } => {
                format!("level {level} is taken back: {}", by.words())
            }
            Self::Adopt { level } => format!(
                "level {level} is in effect, and was not verified on this machine: it was loaded \
                 by hand"
            ),
            Self::InEffect { level, older: None } => format!("level {level} is in effect"),
            Self::InEffect {
                level,
                older: Some(older),
            } => format!("level {level} is in effect, which is newer than level {older}"),
            Self::NoLevel => "no level is installed".to_owned(),
            Self::NotCovered { level, why } => {
                format!("level {level} does not cover this kernel: {}", why.words())
            }
        }
    }

    /// The next step, and its time. `is_timed` says whether rlp-apply.timer runs here. If it does
    /// not, there is no next step that its run would take.
    pub(crate) fn next(&self, is_timed: bool) -> Option<String> {
        Some(match self {
            Self::Apply { .. } | Self::Wait { .. } | Self::Adopt { .. } if !is_timed => {
                return None;
            }
            Self::Apply { .. } => "the next run of rlp-apply.timer applies it".to_owned(),
            Self::Wait { until, .. } => format!(
                "it is applied by the first run of rlp-apply.timer after {}, if the machine runs",
                time::readable(*until)
            ),
            Self::Hold {
                until: Some(until), ..
            } => format!(
                "the hold ends at {}; rlp level release ends it now",
                time::readable(*until)
            ),
            Self::Hold { until: None, .. } => {
                "the clock is in doubt, so the hold lasts until it is set right, or has agreed \
                 for 24 h"
                    .to_owned()
            }
            Self::Blocked {
                level,
                by: Block::Here(_),
            } => format!("rlp level release --level {level} lets it be applied again"),
            Self::Blocked {
                by: Block::Lacks(_),
                ..
            } => "unload these patches; or rlp level apply --now replaces them".to_owned(),
            Self::Blocked { .. } => "only a level with a higher number is applied".to_owned(),
            Self::TakeBack { to: Some(to), .. } => format!("level {to} is applied instead"),
            Self::TakeBack { to: None, .. } => {
                "no earlier level is stored, so its patch is unloaded".to_owned()
            }
            Self::Adopt { .. } => {
                "the next run of rlp-apply.timer checks it, and lets each boot load it".to_owned()
            }
            Self::InEffect { .. } => "the next level is applied when it is installed".to_owned(),
            Self::NoLevel => "apt install rlp-level".to_owned(),
            Self::NotCovered { .. } => {
                "a level for this kernel is applied when it is installed".to_owned()
            }
        })
    }

    /// When the decision may change by itself, in seconds since the epoch.
    pub(crate) fn until(&self) -> Option<u64> {
        match self {
            Self::Wait { until, .. } => Some(*until),
            Self::Hold { until, .. } => *until,
            _ => None,
        }
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
pub(crate) mod tests;
