//! Dates as tape labels carry them: `cyyddd`.
//!
//! c is the century (blank 19, `0` 20, `1` 21 and so on), yy the year in it, ddd the day of the year. Tape managers
//! give dates that no calendar has a meaning of their own (`99000`, `98ddd`, `99nnn`: keep while cataloged, cycles;
//! `99365` and `99366`: never expires), so a date is kept as its figures and not as a civil date.
//!
//! Source: *z/OS DFSMS Using Magnetic Tapes*, "Format-1 labels", creation and expiration date.

use std::fmt;

/// The last year that the century character can say.
const LAST_YEAR: u16 = 2999;

/// Year and day of a label, which may be one that no calendar has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelDate {
    year: u16,
    day: u16,
}

impl LabelDate {
    /// Makes a date of a year (1900 to 2999) and a day of the year (0 to 999), or `None` if it can't lie in a label.
    #[must_use]
    pub const fn new(year: u16, day: u16) -> Option<Self> {
        if year < 1900 || year > LAST_YEAR || day > 999 { None } else { Some(Self { year, day }) }
    }

    /// The label date of a civil date, `None` before 1900 and after 2999.
    #[must_use]
    pub fn from_civil(date: jiff::civil::Date) -> Option<Self> {
        let year = u16::try_from(date.year()).ok()?;
        Self::new(year, date.day_of_year().unsigned_abs())
    }

    /// Year, 1900 to 2999.
    #[must_use]
    pub const fn year(self) -> u16 {
        self.year
    }

    /// Day of the year, 0 to 999; above 366 it has a meaning for tape managers only.
    #[must_use]
    pub const fn day(self) -> u16 {
        self.day
    }

    /// The six characters of the label.
    #[must_use]
    pub fn to_label(self) -> String {
        let century = match self.year / 100 {
            19 => ' ',
            century => char::from_digit(u32::from(century) - 20, 10).unwrap_or(' '),
        };
        format!("{century}{:02}{:03}", self.year % 100, self.day)
    }

    /// Reads the six characters of a label; `None` when they are no date, blank, or the zeros that mean none.
    #[must_use]
    pub fn from_label(text: &str) -> Option<Self> {
        let mut characters = text.chars();
        let century = match characters.next()? {
            ' ' => 19,
            digit => 20 + digit.to_digit(10)?,
        };
        let figures = characters.as_str();
        if figures.len() != 5 || !figures.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let (year, day) = figures.split_at(2);
        let (year, day): (u16, u16) = (year.parse().ok()?, day.parse().ok()?);
        if year == 0 && day == 0 {
            return None;
        }
        Self::new(u16::try_from(century).ok()? * 100 + year, day)
    }
}

impl fmt::Display for LabelDate {
    /// Writes `2026.324`, as IBM's listings do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.year, self.day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fact sheet's worked example: day 324 of 2026 is `026324`.
    #[test]
    fn dates_are_written_with_their_century() {
        assert_eq!(LabelDate::new(2026, 324).unwrap().to_label(), "026324");
        assert_eq!(LabelDate::new(1974, 114).unwrap().to_label(), " 74114");
        assert_eq!(LabelDate::new(2101, 1).unwrap().to_label(), "101001");
        assert_eq!(LabelDate::from_civil(jiff::civil::date(2026, 11, 20)), LabelDate::new(2026, 324));
    }

    #[test]
    fn zeros_blanks_and_rubbish_are_no_date() {
        for text in [" 00000", "000000", "      ", "", "02632", "0263240", "0x6324", " 7411é", "é74114"] {
            assert_eq!(LabelDate::from_label(text), None, "{text:?}");
        }
    }

    #[test]
    fn dates_that_only_tape_managers_know_are_kept() {
        let never = LabelDate::from_label(" 99365").unwrap();
        assert_eq!((never.year(), never.day(), never.to_string()), (1999, 365, "1999.365".to_owned()));
        assert_eq!(LabelDate::from_label(" 99000").map(LabelDate::to_label).as_deref(), Some(" 99000"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(year in 1900_u16..=2999, day in 1_u16..=999) {
            let date = LabelDate::new(year, day).unwrap();
            proptest::prop_assert_eq!(LabelDate::from_label(&date.to_label()), Some(date));
        }
    }
}
