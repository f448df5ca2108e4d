//! Amounts as people write them: `64KiB`, `30s`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no amount.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QuantityError {
    /// No size in bytes.
    #[error("'{0}' is no size; write a number and B, KiB, MiB, GiB or TiB, such as \"64MiB\"")]
    Size(String),
    /// No length of time.
    #[error("'{0}' is no length of time; write numbers and ms, s, m or h, such as \"30s\" or \"1h30m\"")]
    Time(String),
}

/// A number of bytes: `0`, `512B`, `64KiB`, `1.5GiB`, `8GB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError::Size(text.to_owned());
        let (number, unit) = UNITS
            .iter()
            .find_map(|(name, bytes)| text.strip_suffix(name).map(|number| (number.trim_end(), *bytes)))
            .unwrap_or((text, 1));
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || number.ends_with('.') || part.len() > 3 || !all_digits(whole) || !all_digits(part) {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let bytes = whole.checked_mul(unit).ok_or_else(wrong)?;
        // Up to three decimals, so the product stays below 2^53.
        let part = part.parse::<u64>().map_or(0, |digits| digits * unit / 10_u64.pow(u32::try_from(part.len()).unwrap_or(0)));
        bytes.checked_add(part).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Self, QuantityError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    /// The largest binary unit that gives a number of at least 1, with one decimal where it is not whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((name, unit)) = UNITS[..4].iter().find(|(_, unit)| self.0 >= *unit) else {
            return f.pad(&format!("{}B", self.0));
        };
        if self.0.is_multiple_of(*unit) {
            return f.pad(&format!("{}{name}", self.0 / unit));
        }
        // Tenths rounded down: a limit is never told larger than it is.
        let tenths = u128::from(self.0) * 10 / u128::from(*unit);
        f.pad(&format!("{}.{}{name}", tenths / 10, tenths % 10))
    }
}

/// A length of time: `500ms`, `30s`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(pub Duration);

impl Time {
    /// Milliseconds, rounded down.
    #[must_use]
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Time {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = || QuantityError::Time(text.to_owned());
        let duration: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
        Duration::try_from(duration).map(Self).map_err(|_| wrong())
    }
}

impl TryFrom<String> for Time {
    type Error = QuantityError;

    fn try_from(text: String) -> Result<Self, QuantityError> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> Self {
        time.to_string()
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::SignedDuration::try_from(self.0) {
            Ok(duration) => f.pad(&format!("{duration:#}").replace(' ', "")),
            Err(_) => write!(f, "{} s", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_or_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("64KiB", 65_536),
            ("64 KiB", 65_536),
            ("1.5GiB", 1_610_612_736),
            ("8GB", 8_000_000_000),
            ("16777215TiB", 16_777_215 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "KiB", "64K", "64kib", "-1", "1.", ".5GiB", "1.2345GiB", "1e3", "16777216TiB", "99999999999999999999"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_is_told_in_the_largest_unit_and_never_too_large() {
        for (bytes, text) in
            [(0, "0B"), (1023, "1023B"), (65_536, "64KiB"), (1_610_612_736, "1.5GiB"), ((1 << 30) - 1, "1023.9MiB")]
        {
            let told = ByteSize(bytes).to_string();
            assert_eq!(told, text);
            assert!(told.parse::<ByteSize>().unwrap().0 <= bytes, "{told}");
        }
    }

    #[test]
    fn times_have_units() {
        for (text, milliseconds) in [("500ms", 500), ("30s", 30_000), ("1h30m", 5_400_000), ("2m", 120_000), ("0s", 0)] {
            let time: Time = text.parse().unwrap();
            assert_eq!(time.as_millis(), milliseconds, "{text}");
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        for text in ["", "30", "-5s", "fast", "5 parsecs"] {
            assert!(text.parse::<Time>().is_err(), "{text}");
        }
    }
}
