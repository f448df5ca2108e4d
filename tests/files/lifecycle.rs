//! The mount's beginning and end.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use tapegate::channel::files::{FileMount, MountError, MountOptions};

use crate::holding::Held;
use crate::memory_disk::MemoryDisk;
use crate::mounted::{LONG, cuts_off, entry, mount, wait_until};

/// What a program is told whose file is no longer served.
fn is_gone(error: &std::io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOTCONN | Errno::CONNABORTED))
}

fn is_mount_point(path: &std::path::Path) -> bool {
    let real = path.canonicalize().unwrap();
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().any(|line| line.split(' ').nth(4) == real.to_str())
}

#[test]
fn a_mount_ends_with_everything_on_stable_storage_and_can_be_made_again() {
    let disk = MemoryDisk::tracks();
    let entries = [entry("disk", Arc::clone(&disk) as _)];
    let Some(mut mounted) = mount(&entries) else { return };
    let point = mounted.point();
    assert!(is_mount_point(&point));
    assert!(mounted.mount().is_mounted());
    mounted.open("disk.ckd").write_all_at(&[7; 100], 512).unwrap();
    mounted.take().unmount(LONG).unwrap();
    assert!(!is_mount_point(&point));
    assert_eq!(fs::read_dir(&point).unwrap().count(), 0);
    for _ in 0..5 {
        let again = FileMount::mount(&point, &entries, &MountOptions::default()).unwrap();
        assert_eq!(fs::read(point.join("disk.ckd")).unwrap()[512..612], [7; 100]);
        drop(again);
        assert!(!is_mount_point(&point));
    }
}

#[test]
fn a_program_with_an_open_file_does_not_keep_the_gateway_from_stopping() {
    let disk = MemoryDisk::tracks();
    let Some(mut mounted) = mount(&[entry("disk", Arc::clone(&disk) as _)]) else { return };
    if !cuts_off(&mounted) {
        return;
    }
    let file = mounted.open("disk.ckd");
    file.write_all_at(&[7; 100], 512).unwrap();
    assert_eq!(disk.syncs.load(Ordering::SeqCst), 0);
    mounted.take().unmount(LONG).unwrap();
    // Nobody closed the file: it is the gateway that brought its bytes to stable storage.
    assert_eq!(disk.syncs.load(Ordering::SeqCst), 1);
    let gone = file.write_at(&[8], 512).unwrap_err();
    assert!(is_gone(&gone), "{gone}");
    assert_eq!(disk.content()[..100], [7; 100]);
    assert!(!is_mount_point(&mounted.point()));
}

#[test]
fn a_stop_gives_up_a_write_that_waits_for_room() {
    let disk = MemoryDisk::blocks();
    let Some(mut mounted) = mount(&[entry("disk", Arc::clone(&disk) as _)]) else { return };
    if !cuts_off(&mounted) {
        return;
    }
    let file = mounted.open("disk.fba");
    disk.full.store(true, Ordering::SeqCst);
    std::thread::scope(|scope| {
        let write = scope.spawn(|| file.write_at(&[7], 0));
        wait_until("the write is held", || disk.found_full.load(Ordering::SeqCst) > 1);
        mounted.take().unmount(LONG).unwrap();
        let refused = write.join().unwrap().unwrap_err();
        assert_eq!(Errno::from_io_error(&refused), Some(Errno::NOSPC));
    });
}

#[test]
fn a_stop_waits_for_a_write_that_waits_for_a_session_up_to_its_limit() {
    let held = Held::new();
    let Some(mut mounted) = mount(std::slice::from_ref(&held.entry)) else { return };
    if !cuts_off(&mounted) {
        return;
    }
    let file = mounted.open("disk.fba");
    std::thread::scope(|scope| {
        let write = scope.spawn(|| file.write_at(&[7], 0));
        held.watcher.wait_for(1);
        let busy = mounted.take().unmount(Duration::ZERO).unwrap_err();
        assert!(matches!(busy, MountError::StillBusy { .. }), "{busy}");
        // The program is told that its write was cut off.
        assert!(is_gone(&write.join().unwrap().unwrap_err()));
        held.watcher.let_go();
    });

    let held = Held::new();
    let Some(mut mounted) = mount(std::slice::from_ref(&held.entry)) else { return };
    let file = mounted.open("disk.fba");
    std::thread::scope(|scope| {
        let write = scope.spawn(|| file.write_at(&[7], 0));
        held.watcher.wait_for(1);
        let mount = mounted.take();
        let stop = scope.spawn(move || mount.unmount(LONG));
        // The stop has begun when nothing new is let in.
        wait_until("the stop begins", || file.read_at(&mut [0], 0).is_err());
        held.watcher.let_go();
        assert_eq!(write.join().unwrap().unwrap(), 1);
        stop.join().unwrap().unwrap();
    });
    assert_eq!((held.disk.content()[0], held.disk.syncs.load(Ordering::SeqCst)), (7, 1));
}

#[test]
fn a_mount_that_somebody_else_ended_is_noticed() {
    let Some(mut mounted) = mount(&[entry("disk", MemoryDisk::tracks())]) else { return };
    let program = if crate::mounted::is_root() { ["umount", "-l"] } else { ["fusermount3", "-uz"] };
    assert!(Command::new(program[0]).arg(program[1]).arg(mounted.point()).status().unwrap().success());
    wait_until("it is noticed", || !mounted.mount().is_mounted());
    mounted.take().unmount(LONG).unwrap();
}

#[test]
fn names_and_folders_that_can_not_be_used_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (names, words) in [(["same", "same"], "two disks have it"), (["a/b", "c"], "without /"), ([".hidden", "c"], "without /")]
    {
        let entries = names.map(|name| entry(name, MemoryDisk::tracks()));
        let message = FileMount::mount(folder.path(), &entries, &MountOptions::default()).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
    let Some(mounted) = mount(&[entry("disk", MemoryDisk::tracks())]) else { return };
    let twice = FileMount::mount(&mounted.point(), &[], &MountOptions::default()).unwrap_err().to_string();
    assert!(twice.contains("another gateway serves files here"), "{twice}");
}

/// The gateway that is killed: this test program again, which mounts and waits.
const KILLED: &str = "TAPEGATE_TEST_MOUNTS_ON";

/// Takes the mount away when the test fails.
struct DetachAtEnd<'a>(&'a std::path::Path);

impl Drop for DetachAtEnd<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
}

#[test]
fn a_mount_left_by_a_killed_gateway_is_taken_away() {
    if let Some(point) = std::env::var_os(KILLED) {
        let _mount = FileMount::mount(point.as_ref(), &[entry("disk", MemoryDisk::tracks())], &MountOptions::default()).unwrap();
        std::thread::park();
        return;
    }
    let Some(mounted) = mount(&[]) else { return };
    let point = mounted.scratch().join("killed");
    fs::create_dir(&point).unwrap();
    let _end = DetachAtEnd(&point);
    let mut gateway = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "lifecycle::a_mount_left_by_a_killed_gateway_is_taken_away"])
        .env(KILLED, &point)
        .spawn()
        .unwrap();
    let path = point.join("disk.ckd");
    wait_until("the other gateway serves", || path.exists());
    let file = File::open(&path).unwrap();
    gateway.kill().unwrap();
    gateway.wait().unwrap();
    assert!(is_gone(&file.read_at(&mut [0], 0).unwrap_err()));
    assert!(is_gone(&fs::read_dir(&point).unwrap_err()));
    let again = FileMount::mount(&point, &[entry("disk", MemoryDisk::tracks())], &MountOptions::default()).unwrap();
    assert_eq!(File::open(&path).unwrap().read_at(&mut [0], 0).unwrap(), 1);
    again.unmount(LONG).unwrap();
    assert!(!is_mount_point(&point));
}
