// SPDX-License-Identifier: GPL-2.0

//! The window of the policy: the days and hours in which a level may be applied, in the machine's
//! timezone.

use serde::{
    Deserialize,
    Serialize, //
};

/// A moment in a timezone: the days since Monday, and the minutes since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Local {
    pub(crate) day: u8,
    pub(crate) minute: u16,
}

/// Tells the local time of a number of seconds since the epoch.
pub(crate) type Zone<'a> = &'a dyn Fn(u64) -> Local;

const MINUTE: u64 = 60;
const DAY_MINUTES: u16 = 24 * 60;

/// The longest time to the next opening. A window that is open once a week may miss one week,
/// because its hour is missing when summer time begins.
const LONGEST: u64 = 15 * 86_400;

/// The time in the timezone of this machine.
pub(crate) fn machine_zone(seconds: u64) -> Local {
    use chrono::{
        Datelike,
        TimeZone,
        Timelike, //
    };
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let time = chrono::Local.timestamp_opt(seconds, 0).earliest();
    time.map_or(Local { day: 0, minute: 0 }, |time| Local {
        day: time.weekday().num_days_from_monday().to_le_bytes()[0],
        minute: u16::try_from(time.hour() * 60 + time.minute()).unwrap_or(0),
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// A time of day, such as "22:30".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Hour(u16);

impl TryFrom<String> for Hour {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let number = |text: &str, most: u16| {
            let fits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let number: Option<u16> = text.parse().ok();
            number.filter(|&number| fits && number <= most)
        };
        text.split_once(':')
            .and_then(|(hour, minute)| Some(number(hour, 23)? * 60 + number(minute, 59)?))
            .map(Self)
            .ok_or_else(|| format!("'{text}' is no time of day such as 22:30"))
    }
}

/// The hours begin on one of the days, and may end on the day after it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Window {
    /// Without days, each day.
    #[serde(default)]
    days: Vec<Day>,
    from: Hour,
    to: Hour,
}

impl Window {
    fn has_day(&self, day: u8) -> bool {
        self.days.is_empty() || self.days.iter().any(|&other| other as u8 == day)
    }

    /// Whether the window is open. If both times are the same, it is open for 24 hours.
    pub(crate) fn is_open(&self, at: Local) -> bool {
        let (from, to) = (self.from.0, self.to.0);
        if from < to {
            return self.has_day(at.day) && (from..to).contains(&at.minute);
        }
        let yesterday = (at.day + 6) % 7;
        (self.has_day(at.day) && (from..DAY_MINUTES).contains(&at.minute))
            || (self.has_day(yesterday) && at.minute < to)
    }

    /// The next time when the window opens, or `now` if it is open. The days when summer time
    /// begins or ends have 23 or 25 hours, so each minute is looked at.
    pub(crate) fn opens(&self, now: u64, zone: Zone<'_>) -> u64 {
        if self.is_open(zone(now)) {
            return now;
        }
        let first = now - now % MINUTE + MINUTE;
        let minutes = (0..LONGEST / MINUTE).map(|nr| first + nr * MINUTE);
        let mut open = minutes.filter(|&minute| self.is_open(zone(minute)));
        open.next().unwrap_or(now + LONGEST)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// 2026-11-30, a Monday, at midnight.
    pub(crate) const MONDAY: u64 = 1_795_996_800;

    pub(crate) fn utc(seconds: u64) -> Local {
        Local {
            day: ((seconds / 86_400 + 3) % 7) as u8,
            minute: (seconds / 60 % 1440) as u16,
        }
    }

    fn window(text: &str) -> Window {
        toml::from_str(text).unwrap()
    }

    fn at(day: u64, hour: u64, minute: u64) -> u64 {
        MONDAY + day * 86_400 + hour * 3600 + minute * 60
    }

    #[test]
    fn a_window_may_cross_midnight() {
        let night = window("days = ['fri']\nfrom = '22:00'\nto = '04:00'");
        for (day, hour, minute, open) in [
            (4, 21, 59, false),
            (4, 22, 0, true),
            (5, 3, 59, true),
            (5, 4, 0, false),
            (4, 3, 0, false),
            (5, 22, 0, false),
        ] {
            let time = at(day, hour, minute);
            assert_eq!(night.is_open(utc(time)), open, "{day} {hour}:{minute}");
        }
        // From Sunday to Monday.
        let week = window("days = ['sun']\nfrom = '23:00'\nto = '01:00'");
        assert!(week.is_open(utc(at(7, 0, 30))));
        assert!(!week.is_open(utc(at(6, 0, 30))));
    }

    #[test]
    fn the_next_opening() {
        let day = window("from = '09:00'\nto = '17:00'");
        assert_eq!(day.opens(at(0, 10, 0) + 7, &utc), at(0, 10, 0) + 7);
        assert_eq!(day.opens(at(0, 17, 0) + 7, &utc), at(1, 9, 0));
        let week = window("days = ['sun']\nfrom = '02:00'\nto = '02:30'");
        assert_eq!(week.opens(at(0, 0, 0), &utc), at(6, 2, 0));
        let always = window("from = '05:00'\nto = '05:00'");
        assert_eq!(always.opens(at(2, 4, 59), &utc), at(2, 4, 59));
    }

    /// In a timezone in which Sunday has no hour from 2 to 3, the window opens a week later.
    #[test]
    fn an_hour_that_is_missing() {
        let week = window("days = ['sun']\nfrom = '02:00'\nto = '03:00'");
        let zone = |time: u64| {
            utc(if time < at(6, 2, 0) {
                time
            } else {
                time + 3600
            })
        };
        assert_eq!(week.opens(at(0, 0, 0), &zone), at(13, 1, 0));
    }

    #[test]
    fn the_opening_is_open_and_nothing_before_it_is() {
        let mut random = crate::policy::tests::Random(7);
        for _ in 0..500 {
            let hour = |random: &mut crate::policy::tests::Random| {
                Hour(u16::try_from(random.below(1440)).unwrap())
            };
            let days = [Day::Mon, Day::Wed, Day::Sat];
            let window = Window {
                days: days[..random.below(4) as usize].to_vec(),
                from: hour(&mut random),
                to: hour(&mut random),
            };
            let now = MONDAY + random.below(20 * 86_400);
            let opens = window.opens(now, &utc);
            assert!(window.is_open(utc(opens)), "{window:?} {now}");
            let before = now + random.below((opens - now).max(1));
            assert!(opens == now || !window.is_open(utc(before)), "{window:?}");
        }
    }

    #[test]
    fn wrong_windows_are_refused() {
        for text in [
            "from = '24:00'\nto = '01:00'",
            "from = '9:00'\nto = '10:00'",
            "from = '09:00'",
            "from = '09:00'\nto = '10:00'\ndays = ['monday']",
            "from = '09:00'\nto = '10:00'\nzone = 'UTC'",
            "from = '+9:00'\nto = '10:00'",
        ] {
            assert!(toml::from_str::<Window>(text).is_err(), "{text}");
        }
    }
}
