//! Dates of DSCBs: three bytes, year since 1900 and day of the year.

use std::fmt;

use binrw::binrw;

/// A date as a DSCB keeps it. Nothing is made of it: writers store days from 0 (`dasdload`, s390-tools), and day 365 of
/// 1999 means never.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct DscbDate {
    /// Years since 1900.
    pub year: u8,
    /// Day of the year.
    pub day: u16,
}

impl DscbDate {
    /// Year and day of the year; `None` for three zero bytes, which mean that there is no date.
    #[must_use]
    pub fn get(self) -> Option<OrdinalDate> {
        (self != Self::default()).then(|| OrdinalDate { year: 1900 + u16::from(self.year), day: self.day })
    }
}

/// A year and a day of it, as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrdinalDate {
    /// Year, all four digits.
    pub year: u16,
    /// Day of the year; 1 is 1 January, and some writers count from 0.
    pub day: u16,
}

impl OrdinalDate {
    /// Whether it is one of the two dates that mean "never expires": 99.365 and 99.366.
    #[must_use]
    pub const fn is_never(self) -> bool {
        self.year == 1999 && matches!(self.day, 365 | 366)
    }

    /// The day in the civil calendar, if the year has it.
    #[must_use]
    pub fn civil(self) -> Option<jiff::civil::Date> {
        let first = jiff::civil::Date::new(i16::try_from(self.year).ok()?, 1, 1).ok()?;
        let day = i16::try_from(self.day).ok()?;
        first.with().day_of_year(day).build().ok()
    }
}

impl fmt::Display for OrdinalDate {
    /// In the form of mainframe listings, `yyyy.ddd`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}.{:03}", self.year, self.day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_date_and_day_zero_is_one() {
        assert_eq!(DscbDate::default().get(), None);
        let date = DscbDate { year: 126, day: 0 }.get().unwrap();
        assert_eq!(date.to_string(), "2026.000");
        assert_eq!(date.civil(), None);
    }

    #[test]
    fn the_day_of_the_year_becomes_a_civil_day() {
        let date = OrdinalDate { year: 2024, day: 366 };
        assert_eq!(date.civil(), Some(jiff::civil::date(2024, 12, 31)));
        assert_eq!(OrdinalDate { year: 2023, day: 366 }.civil(), None);
        assert!(OrdinalDate { year: 1999, day: 365 }.is_never());
    }
}
