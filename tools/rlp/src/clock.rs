// SPDX-License-Identifier: GPL-2.0

//! The clock of a machine, which may be wrong. A delay of the policy is counted by the kernel's
//! clock of the time since the boot, which nobody can set. That clock counts a suspend, too. So a
//! wrong time of day can neither shorten nor prolong a delay.
//!
//! A window and the end of a hold need the time of day. It is in doubt if it does not agree with
//! the time that has passed since it was last read. While it is in doubt, nothing is applied that
//! depends on it. After a day of running time, the machine's clock is believed, because the earlier
//! reading may have been the wrong one. A clock that is before the publication of a level is in
//! doubt, too, and is believed after the same time: the publisher's clock may be the wrong one.

use crate::system::System;
use crate::time;
use serde::{
    Deserialize,
    Serialize, //
};

/// How much the time of day may differ from the time that has passed.
const TOLERANCE: u64 = 3600;
/// How long a machine may have been off.
const LONGEST_OFF: u64 = 30 * 86_400;
/// How long a time of day is in doubt, in running time.
pub(crate) const DOUBT: u64 = 86_400;
/// How much earlier than the publication of a level the time of day may be.
const EARLIEST: u64 = 86_400;

/// The clocks of the machine at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// The seconds since the epoch.
    pub(crate) wall: u64,
    pub(crate) boot: String,
    /// The seconds since the boot.
    pub(crate) uptime: u64,
}

/// The time of day, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clock {
    reading: Reading,
    /// The best estimate of the time of day.
    pub(crate) now: u64,
    /// The running time for which the time of day has been in doubt, if it is.
    pub(crate) doubted_for: Option<u64>,
    /// The time of a publication. The clock is believed although it is earlier than that. A later
    /// publication puts the clock in doubt again.
    #[serde(default)]
    believed_before: Option<u64>,
}

impl Reading {
    pub(crate) fn read(system: &System) -> Self {
        let uptime = system.read("/proc/uptime").unwrap_or_default();
        Self {
            wall: time::now(),
            boot: system.boot_id(),
            uptime: uptime
                .split('.')
                .next()
                .and_then(|seconds| seconds.parse().ok())
                .unwrap_or(0),
        }
    }

    /// The time that the machine has run since an earlier reading, as far as that is certain.
    pub(crate) fn elapsed(&self, since: &Self) -> u64 {
        if self.boot == since.boot {
            self.uptime.saturating_sub(since.uptime)
        } else {
            self.uptime
        }
    }
}

impl Clock {
    /// The first reading has nothing to be compared with, except the publication of a level.
    pub(crate) fn first(reading: Reading, published: u64) -> Self {
        let is_early = reading.wall + EARLIEST < published;
        Self {
            now: reading.wall.max(if is_early { published } else { 0 }),
            doubted_for: is_early.then_some(0),
            believed_before: None,
            reading,
        }
    }

    /// The clock after a further reading. The second value is the time that the machine has run
    /// since the last one.
    pub(crate) fn step(&self, reading: Reading, published: u64) -> (Self, u64) {
        let elapsed = reading.elapsed(&self.reading);
        let expected = self.now.saturating_add(elapsed);
        let latest = if reading.boot == self.reading.boot {
            expected.saturating_add(TOLERANCE)
        } else {
            expected.saturating_add(LONGEST_OFF)
        };
        let is_early = reading.wall.saturating_add(EARLIEST) < published;
        let believed_before = self.believed_before.filter(|&before| published <= before);
        let agrees = (expected.saturating_sub(TOLERANCE)..=latest).contains(&reading.wall)
            && (!is_early || believed_before.is_some());
        let doubted_for = self.doubted_for.map_or(0, |doubted| doubted + elapsed);
        let clock = if agrees || doubted_for >= DOUBT {
            Self {
                now: reading.wall,
                doubted_for: None,
                believed_before: is_early.then_some(believed_before.unwrap_or(published)),
                reading,
            }
        } else {
            Self {
                now: expected.max(published),
                doubted_for: Some(doubted_for),
                believed_before: None,
                reading,
            }
        };
        (clock, elapsed)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const NOW: u64 = 1_796_000_000;

    pub(crate) fn sure(now: u64) -> Clock {
        Clock::first(reading(now, "a", 0), 0)
    }

    fn reading(wall: u64, boot: &str, uptime: u64) -> Reading {
        Reading {
            wall,
            boot: boot.to_owned(),
            uptime,
        }
    }

    #[test]
    fn a_clock_that_agrees() {
        let clock = Clock::first(reading(NOW, "a", 100), NOW);
        let (clock, elapsed) = clock.step(reading(NOW + 3601, "a", 3700), NOW);
        assert_eq!(
            (clock.now, clock.doubted_for, elapsed),
            (NOW + 3601, None, 3600)
        );
        // The machine was off for a week.
        let (clock, elapsed) = clock.step(reading(NOW + 7 * 86_400, "b", 60), NOW);
        assert_eq!((clock.now, clock.doubted_for), (NOW + 7 * 86_400, None));
        assert_eq!(elapsed, 60, "time that the machine was off is not counted");
    }

    /// The clock is wrong in either direction, in the same boot or after a boot, or before the
    /// level was published. It is believed after a day.
    #[test]
    fn a_clock_that_does_not_agree() {
        for (wall, boot) in [
            (NOW + 2 * 3600 + 3600, "a"),
            (0, "a"),
            (NOW + 40 * 86_400, "b"),
            (NOW - 7200, "b"),
            (4_102_444_800, "b"),
        ] {
            let clock = Clock::first(reading(NOW, "a", 0), NOW);
            let (mut clock, _) = clock.step(reading(wall, boot, 3600), NOW);
            assert_eq!(clock.doubted_for, Some(0), "{wall}");
            assert_eq!(clock.now, NOW + 3600);
            for hour in 2..=24 {
                clock = clock
                    .step(reading(wall + hour * 3600, boot, hour * 3600), NOW)
                    .0;
                let believes_early = wall == 0 && clock.now < NOW;
                assert!(
                    clock.doubted_for.is_some() && !believes_early,
                    "{wall} {hour}"
                );
            }
            let (clock, _) = clock.step(reading(wall + DOUBT + 3600, boot, DOUBT + 3600), NOW);
            assert_eq!((clock.now, clock.doubted_for), (wall + DOUBT + 3600, None));
        }
        let early = Clock::first(reading(0, "a", 0), NOW);
        assert_eq!((early.now, early.doubted_for), (NOW, Some(0)));
        // The doubt ends as soon as somebody has set the clock right.
        let (right, _) = early.step(reading(NOW + 100, "a", 60), NOW);
        assert_eq!((right.now, right.doubted_for), (NOW + 100, None));
    }

    /// A clock that stays before the publication is believed after a day, and from then on, until
    /// a level is published later. So a window opens again each day.
    #[test]
    fn a_clock_that_stays_before_the_publication() {
        let wall = NOW - 3 * 86_400;
        let at = |hour: u64, published: u64, clock: &Clock| {
            let reading = reading(wall + hour * 3600, "a", hour * 3600);
            clock.step(reading, published).0
        };
        let mut clock = Clock::first(reading(wall, "a", 0), NOW);
        for hour in 1..100 {
            clock = at(hour, NOW, &clock);
            assert_eq!(clock.doubted_for.is_some(), hour < 24, "{hour}");
        }
        assert_eq!(clock.now, wall + 99 * 3600);
        // The state on the disk keeps that.
        let text = serde_json::to_string(&clock).unwrap();
        clock = serde_json::from_str(&text).unwrap();
        assert_eq!(at(100, NOW - 1, &clock).doubted_for, None);
        let later = at(100, NOW + 7 * 86_400, &clock);
        assert_eq!(later.doubted_for, Some(0));
        assert_eq!(at(101, NOW, &later).doubted_for, Some(3600));
        // A clock that was set right is compared with the next publication.
        let mut right = Clock::first(reading(NOW, "a", 0), NOW);
        right = right.step(reading(NOW + 60, "a", 60), NOW).0;
        assert_eq!((right.doubted_for, right.believed_before), (None, None));
    }

    #[test]
    fn the_elapsed_time_is_never_more_than_the_machine_has_run() {
        let mut random = crate::policy::tests::Random(3);
        let mut clock = sure(NOW);
        let (mut boot, mut uptime, mut ran, mut counted) = (0, 0, 0, 0);
        for _ in 0..2000 {
            if random.below(5) == 0 {
                boot += 1;
                uptime = 0;
            }
            let runs = random.below(20_000);
            uptime += runs;
            ran += runs;
            let wall = random.below(2 * NOW);
            let (next, elapsed) = clock.step(reading(wall, &boot.to_string(), uptime), NOW);
            counted += elapsed;
            clock = next;
            assert_eq!(counted, ran);
        }
    }
}
