//! Opening and resizing the spill of a pool.
//!
//! A spill file has no name: it is unlinked as soon as it is open, so that nothing is left of it after kill -9. Its room
//! is reserved when it is made: a full disk shows then, and not in front of a host write.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation};
use rustix::io::Errno;

use super::body_file::BodyFile;
use super::error::CacheError;
use super::granules::{FreeGranules, GRANULE_BYTES};

/// Opens a spill of so many granules, all free.
///
/// # Errors
/// When the path is none that can be used, when a device is in use or too short, or when there is no room.
pub(super) fn open(path: &Path, granules: u64) -> Result<BodyFile, CacheError> {
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
    let spill = BodyFile::new(path.to_owned(), file, FreeGranules::default());
    lengthen(&spill, granules)?;
    Ok(spill)
}

/// Makes the spill at least so many granules long, and their room its own.
///
/// # Errors
/// When the device is shorter, or there is no room. Then it is as long as before.
pub(super) fn lengthen(spill: &BodyFile, granules: u64) -> Result<(), CacheError> {
    let before = spill.free().end();
    if granules <= before {
        return Ok(());
    }
    let path = spill.path();
    let file = spill.file();
    let metadata = file.metadata().map_err(|error| CacheError::io(path, "asking for its length", error))?;
    let (from, end) = (before * GRANULE_BYTES, granules * GRANULE_BYTES);
    if metadata.file_type().is_block_device() {
        let mut device = file;
        let bytes = device.seek(SeekFrom::End(0)).map_err(|error| CacheError::io(path, "asking for its length", error))?;
        if bytes < end {
            return Err(CacheError::refused(path, format!("the device has {bytes} bytes, and the limit is {end}; lower it")));
        }
    } else {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), from, end - from) {
            Ok(()) => {}
            // A file system that can't reserve finds out while writing.
            Err(Errno::OPNOTSUPP) => file.set_len(end).map_err(|error| CacheError::io(path, "setting its length", error))?,
            Err(errno) => {
                // Some file systems leave what they had reserved when the room ended.
                let _best_effort = file.set_len(from);
                return Err(CacheError::io_at(path, "reserving room", from, errno));
            }
        }
    }
    spill.free().grow(granules);
    Ok(())
}

/// Gives disk space behind so many granules back, as far as the end of the file is free.
pub(super) fn shorten(spill: &BodyFile, granules: u64) {
    let mut free = spill.free();
    let before = free.end();
    let end = free.trim(granules);
    drop(free);
    let is_file = spill.file().metadata().is_ok_and(|metadata| metadata.is_file());
    if end < before && is_file {
        // The space is not used again either way; the file system just has it later.
        let _best_effort = spill.file().set_len(end * GRANULE_BYTES);
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
