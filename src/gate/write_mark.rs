//! When an image was last written by this process, kept where the next process finds it.
//!
//! After kill -9 what sessions kept on disk is of use only if nobody else has written to the image since. The file's own
//! times tell, if it is known how late this process may have written: an image with a later time was changed by others.
//!
//! A time is noted before each write and after it, when the kernel's coarse clock has moved since the last note: that is
//! the clock by which file systems stamp writes. So at most some hundred notes a second go to the file, and a write
//! usually costs one look at the clock. They are there after kill -9 and not, perhaps, after the machine went down: the
//! boot id tells.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::time::{ClockId, clock_gettime};

use crate::boot::BootId;

/// First bytes of a mark.
const MAGIC: [u8; 8] = *b"TGWMARK1";
/// Magic, boot id, time, and a CRC-32C over them.
const MARK_BYTES: usize = 8 + 16 + 8 + 4;

/// The last write that an earlier process noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastWrite {
    /// Whether the machine has not been restarted since.
    pub this_boot: bool,
    /// Nanoseconds since 1970 by the file system's clock.
    pub time_ns: i128,
}

/// The note of one image.
#[derive(Debug)]
pub struct WriteMark {
    file: File,
    boot: BootId,
    /// What the file says; 0 before the first note.
    noted_ns: AtomicU64,
    /// Held while a note is written.
    writing: Mutex<()>,
    failed: AtomicBool,
}

impl WriteMark {
    /// Opens the mark, and gives what an earlier process noted last: none for a new mark, or a damaged one.
    ///
    /// # Errors
    /// When the file can't be opened or read, or the kernel tells no boot id.
    pub fn open(path: &Path) -> io::Result<(Self, Option<LastWrite>)> {
        let boot = BootId::current()?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut bytes = [0; MARK_BYTES];
        let last = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(&bytes, boot),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        let (noted_ns, writing, failed) = Default::default();
        Ok((Self { file, boot, noted_ns, writing, failed }, last))
    }

    /// Notes that the image is about to be written, or was.
    pub(super) fn note(&self) {
        if self.noted_ns.load(Ordering::Acquire) != now_ns() {
            self.write();
        }
    }

    fn write(&self) {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Looked at again under the lock, so that a later note is never written over by an earlier one.
        let now_ns = now_ns();
        if self.noted_ns.load(Ordering::Acquire) == now_ns {
            return;
        }
        match self.file.write_all_at(&encode(self.boot, now_ns), 0) {
            Ok(()) => self.noted_ns.store(now_ns, Ordering::Release),
            Err(error) if !self.failed.swap(true, Ordering::Relaxed) => {
                tracing::error!(%error, "the time of host writes can't be noted: views won't outlive a crash of the service");
            }
            Err(_) => {}
        }
    }
}

fn encode(boot: BootId, time_ns: u64) -> [u8; MARK_BYTES] {
    let mut bytes = [0; MARK_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..24].copy_from_slice(&boot.0);
    bytes[24..32].copy_from_slice(&time_ns.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[..32]);
    bytes[32..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8; MARK_BYTES], boot: BootId) -> Option<LastWrite> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    let (magic, rest) = content.split_first_chunk::<8>()?;
    let (noted_boot, rest) = rest.split_first_chunk::<16>()?;
    let time_ns = u64::from_be_bytes(*rest.first_chunk()?);
    let right = *magic == MAGIC && crc32c::crc32c(content) == u32::from_be_bytes(*crc);
    right.then_some(LastWrite { this_boot: *noted_boot == boot.0, time_ns: time_ns.into() })
}

/// The clock by which file systems stamp writes.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    // It shows times of this century.
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_process_finds_the_last_note() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let (mark, before) = WriteMark::open(&path).unwrap();
        assert_eq!(before, None);
        let early = now_ns();
        mark.note();
        let late = now_ns();
        drop(mark);
        let noted = WriteMark::open(&path).unwrap().1.unwrap();
        assert!(noted.this_boot && noted.time_ns >= early.into() && noted.time_ns <= late.into(), "{noted:?}");
    }

    #[test]
    fn a_damaged_mark_says_nothing() {
        let boot = BootId([7; 16]);
        let right = encode(boot, 123);
        assert_eq!(decode(&right, boot), Some(LastWrite { this_boot: true, time_ns: 123 }));
        assert_eq!(decode(&right, BootId([8; 16])), Some(LastWrite { this_boot: false, time_ns: 123 }));
        for byte in 0..MARK_BYTES {
            let mut wrong = right;
            wrong[byte] ^= 0x10;
            assert_eq!(decode(&wrong, boot), None, "byte {byte}");
        }
    }
}
