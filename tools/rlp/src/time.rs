// SPDX-License-Identifier: GPL-2.0

//! Times as people and programs read them. All times are in UTC.

use std::time::{
    Duration,
    SystemTime,
    UNIX_EPOCH, //
};

/// The seconds since the Unix epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs()
}

/// The time that is printed in a file as the time of its making, in seconds since the epoch. As for
/// other programs, `SOURCE_DATE_EPOCH` sets it, so that the same input gives the same file.
pub(crate) fn of_making() -> u64 {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    given
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or_else(now)
}

/// The year, the month and the day of a number of days since 1970-01-01, in the Gregorian calendar.
fn date(days: u64) -> (u64, u64, u64) {
    // Years that begin in March have the leap day at their end. 719468 days lie between 0000-03-01
    // and 1970-01-01; 146097 days are 400 years.
    let days = days + 719_468;
    let era = days / 146_097;
    let day = days % 146_097;
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, month + 3);
    if month > 12 {
        (year + 1, month - 12, day)
    } else {
        (year, month, day)
    }
}

/// "2026-11-30T01:02:03Z", as in RFC 3339.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let (year, month, day) = date(seconds / 86_400);
    let rest = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// "Mon, 30 Nov 2026 01:02:03 +0000", as in RFC 5322 and in changelogs of Debian.
pub(crate) fn rfc5322(seconds: u64) -> String {
    // 1970-01-01 was a Thursday.
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let days = seconds / 86_400;
    let (year, month, day) = date(days);
    let weekday = DAYS[(days % 7) as usize];
    let month = MONTHS[(month - 1) as usize];
    let clock = &rfc3339(seconds)[11..19];
    format!("{weekday}, {day:02} {month} {year} {clock} +0000")
}

/// The seconds since the Unix epoch, of a time in UTC in the format of RFC 5322, as the indexes of
/// an apt repository have it: "Mon, 30 Nov 2026 01:02:03 UTC". The weekday is not checked.
pub(crate) fn of_rfc5322(text: &str) -> Option<u64> {
    let mut words = text.split_whitespace();
    let mut next = || words.next();
    let (_weekday, day, month, year, clock, zone) =
        (next()?, next()?, next()?, next()?, next()?, next()?);
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    let is_utc = ["UTC", "GMT", "+0000"].contains(&zone) && next().is_none();
    seconds(&format!("{year}-{month:02}-{day:0>2}T{clock}Z")).filter(|_| is_utc)
}

/// Checks that a text is a time in the format of `rfc3339`, or the beginning of one with at least
/// the day. Texts in this format sort in the order of their times.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let like = b"0000-00-00T00:00:00Z";
    let fits = |(byte, like): (u8, &u8)| match like {
        b'0' => byte.is_ascii_digit(),
        other => byte == *other,
    };
    if text.len() < "0000-00-00".len()
        || text.len() > like.len()
        || !text.bytes().zip(like).all(fits)
    {
        return Err("a time is like 2026-11-30 or 2026-11-30T12:00:00Z, in UTC".to_owned());
    }
    Ok(text.to_owned())
}

/// The seconds since the Unix epoch, of a time as `rfc3339` writes it. `None` for any other text,
/// and for a day that no month has.
pub(crate) fn seconds(text: &str) -> Option<u64> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // As in `date`: years begin in March.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year.checked_sub(1)?, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let days = days.checked_sub(719_468 + 1)?;
    let rest = number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?;
    let seconds = days * 86_400 + rest;
    (rfc3339(seconds) == text).then_some(seconds)
}

/// The last second that a time of [`parse`] includes: "2026-11-30" ends at 23:59:59.
pub(crate) fn last_second(text: &str) -> Option<u64> {
    complete(text, "0000-00-00T23:59:59Z")
}

/// The first second that a time of [`parse`] includes: "2026-11-30" begins at 00:00:00.
pub(crate) fn first_second(text: &str) -> Option<u64> {
    complete(text, "0000-00-00T00:00:00Z")
}

fn complete(text: &str, like: &str) -> Option<u64> {
    seconds(&format!("{text}{}", like.get(text.len()..)?))
}

/// The seconds since the Unix epoch, of a day or of a time in UTC that a user has written.
pub(crate) fn moment(text: &str) -> Result<u64, String> {
    seconds(text)
        .or_else(|| seconds(&format!("{text}T00:00:00Z")))
        .ok_or_else(|| format!("'{text}' is no time such as 2026-11-30 or 2026-11-30T12:00:00Z"))
}

/// "2026-11-30 01:02:03 UTC".
pub(crate) fn readable(seconds: u64) -> String {
    rfc3339(seconds).replace('T', " ").replace('Z', " UTC")
}

/// A duration in its two largest units: "3 d 4 h", "12 s".
pub(crate) fn span(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];
    let first = units
        .iter()
        .position(|&(_, size)| seconds >= size)
        .unwrap_or(units.len() - 1);
    let (name, size) = units[first];
    let mut text = format!("{} {name}", seconds / size);
    if let Some(&(name, smaller)) = units.get(first + 1) {
        let rest = seconds % size / smaller;
        if rest != 0 {
            text += &format!(" {rest} {name}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(951_868_800), "2000-03-01T00:00:00Z");
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(rfc5322(0), "Thu, 01 Jan 1970 00:00:00 +0000");
        assert_eq!(rfc5322(1_796_000_523), "Mon, 30 Nov 2026 01:02:03 +0000");
        assert_eq!(rfc5322(951_782_400), "Tue, 29 Feb 2000 00:00:00 +0000");
        assert_eq!(readable(1_796_000_523), "2026-11-30 01:02:03 UTC");
    }

    #[test]
    fn times_of_indexes() {
        for time in [0, 951_782_400, 1_796_000_523] {
            assert_eq!(of_rfc5322(&rfc5322(time)), Some(time));
            let utc = rfc5322(time).replace("+0000", "UTC");
            assert_eq!(of_rfc5322(&utc), Some(time));
        }
        assert_eq!(
            of_rfc5322("Tue, 1 Dec 2026 00:00:00 GMT"),
            seconds("2026-12-01T00:00:00Z")
        );
        for other in [
            "",
            "Mon, 30 Nov 2026 01:02:03",
            "Mon, 30 Nov 2026 01:02:03 +0100",
            "Mon, 31 Nov 2026 01:02:03 UTC",
            "Mon, 30 November 2026 01:02:03 UTC",
            "Mon, 30 Nov 2026 01:02 UTC",
            "Mon, 30 Nov 2026 01:02:03 UTC UTC",
        ] {
            assert_eq!(of_rfc5322(other), None, "{other}");
        }
    }

    #[test]
    fn seconds_of_times() {
        for time in [
            0,
            951_782_399,
            951_782_400,
            951_868_800,
            1_796_000_523,
            4_107_542_400,
        ] {
            assert_eq!(seconds(&rfc3339(time)), Some(time));
        }
        for day in 0..200_000 {
            assert_eq!(seconds(&rfc3339(day * 86_400)), Some(day * 86_400));
        }
        for other in [
            "",
            "2026-11-30",
            "1969-12-31T23:59:59Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-30T24:00:00Z",
            "2026-11-30T00:00:00",
            "2026-11-30 00:00:00Z",
            "2026-11-30T00:00:00+01:00",
            "\u{e4}026-11-30T00:00:00Z",
        ] {
            assert_eq!(seconds(other), None, "{other}");
        }
    }

    #[test]
    fn the_seconds_of_a_day() {
        let day = seconds("2026-11-30T00:00:00Z");
        assert_eq!(first_second("2026-11-30"), day);
        assert_eq!(last_second("2026-11-30"), day.map(|day| day + 86_399));
        let noon = day.map(|day| day + 43_200);
        assert_eq!(first_second("2026-11-30T12:00:00Z"), noon);
        assert_eq!(last_second("2026-11-30T12:00:00Z"), noon);
        assert_eq!(last_second("2026-02-30"), None);
        assert_eq!(last_second("2026-11-30T12:00:00Zx"), None);
    }

    #[test]
    fn moments() {
        assert_eq!(moment("1970-01-02"), Ok(86_400));
        assert_eq!(moment("1970-01-02T00:00:01Z"), Ok(86_401));
        for other in ["", "1970", "1970-01-02T00:00", "tomorrow"] {
            assert!(moment(other).is_err(), "{other}");
        }
    }

    #[test]
    fn times_of_users() {
        for time in ["2026-11-30", "2026-11-30T12:00", "2026-11-30T12:00:00Z"] {
            assert_eq!(parse(time).as_deref(), Ok(time));
        }
        for other in [
            "",
            "yesterday",
            "2026",
            "30.11.2026",
            "2026-11-30 12:00",
            "2026-11-30T12:00:00Zx",
        ] {
            assert!(parse(other).is_err(), "{other}");
        }
    }

    #[test]
    fn spans() {
        assert_eq!(span(0), "0 s");
        assert_eq!(span(59), "59 s");
        assert_eq!(span(60), "1 min");
        assert_eq!(span(3_725), "1 h 2 min");
        assert_eq!(span(273_600), "3 d 4 h");
    }
}
