//! What is remembered of a policy: when it ran, which tapes it made, which serial comes next.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::service::config::Retention;

/// What is remembered of a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct PolicyRecord {
    /// When the policy was seen first; before that no turn was missed.
    pub(super) seen: Option<String>,
    /// When its last turn began.
    pub(super) last: Option<String>,
    /// Why its last turn failed.
    pub(super) failure: Option<String>,
    /// Place of the next serial in its range.
    pub(super) next_serial: u32,
    /// The turns whose tapes are kept, the oldest first.
    pub(super) turns: Vec<Turn>,
}

/// A turn that made its tapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Turn {
    /// T0, RFC 3339.
    pub(super) t0: String,
    /// Its tapes, by their paths in the library.
    pub(super) tapes: Vec<PathBuf>,
    /// Their serials, if they came out of the policy's range.
    #[serde(default)]
    pub(super) volsers: Vec<String>,
}

impl PolicyRecord {
    /// From when on turns count that were due.
    pub(super) fn reference(&self) -> Option<Timestamp> {
        let parse = |time: &Option<String>| time.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        parse(&self.last).max(parse(&self.seen))
    }

    /// How many of the oldest turns have to go; never the newest.
    pub(super) fn expired(&self, retention: Retention, now: Timestamp) -> usize {
        let older = self.turns.len().saturating_sub(1);
        let beyond_number = retention.turns.map_or(0, |turns| self.turns.len().saturating_sub(turns as usize));
        let too_old = retention.days.map_or(0, |days| {
            let limit = now.as_second() - i64::from(days) * 86_400;
            let expired = |turn: &&Turn| turn.t0.parse::<Timestamp>().is_ok_and(|t0| t0.as_second() < limit);
            self.turns.iter().take_while(expired).count()
        });
        beyond_number.max(too_old).min(older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(days: &[u32]) -> PolicyRecord {
        let turn = |day: &u32| Turn { t0: format!("2026-11-{day:02}T02:30:00Z"), tapes: Vec::new(), volsers: Vec::new() };
        PolicyRecord { turns: days.iter().map(turn).collect(), ..PolicyRecord::default() }
    }

    #[test]
    fn turns_beyond_the_number_or_the_age_go_and_the_newest_stays() {
        let now = "2026-11-21T02:30:01Z".parse().unwrap();
        let expired = |days: &[u32], turns, age| record(days).expired(Retention { turns, days: age }, now);
        assert_eq!(expired(&[1, 2, 3, 20], None, None), 0);
        assert_eq!(expired(&[1, 2, 3, 20], Some(2), None), 2);
        assert_eq!(expired(&[1, 2, 3, 20], Some(7), None), 0);
        // 18 days before now is the 3rd, a second later than that turn.
        assert_eq!(expired(&[1, 2, 3, 20], None, Some(18)), 3);
        assert_eq!(expired(&[1, 2, 3, 20], None, Some(19)), 2);
        assert_eq!(expired(&[1, 2], Some(1), Some(1)), 1);
        assert_eq!(expired(&[], Some(1), Some(1)), 0);
    }

    #[test]
    fn turns_count_from_the_last_one_or_from_when_the_policy_was_seen() {
        let mut record = PolicyRecord::default();
        assert_eq!(record.reference(), None);
        record.seen = Some("2026-11-20T00:00:00Z".to_owned());
        assert_eq!(record.reference(), "2026-11-20T00:00:00Z".parse().ok());
        record.last = Some("2026-11-21T00:00:00Z".to_owned());
        assert_eq!(record.reference(), "2026-11-21T00:00:00Z".parse().ok());
    }
}
