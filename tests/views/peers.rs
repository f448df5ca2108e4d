//! Programs that know nothing of the gateway read a view's file while the host writes: their result equals T0.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use tapegate::channel::files::{Entry, FileMount, MountOptions};
use tempfile::tempdir;

use crate::common::{Unit, assert_same_units, fixture, has, peer, units};
use crate::service::{Service, overwrite_all};

/// Mounts the views of a service, or says why the test is skipped.
fn mount(service: &Service, folder: &Path) -> Option<FileMount> {
    if let Err(error) = File::options().read(true).write(true).open("/dev/fuse") {
        eprintln!("skipped: /dev/fuse: {error}");
        return None;
    }
    let entry = |name: &str| Entry { name: name.to_owned(), gate: service.views[name].gate.clone(), read_only: false };
    match FileMount::mount(folder, &[entry("yesterday"), entry("trial")], &MountOptions::default()) {
        Ok(mount) => Some(mount),
        Err(error) => {
            eprintln!("skipped: no right to mount: {error}");
            None
        }
    }
}

/// Runs `work` while the host writes over the whole volume, again and again.
fn under_writes(service: &Service, work: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for byte in (1..=250).cycle() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                overwrite_all(&service.host(), byte);
            }
        });
        // Also when an assertion fails.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _stop = Stop(&stop);
        work();
    });
}

/// The units of the volume's image, which is locked.
fn copied_units(folder: &Path) -> Vec<Unit> {
    let copy = folder.join("copy");
    fs::copy(folder.join("vol"), &copy).unwrap();
    let units = units(&copy);
    fs::remove_file(copy).unwrap();
    units
}

#[test]
fn dasdcopy_and_dasdls_and_cp_see_the_volume_as_of_t0_while_the_host_writes() {
    let folder = tempdir().unwrap();
    let service = Service::over(folder.path(), "tiny.ckd");
    let point = folder.path().join("mount");
    fs::create_dir(&point).unwrap();
    let Some(mount) = mount(&service, &point) else { return };
    let before = units(&fixture("tiny.ckd"));
    let path = |name: &str| mount.paths().into_iter().find(|path| path.to_string_lossy().contains(name)).unwrap();
    let (yesterday, trial) = (path("yesterday"), path("trial"));
    assert!(fs::read(&yesterday).is_err(), "a view without a session has no content");
    for turn in 0..3 {
        let sessions = [service.show("yesterday").unwrap(), service.show("trial").unwrap()];
        // From the second turn on the volume is another.
        let expected = if turn == 0 { before.clone() } else { copied_units(folder.path()) };
        under_writes(&service, || {
            for (view, file) in [("yesterday", &yesterday), ("trial", &trial)] {
                let copy = folder.path().join(format!("{view}{turn}.ckd"));
                // The host's writes leave tracks that don't walk, which Hercules' tools refuse.
                if turn == 0 && has("dasdcopy") {
                    peer(folder.path(), "dasdcopy", &[file.as_os_str(), copy.as_os_str()]);
                    assert_same_units(&expected, &units(&copy), &format!("dasdcopy of {view}, turn {turn}"));
                    fs::remove_file(&copy).unwrap();
                }
                peer(folder.path(), "cp", &[file.as_os_str(), copy.as_os_str()]);
                assert_same_units(&expected, &units(&copy), &format!("cp of {view}, turn {turn}"));
            }
            if turn == 0 && has("dasdls") {
                let own = folder.path().join("own.ckd");
                fs::copy(fixture("tiny.ckd"), &own).unwrap();
                let listed = |file: &Path| {
                    let text = peer(folder.path(), "dasdls", &[file.as_os_str()]);
                    let text = String::from_utf8_lossy(&text).into_owned();
                    text.lines().filter(|line| !line.contains('/')).map(str::to_owned).collect::<Vec<_>>()
                };
                assert!(!listed(&own).is_empty());
                assert_eq!(listed(&yesterday), listed(&own));
            }
        });
        sessions.iter().for_each(|session| session.cancel());
    }
}

#[test]
fn a_write_to_the_file_of_a_read_only_view_is_refused() {
    let folder = tempdir().unwrap();
    let service = Service::over(folder.path(), "tiny.fba");
    let point = folder.path().join("mount");
    fs::create_dir(&point).unwrap();
    let Some(mount) = mount(&service, &point) else { return };
    let _sessions = [service.show("yesterday").unwrap(), service.show("trial").unwrap()];
    let path = |name: &str| mount.paths().into_iter().find(|path| path.to_string_lossy().contains(name)).unwrap();
    let write = |name: &str| {
        use std::os::unix::fs::FileExt;
        let file = File::options().read(true).write(true).open(path(name))?;
        file.write_all_at(&[7; 512], 4096)
    };
    assert_eq!(write("yesterday").unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    write("trial").unwrap();
    assert_eq!(fs::read(path("trial")).unwrap()[4096..4608], [7; 512]);
    let volume = fs::read(folder.path().join("vol")).unwrap();
    assert!(volume == fs::read(fixture("tiny.fba")).unwrap());
    assert!(fs::read(path("yesterday")).unwrap() == volume);
}
