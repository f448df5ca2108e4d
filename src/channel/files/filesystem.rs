//! The file system: one folder with one file for each disk.
//!
//! | request | what happens |
//! | --- | --- |
//! | open | direct I/O, with writes to one file side by side: the kernel keeps no data, and a write that waits holds up no other. For writing: `EROFS` if the disk is read-only |
//! | read, write | one access of the gate. Done at once by the thread that took it from the kernel; by a thread of its own when it would wait |
//! | fsync, and close of a file that was written | stable storage. A write with `O_SYNC` or `O_DSYNC` is answered when it is there |
//! | truncate | to the size that it has: nothing happens. Else `EPERM`, `O_TRUNC` included |
//! | fallocate | `EOPNOTSUPP` |
//! | `flock`, `fcntl` locks | the kernel keeps them: all programs are on this machine |
//! | `O_DIRECT` | as on a disk: of fixed blocks whole ones only, else `EINVAL`. QEMU (`cache=none`) finds the block size by that, and takes disks whose size is no multiple of 4 KiB only because of it |
//! | `mmap` | private maps only. A shared one would be a cache that writes back pages long after the program did, over what another front-end wrote meanwhile; the kernel refuses it (`ENODEV`) |
//! | making, removing and renaming files | `EPERM` |

use std::ffi::OsStr;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenAccMode, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request,
    TimeOrNow, WriteFlags,
};

use super::failure::is_full;
use super::held_write::{HeldWrite, Patience, answer};
use super::requests::{Requests, Ticket};
use super::served_file::ServedFile;
use super::waiting_threads::WaitingThreads;
use crate::gate::Access;

/// How long the kernel may keep attributes; it is told when another front-end writes.
const KEPT: Duration = Duration::from_secs(1);
/// Largest request: what the kernel makes by default, 256 pages.
const MOST_BYTES: u32 = 1 << 20;
/// Asynchronous requests that the kernel sends at once. Each may be a write that waits, so that it must not be few.
const BACKGROUND: u16 = 256;
/// What programs are told to read at once.
const BLOCK_BYTES: u32 = 128 << 10;
/// `FileHandle` of files open for writing; of others it is 0.
const WRITING: FileHandle = FileHandle(1);

/// The folder and its files.
pub(super) struct Folder {
    pub(super) files: Arc<[Arc<ServedFile>]>,
    pub(super) requests: Arc<Requests>,
    pub(super) waiting: WaitingThreads,
    pub(super) patience: Patience,
    /// Owner and group of all files.
    pub(super) owner: (u32, u32),
    /// Permission bits of files.
    pub(super) mode: u16,
    pub(super) mounted: SystemTime,
}

impl Folder {
    /// The inode of a file by its place in the list; the folder itself is 1.
    pub(super) const fn inode(place: usize) -> u64 {
        place as u64 + 2
    }

    fn file(&self, inode: INodeNo) -> Result<&Arc<ServedFile>, Errno> {
        let place = inode.0.checked_sub(Self::inode(0)).and_then(|place| usize::try_from(place).ok());
        place.and_then(|place| self.files.get(place)).ok_or(if inode == INodeNo::ROOT { Errno::EISDIR } else { Errno::ENOENT })
    }

    fn begin(&self, inode: INodeNo) -> Result<(&Arc<ServedFile>, Ticket), Errno> {
        Ok((self.file(inode)?, self.requests.begin().ok_or(Errno::ESHUTDOWN)?))
    }

    /// Begins a read or write of the bytes.
    fn transfer(
        &self,
        inode: INodeNo,
        flags: OpenFlags,
        offset: u64,
        length: usize,
    ) -> Result<(&Arc<ServedFile>, Ticket), Errno> {
        let begun = self.begin(inode)?;
        let aligned = flags.0 & libc::O_DIRECT == 0 || begun.0.layout.is_aligned(offset, length);
        if aligned { Ok(begun) } else { Err(Errno::EINVAL) }
    }

    fn attributes(&self, inode: INodeNo) -> Result<FileAttr, Errno> {
        if inode == INodeNo::ROOT {
            // Whoever may read files may list them.
            let readable = self.mode & 0o444;
            return Ok(self.entry(inode, 0, self.mounted, FileType::Directory, readable | readable >> 2));
        }
        let file = self.file(inode)?;
        Ok(self.entry(inode, file.layout.size_bytes(), file.modified(), FileType::RegularFile, self.mode))
    }

    fn entry(&self, ino: INodeNo, size: u64, time: SystemTime, kind: FileType, perm: u16) -> FileAttr {
        FileAttr {
            ino,
            size,
            blocks: size.div_ceil(512),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: self.mounted,
            kind,
            perm,
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            uid: self.owner.0,
            gid: self.owner.1,
            rdev: 0,
            blksize: BLOCK_BYTES,
            flags: 0,
        }
    }

    /// Answers an empty reply when a sync is done, on a thread of its own.
    fn sync(&self, inode: INodeNo, reply: ReplyEmpty) {
        let (file, ticket) = match self.begin(inode) {
            Ok((file, ticket)) => (Arc::clone(file), ticket),
            Err(errno) => return reply.error(errno),
        };
        let patience = self.patience.busy;
        self.waiting.run(move || {
            let _ticket = ticket;
            match file.access(patience).map_err(|_| Errno::EBUSY).and_then(|access| file.sync(&access)) {
                Ok(()) => reply.ok(),
                Err(errno) => reply.error(errno),
            }
        });
    }
}

/// Answers a read in an access.
fn read(file: &ServedFile, access: &Access, range: &Range<u64>, reply: ReplyData) {
    // The reply is moved into the closure, which an error leaves uncalled.
    let mut reply = Some(reply);
    let result = file.read(access, range, |bytes| {
        if let Some(reply) = reply.take() {
            reply.data(bytes);
        }
    });
    if let (Err(errno), Some(reply)) = (result, reply) {
        reply.error(errno);
    }
}

impl Filesystem for Folder {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        // Older kernels know less; each of these is for speed only.
        let _ = config.set_max_write(MOST_BYTES);
        let _ = config.set_max_background(BACKGROUND);
        let _ = config.set_congestion_threshold(BACKGROUND);
        let _ = config.add_capabilities(InitFlags::FUSE_ASYNC_DIO);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.files.iter().find(|file| parent == INodeNo::ROOT && name == file.name.as_str());
        match found.ok_or(Errno::ENOENT).and_then(|file| self.attributes(INodeNo(file.inode))) {
            Ok(attributes) => reply.entry(&KEPT, &attributes, Generation(0)),
            Err(errno) => reply.error(errno),
        }
    }

    fn getattr(&self, _req: &Request, inode: INodeNo, _handle: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(inode) {
            Ok(attributes) => reply.attr(&KEPT, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        owner: Option<u32>,
        group: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        // Times are those of the last write, whatever a program sets: `cp -p` and `touch` are not told that they failed.
        let result = self.attributes(inode).and_then(|attributes| {
            let changes = mode.or(owner).or(group).is_some() || size.is_some_and(|size| size != attributes.size);
            if changes { Err(Errno::EPERM) } else { Ok(attributes) }
        });
        match result {
            Ok(attributes) => reply.attr(&KEPT, &attributes),
            Err(errno) => reply.error(errno),
        }
    }

    fn open(&self, _req: &Request, inode: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let writing = flags.acc_mode() != OpenAccMode::O_RDONLY;
        match self.begin(inode) {
            Ok((file, _)) if writing && !file.is_writable() => reply.error(Errno::EROFS),
            Ok(_) => {
                let handle = if writing { WRITING } else { FileHandle(0) };
                reply.opened(handle, FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _req: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let (file, ticket) = match self.transfer(inode, flags, offset, size as usize) {
            Ok(begun) => begun,
            Err(errno) => return reply.error(errno),
        };
        let range = file.layout.clip(offset, size as usize);
        if let Ok(access) = file.access(Duration::ZERO) {
            return read(file, &access, &range, reply);
        }
        let (file, patience) = (Arc::clone(file), self.patience.busy);
        self.waiting.run(move || {
            let _ticket = ticket;
            match file.access(patience) {
                Ok(access) => read(&file, &access, &range, reply),
                Err(_) => reply.error(Errno::EBUSY),
            }
        });
    }

    fn write(
        &self,
        _req: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (file, ticket) = match self.transfer(inode, flags, offset, data.len()).and_then(|(file, ticket)| {
            file.check_write(offset, data)?;
            Ok((file, ticket))
        }) {
            Ok(begun) => begun,
            Err(errno) => return reply.error(errno),
        };
        let durable = flags.0 & (libc::O_SYNC | libc::O_DSYNC) != 0;
        let mut done = 0;
        let access = file.access(Duration::ZERO).ok();
        if let Some(access) = access.as_ref().filter(|access| !durable && file.passes(access, offset, data.len())) {
            let result = file.write(access, offset, data, &mut done);
            if !result.as_ref().is_err_and(is_full) {
                return match answer(file, result, done) {
                    Ok(written) => reply.written(written),
                    Err(errno) => reply.error(errno),
                };
            }
        }
        let held = HeldWrite {
            file: Arc::clone(file),
            access,
            offset,
            bytes: data.to_vec(),
            done,
            durable,
            patience: self.patience,
            requests: Arc::clone(&self.requests),
        };
        self.waiting.run(move || {
            let _ticket = ticket;
            match held.finish() {
                Ok(written) => reply.written(written),
                Err(errno) => reply.error(errno),
            }
        });
    }

    fn flush(&self, _req: &Request, inode: INodeNo, handle: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        // Emulators that never sync at least close what they wrote.
        match self.file(inode) {
            Ok(file) if handle == WRITING && file.is_unsynced() => self.sync(inode, reply),
            Ok(_) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn fsync(&self, _req: &Request, inode: INodeNo, _handle: FileHandle, _data_only: bool, reply: ReplyEmpty) {
        self.sync(inode, reply);
    }

    fn readdir(&self, _req: &Request, inode: INodeNo, _handle: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        if inode != INodeNo::ROOT {
            return reply.error(Errno::ENOTDIR);
        }
        let folders = [".", ".."].map(|name| (INodeNo::ROOT, FileType::Directory, name));
        let files = self.files.iter().map(|file| (INodeNo(file.inode), FileType::RegularFile, file.name.as_str()));
        // The offset of an entry is where its successor begins.
        for (next, (inode, kind, name)) in (1..).zip(folders.into_iter().chain(files)) {
            if next > offset && reply.add(inode, next, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _inode: INodeNo, reply: ReplyStatfs) {
        let total: u64 = self.files.iter().map(|file| file.layout.size_bytes().div_ceil(512)).sum();
        reply.statfs(total, 0, 0, self.files.len() as u64, 0, 512, 255, 512);
    }

    fn fallocate(&self, _: &Request, _: INodeNo, _: FileHandle, _: u64, _: u64, _: i32, reply: ReplyEmpty) {
        reply.error(Errno::EOPNOTSUPP);
    }

    // ENOSYS makes the kernel do these by itself from then on: no hole is found, bytes are copied, there is no attribute.

    fn lseek(&self, _: &Request, _: INodeNo, _: FileHandle, _: i64, _: i32, reply: ReplyLseek) {
        reply.error(Errno::ENOSYS);
    }

    fn copy_file_range(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: INodeNo,
        _: FileHandle,
        _: u64,
        _: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        reply.error(Errno::ENOSYS);
    }

    fn getxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn listxattr(&self, _: &Request, _: INodeNo, _: u32, reply: ReplyXattr) {
        reply.error(Errno::ENOSYS);
    }

    fn setxattr(&self, _: &Request, _: INodeNo, _: &OsStr, _: &[u8], _: i32, _: u32, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn removexattr(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(&self, _: &Request, _: INodeNo, _: FileHandle, _: IoctlFlags, _: u32, _: &[u8], _: u32, reply: ReplyIoctl) {
        reply.error(Errno::ENOTTY);
    }

    // Which files there are is the configuration's matter.

    fn create(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: i32, reply: ReplyCreate) {
        reply.error(Errno::EPERM);
    }

    fn mknod(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn mkdir(&self, _: &Request, _: INodeNo, _: &OsStr, _: u32, _: u32, reply: ReplyEntry) {
        reply.error(Errno::EPERM);
    }

    fn unlink(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn rmdir(&self, _: &Request, _: INodeNo, _: &OsStr, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn rename(&self, _: &Request, _: INodeNo, _: &OsStr, _: INodeNo, _: &OsStr, _: RenameFlags, reply: ReplyEmpty) {
        reply.error(Errno::EPERM);
    }

    fn fsyncdir(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }
}
