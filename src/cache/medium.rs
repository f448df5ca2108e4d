//! What bodies and indexes are written to: a file, or in tests one that forgets what was not synced.

use std::fmt::Debug;
use std::fs::File;
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;

use super::granules::GRANULE_BYTES;

const ZEROS: [u8; GRANULE_BYTES as usize] = [0; GRANULE_BYTES as usize];

/// A file as the cache uses it.
pub(super) trait Medium: Debug + Send + Sync {
    /// Writes bytes, and less than a granule of zeros behind them.
    ///
    /// # Errors
    /// When it fails or is full.
    fn write(&self, bytes: &[u8], zeros: usize, offset: u64) -> io::Result<()>;

    /// Fills `bytes`.
    ///
    /// # Errors
    /// When it fails or ends before.
    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Brings what was written before the call to stable storage.
    ///
    /// # Errors
    /// When it fails.
    fn sync(&self) -> io::Result<()>;
}

impl Medium for File {
    /// One call where the kernel takes all of it.
    fn write(&self, bytes: &[u8], zeros: usize, offset: u64) -> io::Result<()> {
        let zeros = &ZEROS[..zeros.min(ZEROS.len())];
        let mut done = 0;
        while done < bytes.len() {
            let slices = [IoSlice::new(&bytes[done..]), IoSlice::new(zeros)];
            match rustix::io::pwritev(self, &slices, offset + done as u64) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => done += written,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        let written_zeros = (done - bytes.len()).min(zeros.len());
        self.write_all_at(&zeros[written_zeros..], offset + done as u64)
    }

    fn read(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
