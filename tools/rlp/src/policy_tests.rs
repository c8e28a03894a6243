// SPDX-License-Identifier: GPL-2.0

//! The decision: each rule, properties that hold for random machines, and 50,000 machines.

use super::*;
use crate::clock::tests::sure;
use crate::window::tests::{
    utc,
    MONDAY, //
};
use serde_json::json;
use std::path::Path;

const RELEASE: &str = "7.3.4+deb13-amd64";
const BUILD: &str = "ab";

/// Numbers that are the same in each run of a test (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % end
    }
}

fn policy(text: &str) -> Policy {
    let mut all: toml::Table = include_str!("../policy.toml").parse().unwrap();
    let changes: toml::Table = text.parse().unwrap();
    all.extend(changes);
    all.try_into().unwrap()
}

fn level(number: Number, severity: &str, blocked: &[Number]) -> Level {
    let value = json!({
        "schema": 1,
        "level": number,
        "published": "2026-11-30T00:00:00Z",
        "architecture": "amd64",
        "kernels": [{
            "release": RELEASE,
            "build_id": BUILD,
            "vermagic": format!("{RELEASE} SMP"),
            "patch": {
                "name": format!("level{number}"),
                "file": format!("{RELEASE}/level{number}.ko"),
                "sha256": "01".repeat(32),
                "build_id": "cd".repeat(20),
            },
            "loader": {
                "file": format!("{RELEASE}/rust_livepatch.ko"),
                "sha256": "01".repeat(32),
            },
        }],
        "fixes": [{
            "cve": "CVE-2026-0001",
            "severity": severity,
            "releases": [RELEASE],
        }],
        "blocked": blocked,
    });
    Level::parse(Path::new("level.json"), value.to_string().as_bytes()).unwrap()
}

/// A machine in the first minute of a Monday, on which nothing is in effect.
fn host(clock: &Clock) -> Host<'_> {
    Host {
        name: Some("bd71d9b3044e43799c788578c2877b77"),
        release: RELEASE,
        build_id: Some(BUILD),
        in_effect: None,
        is_verified: true,
        fixed: &[],
        own: &[],
        stored: &[],
        quarantined: &[],
        revoked: &[],
        age: 0,
        clock,
        at_once: false,
    }
}

const SEVEN: Decision = Decision::Apply {
    level: 7,
    from: Source::Package,
};

#[test]
fn delays() {
    let clock = sure(MONDAY);
    let mut host = host(&clock);
    for (ring, severity, hours) in [
        ("canary", "critical", 0),
        ("canary", "low", 0),
        ("early", "critical", 4),
        ("early", "high", 24),
        ("late", "critical", 12),
        ("late", "medium", 120),
        ("late", "low", 168),
        ("late", "unknown", 72),
    ] {
        let policy = policy(&format!("ring = '{ring}'"));
        let seven = level(7, severity, &[]);
        let decided = |host: &Host<'_>| decide(&policy, Some(&seven), host, &utc);
        host.age = (hours * HOUR).saturating_sub(1);
        if hours != 0 {
            let decision = decided(&host);
            assert_eq!(decision.until(), Some(MONDAY + 1), "{ring} {severity}");
            assert!(
                decision.text().contains(&format!("{hours} h")),
                "{decision:?}"
            );
        }
        host.age = hours * HOUR;
        assert_eq!(decided(&host), SEVEN, "{ring} {severity}");
    }
    // A fix that the machine has already is not urgent.
    let late = policy("ring = 'late'");
    let fixed = ["CVE-2026-0001".to_owned()];
    host.fixed = &fixed;
    host.age = 24 * HOUR;
    let decision = decide(&late, Some(&level(7, "critical", &[])), &host, &utc);
    assert_eq!(decision.until(), Some(MONDAY + 144 * HOUR));
    host.at_once = true;
    assert_eq!(
        decide(&late, Some(&level(7, "low", &[])), &host, &utc),
        SEVEN
    );
}

#[test]
fn a_window() {
    let policy =
        policy("ring = 'canary'\nwindow = { days = ['tue'], from = '22:00', to = '04:00' }");
    let seven = level(7, "high", &[]);
    let decided = |clock: &Clock| decide(&policy, Some(&seven), &host(clock), &utc);
    let decision = decided(&sure(MONDAY));
    assert_eq!(decision.until(), Some(MONDAY + 46 * HOUR));
    assert_eq!(decision.kind(), "wait");
    assert_eq!(decided(&sure(MONDAY + 46 * HOUR)), SEVEN);
    assert_eq!(decided(&sure(MONDAY + 51 * HOUR)), SEVEN);
    // While the clock is in doubt, the window is closed, for a day at most.
    let mut doubted = sure(MONDAY + 46 * HOUR);
    doubted.doubted_for = Some(HOUR);
    let decision = decided(&doubted);
    assert_eq!(decision.until(), Some(MONDAY + 69 * HOUR));
    assert!(
        decision.text().contains("the clock does not agree"),
        "{decision:?}"
    );
}

#[test]
fn a_hold() {
    let policy = policy("ring = 'canary'\nhold = { until = '2026-12-01', reason = 'sales' }");
    let seven = level(7, "high", &[]);
    let clock = sure(MONDAY);
    let decision = decide(&policy, Some(&seven), &host(&clock), &utc);
    assert_eq!(decision.until(), Some(MONDAY + 24 * HOUR));
    assert_eq!(decision.text(), "level 7 is held: sales");
    let mut at_once = host(&clock);
    at_once.at_once = true;
    assert_eq!(decide(&policy, Some(&seven), &at_once, &utc).kind(), "hold");
    let after = sure(MONDAY + 24 * HOUR);
    assert_eq!(decide(&policy, Some(&seven), &host(&after), &utc), SEVEN);
    // A clock that is in doubt does not end a hold.
    let mut doubted = after;
    doubted.doubted_for = Some(0);
    let decision = decide(&policy, Some(&seven), &host(&doubted), &utc);
    assert_eq!((decision.kind(), decision.until()), ("hold", None));
    // A level that was revoked does not stay in effect because of a hold.
    let mut held = host(&clock);
    held.in_effect = Some(6);
    held.revoked = &[6];
    held.stored = &[4, 5, 6];
    let decision = decide(&policy, Some(&seven), &held, &utc);
    let back = Decision::TakeBack {
        level: 6,
        to: Some(5),
        by: Block::Publisher,
    };
    assert_eq!(decision, back);
}

#[test]
fn kernels_that_are_not_covered() {
    let clock = sure(MONDAY);
    let canary = policy("ring = 'canary'");
    let seven = level(7, "high", &[]);
    for (release, build_id, text) in [
        ("7.3.5", Some(BUILD), "it has no patch for 7.3.5"),
        (RELEASE, Some("cd"), "with the build id ab"),
        (RELEASE, None, "the kernel does not show its build id"),
    ] {
        let mut host = host(&clock);
        host.release = release;
        host.build_id = build_id;
        let decision = decide(&canary, Some(&seven), &host, &utc);
        assert_eq!(decision.kind(), "not-covered");
        assert!(decision.text().contains(text), "{decision:?}");
    }
    assert_eq!(
        decide(&canary, None, &host(&clock), &utc),
        Decision::NoLevel
    );
}

#[test]
fn blocked_levels() {
    let clock = sure(MONDAY);
    let seven = level(7, "high", &[]);
    let mut host = host(&clock);
    let canary = policy("ring = 'canary'");
    let failed = [Quarantined {
        level: 7,
        time: MONDAY,
        reason: "check 10-web: exit status: 1".to_owned(),
    }];
    host.quarantined = &failed;
    let decision = decide(&canary, Some(&seven), &host, &utc);
    assert_eq!(
        decision.text(),
        "level 7 is blocked: it has failed on this machine: check 10-web: exit status: 1"
    );
    assert!(decision
        .next(false)
        .unwrap()
        .contains("rlp level release --level 7"));
    host.quarantined = &[];
    let blocking = policy("ring = 'canary'\nblocked = [7]");
    let decision = decide(&blocking, Some(&seven), &host, &utc);
    assert_eq!(
        decision.text(),
        "level 7 is blocked: the policy of this machine blocks it"
    );
    // The level in effect is taken back to the newest one that is good.
    host.in_effect = Some(7);
    host.stored = &[3, 5, 6, 7];
    host.revoked = &[6];
    let decision = decide(&blocking, Some(&seven), &host, &utc);
    let back = |to| Decision::TakeBack {
        level: 7,
        to,
        by: Block::Policy,
    };
    assert_eq!(decision, back(Some(5)));
    host.stored = &[6, 7];
    assert_eq!(decide(&blocking, Some(&seven), &host, &utc), back(None));
    // A newer level replaces it at once, if it is due.
    let eight = level(8, "high", &[7]);
    let decision = decide(&blocking, Some(&eight), &host, &utc);
    assert!(
        matches!(decision, Decision::Apply { level: 8, .. }),
        "{decision:?}"
    );
}

#[test]
fn a_level_that_is_in_effect() {
    let clock = sure(MONDAY);
    let mut host = host(&clock);
    let canary = policy("ring = 'canary'");
    let seven = level(7, "high", &[]);
    host.in_effect = Some(7);
    assert_eq!(
        decide(&canary, Some(&seven), &host, &utc).text(),
        "level 7 is in effect"
    );
    // Somebody has loaded it by hand.
    host.is_verified = false;
    let adopt = Decision::Adopt { level: 7 };
    assert_eq!(decide(&canary, Some(&seven), &host, &utc), adopt);
    assert_eq!(adopt.next(false), None);
    let held = policy("hold = { until = '2027-01-01', reason = 'x' }");
    assert_eq!(decide(&held, Some(&seven), &host, &utc).kind(), "nothing");
    let blocking = policy("blocked = [7]");
    assert_eq!(
        decide(&blocking, Some(&seven), &host, &utc).kind(),
        "take-back"
    );
    host.is_verified = true;
    host.in_effect = Some(8);
    let decision = decide(&canary, Some(&seven), &host, &utc);
    assert_eq!(
        decision.text(),
        "level 8 is in effect, which is newer than level 7"
    );
    // Without a level in effect, the newest good one of the store is better than none.
    host.in_effect = None;
    host.stored = &[5, 6];
    let late = policy("ring = 'late'");
    let stored = Decision::Apply {
        level: 6,
        from: Source::Store,
    };
    assert_eq!(decide(&late, Some(&seven), &host, &utc), stored);
    let held = policy("hold = { until = '2027-01-01', reason = 'x' }");
    assert_eq!(decide(&held, Some(&seven), &host, &utc).kind(), "hold");
}

/// A patch of an operator is in effect, which a cumulative patch would replace.
#[test]
fn a_patch_of_an_operator() {
    let clock = sure(MONDAY);
    let mut host = host(&clock);
    let canary = policy("ring = 'canary'");
    let seven = level(7, "high", &[]);
    host.stored = &[5, 6];
    // The level has that fix, too.
    let known = ["CVE-2026-0001".to_owned()];
    host.own = &known;
    assert_eq!(decide(&canary, Some(&seven), &host, &utc), SEVEN);
    let other = ["CVE-2026-0001".to_owned(), "CVE-2026-4711".to_owned()];
    host.own = &other;
    let decision = decide(&canary, Some(&seven), &host, &utc);
    assert_eq!(
        decision.text(),
        "level 7 is blocked: it lacks fixes of an operator's patches that are in effect: \
         CVE-2026-4711"
    );
    assert!(decision.next(true).unwrap().contains("--now"));
    host.at_once = true;
    assert_eq!(decide(&canary, Some(&seven), &host, &utc), SEVEN);
    // Without a level in the package, no stored level replaces the patch.
    host.at_once = false;
    assert_eq!(decide(&canary, None, &host, &utc), Decision::NoLevel);
    host.own = &[];
    assert_eq!(decide(&canary, None, &host, &utc).kind(), "apply");
}

/// Machines at random. A level that anybody blocks is never applied, nothing is applied early, a
/// wait ends, and a level that was revoked is never left in effect.
#[test]
fn properties() {
    let mut random = Random(1);
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..20_000 {
        let pick = |random: &mut Random, percent: u64| random.below(100) < percent;
        let some = |random: &mut Random, percent: u64| -> Vec<Number> {
            (1..10).filter(|_| pick(random, percent)).collect()
        };
        let ring = ["auto", "canary", "early", "late"][random.below(4) as usize];
        let mut text = format!("ring = '{ring}'\nblocked = {:?}\n", some(&mut random, 20));
        if pick(&mut random, 30) {
            text += "window = { days = ['wed'], from = '22:00', to = '02:00' }\n";
        }
        if pick(&mut random, 20) {
            text += "hold = { until = '2026-12-03', reason = 'x' }\n";
        }
        let policy = policy(&text);
        let severity = ["critical", "high", "medium", "low", "unknown"][random.below(5) as usize];
        let package = level(2 + random.below(8) as Number, severity, &[1]);
        let mut clock = sure(MONDAY + random.below(6 * 86_400));
        clock.doubted_for = pick(&mut random, 20).then(|| random.below(DOUBT));
        let name = format!("{:032x}", random.below(u64::MAX));
        let (revoked, stored) = (some(&mut random, 20), some(&mut random, 30));
        let quarantined: Vec<_> = some(&mut random, 10)
            .into_iter()
            .map(|level| Quarantined {
                level,
                time: MONDAY,
                reason: "x".to_owned(),
            })
            .collect();
        let mut host = host(&clock);
        host.name = Some(&name);
        host.stored = &stored;
        host.revoked = &revoked;
        host.quarantined = &quarantined;
        host.age = random.below(9 * 24) * HOUR;
        host.in_effect = pick(&mut random, 50).then(|| 1 + random.below(9) as Number);
        host.is_verified = pick(&mut random, 80);
        host.at_once = pick(&mut random, 10);

        let decision = decide(&policy, Some(&package), &host, &utc);
        kinds.insert(decision.kind());
        let is_bad = |level: Number| blocked_by(&policy, level, &host).is_some();
        match decision {
            Decision::Apply { level, from } => {
                assert!(!is_bad(level), "{decision:?}");
                assert!(host.in_effect != Some(level));
                if from == Source::Package && !host.at_once {
                    let ring = policy.ring(host.name, level);
                    let hours = policy.hours(ring, package.fixes[0].severity);
                    assert!(host.age >= u64::from(hours) * HOUR);
                    if let Some(window) = &policy.window {
                        assert!(window.is_open(utc(clock.now)) && clock.doubted_for.is_none());
                    }
                }
                assert!(hold(&policy, &host).is_none());
            }
            Decision::Adopt { level } => {
                assert!(host.in_effect == Some(level) && !host.is_verified && !is_bad(level));
                assert!(hold(&policy, &host).is_none());
            }
            Decision::TakeBack { level, to, .. } => {
                assert_eq!(host.in_effect, Some(level));
                assert!(is_bad(level) && !to.is_some_and(is_bad));
                assert!(
                    to.is_some() || stored.iter().all(|&other| other == level || is_bad(other))
                );
            }
            Decision::Wait { until, .. } => {
                assert!(until > clock.now && until < clock.now + 15 * 86_400);
                // At that time, with the clock right, it is applied, or the window must open.
                let mut later = host.clone();
                let then = sure(until);
                later.clock = &then;
                later.age = host.age + (until - clock.now);
                match decide(&policy, Some(&package), &later, &utc) {
                    Decision::Apply { .. } => (),
                    Decision::Wait {
                        why: Delay::Window, ..
                    } => assert!(policy.window.is_some()),
                    other => panic!("{decision:?}, and then {other:?}"),
                }
            }
            _ => {
                let revoked = host
                    .in_effect
                    .is_some_and(|it| revoked_by(&policy, it, &host).is_some());
                assert!(!revoked, "{decision:?}");
            }
        }
        assert!(!decision.text().is_empty());
        assert!(decision.next(true).is_some_and(|next| !next.is_empty()));
    }
    let all = [
        "adopt",
        "apply",
        "blocked",
        "hold",
        "nothing",
        "take-back",
        "wait",
    ];
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
}

const HOSTS: usize = 50_000;
/// apt fetches a new level at a random time in these hours.
const FETCH: u64 = 12 * HOUR;
/// rlp-apply.timer.
const INTERVAL: u64 = HOUR;

/// A machine in the simulation.
struct Simulated {
    name: String,
    /// When the timer runs within its interval.
    phase: u64,
    /// How long apt needs to fetch a level.
    fetch: u64,
}

impl Simulated {
    /// The moment of the first run of the timer from `time` on.
    fn run_after(&self, time: u64) -> u64 {
        (time.saturating_sub(self.phase)).div_ceil(INTERVAL) * INTERVAL + self.phase
    }

    /// When the machine applies a level that is published at 0, if nothing revokes it. Each wait is
    /// followed to its end, as the timer does.
    fn applies(&self, policy: &Policy, level: &Level) -> u64 {
        let seen = self.run_after(self.fetch);
        let mut now = seen;
        loop {
            let clock = sure(MONDAY + now);
            let mut host = host(&clock);
            host.name = Some(&self.name);
            host.age = now - seen;
            match decide(policy, Some(level), &host, &utc) {
                Decision::Apply { .. } => return now,
                Decision::Wait { until, .. } => now = self.run_after(until - MONDAY),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A fleet. The first `clones` machines have the same id, which is that of the first machine. As
/// the delay of the timer depends on the id, they also run at the same time.
fn fleet(clones: usize, seed: u64) -> Vec<Simulated> {
    let mut random = Random(seed);
    let mut fleet: Vec<Simulated> = (0..HOSTS)
        .map(|_| Simulated {
            name: format!(
                "{:016x}{:016x}",
                random.below(u64::MAX),
                random.below(u64::MAX)
            ),
            phase: random.below(INTERVAL),
            fetch: random.below(FETCH),
        })
        .collect();
    for nr in 1..clones {
        fleet[nr].name = fleet[0].name.clone();
        fleet[nr].phase = fleet[0].phase;
    }
    fleet
}

/// The effect of a bad level on a fleet.
#[derive(Debug, PartialEq, Eq)]
struct Spread {
    /// The machines in each ring.
    rings: [usize; 3],
    /// The hours until each ring has the level, if nothing revokes it.
    hours: [u64; 3],
    /// The machines that have the level when it is revoked.
    at_revocation: usize,
    /// The machines that get the level at all.
    reached: usize,
    /// The hours after the revocation until no machine has the level.
    gone_after: u64,
}

/// A bad level that no check of health notices is revoked by the next level when a share of the
/// fleet has it. Each machine learns that when it has fetched the next level.
fn spread(policy: &Policy, fleet: &[Simulated], severity: &str, revoked_at: usize) -> Spread {
    let bad = level(7, severity, &[]);
    let next = level(8, severity, &[7]);
    let mut rings = [0; 3];
    let mut hours = [0; 3];
    let mut times = Vec::new();
    for host in fleet {
        let ring = policy.ring(Some(&host.name), 7) as usize;
        let time = host.applies(policy, &bad);
        rings[ring] += 1;
        hours[ring] = hours[ring].max(time.div_ceil(HOUR));
        times.push(time);
    }
    let mut sorted = times.clone();
    sorted.sort_unstable();
    let revocation = sorted[revoked_at - 1];
    let (mut reached, mut gone) = (0, revocation);
    for (host, &time) in fleet.iter().zip(&times) {
        let learns = host.run_after(revocation + host.fetch);
        if time >= learns {
            continue;
        }
        reached += 1;
        gone = gone.max(learns);
        // The run in which it learns of the revocation does not leave the bad level in effect.
        let clock = sure(MONDAY + learns);
        let mut host_now = super::tests::host(&clock);
        host_now.name = Some(&host.name);
        host_now.in_effect = Some(7);
        host_now.revoked = &next.blocked;
        host_now.stored = &[6, 7];
        match decide(policy, Some(&next), &host_now, &utc) {
            Decision::Apply { level: 8, .. }
            | Decision::TakeBack {
                level: 7,
                to: Some(6),
                ..
            } => (),
            other => panic!("{other:?}"),
        }
    }
    Spread {
        rings,
        hours,
        at_revocation: sorted.iter().filter(|&&time| time <= revocation).count(),
        reached,
        gone_after: (gone - revocation).div_ceil(HOUR),
    }
}

/// The numbers are in Documentation/fleet.rst.
#[test]
fn fifty_thousand_machines() {
    let built_in = policy("");
    let tenth = HOSTS / 10;
    let high = spread(&built_in, &fleet(0, 1), "high", tenth);
    println!("high: {high:?}");
    let critical = spread(&built_in, &fleet(0, 1), "critical", tenth);
    println!("critical: {critical:?}");
    let canaries = spread(&built_in, &fleet(0, 1), "high", 500);
    println!("revoked at 1 %: {canaries:?}");
    // A clone of a canary is a canary.
    let seed = (1..).find(|&seed| {
        let first = &fleet_name(seed);
        built_in.ring(Some(first), 7) == Ring::Canary
    });
    let cloned = spread(&built_in, &fleet(5000, seed.unwrap()), "high", 500);
    println!("5,000 clones of a canary, revoked at 1 %: {cloned:?}");

    // The shares are 2 %, 20 % and 78 %. Each ring has the level when its delay, the fetch and one
    // interval are over. No machine of the late ring gets a bad level.
    let expected = |hours, (at_revocation, reached)| Spread {
        rings: [1056, 10_057, 38_887],
        hours,
        at_revocation,
        reached,
        gone_after: 13,
    };
    assert_eq!(high, expected([13, 37, 85], (5000, 11_113)));
    assert_eq!(critical, expected([13, 17, 25], (5000, 11_113)));
    assert_eq!(canaries, expected([13, 37, 85], (500, 1056)));
    // All clones are in one ring, and run at the same time. So more machines than 2 % get a bad
    // level at first, and several at the same moment.
    assert_eq!(cloned.rings, [5888, 9025, 35_087]);
    assert_eq!((cloned.at_revocation, cloned.reached), (546, 5888));
}

/// The name of the first machine of a fleet.
fn fleet_name(seed: u64) -> String {
    let mut random = Random(seed);
    format!(
        "{:016x}{:016x}",
        random.below(u64::MAX),
        random.below(u64::MAX)
    )
}

/// Machines with the same id are in the same ring. The ring of a machine differs between levels,
/// and a machine without an id is late.
#[test]
fn rings() {
    let built_in = policy("");
    let name = fleet_name(1);
    assert_eq!(
        built_in.ring(Some(&name), 7),
        built_in.ring(Some(&name.clone()), 7)
    );
    let rings: Vec<_> = (1..200)
        .map(|level| built_in.ring(Some(&name), level))
        .collect();
    for ring in [Ring::Canary, Ring::Early, Ring::Late] {
        assert!(rings.contains(&ring), "{ring:?}");
    }
    assert_eq!(built_in.ring(None, 7), Ring::Late);
    assert_eq!(policy("ring = 'canary'").ring(None, 7), Ring::Canary);
    let all = policy("shares = { canary = 100, early = 0 }");
    assert_eq!(all.ring(Some(&name), 7), Ring::Canary);
}
