//! Whether an image may have been written by others since the service that kept its originals ended.
//!
//! A view needs every unit that changed since T0 in its cache. Hosts' writes see to that; who writes to an image without the
//! gateway does not, so a view is taken up again only where that can be ruled out:
//!
//! | what is known | the view stands when |
//! | --- | --- |
//! | the service stopped cleanly | the image has identity, size, mtime and ctime as the stop left it |
//! | it was killed, the machine runs since | mtime and ctime are no later than the last write that it noted, or T0 |
//! | the machine was restarted, the originals were on stable storage (`durable`) | mtime and ctime are from before this start of the machine |
//! | the machine was restarted, otherwise | never: originals may be missing ([`CacheError::NotDurable`](crate::cache::CacheError)) |
//!
//! A block device keeps no time of its last write, so a view of one ends with the service. Files below a shadow file are
//! never written, and the same rules hold for them.

use crate::gate::LastWrite;
use crate::volume::{FileIdentity, Fingerprint};

/// A note is written before the write that it is for, and a file system may stamp the write by a later tick of the clock
/// (at most 10 ms long); nobody else gets at the image so soon after this process ends, since it holds a lock on it.
const SLACK_NS: i128 = 20_000_000;

/// What is known about an image from before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Before<'a> {
    /// As it was when the service that took T0 opened it.
    pub(super) opened: &'a Fingerprint,
    /// As a clean stop left it.
    pub(super) stopped: Option<&'a Fingerprint>,
    /// The last write that was noted.
    pub(super) last_write: Option<LastWrite>,
    /// T0, in nanoseconds since 1970.
    pub(super) t0_ns: i128,
    /// Whether originals were on stable storage before a host's write went on.
    pub(super) durable: bool,
    /// When the machine was started, in nanoseconds since 1970.
    pub(super) started_ns: i128,
}

/// Says why an image, as it is `now`, can't be trusted.
pub(super) fn check(now: &Fingerprint, before: &Before) -> Result<(), String> {
    if now.files.len() != before.opened.files.len() {
        return Err("it has other files than at T0".to_owned());
    }
    for (number, (now, opened)) in now.files.iter().zip(&before.opened.files).enumerate() {
        if now.ino != opened.ino {
            return Err("it is another file than at T0".to_owned());
        }
        if (now.mtime_ns, now.ctime_ns) == (0, 0) {
            return Err("it is a block device, which keeps no time of its last write".to_owned());
        }
        let as_left = before.stopped.and_then(|stopped| stopped.files.get(number)).is_some_and(|left| left == now);
        if !as_left {
            check_times(now, opened, before)?;
        }
    }
    Ok(())
}

fn check_times(now: &FileIdentity, opened: &FileIdentity, before: &Before) -> Result<(), String> {
    let changed_ns = now.mtime_ns.max(now.ctime_ns);
    // T0 was taken in this boot, or in the one of the note.
    let this_boot = before.last_write.map_or(before.t0_ns >= before.started_ns, |last| last.this_boot);
    let limit_ns = if this_boot {
        let last_ns = before.last_write.map_or(before.t0_ns, |last| last.time_ns.max(before.t0_ns));
        last_ns.saturating_add(SLACK_NS)
    } else if before.durable {
        before.started_ns
    } else {
        return Err("the machine was restarted, and the service had not stopped cleanly".to_owned());
    };
    if changed_ns > limit_ns {
        return Err("it was changed by another program after the service had ended".to_owned());
    }
    if this_boot && now.dev != opened.dev {
        return Err("it is on another device than at T0".to_owned());
    }
    Ok(())
}

/// When the machine was started, in nanoseconds since 1970.
pub(super) fn machine_started_ns() -> i128 {
    use rustix::time::{ClockId, clock_gettime};
    let ns = |clock| {
        let time = clock_gettime(clock);
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    ns(ClockId::Realtime) - ns(ClockId::Boottime)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i128 = 1_000_000_000;

    fn image(changed_s: i128) -> Fingerprint {
        let ns = changed_s * SECOND;
        Fingerprint { files: vec![FileIdentity { dev: 1, ino: 2, size_bytes: 3, mtime_ns: ns, ctime_ns: ns }] }
    }

    /// The machine was started at second 100, T0 was at 200.
    fn before(opened: &Fingerprint) -> Before<'_> {
        Before { opened, stopped: None, last_write: None, t0_ns: 200 * SECOND, durable: false, started_ns: 100 * SECOND }
    }

    fn noted(this_boot: bool, second: i128) -> Option<LastWrite> {
        Some(LastWrite { this_boot, time_ns: second * SECOND })
    }

    #[test]
    fn after_a_kill_the_image_is_no_later_than_the_last_write() {
        let opened = image(150);
        let killed = Before { last_write: noted(true, 300), ..before(&opened) };
        assert_eq!(check(&image(150), &killed), Ok(()));
        assert_eq!(check(&image(300), &killed), Ok(()));
        assert!(check(&image(301), &killed).is_err());
        // Only the one or the other time moved.
        let mut touched = image(150);
        touched.files[0].ctime_ns = 301 * SECOND;
        assert!(check(&touched, &killed).is_err());
        // No write at all since T0.
        assert_eq!(check(&image(150), &before(&opened)), Ok(()));
        assert!(check(&image(201), &before(&opened)).is_err());
        // A note from before T0 takes nothing away.
        assert_eq!(check(&image(200), &Before { last_write: noted(true, 150), ..before(&opened) }), Ok(()));
    }

    #[test]
    fn after_a_clean_stop_the_image_is_exactly_as_it_was_left() {
        let (opened, left) = (image(150), image(400));
        // Closing wrote to it after the last host write.
        let stopped = Before { stopped: Some(&left), last_write: noted(true, 300), ..before(&opened) };
        assert_eq!(check(&left, &stopped), Ok(()));
        assert!(check(&image(401), &stopped).is_err());
        // Also in another boot.
        let restarted = Before { last_write: noted(false, 300), started_ns: 1000 * SECOND, ..stopped };
        assert_eq!(check(&left, &restarted), Ok(()));
        assert!(check(&image(401), &restarted).is_err());
    }

    #[test]
    fn after_a_crash_of_the_machine_only_a_durable_session_stands() {
        let opened = image(150);
        let crashed = Before { last_write: noted(false, 300), started_ns: 1000 * SECOND, ..before(&opened) };
        assert!(check(&image(250), &crashed).is_err());
        assert!(check(&image(150), &Before { last_write: None, ..crashed }).is_err());
        let durable = Before { durable: true, ..crashed };
        assert_eq!(check(&image(310), &durable), Ok(()));
        assert!(check(&image(1001), &durable).is_err());
    }

    #[test]
    fn another_file_or_a_block_device_is_never_trusted() {
        let opened = image(150);
        let mut other = image(150);
        other.files[0].ino = 9;
        assert!(check(&other, &before(&opened)).is_err());
        assert!(check(&Fingerprint { files: Vec::new() }, &before(&opened)).is_err());
        assert!(check(&image(0), &before(&opened)).is_err());
        let mut moved = image(150);
        moved.files[0].dev = 9;
        assert!(check(&moved, &before(&opened)).is_err());
    }
}
