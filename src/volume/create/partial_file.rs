//! A file that is written under a partial name and gets its own when it is complete.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{CWD, FallocateFlags, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use crate::aligned::{AlignedBuffer, write_gathered};
use crate::named_file::has_name;
use crate::volume::error::VolumeError;

/// A file under construction: `.NAME.partial` beside the path that it is to have.
#[derive(Debug)]
pub(super) struct PartialFile {
    file: File,
    path: PathBuf,
    partial: PathBuf,
    published: bool,
    /// Buffers for gathered writes, one for each thread that has written.
    scratch: Mutex<Vec<AlignedBuffer>>,
    /// Held while the file is written: the kernel lets one writer at a time at an inode and makes the others spin, here
    /// they sleep. It protects no data.
    writing: Mutex<()>,
}

impl PartialFile {
    /// Makes the partial file and locks it.
    pub(super) fn create(path: &Path) -> Result<Self, VolumeError> {
        let io_error =
            |path: &Path, action: &str, source| VolumeError::Io { path: path.to_owned(), action: action.to_owned(), source };
        let refused = |path: &Path, reason: &str| VolumeError::Refused { path: path.to_owned(), reason: reason.to_owned() };
        let Some(name) = path.file_name() else {
            return Err(refused(path, "not the name of a file"));
        };
        if fs::symlink_metadata(path).is_ok() {
            return Err(refused(path, "it exists, and existing images are not overwritten"));
        }
        let mut partial_name = std::ffi::OsString::from(".");
        partial_name.push(name);
        partial_name.push(".partial");
        let partial = path.with_file_name(partial_name);
        // What a killed run left is taken over; the lock says whether one is still at it.
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&partial);
        let file = file.map_err(|source| io_error(&partial, "creating the image", source))?;
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
            Errno::WOULDBLOCK => refused(&partial, "another run is writing this image; wait for it, or choose another name"),
            errno => io_error(&partial, "locking the image", errno.into()),
        })?;
        if !has_name(&file, &partial).map_err(|source| io_error(&partial, "looking for the image", source))? {
            return Err(refused(&partial, "another run has just finished this image, or given it up; see what is there"));
        }
        file.set_len(0).map_err(|source| io_error(&partial, "emptying the image", source))?;
        Ok(Self { file, path: path.to_owned(), partial, published: false, scratch: Mutex::default(), writing: Mutex::default() })
    }

    /// The name that the file is to have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// An error about what the format can't do.
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> VolumeError {
        VolumeError::Unsupported { path: self.path.clone(), reason: reason.into() }
    }

    /// Makes the file this long; what was not written reads as zeros.
    pub(super) fn set_size(&self, bytes: u64) -> Result<(), VolumeError> {
        self.file.set_len(bytes).map_err(|source| self.io_error("setting the image's size".to_owned(), source))
    }

    /// Writes all of `bytes` at an offset.
    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), VolumeError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        self.file.write_all_at(bytes, offset).map_err(|source| self.io_error(format!("writing at offset {offset}"), source))
    }

    /// Writes slices one behind the other from an offset on, in room that is reserved for them first: writes into room
    /// that has no place on the disk yet take twice as long, and a full disk shows before anything is written.
    pub(super) fn write_slices_at<'a>(
        &self,
        offset: u64,
        slices: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), VolumeError> {
        let bytes: u64 = slices.clone().into_iter().map(|slice| slice.len() as u64).sum();
        if bytes == 0 {
            return Ok(());
        }
        let reserved = {
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            rustix::fs::fallocate(&self.file, FallocateFlags::empty(), offset, bytes)
        };
        match reserved {
            // A file system that can't reserve finds out while writing.
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(self.io_error(format!("reserving {bytes} bytes at offset {offset}"), errno.into())),
        }
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        let written = write_gathered(offset, slices, &mut scratch, |at, bytes| self.write_at(at, bytes));
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        written.map(|_| ())
    }

    /// Gives the file its name; with `sync`, it is on stable storage when this returns.
    pub(super) fn publish(mut self, sync: bool) -> Result<(), VolumeError> {
        if sync {
            self.file.sync_data().map_err(|source| self.io_error("syncing the image".to_owned(), source))?;
        }
        match renameat_with(CWD, &self.partial, CWD, &self.path, RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                return Err(VolumeError::Refused {
                    path: self.path.clone(),
                    reason: "a file of this name appeared while the image was written".to_owned(),
                });
            }
            // Some file systems can't rename without replacing; a link never replaces.
            Err(Errno::INVAL) => {
                fs::hard_link(&self.partial, &self.path)
                    .and_then(|()| fs::remove_file(&self.partial))
                    .map_err(|source| self.io_error("naming the image".to_owned(), source))?;
            }
            Err(errno) => return Err(self.io_error("naming the image".to_owned(), errno.into())),
        }
        self.published = true;
        self.unlock();
        if sync {
            let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(|source| self.io_error("syncing the image's folder".to_owned(), source))?;
        }
        Ok(())
    }

    /// Lets go of the lock at once. Closing the file does so only when no other descriptor shares it, and a child that
    /// another thread is just starting has one until it runs its program.
    fn unlock(&self) {
        // A lock that can't be given back goes with the last descriptor.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }

    fn io_error(&self, action: String, source: io::Error) -> VolumeError {
        VolumeError::Io { path: self.path.clone(), action, source }
    }
}

impl Drop for PartialFile {
    fn drop(&mut self) {
        if !self.published {
            // Nothing more can be done for a partial file that can't be removed.
            let _ = fs::remove_file(&self.partial);
            self.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finished_file_is_unlocked_even_while_a_starting_child_shares_its_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let file = PartialFile::create(&path).unwrap();
        let shared = file.file.try_clone().unwrap();
        let open = |path: &Path| flock(File::open(path).unwrap(), FlockOperation::NonBlockingLockShared);
        assert!(open(&folder.path().join(".image.partial")).is_err());
        file.publish(false).unwrap();
        assert_eq!(open(&path), Ok(()));
        drop(shared);
    }
}
