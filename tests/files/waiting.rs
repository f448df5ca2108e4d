//! Requests that wait, and others that don't.

use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rustix::io::Errno;
use tapegate::channel::files::{Entry, MountOptions};
use tapegate::gate::{Still, StillLimits, VolumeGate};
use tapegate::volume::UnitIndex;

use crate::holding::Held;
use crate::memory_disk::MemoryDisk;
use crate::mounted::{LONG, mount, mount_with, wait_until};

#[test]
fn a_write_that_waits_for_a_session_holds_up_nobody_else() {
    let held = Held::new();
    let other = MemoryDisk::tracks();
    let Some(mounted) = mount(&[held.entry.clone(), crate::mounted::entry("other", Arc::clone(&other) as _)]) else { return };
    // More of them than there are threads that take requests.
    const WRITERS: u32 = 24;
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let file = mounted.open("disk.fba");
            scope.spawn(move || file.write_all_at(&[7; 512], u64::from(writer + 10) * 4096).unwrap());
        }
        held.watcher.wait_for(WRITERS);
        // Reads of the same file, writes to what is secured, and other files go on, in the same file handle as well.
        let file = mounted.open("disk.fba");
        file.write_all_at(&[8; 4096], 5 * 4096).unwrap();
        let mut byte = [1];
        file.read_exact_at(&mut byte, 10 * 4096).unwrap();
        assert_eq!(byte, [0]);
        let file = mounted.open("other.ckd");
        file.write_all_at(&[9; 100], 512).unwrap();
        file.sync_all().unwrap();
        assert_eq!(other.content()[..100], [9; 100]);
        held.watcher.let_go();
    });
    let content = held.disk.content();
    assert!((10..10 + WRITERS as usize).all(|unit| content[unit * 4096..unit * 4096 + 512] == [7; 512]));
}

#[test]
fn t0_is_before_or_behind_a_request_over_many_units() {
    let held = Held::new();
    let Some(mounted) = mount(std::slice::from_ref(&held.entry)) else { return };
    let file = mounted.open("disk.fba");
    std::thread::scope(|scope| {
        scope.spawn(|| file.write_all_at(&[7; 40_000], 0).unwrap());
        held.watcher.wait_for(1);
        let limits =
            StillLimits { attempt: Duration::from_millis(1), pause: Duration::from_millis(1), limit: Duration::from_millis(20) };
        Still::of(std::slice::from_ref(&held.gate), limits).unwrap_err();
        held.watcher.let_go();
    });
    drop(Still::of(std::slice::from_ref(&held.gate), StillLimits::default()).unwrap());
    assert_eq!(held.disk.content()[..40_000], [7; 40_000]);
}

#[test]
fn a_protected_unit_is_refused_and_what_was_written_before_it_counts() {
    let held = Held::new();
    held.watcher.refuses.store(true, Ordering::SeqCst);
    let Some(mounted) = mount(std::slice::from_ref(&held.entry)) else { return };
    let file = mounted.open("disk.fba");
    let refused = file.write_at(&[1; 512], 0).unwrap_err();
    assert_eq!(Errno::from_io_error(&refused), Some(Errno::ACCESS));
    assert_eq!(file.write_at(&[1; 8192], 5 * 4096).unwrap(), 4096);
    assert_eq!(held.disk.content()[5 * 4096 - 1..6 * 4096 + 1].iter().filter(|byte| **byte == 1).count(), 4096);
}

#[test]
fn another_hosts_channel_program_is_waited_for() {
    let disk = MemoryDisk::blocks();
    let gate = VolumeGate::new("disk", Arc::clone(&disk) as _);
    let port = gate.attach("host a", None);
    let entry = Entry { name: "disk".to_owned(), gate, read_only: false };
    let options = MountOptions { busy_limit: LONG, ..MountOptions::default() };
    let Some(mounted) = mount_with(std::slice::from_ref(&entry), &options) else { return };
    let (reader, writer) = (mounted.open("disk.fba"), mounted.open("disk.fba"));
    let bracket = port.begin(LONG).unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let mut byte = [0];
        let done = tell.clone();
        scope.spawn(move || {
            reader.read_exact_at(&mut byte, 0).unwrap();
            done.send(byte[0]).unwrap();
        });
        scope.spawn(move || {
            writer.write_all_at(&[2], 4096).unwrap();
            writer.sync_all().unwrap();
            tell.send(2).unwrap();
        });
        bracket.write(UnitIndex(0), 0, &[1]).unwrap();
        assert!(told.try_recv().is_err());
        drop(bracket);
        let mut both = [told.recv().unwrap(), told.recv().unwrap()];
        both.sort_unstable();
        assert_eq!(both, [1, 2]);
    });
    drop(mounted);

    // And given up after the limit.
    let options = MountOptions { busy_limit: Duration::from_millis(10), ..options };
    let Some(mounted) = mount_with(&[entry], &options) else { return };
    let file = mounted.open("disk.fba");
    let bracket = port.begin(LONG).unwrap();
    let busy = [file.read_at(&mut [0], 0).unwrap_err(), file.write_at(&[0], 0).unwrap_err(), file.sync_all().unwrap_err()];
    assert_eq!(busy.map(|error| Errno::from_io_error(&error)), [Some(Errno::BUSY); 3]);
    drop(bracket);
}

#[test]
fn a_write_to_a_full_image_is_held_until_there_is_room() {
    let disk = MemoryDisk::blocks();
    let Some(mounted) = mount(&[crate::mounted::entry("disk", Arc::clone(&disk) as _)]) else { return };
    let file = mounted.open("disk.fba");
    disk.full.store(true, Ordering::SeqCst);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let (file, tell) = (&file, tell.clone());
        scope.spawn(move || tell.send(file.write_at(&[7; 10_000], 100)).unwrap());
        // It is tried again and again, others are served, and it is not answered.
        wait_until("the write is tried again", || disk.found_full.load(Ordering::SeqCst) > 2);
        assert_eq!(file.read_at(&mut [0], 0).unwrap(), 1);
        assert!(told.try_recv().is_err());
        disk.full.store(false, Ordering::SeqCst);
        assert_eq!(told.recv_timeout(LONG).unwrap().unwrap(), 10_000);
    });
    assert_eq!(disk.content()[100..10_100], [7; 10_000]);

    let options = MountOptions { full_limit: Duration::from_millis(1), ..MountOptions::default() };
    let Some(mounted) = mount_with(&[crate::mounted::entry("disk", Arc::clone(&disk) as _)], &options) else { return };
    disk.full.store(true, Ordering::SeqCst);
    let refused = mounted.open("disk.fba").write_at(&[1], 0).unwrap_err();
    assert_eq!(Errno::from_io_error(&refused), Some(Errno::NOSPC));
}
