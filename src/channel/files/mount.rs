//! A mount from its beginning to its end.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use rustix::mount::UnmountFlags;

use super::error::MountError;
use super::filesystem::Folder;
use super::held_write::Patience;
use super::invalidation::Invalidations;
use super::mount_point;
use super::requests::Requests;
use super::served_file::ServedFile;
use crate::gate::VolumeGate;

/// Threads that take requests from the kernel. They do reads and writes themselves as long as those need not wait, so more
/// of them than processors only pays where the storage is slow.
const THREADS: usize = 4;
/// How long the kernel and its clients get to let go of a mount that was torn off.
const LET_GO: Duration = Duration::from_secs(5);
/// How long requests get when the mount is dropped without [`FileMount::unmount`].
const DROPPED: Duration = Duration::from_secs(10);

/// A disk that is shown as a file.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name without its extension.
    pub name: String,
    /// The disk: a volume or a view.
    pub gate: Arc<VolumeGate>,
    /// Whether writes are refused, though the disk may be written by others.
    pub read_only: bool,
}

/// How files are mounted.
#[derive(Debug, Clone)]
pub struct MountOptions {
    /// Whether other users than the gateway's own may use the files, as their owner and permission bits say. Needs root, or
    /// `user_allow_other` in /etc/fuse.conf.
    pub allow_other: bool,
    /// Owner and group of the files; the gateway's own if none.
    pub owner: Option<(u32, u32)>,
    /// Permission bits of the files. Read-only disks keep their `w`: who writes is told `EROFS`, as on a disk.
    pub mode: u16,
    /// How long a request waits for another host's channel program or reserve before it fails with `EBUSY`.
    pub busy_limit: Duration,
    /// How long a write waits for room in the image behind before it fails with `ENOSPC`.
    pub full_limit: Duration,
}

impl Default for MountOptions {
    /// For the gateway's user alone; 60 s for other hosts, 10 minutes for room.
    fn default() -> Self {
        Self {
            allow_other: false,
            owner: None,
            mode: 0o600,
            busy_limit: Duration::from_secs(60),
            full_limit: Duration::from_secs(600),
        }
    }
}

/// Disks shown as files in a folder, until it is unmounted or dropped.
pub struct FileMount {
    folder: PathBuf,
    files: Arc<[Arc<ServedFile>]>,
    requests: Arc<Requests>,
    invalidations: Arc<Invalidations>,
    /// The kernel's number of the connection.
    connection: Option<u32>,
    running: Option<Running>,
}

/// The threads of a mount.
struct Running {
    unmounter: SessionUnmounter,
    /// Told when the kernel has ended the connection; in a lock so that several threads may ask.
    ended: Mutex<Receiver<io::Result<()>>>,
    session: JoinHandle<()>,
    invalidator: JoinHandle<()>,
}

impl fmt::Debug for FileMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileMount").field("folder", &self.folder).field("files", &self.files.len()).finish_non_exhaustive()
    }
}

impl FileMount {
    /// Shows disks as files in an empty folder. A mount that a killed gateway left there is taken away first.
    ///
    /// # Errors
    /// When the folder can't be used, two files would have one name, or the kernel refuses the mount.
    pub fn mount(folder: &Path, entries: &[Entry], options: &MountOptions) -> Result<Self, MountError> {
        let folder = mount_point::prepare(folder)?;
        let invalidations = Arc::new(Invalidations::default());
        let files: Arc<[_]> = (entries.iter().enumerate())
            .map(|(place, entry)| Arc::new(ServedFile::new(entry, Folder::inode(place), &invalidations)))
            .collect();
        check_names(&folder, &files)?;
        let requests = Arc::new(Requests::default());
        let own = || (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        let filesystem = Folder {
            files: Arc::clone(&files),
            requests: Arc::clone(&requests),
            waiting: Default::default(),
            patience: Patience { busy: options.busy_limit, full: options.full_limit },
            owner: options.owner.unwrap_or_else(own),
            mode: options.mode & 0o777,
            mounted: SystemTime::now(),
        };
        let refused = |source| MountError::Mount { path: folder.clone(), advice: advice(&source), source };
        let mut session = Session::new(filesystem, &folder, &session_options(options)).map_err(refused)?;
        let notifier = session.notifier();
        let unmounter = session.unmount_callable();
        let (tell, ended) = mpsc::channel();
        let serve = move || {
            // Nobody may wait for it any more.
            let _ = tell.send(session.run());
        };
        let session = thread::Builder::new().name("files".to_owned()).spawn(serve).map_err(refused)?;
        let invalidator = invalidations.spawn(notifier).map_err(refused)?;
        let connection = mount_point::connection(&folder);
        let running = Some(Running { unmounter, ended: Mutex::new(ended), session, invalidator });
        Ok(Self { folder, files, requests, invalidations, connection, running })
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Paths of the files, in the order of the entries.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|file| self.folder.join(&file.name)).collect()
    }

    /// Whether files are still served: false when somebody else unmounted the folder.
    #[must_use]
    pub fn is_mounted(&self) -> bool {
        self.running.as_ref().is_some_and(|running| !running.session.is_finished())
    }

    /// Ends the mount: lets no request in, waits up to `limit` for those under way, brings all to stable storage, unmounts.
    ///
    /// Programs that still have files open are told `ESHUTDOWN`, and `ENOTCONN` when the mount is gone.
    ///
    /// # Errors
    /// When requests are still waiting at the limit, a file could not be synced, or the mount could not be ended. The
    /// mount is ended as far as can be all the same.
    pub fn unmount(mut self, limit: Duration) -> Result<(), MountError> {
        self.end(limit)
    }

    fn end(&mut self, limit: Duration) -> Result<(), MountError> {
        let Some(running) = self.running.take() else { return Ok(()) };
        let idle = self.requests.stop(limit);
        let synced = self.sync(limit);
        self.invalidations.close();
        let gone = self.tear_off(running);
        let busy = if idle { Ok(()) } else { Err(MountError::StillBusy { path: self.folder.clone() }) };
        synced.and(busy).and(gone)
    }

    /// Another host's channel program is waited for up to `limit`.
    fn sync(&self, limit: Duration) -> Result<(), MountError> {
        let mut result = Ok(());
        for file in self.files.iter().filter(|file| file.is_unsynced()) {
            let synced = match file.access(limit) {
                Ok(access) => file.sync(&access).map_err(|errno| io::Error::from_raw_os_error(errno.code())),
                Err(_) => Err(io::Error::from_raw_os_error(libc::EBUSY)),
            };
            if let Err(source) = synced {
                result = Err(MountError::NotSynced { file: file.name.clone(), source });
            }
        }
        result
    }

    fn tear_off(&self, mut running: Running) -> Result<(), MountError> {
        if !running.session.is_finished() {
            if let Err(error) = running.unmounter.unmount() {
                tracing::warn!("{}: programs have files open ({error}); they are told that it is gone", self.folder.display());
                mount_point::detach(&self.folder, UnmountFlags::DETACH | UnmountFlags::FORCE)
                    .map_err(|_| MountError::StillMounted { path: self.folder.clone() })?;
            }
            if !running.ends_within(LET_GO) {
                // Unmounted by a user, who may not force it: it is off the folder, but open files keep the connection.
                let cut = self.connection.map_or(Ok(()), mount_point::abort);
                if cut.is_err() || !running.ends_within(LET_GO) {
                    return Err(MountError::StillOpen { path: self.folder.clone() });
                }
            }
        }
        // The threads ended before they told so, or are about to.
        let _ = running.session.join();
        let _ = running.invalidator.join();
        Ok(())
    }
}

impl Running {
    fn ends_within(&self, limit: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        match ended.recv_timeout(limit) {
            Ok(Err(error)) => {
                tracing::warn!("the kernel ended the mount: {error}");
                true
            }
            Ok(Ok(())) | Err(mpsc::RecvTimeoutError::Disconnected) => true,
            Err(mpsc::RecvTimeoutError::Timeout) => false,
        }
    }
}

impl Drop for FileMount {
    fn drop(&mut self) {
        if let Err(error) = self.end(DROPPED) {
            tracing::error!("{error}");
        }
    }
}

fn check_names(folder: &Path, files: &[Arc<ServedFile>]) -> Result<(), MountError> {
    let mut seen = HashSet::new();
    for file in files {
        let wrong = |reason| Err(MountError::Name { path: folder.to_owned(), name: file.name.clone(), reason });
        if file.name.contains(['/', '\0']) || file.name.starts_with('.') || file.name.len() > 255 {
            return wrong("use a name without / that does not begin with a dot, up to 250 bytes");
        }
        if !seen.insert(&file.name) {
            return wrong("two disks have it");
        }
    }
    Ok(())
}

fn session_options(options: &MountOptions) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName(mount_point::SOURCE.to_owned()),
        MountOption::DefaultPermissions,
        MountOption::NoDev,
        MountOption::NoSuid,
        MountOption::NoExec,
        MountOption::NoAtime,
    ];
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(THREADS);
    config
}

/// What to do about a refusal.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "the kernel has no FUSE or fusermount3 is missing; try: modprobe fuse, apt-get install fuse3",
        io::ErrorKind::PermissionDenied => {
            "it takes root, or read and write rights on /dev/fuse, fusermount3 (package fuse3), and for other users' access \
             user_allow_other in /etc/fuse.conf"
        }
        _ => "see what the kernel says",
    }
}
