//! A file of an image: opened under a lock, read and written at offsets, and known by its identity.
//!
//! The lock is advisory (`flock`), shared for reading and exclusive for writing: it keeps out programs that ask for one,
//! as Hercules and tapegate do, and no others. What else may write to an image that is only read is found out
//! afterwards by [`check_unchanged`](ImageFile::check_unchanged).

use std::fs::File;
use std::io;
use std::io::Seek;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::error::VolumeError;

/// What a volume's files were when it was opened: equal fingerprints mean that nothing was written in between.
///
/// Block devices keep no useful times, so for them only device and size tell; whether such a volume changed while it
/// was copied is known only from its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// One identity a file, in the order in which the volume has them.
    pub files: Vec<FileIdentity>,
}

/// Identity and state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    /// Device that holds the file.
    pub dev: u64,
    /// Inode number.
    pub ino: u64,
    /// Size in bytes; of a block device, its capacity.
    pub size_bytes: u64,
    /// Time of the last write in nanoseconds since 1970; 0 for a block device.
    pub mtime_ns: i128,
    /// Time of the last change of content or attributes, likewise.
    pub ctime_ns: i128,
}

/// What a file of an image is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading, under a shared lock.
    Read,
    /// Reading and writing in place, under an exclusive lock.
    Update,
}

/// An opened file of an image.
#[derive(Debug)]
pub(super) struct ImageFile {
    path: PathBuf,
    file: File,
    access: Access,
    /// As it was when the file was opened.
    identity: FileIdentity,
    /// Bytes of the file now: it grows by what is written behind its end.
    size_bytes: AtomicU64,
    /// A sync failed. What was not on stable storage then may be forgotten, whatever a later one says.
    sync_failed: AtomicBool,
    #[cfg(test)]
    pub(super) recorder: super::recorder::Recorder,
}

impl ImageFile {
    /// Opens a file or block device and locks it.
    pub(super) fn open(path: &Path, access: Access) -> Result<Self, VolumeError> {
        let io_error = |action: &str, source| VolumeError::Io { path: path.to_owned(), action: action.to_owned(), source };
        let file = File::options().read(true).write(access == Access::Update).open(path);
        let file = file.map_err(|source| io_error("opening the image", source))?;
        let identity = identity(&file).map_err(|source| io_error("reading the image's attributes", source))?;
        let Some(identity) = identity else {
            return Err(VolumeError::Refused { path: path.to_owned(), reason: "neither a file nor a block device".to_owned() });
        };
        let (lock, refusal) = match access {
            Access::Read => (FlockOperation::NonBlockingLockShared, "another program has it locked for writing"),
            Access::Update => (FlockOperation::NonBlockingLockExclusive, "another program has it open; stop that first"),
        };
        match flock(&file, lock) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(VolumeError::Refused { path: path.to_owned(), reason: refusal.to_owned() });
            }
            Err(errno) => return Err(io_error("locking the image", errno.into())),
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            access,
            identity,
            size_bytes: AtomicU64::new(identity.size_bytes),
            sync_failed: AtomicBool::new(false),
            #[cfg(test)]
            recorder: super::recorder::Recorder::default(),
        })
    }

    /// What it was opened for.
    pub(super) const fn access(&self) -> Access {
        self.access
    }

    /// Whether it was opened for writing.
    pub(super) fn is_writable(&self) -> bool {
        self.access == Access::Update
    }

    /// Turns the shared lock into an exclusive one.
    pub(super) fn lock_exclusively(&self) -> Result<(), VolumeError> {
        flock(&self.file, FlockOperation::NonBlockingLockExclusive).map_err(|errno| match errno {
            rustix::io::Errno::WOULDBLOCK => VolumeError::Refused {
                path: self.path.clone(),
                reason: "another program has it open; stop that first".to_owned(),
            },
            errno => VolumeError::Io { path: self.path.clone(), action: "locking the image".to_owned(), source: errno.into() },
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of the file when it was opened, and what was written behind them.
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes.load(Ordering::Acquire)
    }

    /// The identity when it was opened.
    pub(super) const fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// The identity as it is now.
    pub(super) fn current_identity(&self) -> Result<FileIdentity, VolumeError> {
        identity(&self.file).map(|now| now.unwrap_or(self.identity)).map_err(|source| VolumeError::Io {
            path: self.path.clone(),
            action: "reading the image's attributes".to_owned(),
            source,
        })
    }

    /// Writes all of `bytes` at an offset.
    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), VolumeError> {
        if !self.is_writable() {
            return Err(VolumeError::Refused { path: self.path.clone(), reason: "it was opened for reading only".to_owned() });
        }
        self.file.write_all_at(bytes, offset).map_err(|source| VolumeError::Io {
            path: self.path.clone(),
            action: format!("writing {} bytes at offset {offset}", bytes.len()),
            source,
        })?;
        self.size_bytes.fetch_max(offset + bytes.len() as u64, Ordering::AcqRel);
        #[cfg(test)]
        self.recorder.wrote(offset, bytes);
        Ok(())
    }

    /// Makes the file this long.
    pub(super) fn set_size(&self, bytes: u64) -> Result<(), VolumeError> {
        self.file.set_len(bytes).map_err(|source| VolumeError::Io {
            path: self.path.clone(),
            action: format!("setting the image's size to {bytes} bytes"),
            source,
        })?;
        self.size_bytes.store(bytes, Ordering::Release);
        #[cfg(test)]
        self.recorder.cut(bytes);
        Ok(())
    }

    /// Waits until all that was written is on stable storage.
    pub(super) fn sync(&self) -> Result<(), VolumeError> {
        let io_error = |source| VolumeError::Io { path: self.path.clone(), action: "syncing the image".to_owned(), source };
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(io_error(io::Error::other("a sync failed before, and what was written then may be lost")));
        }
        // The size of a file that grew goes with its data: fdatasync leaves out only what no reader of the data needs.
        self.file.sync_data().map_err(|source| {
            self.sync_failed.store(true, Ordering::Release);
            io_error(source)
        })?;
        #[cfg(test)]
        self.recorder.synced();
        Ok(())
    }

    /// Reads exactly `buffer`; bytes past the end of the file are an error.
    pub(super) fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), VolumeError> {
        self.file.read_exact_at(buffer, offset).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                self.corrupt(offset, format!("the file ends before the {} bytes that belong here", buffer.len()))
            } else {
                VolumeError::Io { path: self.path.clone(), action: format!("reading at offset {offset}"), source }
            }
        })
    }

    /// Reads up to `most` bytes from the start of the file.
    pub(super) fn read_head(&self, most: usize) -> Result<Vec<u8>, VolumeError> {
        let length = usize::try_from(self.size_bytes()).map_or(most, |size| size.min(most));
        let mut head = vec![0; length];
        self.read_at(0, &mut head)?;
        Ok(head)
    }

    /// An error about the bytes at `offset`.
    pub(super) fn corrupt(&self, offset: u64, reason: impl Into<String>) -> VolumeError {
        VolumeError::Corrupt { path: self.path.clone(), offset, reason: reason.into() }
    }

    /// An error about something right that is not done.
    pub(super) fn unsupported(&self, reason: impl Into<String>) -> VolumeError {
        VolumeError::Unsupported { path: self.path.clone(), reason: reason.into() }
    }

    /// Looks again whether anyone wrote to the file since it was opened; one that is open for writing changes by right.
    pub(super) fn check_unchanged(&self) -> Result<(), VolumeError> {
        if self.is_writable() {
            return Ok(());
        }
        let now = self.current_identity()?;
        let was = self.identity;
        let changed = if now.size_bytes != was.size_bytes {
            format!("its size went from {} to {} bytes", was.size_bytes, now.size_bytes)
        } else if now.mtime_ns != was.mtime_ns {
            "it was written to (modification time)".to_owned()
        } else if now.ctime_ns != was.ctime_ns {
            "it was written to, or its attributes changed (change time)".to_owned()
        } else {
            return Ok(());
        };
        Err(VolumeError::Refused { path: self.path.clone(), reason: format!("the volume changed while it was read: {changed}") })
    }
}

impl Drop for ImageFile {
    /// Lets go of the lock at once. Closing the file does so only when no other descriptor shares it, and a child that
    /// another thread is just starting has one until it runs its program.
    fn drop(&mut self) {
        // A lock that can't be given back goes with the last descriptor.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// Identity of an opened file; `None` if it is neither a file nor a block device.
fn identity(file: &File) -> io::Result<Option<FileIdentity>> {
    let metadata = file.metadata()?;
    let nanoseconds = |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
    let (size_bytes, mtime_ns, ctime_ns) = if metadata.is_file() {
        (
            metadata.len(),
            nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
        )
    } else if metadata.file_type().is_block_device() {
        // The file position is used by nothing else: all reads give their offset.
        let mut file = file;
        (file.seek(io::SeekFrom::End(0))?, 0, 0)
    } else {
        return Ok(None);
    };
    Ok(Some(FileIdentity { dev: metadata.dev(), ino: metadata.ino(), size_bytes, mtime_ns, ctime_ns }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_grows_is_told_from_one_that_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, [1; 100]).unwrap();
        let file = ImageFile::open(&path, Access::Read).unwrap();
        file.check_unchanged().unwrap();
        std::fs::write(&path, [1; 101]).unwrap();
        let message = file.check_unchanged().unwrap_err().to_string();
        assert!(message.ends_with("its size went from 100 to 101 bytes"), "{message}");
    }

    #[test]
    fn a_file_locked_for_writing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, [1; 100]).unwrap();
        let writer = File::options().write(true).open(&path).unwrap();
        flock(&writer, FlockOperation::NonBlockingLockExclusive).unwrap();
        assert!(matches!(ImageFile::open(&path, Access::Read), Err(VolumeError::Refused { .. })));
    }

    #[test]
    fn a_folder_is_no_image() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ImageFile::open(folder.path(), Access::Read).is_err());
    }
}
