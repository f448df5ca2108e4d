//! A plan of the largest volume: exact to the byte, and small in memory.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod large_volume;

use std::mem::size_of;
use std::sync::LazyLock;

use large_volume::{DATA_SETS, EXTENT_TRACKS, TRACKS, bodies, body_bytes, files, first_track};
use tapegate::plan::{Destination, FilePlan, LabelKind, PlanBuilder, PlanError, PlanOptions, Run, SizeTable, TapePlan};

static SIZES: LazyLock<SizeTable> = LazyLock::new(|| SizeTable::from_body_bytes(bodies()));

/// Unit `j` of data set `i`, straight from how the volume was made.
fn track_of(i: u32, j: u32) -> u32 {
    first_track(i, j / EXTENT_TRACKS) + j % EXTENT_TRACKS
}

fn encoded(track: u32) -> u64 {
    u64::from(body_bytes(track)) + 16
}

/// The tape standard's arithmetic: labels of 80 bytes and a mark behind them, blocks of 32,760 bytes, six bytes in front
/// of each.
fn file_on_tape(stream: u64) -> u64 {
    4 * 86 + 3 * 6 + stream + stream.div_ceil(32_760) * 6
}

fn plan() -> TapePlan {
    TapePlan::new(PlanOptions::default(), files(true), &SIZES).unwrap()
}

#[test]
fn every_byte_of_the_largest_volume_has_its_place() {
    let plan = plan();
    assert_eq!(plan.files.len(), DATA_SETS as usize + 1);

    let data_sets: u64 =
        (0..DATA_SETS).map(|i| file_on_tape((0..3 * EXTENT_TRACKS).map(|j| encoded(track_of(i, j))).sum())).sum();
    let all: u64 = (0..TRACKS).map(encoded).sum();
    let of_data_sets: u64 = plan.files[..DATA_SETS as usize].iter().map(|file| file.stream_bytes).sum();
    assert_eq!(plan.bytes, 86 + data_sets + file_on_tape(all - of_data_sets) + 6);
    let units: u64 = plan.files.iter().map(|file| u64::from(file.spec.units.len())).sum();
    assert_eq!(units, u64::from(TRACKS));

    let mut label = 86;
    for (i, file) in (0..).zip(&plan.files[..DATA_SETS as usize]) {
        assert_eq!((file.number, file.header, file.data), (i + 1, label, label + 178));
        let mut position = 0;
        // Each place of some files, the last place of all.
        let step = if i % 1000 == 7 { 1 } else { 3 * EXTENT_TRACKS };
        for j in 0..3 * EXTENT_TRACKS {
            if j % step == 0 {
                assert_eq!(TapePlan::place(file, &SIZES, j), file.data + position + 6 * (position / 32_760 + 1), "{i} {j}");
            }
            position += encoded(track_of(i, j));
        }
        assert_eq!(file.stream_bytes, position);
        label += file_on_tape(position);
    }
    assert_eq!(plan.files[DATA_SETS as usize].header, label);
}

#[test]
fn a_file_far_behind_on_the_tape_has_its_destination_block() {
    let plan = plan();
    let file = &plan.files[99_999];
    assert_eq!(file.number, 100_000);
    let place = TapePlan::place(file, &SIZES, 20);
    let before: u64 = (0..99_999).map(|i| file_on_tape((0..39).map(|j| encoded(track_of(i, j))).sum())).sum();
    let position: u64 = (0..20).map(|j| encoded(track_of(99_999, j))).sum();
    let expected = 86 + before + 178 + position + 6 * (position / 32_760 + 1);
    assert!(expected > u64::from(u32::MAX));
    let destination = Destination::of(place, 4096, 1000).unwrap();
    assert_eq!((destination.block, destination.offset), (expected / 4096 + 1000, expected % 4096));
}

#[test]
fn lengths_fed_one_by_one_make_the_same_plan() {
    let mut builder = PlanBuilder::new(PlanOptions::default(), DATA_SETS as usize + 1).unwrap();
    for file in files(true) {
        let units: Vec<_> = file.units.runs().iter().flat_map(|run| run.first.0..run.first.0 + run.units).collect();
        builder.open(file);
        units.iter().for_each(|&unit| builder.extend(encoded(unit)));
        builder.close();
    }
    assert!(builder.finish() == plan());
}

#[test]
fn ansi_labels_refuse_so_many_files_before_anything_is_planned() {
    let options = PlanOptions { labels: LabelKind::Ansi, ..PlanOptions::default() };
    let refused = TapePlan::new(options, files(true), &SizeTable::from_body_bytes(Vec::new()));
    assert!(matches!(refused, Err(PlanError::TooManyFiles { files: 100_001, most: 9_999, .. })));
}

#[test]
fn a_plan_takes_a_few_bytes_a_track() {
    let plan = plan();
    // What is in use and what is allocated are two lists.
    let runs: usize = plan.files.iter().map(|file| file.spec.units.runs().len() + file.spec.allocated.runs().len()).sum();
    let plan_bytes = plan.files.len() * size_of::<FilePlan>() + runs * size_of::<Run>();
    let table_bytes = SIZES.len() * 4 + SIZES.len() / 16 * 8;
    let a_track = |bytes: usize| bytes as f64 / f64::from(TRACKS);
    println!("size table {:.1}, plan {:.1} bytes a track", a_track(table_bytes), a_track(plan_bytes));
    println!("a file: {} bytes and {} a run", size_of::<FilePlan>(), size_of::<Run>());
    assert!(a_track(table_bytes + plan_bytes) < 16.0);
}
