//! Names and serials of the tapes of a turn.

use std::collections::HashSet;
use std::path::PathBuf;

use jiff::Zoned;

use crate::service::config::{PolicyConfig, SerialRange};

/// What a tape's name may hold beside plain text.
pub(in crate::service) const PLACEHOLDERS: [&str; 5] = ["{policy}", "{volume}", "{volser}", "{date}", "{time}"];

/// The path of a tape in the library. `{volser}` is the volume's name where the policy has no serials.
pub(super) fn tape(policy: &PolicyConfig, volume: &str, volser: Option<&str>, now: &Zoned) -> PathBuf {
    let date = now.strftime("%Y-%m-%d").to_string();
    let time = now.strftime("%H%M%S").to_string();
    let values = [policy.name.as_str(), volume, volser.unwrap_or(volume), &date, &time];
    let mut name = policy.tape.clone();
    for (placeholder, value) in PLACEHOLDERS.iter().zip(values) {
        name = name.replace(placeholder, value);
    }
    name.into()
}

/// The next free serials of a range from `place` on, and the place behind them; `None` if there are not so many.
pub(super) fn serials(range: &SerialRange, place: u32, used: &HashSet<String>, wanted: usize) -> Option<(Vec<String>, u32)> {
    let mut serials = Vec::new();
    let mut next = place % range.count();
    for place in (0..range.count()).map(|step| (place % range.count() + step) % range.count()) {
        if serials.len() == wanted {
            break;
        }
        let serial = range.serial(place);
        if !used.contains(&serial) {
            serials.push(serial);
            next = (place + 1) % range.count();
        }
    }
    (serials.len() == wanted).then_some((serials, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_go_round_and_leave_out_what_is_used() {
        let range: SerialRange = "VT1-VT4".parse().unwrap();
        let used = |serials: &[&str]| serials.iter().map(|serial| (*serial).to_owned()).collect::<HashSet<_>>();
        assert_eq!(serials(&range, 0, &used(&[]), 2), Some((vec!["VT1".to_owned(), "VT2".to_owned()], 2)));
        assert_eq!(serials(&range, 3, &used(&["VT1"]), 2), Some((vec!["VT4".to_owned(), "VT2".to_owned()], 2)));
        assert_eq!(serials(&range, 7, &used(&[]), 1), Some((vec!["VT4".to_owned()], 0)));
        assert_eq!(serials(&range, 0, &used(&["VT1", "VT2", "VT3"]), 2), None);
        assert_eq!(serials(&range, 0, &used(&[]), 5), None);
    }
}
