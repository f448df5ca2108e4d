//! What programs read and write, against a model in memory.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::io::Errno;
use tapegate::gate::VolumeGate;
use tapegate::volume::UnitIndex;

use crate::memory_disk::MemoryDisk;
use crate::mounted::{LONG, Mounted, entry, mount, wait_until};

/// Random numbers that are the same in each run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit
    }
}

fn errno(result: std::io::Result<impl Sized>) -> Option<Errno> {
    result.err().and_then(|error| Errno::from_io_error(&error))
}

fn both() -> Option<(Mounted, Arc<MemoryDisk>, Arc<MemoryDisk>)> {
    let (tracks, blocks) = (MemoryDisk::tracks(), MemoryDisk::blocks());
    let mounted = mount(&[entry("disk1", Arc::clone(&tracks) as _), entry("disk2", Arc::clone(&blocks) as _)])?;
    Some((mounted, tracks, blocks))
}

#[test]
fn the_folder_shows_a_file_for_each_disk_and_nothing_else() {
    let Some((mounted, ..)) = both() else { return };
    assert_eq!(crate::common::names_in(&mounted.point()), ["disk1.ckd", "disk2.fba"]);
    assert_eq!(mounted.mount().paths(), [mounted.path("disk1.ckd"), mounted.path("disk2.fba")]);
    let metadata = fs::metadata(mounted.path("disk1.ckd")).unwrap();
    assert_eq!((metadata.len(), metadata.mode() & 0o7777), (512 + 100 * 1024, 0o600));
    assert_eq!(fs::metadata(mounted.path("disk2.fba")).unwrap().len(), 1001 * 512);
    assert_eq!(errno(fs::metadata(mounted.path("disk3.ckd"))), Some(Errno::NOENT));
    let path = mounted.path("disk1.ckd");
    let attempts = [
        errno(File::create(mounted.path("new"))),
        errno(fs::create_dir(mounted.path("new"))),
        errno(fs::remove_file(&path)),
        errno(fs::rename(&path, mounted.path("new"))),
        errno(fs::hard_link(&path, mounted.path("new"))),
    ];
    // Root passes the folder's permission bits and is refused by the gateway; others by the bits.
    for refused in attempts {
        assert!(matches!(refused, Some(Errno::PERM | Errno::ACCESS)), "{refused:?}");
    }
    assert_eq!(crate::common::names_in(&mounted.point()), ["disk1.ckd", "disk2.fba"]);
}

#[test]
fn random_reads_and_writes_are_those_of_an_array() {
    let Some((mounted, tracks, blocks)) = both() else { return };
    for (name, disk, header) in [("disk1.ckd", &tracks, 512_usize), ("disk2.fba", &blocks, 0)] {
        let file = mounted.open(name);
        let mut model = fs::read(mounted.path(name)).unwrap();
        let mut numbers = Numbers(7);
        for turn in 0..600_usize {
            // Mostly small, some over many units.
            let longest = if turn % 20 == 0 { 60_000 } else { 3_000 };
            let offset = numbers.below(model.len() - header) + header;
            let length = numbers.below(longest).min(model.len() - offset);
            if turn % 2 == 0 {
                let bytes: Vec<_> = (0..length).map(|_| numbers.below(256) as u8).collect();
                file.write_all_at(&bytes, offset as u64).unwrap();
                model[offset..offset + length].copy_from_slice(&bytes);
            } else {
                let mut bytes = vec![0; length];
                file.read_exact_at(&mut bytes, offset as u64).unwrap();
                assert_eq!(bytes, model[offset..offset + length], "turn {turn} of {name}");
            }
        }
        assert_eq!(disk.content(), model[header..]);
        assert_eq!(fs::read(mounted.path(name)).unwrap(), model);
    }
}

#[test]
fn threads_that_write_side_by_side_lose_nothing() {
    let Some((mounted, tracks, _)) = both() else { return };
    const THREADS: usize = 6;
    // Each has its own bytes in every track.
    let own = 1024 / THREADS;
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let file = mounted.open("disk1.ckd");
            scope.spawn(move || {
                let mut numbers = Numbers(thread as u64 + 1);
                let mut model = vec![vec![0_u8; own]; 100];
                for turn in 0..400 {
                    let track = numbers.below(100);
                    let place = (512 + track * 1024 + thread * own) as u64;
                    if turn % 3 == 0 {
                        let mut bytes = vec![0; own];
                        file.read_exact_at(&mut bytes, place).unwrap();
                        assert_eq!(bytes, model[track], "track {track}, thread {thread}");
                    } else {
                        model[track].fill(numbers.below(256) as u8);
                        file.write_all_at(&model[track], place).unwrap();
                    }
                    if turn % 100 == 99 {
                        file.sync_all().unwrap();
                    }
                }
            });
        }
    });
    assert!(tracks.syncs.load(Ordering::SeqCst) >= 24);
}

#[test]
fn the_header_is_read_only_but_for_the_bytes_that_it_has() {
    let Some((mounted, tracks, _)) = both() else { return };
    let file = mounted.open("disk1.ckd");
    let mut head = [0; 600];
    file.read_exact_at(&mut head, 0).unwrap();
    assert_eq!(&head[..8], b"CKD_P370");
    assert_eq!(errno(file.write_at(&[7], 16)), Some(Errno::PERM));
    // A write that begins in the header and goes on into the first track changes nothing when it is refused.
    let mut wrong = head;
    wrong[511] ^= 1;
    wrong[512..].fill(9);
    assert_eq!(errno(file.write_at(&wrong, 0)), Some(Errno::PERM));
    assert_eq!(tracks.content()[..88], [0; 88]);
    head[512..].fill(5);
    file.write_all_at(&head, 0).unwrap();
    assert_eq!(tracks.content()[..88], [5; 88]);
}

#[test]
fn nothing_is_behind_the_end_and_the_size_stays() {
    let Some((mounted, _, blocks)) = both() else { return };
    let file = mounted.open("disk2.fba");
    let size = 1001 * 512;
    let mut bytes = [0; 100];
    assert_eq!(file.read_at(&mut bytes, size - 10).unwrap(), 10);
    assert_eq!(file.read_at(&mut bytes, size).unwrap(), 0);
    assert_eq!(file.read_at(&mut bytes, i64::MAX as u64 - 100).unwrap(), 0);
    assert_eq!(errno(file.write_at(&bytes, size)), Some(Errno::FBIG));
    assert_eq!(errno(file.write_at(&[3; 100], size - 10)), Some(Errno::FBIG));
    assert_eq!(blocks.content().last(), Some(&0));
    file.set_len(size).unwrap();
    assert_eq!(errno(file.set_len(size - 1)), Some(Errno::PERM));
    assert_eq!(errno(file.set_len(size + 1)), Some(Errno::PERM));
    assert_eq!(errno(File::create(mounted.path("disk2.fba"))), Some(Errno::PERM));
    let reserve = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, size);
    assert_eq!(reserve, Err(Errno::OPNOTSUPP));
    assert_eq!(file.metadata().unwrap().len(), size);
}

#[test]
fn a_read_only_disk_says_so_and_a_view_without_session_has_no_medium() {
    let (view, locked) = (MemoryDisk::blocks(), MemoryDisk::blocks());
    view.writable.store(false, Ordering::SeqCst);
    let mut refused = entry("locked", locked);
    refused.read_only = true;
    let Some(mounted) = mount(&[entry("view", Arc::clone(&view) as _), refused]) else { return };
    for name in ["view.fba", "locked.fba"] {
        assert_eq!(errno(File::options().write(true).open(mounted.path(name))), Some(Errno::ROFS));
        assert_eq!(fs::read(mounted.path(name)).unwrap().len(), 1001 * 512);
    }
    // A disk that becomes read-only under an open file.
    view.writable.store(true, Ordering::SeqCst);
    let file = mounted.open("view.fba");
    view.writable.store(false, Ordering::SeqCst);
    assert_eq!(errno(file.write_at(&[1], 0)), Some(Errno::ROFS));
    view.ready.store(false, Ordering::SeqCst);
    assert_eq!(errno(File::open(mounted.path("view.fba")).unwrap().read_at(&mut [0], 0)), Some(Errno::NOMEDIUM));
    view.ready.store(true, Ordering::SeqCst);
    assert_eq!(file.read_at(&mut [0], 0).unwrap(), 1);
}

#[test]
fn stable_storage_is_reached_by_fsync_by_close_and_by_a_synchronous_write() {
    let Some((mounted, tracks, _)) = both() else { return };
    let syncs = || tracks.syncs.load(Ordering::SeqCst);
    let file = mounted.open("disk1.ckd");
    file.write_all_at(&[1], 512).unwrap();
    assert_eq!(syncs(), 0);
    file.sync_data().unwrap();
    file.sync_all().unwrap();
    assert_eq!(syncs(), 2);
    // Nothing was written since.
    drop(file);
    assert_eq!(syncs(), 2);
    let file = mounted.open("disk1.ckd");
    file.write_all_at(&[2], 512).unwrap();
    // A reader that closes its file does not pay for the writer.
    drop(fs::read(mounted.path("disk1.ckd")).unwrap());
    assert_eq!(syncs(), 2);
    drop(file);
    assert_eq!(syncs(), 3);
    let file = File::options().write(true).custom_flags(libc::O_DSYNC).open(mounted.path("disk1.ckd")).unwrap();
    file.write_all_at(&[3], 512).unwrap();
    assert_eq!(syncs(), 4);
}

#[test]
fn what_another_front_end_writes_is_seen_at_once() {
    let disk = MemoryDisk::blocks();
    let gate = VolumeGate::new("disk", Arc::clone(&disk) as _);
    let port = gate.attach("another front-end", None);
    let shared = tapegate::channel::files::Entry { name: "disk".to_owned(), gate, read_only: false };
    let Some(mounted) = mount(&[shared]) else { return };
    let file = mounted.open("disk.fba");
    // SAFETY: the map is private, and the file keeps its size; that its bytes change is what the test is about.
    let map = unsafe { memmap2::MmapOptions::new().map_copy_read_only(&file).unwrap() };
    assert_eq!(map[4096], 0);
    let before = file.metadata().unwrap().modified().unwrap();

    port.single(LONG).unwrap().write(UnitIndex(1), 0, &[42]).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 4096).unwrap();
    assert_eq!(byte, [42]);
    // The kernel is told from a thread of its own, and then forgets its page and the times that it keeps for a second.
    // SAFETY: the byte is inside the map.
    wait_until("the kernel forgets its page", || unsafe { map.as_ptr().add(4096).read_volatile() } == 42);
    assert!(file.metadata().unwrap().modified().unwrap() > before);
}

#[test]
fn maps_are_private_or_refused() {
    let Some((mounted, ..)) = both() else { return };
    let file = mounted.open("disk1.ckd");
    // SAFETY: nobody changes the file.
    let shared = unsafe { memmap2::MmapOptions::new().map_mut(&file) };
    assert_eq!(errno(shared), Some(Errno::NODEV));
}

#[test]
fn locks_work_between_programs() {
    use rustix::fs::{FlockOperation, fcntl_lock, flock};
    let Some((mounted, ..)) = both() else { return };
    let (one, two) = (mounted.open("disk1.ckd"), mounted.open("disk1.ckd"));
    flock(one.as_fd(), FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_eq!(flock(two.as_fd(), FlockOperation::NonBlockingLockShared), Err(Errno::WOULDBLOCK));
    flock(one.as_fd(), FlockOperation::Unlock).unwrap();
    flock(two.as_fd(), FlockOperation::NonBlockingLockShared).unwrap();
    // Locks of fcntl belong to processes: another one asks.
    fcntl_lock(&one, FlockOperation::NonBlockingLockExclusive).unwrap();
    let path = mounted.path("disk1.ckd");
    let script = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)";
    let Ok(other) = Command::new("python3").args(["-c", script]).arg(&path).output() else {
        eprintln!("skipped: python3 is not installed");
        return;
    };
    assert!(!other.status.success());
    fcntl_lock(&one, FlockOperation::Unlock).unwrap();
    assert!(Command::new("python3").args(["-c", script]).arg(&path).output().unwrap().status.success());
}

#[test]
fn a_program_without_cache_moves_whole_blocks_as_on_a_disk() {
    let Some((mounted, _, blocks)) = both() else { return };
    let direct = |name| File::options().read(true).write(true).custom_flags(libc::O_DIRECT).open(mounted.path(name)).unwrap();
    let file = direct("disk2.fba");
    file.write_all_at(&[7; 1536], 1000 * 512 - 1024).unwrap();
    assert_eq!(blocks.content()[1000 * 512 - 1025..], [&[0][..], &[7; 1536]].concat());
    for (offset, length) in [(1, 512), (511, 1), (0, 100)] {
        assert_eq!(errno(file.write_at(&vec![1; length], offset)), Some(Errno::INVAL));
        assert_eq!(errno(file.read_at(&mut vec![1; length], offset)), Some(Errno::INVAL));
    }
    // Of tracks a file shows no blocks.
    direct("disk1.ckd").write_all_at(&[1, 2, 3], 600).unwrap();
}

#[test]
fn the_time_of_the_last_write_is_told() {
    let Some((mounted, ..)) = both() else { return };
    let file = mounted.open("disk1.ckd");
    let before = file.metadata().unwrap().modified().unwrap();
    file.write_all_at(&[1], 600).unwrap();
    let after = file.metadata().unwrap().modified().unwrap();
    assert!(after > before && after.elapsed().unwrap() < Duration::from_secs(60));
}
