//! What keeping an original costs, since a host write waits for it. Run it with `cargo bench --bench cache`.
//!
//! A unit is a full track of 49 KiB. The spill lies in the folder for temporary files; what is shown is the cost to the
//! caller, which leaves the bytes with the kernel.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use divan::Bencher;
use divan::counter::ItemsCount;
use tapegate::cache::{CachePool, CacheShare, PoolConfig, SpillConfig};
use tapegate::volume::UnitIndex;
use tapegate_formats::tape::unit::UnitKind;
use tempfile::TempDir;

const BODY_BYTES: usize = 49 << 10;
/// Units that are kept at any moment: more than the processor's cache holds.
const KEPT: u32 = 1000;
const SPILL_BYTES: u64 = 1 << 30;

fn main() {
    divan::main();
}

/// Where the pool puts bodies.
#[derive(Debug, Clone, Copy)]
enum Place {
    Memory,
    Spill,
    Kept,
}

const PLACES: [Place; 3] = [Place::Memory, Place::Spill, Place::Kept];

fn share(place: Place) -> (CacheShare, TempDir) {
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let spill = Some(SpillConfig { path: folder.path().to_owned(), bytes: SPILL_BYTES });
    let memory_bytes = if matches!(place, Place::Memory) { SPILL_BYTES } else { 0 };
    let pool: Arc<CachePool> = CachePool::new(PoolConfig { name: "bench".to_owned(), memory_bytes, spill }).expect("a pool");
    let share = match place {
        Place::Kept => pool.kept_share("bench", &folder.path().join("view"), "bench").expect("a share"),
        Place::Memory | Place::Spill => pool.share("bench"),
    };
    (share, folder)
}

/// One put and one release, with a thousand units kept all the time.
#[divan::bench(args = PLACES, threads = [1, 2], sample_count = 200, sample_size = 50)]
fn put_and_release(bencher: Bencher, place: Place) {
    let (share, _folder) = share(place);
    let body = vec![0x5a; BODY_BYTES];
    for unit in 0..KEPT {
        share.put(UnitIndex(unit), UnitKind::Track, &body).expect("room");
    }
    let next = AtomicU32::new(KEPT);
    bencher.counter(ItemsCount::new(1_u32)).bench(|| {
        let unit = next.fetch_add(1, Ordering::Relaxed);
        share.put(UnitIndex(unit), UnitKind::Track, &body).expect("room");
        share.release(UnitIndex(unit - KEPT));
    });
}

/// A put into a pool that has not been used yet: memory and pages are new to the process.
#[divan::bench(args = PLACES, sample_count = 100, sample_size = 50)]
fn first_put(bencher: Bencher, place: Place) {
    let (share, _folder) = share(place);
    let body = vec![0x5a; BODY_BYTES];
    let next = AtomicU32::new(0);
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let unit = next.fetch_add(1, Ordering::Relaxed);
        share.put(UnitIndex(unit), UnitKind::Track, &body).expect("room");
    });
}

/// Reading a unit back.
#[divan::bench(args = PLACES, sample_count = 200, sample_size = 50)]
fn get(bencher: Bencher, place: Place) {
    let (share, _folder) = share(place);
    for unit in 0..KEPT {
        share.put(UnitIndex(unit), UnitKind::Track, &vec![0x5a; BODY_BYTES]).expect("room");
    }
    let mut unit = 0;
    let mut body = Vec::new();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        unit = (unit + 7) % KEPT;
        share.get(UnitIndex(unit), &mut body).expect("what was put")
    });
}

/// Letting go of ten thousand units of 4 KiB at once.
#[divan::bench(args = PLACES, sample_count = 10, sample_size = 1)]
fn discard(bencher: Bencher, place: Place) {
    let full = || {
        let (share, folder) = share(place);
        for unit in 0..10_000 {
            share.put(UnitIndex(unit), UnitKind::Blocks, &[0x5a; 4096]).expect("room");
        }
        (share, folder)
    };
    bencher.with_inputs(full).bench_local_values(|(share, folder)| {
        share.discard();
        folder
    });
}
