//! A tape image under way: a file beside its final name that becomes a tape only when it is complete.
//!
//! It is called `.NAME.partial`, and its first bytes, the chunk header of the first block, are written last of all.
//! So whatever interrupts the work leaves a file that no tape program reads as a tape. [`PartialTape::publish`] syncs
//! it, gives it its name, and syncs the directory.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{FallocateFlags, FlockOperation, flock};
use rustix::io::Errno;

use super::error::TapeError;
use super::writeback::Writeback;
use crate::aligned::{AlignedBuffer, write_gathered};
use crate::named_file::has_name;

/// A tape image that is being written.
#[derive(Debug)]
pub struct PartialTape {
    file: File,
    path: PathBuf,
    target: PathBuf,
    writeback: Writeback,
    /// Held while the copier writes the file. The kernel lets one writer at a time at an inode and makes the others spin; here
    /// they sleep, and leave their processor to whoever hashes. It protects no data, and hosts' writes don't take it: behind it
    /// they would wait for as many pieces as the copier's threads get in between.
    writing: Mutex<()>,
}

/// Who writes to a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// A thread of the copier, which may wait.
    Copier,
    /// A write of a host, which must not.
    Host,
}

/// The name of a file that belongs to `target` while the work lasts: beside it, hidden, with an ending.
#[must_use]
pub fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(ending);
    target.with_file_name(name)
}

impl PartialTape {
    /// Begins a tape that will be called `target`.
    ///
    /// # Errors
    /// When `target` exists, when the file can't be made, or when another process has it.
    pub fn create(target: &Path, writeback: Writeback) -> Result<Self, TapeError> {
        refuse_existing(target)?;
        let path = beside(target, ".partial");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|source| TapeError::io(&path, "creating it", source))?;
        let tape = Self { file, path, target: target.to_owned(), writeback, writing: Mutex::new(()) };
        tape.lock()?;
        tape.file.set_len(0).map_err(|source| tape.io("emptying it", source))?;
        Ok(tape)
    }

    /// Takes up a tape that an earlier run left.
    ///
    /// # Errors
    /// When there is none, or another process has it, or `target` exists.
    pub fn reopen(target: &Path, writeback: Writeback) -> Result<Self, TapeError> {
        refuse_existing(target)?;
        let path = beside(target, ".partial");
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(|source| TapeError::io(&path, "opening it", source))?;
        let tape = Self { file, path, target: target.to_owned(), writeback, writing: Mutex::new(()) };
        tape.lock()?;
        Ok(tape)
    }

    fn lock(&self) -> Result<(), TapeError> {
        flock(&self.file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
            Errno::WOULDBLOCK => TapeError::Refused {
                path: self.path.clone(),
                reason: "another process is writing this tape; wait for it, or choose another name".to_owned(),
            },
            errno => self.io("locking it", errno.into()),
        })?;
        if has_name(&self.file, &self.path).map_err(|source| self.io("looking for it", source))? {
            return Ok(());
        }
        let reason = "another process has just finished this tape, or given it up; see what is there".to_owned();
        Err(TapeError::Refused { path: self.path.clone(), reason })
    }

    /// Reserves room for the whole tape, so that a full disk shows now and not in the middle.
    ///
    /// # Errors
    /// When there is no room.
    pub fn reserve(&self, bytes: u64) -> Result<(), TapeError> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), 0, bytes) {
            // A file system that can't reserve finds out while writing.
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(self.io(&format!("reserving {bytes} bytes"), errno.into())),
        }
    }

    /// Writes slices one behind the other from `offset` on; see [`write_gathered`].
    ///
    /// # Errors
    /// When the medium fails or is full.
    pub(crate) fn write_gathered<'a>(
        &self,
        offset: u64,
        slices: impl IntoIterator<Item = &'a [u8]>,
        scratch: &mut AlignedBuffer,
        writer: Writer,
    ) -> Result<(), TapeError> {
        match writer {
            Writer::Copier => {
                let end = write_gathered(offset, slices, scratch, |at, bytes| self.write(at, bytes))?;
                self.settle(offset..end)?;
            }
            Writer::Host => {
                let end = write_gathered(offset, slices, scratch, |at, bytes| self.write_at_once(at, bytes))?;
                self.writeback.host_wrote(offset..end);
            }
        }
        Ok(())
    }

    /// Writes bytes at an offset that will not be written again, and lets the medium begin with them.
    ///
    /// # Errors
    /// When the medium fails or is full.
    pub(super) fn write_behind(&self, offset: u64, bytes: &[u8]) -> Result<(), TapeError> {
        self.write(offset, bytes)?;
        self.settle(offset..offset + bytes.len() as u64)
    }

    /// Starts the writeback of what the copier wrote, and waits for older bytes if too many are dirty.
    fn settle(&self, range: Range<u64>) -> Result<(), TapeError> {
        self.writeback.copier_wrote(&self.file, range).map_err(|source| self.io("bringing it to the medium", source))
    }

    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// When the medium fails or is full.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), TapeError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_at_once(offset, bytes)
    }

    fn write_at_once(&self, offset: u64, bytes: &[u8]) -> Result<(), TapeError> {
        #[cfg(test)]
        super::test_faults::check(&self.path).map_err(|source| self.io(&format!("writing at offset {offset}"), source))?;
        self.file.write_all_at(bytes, offset).map_err(|source| self.io(&format!("writing at offset {offset}"), source))
    }

    /// Reads back what was written.
    ///
    /// # Errors
    /// When the medium fails or the file ends before.
    pub fn read_exact_at(&self, offset: u64, bytes: &mut [u8]) -> Result<(), TapeError> {
        self.file.read_exact_at(bytes, offset).map_err(|source| self.io(&format!("reading back at offset {offset}"), source))
    }

    /// Cuts the file to `bytes`, or lengthens it.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn set_len(&self, bytes: u64) -> Result<(), TapeError> {
        self.file.set_len(bytes).map_err(|source| self.io("setting its length", source))
    }

    /// Bytes of the file.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn bytes(&self) -> Result<u64, TapeError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(|source| self.io("asking for its length", source))
    }

    /// The open file; for whoever reads the tape before it is published.
    #[must_use]
    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Where the tape lies until it is published.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Brings what was written so far to stable storage.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn sync(&self) -> Result<(), TapeError> {
        self.file.sync_data().map_err(|source| self.io("syncing it", source))
    }

    /// Brings the tape to stable storage (if `sync`) and gives it its name.
    ///
    /// # Errors
    /// When the medium fails, or somebody made a file of that name meanwhile.
    pub fn publish(self, sync: bool) -> Result<(), TapeError> {
        if sync {
            self.file.sync_data().map_err(|source| self.io("syncing it", source))?;
        }
        // A hard link fails where the name exists, and a rename would replace what came meanwhile.
        let renamed = rustix::fs::renameat_with(
            rustix::fs::CWD,
            &self.path,
            rustix::fs::CWD,
            &self.target,
            rustix::fs::RenameFlags::NOREPLACE,
        );
        match renamed {
            Ok(()) => {}
            Err(Errno::EXIST) => refuse_existing(&self.target)?,
            // File systems without the flag: the check above has to do.
            Err(Errno::INVAL | Errno::NOSYS) => {
                refuse_existing(&self.target)?;
                std::fs::rename(&self.path, &self.target).map_err(|source| self.io("giving it its name", source))?;
            }
            Err(errno) => return Err(self.io("giving it its name", errno.into())),
        }
        if sync { sync_directory(&self.target) } else { Ok(()) }
    }

    /// Takes the file away.
    pub fn discard(self) {
        // The work failed for another reason, which is the one to report.
        let _best_effort = std::fs::remove_file(&self.path);
    }

    fn io(&self, action: &str, source: io::Error) -> TapeError {
        TapeError::io(&self.path, action, source)
    }
}

/// Brings the directory entry of `path` to stable storage.
///
/// # Errors
/// When the medium fails.
pub fn sync_directory(path: &Path) -> Result<(), TapeError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|source| TapeError::io(parent, "syncing the directory", source))
}

fn refuse_existing(target: &Path) -> Result<(), TapeError> {
    if target.symlink_metadata().is_ok() {
        return Err(TapeError::Refused {
            path: target.to_owned(),
            reason: "it exists, and a tape is never written over; remove it or choose another name".to_owned(),
        });
    }
    Ok(())
}
