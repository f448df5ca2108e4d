//! When a policy runs: `hourly :15`, `daily 02:30`, `mon,thu 22:00`, `mon-fri 22:00`, `monthly 1 03:00`.
//!
//! | written | runs |
//! | --- | --- |
//! | `hourly`, `hourly :MM` | each hour, at that minute |
//! | `daily HH:MM` | each day |
//! | `DAYS HH:MM` | on these days of the week: `mon`, `mon,thu`, `mon-fri`, `fri-mon` |
//! | `monthly D HH:MM` | on that day of the month; in a shorter month on its last |
//!
//! Times are those of the machine's time zone. A time that a change of clocks leaves out comes as much later as the clocks
//! are put forward; one that comes twice counts once, the first time.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Days that are looked at for the next time: a month and the day after.
const DAYS_AHEAD: usize = 33;

/// Why a text is no calendar.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{0}' is no calendar; write \"hourly :15\", \"daily 02:30\", \"mon,thu 22:00\", \"mon-fri 22:00\" or \"monthly 1 03:00\""
)]
pub struct CalendarError(String);

/// Times that come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Calendar {
    text: String,
    rule: Rule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Hourly {
        minute: i8,
    },
    Weekly {
        /// By [`Weekday::to_monday_zero_offset`].
        days: [bool; 7],
        time: Time,
    },
    Monthly {
        day: i8,
        time: Time,
    },
}

impl Calendar {
    /// The first time behind `after`.
    ///
    /// `None` at the end of time.
    #[must_use]
    pub fn next(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = after.to_zoned(zone.clone()).date();
        // A zone that is ahead of the place of a changed clock may still owe a time of yesterday.
        let days = today.yesterday().ok()?.series(1.day()).take(DAYS_AHEAD + 1);
        days.flat_map(|date| self.times_of(date))
            .filter_map(|(date, time)| Some(zone.to_ambiguous_zoned(date.to_datetime(time)).compatible().ok()?.timestamp()))
            .find(|time| *time > after)
    }

    /// The times of a day, in order.
    fn times_of(&self, date: Date) -> Vec<(Date, Time)> {
        match self.rule {
            Rule::Hourly { minute } => (0..24).filter_map(|hour| Some((date, Time::new(hour, minute, 0, 0).ok()?))).collect(),
            Rule::Weekly { days, time } => {
                let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or(0);
                if days[day] { vec![(date, time)] } else { Vec::new() }
            }
            Rule::Monthly { day, time } => {
                if date.day() == day.min(date.days_in_month()) {
                    vec![(date, time)]
                } else {
                    Vec::new()
                }
            }
        }
    }
}

impl FromStr for Calendar {
    type Err = CalendarError;

    fn from_str(text: &str) -> Result<Self, CalendarError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let rule = match words[..] {
            ["hourly"] => Some(Rule::Hourly { minute: 0 }),
            ["hourly", minute] => {
                minute.strip_prefix(':').and_then(|minute| two_digits(minute, 59)).map(|minute| Rule::Hourly { minute })
            }
            ["daily", time] => time_of_day(time).map(|time| Rule::Weekly { days: [true; 7], time }),
            ["monthly", day, time] => {
                let day = day.parse().ok().filter(|day| (1..=31).contains(day));
                day.zip(time_of_day(time)).map(|(day, time)| Rule::Monthly { day, time })
            }
            [days, time] => days_of_week(days).zip(time_of_day(time)).map(|(days, time)| Rule::Weekly { days, time }),
            _ => None,
        };
        let rule = rule.ok_or_else(|| CalendarError(text.to_owned()))?;
        Ok(Self { text: words.join(" "), rule })
    }
}

fn two_digits(text: &str, most: i8) -> Option<i8> {
    let digits = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= most)
}

fn time_of_day(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    if minute.len() != 2 {
        return None;
    }
    Time::new(two_digits(hour, 23)?, two_digits(minute, 59)?, 0, 0).ok()
}

fn days_of_week(text: &str) -> Option<[bool; 7]> {
    let mut days = [false; 7];
    for part in text.split(',') {
        let (first, last) = part.split_once('-').map_or((part, part), |(first, last)| (first, last));
        let (mut day, last) = (day_of_week(first)?, day_of_week(last)?);
        loop {
            days[usize::try_from(day.to_monday_zero_offset()).ok()?] = true;
            if day == last {
                break;
            }
            day = day.next();
        }
    }
    Some(days)
}

fn day_of_week(word: &str) -> Option<Weekday> {
    Some(match word.to_ascii_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl TryFrom<String> for Calendar {
    type Error = CalendarError;

    fn try_from(text: String) -> Result<Self, CalendarError> {
        text.parse()
    }
}

impl From<Calendar> for String {
    fn from(calendar: Calendar) -> Self {
        calendar.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The next three times in a zone, in its own time.
    fn times(calendar: &str, after: &str, zone: &str) -> Vec<String> {
        let calendar: Calendar = calendar.parse().unwrap();
        let zone = TimeZone::posix(zone).unwrap();
        let mut at: Timestamp = after.parse().unwrap();
        let mut times = Vec::new();
        for _ in 0..3 {
            at = calendar.next(at, &zone).unwrap();
            times.push(at.to_zoned(zone.clone()).strftime("%a %F %H:%M").to_string());
        }
        times
    }

    // Days of the week of November 2026 and January 2027: from a printed calendar.
    #[test]
    fn each_rule_gives_its_times() {
        let after = "2026-11-21T05:29:00Z";
        assert_eq!(times("hourly :15", after, "UTC0"), ["Sat 2026-11-21 06:15", "Sat 2026-11-21 07:15", "Sat 2026-11-21 08:15"]);
        assert_eq!(times("daily 02:30", after, "UTC0"), ["Sun 2026-11-22 02:30", "Mon 2026-11-23 02:30", "Tue 2026-11-24 02:30"]);
        assert_eq!(
            times("mon,thu 22:00", after, "UTC0"),
            ["Mon 2026-11-23 22:00", "Thu 2026-11-26 22:00", "Mon 2026-11-30 22:00"]
        );
        assert_eq!(
            times("sat-mon 5:29", after, "UTC0"),
            ["Sun 2026-11-22 05:29", "Mon 2026-11-23 05:29", "Sat 2026-11-28 05:29"]
        );
        assert_eq!(
            times("monthly 31 03:00", after, "UTC0"),
            ["Mon 2026-11-30 03:00", "Thu 2026-12-31 03:00", "Sun 2027-01-31 03:00"]
        );
    }

    #[test]
    fn a_time_that_the_clock_leaves_out_comes_later_and_one_that_comes_twice_counts_once() {
        // Central Europe: clocks went from 02:00 to 03:00 on 2026-03-29, and from 03:00 to 02:00 on 2026-10-25.
        let zone = "CET-1CEST,M3.5.0,M10.5.0/3";
        let spring = times("daily 02:30", "2026-03-28T12:00:00Z", zone);
        assert_eq!(spring, ["Sun 2026-03-29 03:30", "Mon 2026-03-30 02:30", "Tue 2026-03-31 02:30"]);
        let autumn = times("daily 02:30", "2026-10-24T12:00:00Z", zone);
        assert_eq!(autumn, ["Sun 2026-10-25 02:30", "Mon 2026-10-26 02:30", "Tue 2026-10-27 02:30"]);
    }

    #[test]
    fn what_is_no_calendar_is_refused() {
        for text in
            ["", "daily", "daily 24:00", "daily 2:3", "weekly 02:30", "mon- 02:30", "monthly 0 03:00", "hourly 15", "hourly :60"]
        {
            assert!(text.parse::<Calendar>().is_err(), "{text}");
        }
        assert_eq!(" mon,thu   22:00 ".parse::<Calendar>().unwrap().to_string(), "mon,thu 22:00");
    }
}
