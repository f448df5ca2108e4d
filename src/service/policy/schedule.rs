//! When a policy is due.
//!
//! A turn that was missed while the service was stopped, or while another turn ran, is made up for once, however many
//! were missed.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::service::calendar::Calendar;

/// Whether a turn is due, or when the next one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Now,
    At(Timestamp),
    Never,
}

/// When the turn after the one at `reference` is due.
pub(super) fn due(calendar: Option<&Calendar>, reference: Timestamp, now: Timestamp, zone: &TimeZone) -> Due {
    match calendar.and_then(|calendar| calendar.next(reference, zone)) {
        None => Due::Never,
        Some(next) if next <= now => Due::Now,
        Some(next) => Due::At(next),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_missed_is_made_up_for_once() {
        let calendar: Calendar = "daily 02:30".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let due = |reference: &str, now: &str| due(Some(&calendar), at(reference), at(now), &TimeZone::UTC);
        assert_eq!(due("2026-11-20T02:30:00Z", "2026-11-21T02:29:59Z"), Due::At(at("2026-11-21T02:30:00Z")));
        assert_eq!(due("2026-11-20T02:30:00Z", "2026-11-21T02:30:00Z"), Due::Now);
        // Stopped for three days: one turn, and then the next at its time.
        assert_eq!(due("2026-11-18T02:30:00Z", "2026-11-21T09:00:00Z"), Due::Now);
        assert_eq!(due("2026-11-21T09:00:00Z", "2026-11-21T09:00:01Z"), Due::At(at("2026-11-22T02:30:00Z")));
        assert_eq!(super::due(None, at("2026-11-18T02:30:00Z"), at("2026-11-21T09:00:00Z"), &TimeZone::UTC), Due::Never);
    }
}
