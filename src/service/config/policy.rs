//! Policies in the configuration: what is copied when, onto which tape, and how long it is kept.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tapegate_formats::volume::name::Volser;
use thiserror::Error;

use crate::live::status::{Consistency, OnError, Pace};
use crate::service::calendar::Calendar;

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Its name.
    pub name: String,
    /// Its volumes: one T0 for all.
    pub volumes: Vec<String>,
    /// Patterns of data sets; none means the whole volumes.
    pub files: Vec<String>,
    /// Patterns of data sets that are left out.
    pub exclude: Vec<String>,
    /// Which instant T0 is.
    pub consistency: Consistency,
    /// How long T0 is tried for.
    pub t0_wait: Duration,
    /// Path of a tape in the library, with `{policy}`, `{volume}`, `{volser}`, `{date}` and `{time}` in it.
    pub tape: String,
    /// Serials of its tapes, one after the other; without them they are made from the volumes'.
    pub volsers: Option<SerialRange>,
    /// Which of its tapes are kept.
    pub retention: Retention,
    /// When it runs; without one, only when asked.
    pub calendar: Option<Calendar>,
    /// Run before T0; if it fails the turn fails.
    pub before: Option<PolicyCommand>,
    /// Run after T0, whatever became of it, once `before` was run.
    pub after: Option<PolicyCommand>,
    /// What becomes of a host write whose original can't be secured.
    pub on_error: OnError,
    /// How fair the copier is to hosts.
    pub pace: Pace,
    /// Pool of the original-data cache.
    pub cache: Option<String>,
    /// Only what is in use.
    pub used: bool,
    /// Without the tracks that no data set has.
    pub no_free: bool,
}

/// A program that a policy runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyCommand {
    /// Program and arguments; no shell takes them apart.
    pub command: Vec<String>,
    /// When it is killed, with all that it started.
    pub limit: Duration,
}

/// Which tapes of a policy are kept, once a newer one is whole; the newest always is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Retention {
    /// Only so many turns.
    pub turns: Option<u32>,
    /// Only those of so many days.
    pub days: Option<u32>,
}

/// Volume serials that count up: `VT0001-VT0999`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialRange {
    prefix: String,
    digits: usize,
    first: u32,
    last: u32,
}

/// The text is no range of serials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no range of serials; write two of the same letters and as many digits, such as \"VT0001-VT0999\"")]
pub struct NoSerialRange(String);

impl SerialRange {
    /// How many serials there are.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.last - self.first + 1
    }

    /// The serial of a place in the range, which goes round.
    #[must_use]
    pub fn serial(&self, place: u32) -> String {
        let number = self.first + place % self.count();
        format!("{}{number:0digits$}", self.prefix, digits = self.digits)
    }
}

impl FromStr for SerialRange {
    type Err = NoSerialRange;

    fn from_str(text: &str) -> Result<Self, NoSerialRange> {
        let range = || {
            let (first, last) = text.split_once('-')?;
            let split = |serial: &str| {
                let digits = serial.bytes().rev().take_while(u8::is_ascii_digit).count();
                let (prefix, number) = serial.split_at(serial.len() - digits);
                serial.parse::<Volser>().ok()?;
                Some((prefix.to_owned(), digits, number.parse::<u32>().ok()?))
            };
            let (prefix, digits, first) = split(first)?;
            let (last_prefix, last_digits, last) = split(last)?;
            let fits = prefix == last_prefix && digits == last_digits && first <= last;
            fits.then_some(Self { prefix, digits, first, last })
        };
        range().ok_or_else(|| NoSerialRange(text.to_owned()))
    }
}

impl fmt::Display for SerialRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.serial(0), self.serial(self.count() - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_count_up_and_go_round() {
        let range: SerialRange = "VT0998-VT1000".parse().unwrap();
        let serials: Vec<_> = (0..4).map(|place| range.serial(place)).collect();
        assert_eq!(serials, ["VT0998", "VT0999", "VT1000", "VT0998"]);
        assert_eq!(range.to_string(), "VT0998-VT1000");
        assert_eq!("000001-999999".parse::<SerialRange>().unwrap().count(), 999_999);
        for text in ["VT0001", "VT0002-VT0001", "VT001-VT0100", "VT0001-VX0009", "VOLUME-VOLUMF", "TOOLONG1-TOOLONG2"] {
            assert!(text.parse::<SerialRange>().is_err(), "{text}");
        }
    }
}
