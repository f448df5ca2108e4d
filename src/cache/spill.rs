//! Opening and resizing the spill of a pool.
//!
//! A spill file has no name: it is unlinked as soon as it is open, so that nothing is left of it after kill -9. Its room
//! is reserved when it is made: a full disk shows then, and not in front of a host write.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::body_file::BodyFile;
use super::error::CacheError;
use super::granules::{FreeGranules, GRANULE_BYTES};

/// Where bodies go that have no room in memory.
#[derive(Debug)]
pub(super) struct Spill {
    bodies: Arc<BodyFile>,
    /// The same file, for what changes its length.
    file: File,
}

/// Opens a spill of so many granules, all free.
///
/// # Errors
/// When the path is none that can be used, when a device is in use or too short, or when there is no room.
pub(super) fn open(path: &Path, granules: u64) -> Result<Spill, CacheError> {
    let kind = match path.metadata() {
        Ok(metadata) => Some(metadata.file_type()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(CacheError::io(path, "looking for it", error)),
    };
    let file = match kind {
        None => without_name(path)?,
        Some(kind) if kind.is_dir() => {
            tempfile::tempfile_in(path).map_err(|error| CacheError::io(path, "making a spill file in it", error))?
        }
        Some(kind) if kind.is_block_device() => device(path)?,
        Some(_) => {
            let reason = "it exists, and a spill is never written over anything; name a folder, a new file or a block device";
            return Err(CacheError::refused(path, reason));
        }
    };
    let medium = file.try_clone().map_err(|error| CacheError::io(path, "opening it again", error))?;
    let spill = Spill::over(BodyFile::new(path.to_owned(), medium, FreeGranules::default()), file);
    spill.lengthen(granules)?;
    Ok(spill)
}

impl Spill {
    /// A spill over a file of bodies.
    pub(super) fn over(bodies: BodyFile, file: File) -> Self {
        Self { bodies: Arc::new(bodies), file }
    }

    pub(super) const fn bodies(&self) -> &Arc<BodyFile> {
        &self.bodies
    }

    /// The open file.
    #[cfg(test)]
    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    /// Makes the spill at least so many granules long, and their room its own.
    ///
    /// # Errors
    /// When the device is shorter, or there is no room. Then it is as long as before.
    pub(super) fn lengthen(&self, granules: u64) -> Result<(), CacheError> {
        let before = self.bodies.free().end();
        if granules <= before {
            return Ok(());
        }
        let (from, end) = (before * GRANULE_BYTES, granules * GRANULE_BYTES);
        match self.device_bytes()? {
            Some(bytes) if bytes < end => {
                let reason = format!("the device has {bytes} bytes, and the limit is {end}; lower it");
                return Err(CacheError::refused(self.bodies.path(), reason));
            }
            Some(_) => {}
            None => self.reserve(from, end)?,
        }
        self.bodies.free().grow(granules);
        Ok(())
    }

    /// Gives disk space behind so many granules back, as far as the end of the file is free.
    pub(super) fn shorten(&self, granules: u64) {
        let mut free = self.bodies.free();
        let before = free.end();
        let end = free.trim(granules);
        drop(free);
        let is_file = self.file.metadata().is_ok_and(|metadata| metadata.is_file());
        if end < before && is_file {
            // The space is not used again either way; the file system just has it later.
            let _best_effort = self.file.set_len(end * GRANULE_BYTES);
        }
    }

    /// Length of a block device; `None` for a file.
    fn device_bytes(&self) -> Result<Option<u64>, CacheError> {
        let io = |error| CacheError::io(self.bodies.path(), "asking for its length", error);
        if !self.file.metadata().map_err(io)?.file_type().is_block_device() {
            return Ok(None);
        }
        let mut device = &self.file;
        device.seek(SeekFrom::End(0)).map(Some).map_err(io)
    }

    fn reserve(&self, from: u64, end: u64) -> Result<(), CacheError> {
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), from, end - from) {
            Ok(()) => Ok(()),
            // A file system that can't reserve finds out while writing.
            Err(Errno::OPNOTSUPP) => {
                self.file.set_len(end).map_err(|error| CacheError::io(self.bodies.path(), "setting its length", error))
            }
            Err(errno) => {
                // Some file systems leave what they had reserved when the room ended.
                let _best_effort = self.file.set_len(from);
                Err(CacheError::io_at(self.bodies.path(), "reserving room", from, errno))
            }
        }
    }
}

fn without_name(path: &Path) -> Result<File, CacheError> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    let file = file.map_err(|error| CacheError::io(path, "creating it", error))?;
    std::fs::remove_file(path).map_err(|error| CacheError::io(path, "taking its name away", error))?;
    Ok(file)
}

/// Opens a block device. `O_EXCL` makes the kernel refuse one that is mounted or part of another device, and the lock
/// keeps other pools away.
fn device(path: &Path) -> Result<File, CacheError> {
    let in_use = || CacheError::refused(path, "the device is in use; unmount it, or name another");
    let flags = rustix::fs::OFlags::EXCL.bits().cast_signed();
    let file = match OpenOptions::new().read(true).write(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == ErrorKind::ResourceBusy => return Err(in_use()),
        opened => opened.map_err(|error| CacheError::io(path, "opening it", error))?,
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Err(in_use()),
        locked => locked.map(|()| file).map_err(|errno| CacheError::io(path, "locking it", errno)),
    }
}
