//! A mount in a scratch folder.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tapegate::channel::files::{Entry, FileMount, MountOptions};
use tapegate::gate::{Disk, VolumeGate};
use tempfile::TempDir;

/// Long enough for anything that comes to an end.
pub const LONG: Duration = Duration::from_secs(60);

/// A mount, its folder, and a folder beside it for what the test makes.
pub struct Mounted {
    mount: Option<FileMount>,
    folder: TempDir,
}

/// An entry of the mount that may be written.
pub fn entry(name: &str, disk: Arc<dyn Disk>) -> Entry {
    Entry { name: name.to_owned(), gate: VolumeGate::new(name, disk), read_only: false }
}

/// Mounts, or says why the test is skipped.
pub fn mount(entries: &[Entry]) -> Option<Mounted> {
    mount_with(entries, &MountOptions::default())
}

/// As [`mount`], with options.
pub fn mount_with(entries: &[Entry], options: &MountOptions) -> Option<Mounted> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/fuse") {
        eprintln!("skipped: /dev/fuse: {error}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let point = folder.path().join("mount");
    std::fs::create_dir(&point).unwrap();
    match FileMount::mount(&point, entries, options) {
        Ok(mount) => Some(Mounted { mount: Some(mount), folder }),
        Err(error) => {
            let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            assert!(!is_root(), "root may mount: {error}: {source}");
            eprintln!("skipped: no right to mount: {error}: {source}");
            None
        }
    }
}

/// Waits for something that comes without anybody telling so.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::yield_now();
    }
}

/// Whether a stop cuts off programs that have files open. A user can't where the kernel's switch for that is not mounted.
pub fn cuts_off(mounted: &Mounted) -> bool {
    let switches = std::fs::read_dir("/sys/fs/fuse/connections").map_or(0, Iterator::count);
    let can = is_root() || switches > 0;
    if !can {
        eprintln!("skipped: {} is a user's mount, and fusectl is not mounted", mounted.point().display());
    }
    can
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl Mounted {
    /// The folder of the files.
    pub fn point(&self) -> PathBuf {
        self.folder.path().join("mount")
    }

    /// A folder beside it.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.point().join(name)
    }

    /// A file opened for reading and writing.
    pub fn open(&self, name: &str) -> File {
        File::options().read(true).write(true).open(self.path(name)).unwrap()
    }

    pub fn mount(&self) -> &FileMount {
        self.mount.as_ref().unwrap()
    }

    pub fn take(&mut self) -> FileMount {
        self.mount.take().unwrap()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Before the folder is removed, or its removal would reach into the mount.
        drop(self.mount.take());
    }
}
