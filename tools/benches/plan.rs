//! What planning and the status of units cost. Run it with `cargo bench --bench plan`.
//!
//! The large volume is a 3390 of 262,668 cylinders with 100,000 data sets. Items a second are units: tracks that are
//! measured, placed, claimed or tested.

#[path = "../../tests/large_volume/mod.rs"]
mod large_volume;

use std::hint::black_box;
use std::sync::LazyLock;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher};
use large_volume::{TRACKS, bodies, files};
use tapegate::plan::{BlockedStream, FileSpec, PlanOptions, SizeTable, TapePlan};
use tapegate::snapshot::{UnitDigest, UpdateStatus};
use tapegate_formats::dasd::track::{END_MARK, Track};
use tapegate_formats::tape::unit::{UnitKind, unit_header};

// Counts what each function allocates.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

static FILES: LazyLock<Vec<FileSpec>> = LazyLock::new(|| files(true));
static SIZES: LazyLock<SizeTable> = LazyLock::new(|| SizeTable::from_body_bytes(bodies()));

/// Units of a stage: what the copier claims at once.
const STAGE_UNITS: u32 = 64;

fn main() {
    divan::main();
}

/// The sums of the size table.
#[divan::bench(sample_count = 20)]
fn size_table(bencher: Bencher) {
    bencher.counter(ItemsCount::new(TRACKS)).with_inputs(bodies).bench_values(SizeTable::from_body_bytes);
}

/// The plan, once files and sizes are known; data sets in one extent, and scattered.
#[divan::bench(sample_count = 20, args = [false, true])]
fn plan(bencher: Bencher, scattered: bool) {
    let files = files(scattered);
    let make = |files| TapePlan::new(PlanOptions::default(), files, &SIZES);
    bencher.counter(ItemsCount::new(TRACKS)).with_inputs(|| files.clone()).bench_values(make);
}

/// The places of all units of all files, in order.
#[divan::bench(sample_count = 10)]
fn place_all_units(bencher: Bencher) {
    let Ok(plan) = TapePlan::new(PlanOptions::default(), FILES.clone(), &SIZES) else { return };
    let all = || plan.files.iter().flat_map(|file| TapePlan::units(file, &SIZES)).fold(0, |end, unit| end.max(unit.end));
    bencher.counter(ItemsCount::new(TRACKS)).bench_local(all);
}

/// The place of every unit of every file, each for itself, as out-of-order copies ask.
#[divan::bench(sample_count = 10)]
fn place_each_unit(bencher: Bencher) {
    let Ok(plan) = TapePlan::new(PlanOptions::default(), FILES.clone(), &SIZES) else { return };
    bencher.counter(ItemsCount::new(TRACKS)).bench_local(|| {
        for file in &plan.files {
            for j in 0..file.spec.units.len() {
                black_box(TapePlan::place(file, &SIZES, j));
            }
        }
    });
}

/// From a position of the stream to a place on the tape.
#[divan::bench]
fn place_in_blocks(bencher: Bencher) {
    let stream = BlockedStream { data: 264, bytes: 3_000_000_000, block_bytes: 32_760 };
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| black_box(&stream).place(black_box(2_718_281_828)));
}

/// Claiming and securing a 3390-54, a stage at a time.
#[divan::bench]
fn claim_and_secure(bencher: Bencher) {
    let units = 65_520 * 15;
    bencher.counter(ItemsCount::new(units)).with_inputs(|| UpdateStatus::new(units)).bench_refs(|status| {
        for first in (0..units).step_by(STAGE_UNITS as usize) {
            status.claim(first..first + STAGE_UNITS).secure();
        }
    });
}

/// The test that a host write makes, with all units secured, in an order that no cache likes.
#[divan::bench]
fn is_secured(bencher: Bencher) {
    let status = UpdateStatus::new(TRACKS);
    status.claim(0..TRACKS).secure();
    bencher.counter(ItemsCount::new(1000_u32)).bench_local(|| {
        let mut unit = 1_u32;
        for _ in 0..1000 {
            unit = unit.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            black_box(status.is_secured(unit % TRACKS));
        }
    });
}

/// Home address, R0 and twelve records of 4,096 bytes, in a slot of a 3390.
fn slot() -> Vec<u8> {
    let mut slot = vec![0; 5];
    slot.extend([0, 0, 0, 0, 0, 0, 0, 8]);
    slot.extend([0; 8]);
    for record in 1..=12 {
        slot.extend([0, 0, 0, 0, record, 0, 0x10, 0]);
        slot.extend([record; 4096]);
    }
    slot.extend(END_MARK);
    slot.resize(56_832, 0);
    slot
}

/// Walking a full track.
#[divan::bench]
fn parse_track(bencher: Bencher) {
    let slot = slot();
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| Track::parse(black_box(&slot), [0; 4]).is_ok());
}

/// The unit header with its checksum over a body of 56 KB.
#[divan::bench]
fn unit_header_of_56_kb(bencher: Bencher) {
    let body = vec![0x5a; 56_000];
    bencher.counter(BytesCount::new(body.len())).bench_local(|| unit_header(7, UnitKind::Track, black_box(&body)));
}

/// The digest of the same body.
#[divan::bench]
fn digest_of_56_kb(bencher: Bencher) {
    let body = vec![0x5a; 56_000];
    bencher.counter(BytesCount::new(body.len())).bench_local(|| UnitDigest::of(black_box(&body)));
}
