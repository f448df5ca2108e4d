//! What writing slots in place costs a host. Run it with `cargo bench --bench slots`.
//!
//! A track of a 3390 has twelve records of 4 KiB of text, as a Linux or data base volume has; each write replaces one
//! record. Read and write costs are those of the page cache: nothing is synced but what the image itself needs.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::sync::atomic::{AtomicU32, Ordering};

use divan::Bencher;
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{ImageFormat, OpenOptions, Shape, UnitIndex, Volume};
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::track::END_MARK;

const CYLINDERS: u32 = 20;
const RECORD_BYTES: usize = 4096;
const RECORDS: u32 = 12;

fn main() {
    divan::main();
}

/// Text that compresses as source and reports do, to a third.
fn text(seed: u32, bytes: usize) -> Vec<u8> {
    let words = ["MOVE ", "PERFORM ", "0000137.20 ", "ACCOUNT ", "LEDGER ", "         ", "X'00FF' ", "2026.324 "];
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut text = String::new();
    while text.len() < bytes {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        text.push_str(words[(state >> 29) as usize]);
        text.push_str(&(state >> 16).to_string());
    }
    text.truncate(bytes);
    text.into_bytes()
}

fn slot(geometry: &Geometry, track: u32) -> Vec<u8> {
    let home = geometry.encode_cchh(geometry.cchh(TrackIndex(track)));
    let mut slot = vec![0];
    slot.extend(home);
    slot.extend(home);
    slot.extend([0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    for record in 1..=RECORDS {
        slot.extend(home);
        slot.extend([u8::try_from(record).unwrap(), 0]);
        slot.extend(u16::try_from(RECORD_BYTES).unwrap().to_be_bytes());
        slot.extend(text(track * RECORDS + record, RECORD_BYTES));
    }
    slot.extend(END_MARK);
    slot.resize(geometry.slot_bytes() as usize, 0);
    slot
}

/// A volume full of such tracks, open for update.
fn volume(format: ImageFormat) -> (tempfile::TempDir, Volume) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let geometry = Geometry::standard(DeviceType::Ibm3390, CYLINDERS).unwrap();
    NewImage::create(&path, &Shape::Ckd(geometry), &CreateOptions::new(format)).unwrap().finish(false).unwrap();
    let volume = Volume::open_for_update(&path, &OpenOptions::default()).unwrap();
    for track in 0..geometry.tracks() {
        volume.write_slot(UnitIndex(track), 0, &slot(&geometry, track)).unwrap();
    }
    volume.sync().unwrap();
    (folder, volume)
}

const FORMATS: [ImageFormat; 3] = [ImageFormat::Ckd, ImageFormat::Cckd, ImageFormat::Cckd64];

/// Replaces one record, each time in another track.
#[divan::bench(args = FORMATS, sample_count = 200)]
fn write_a_record(bencher: Bencher, format: ImageFormat) {
    let (_folder, volume) = volume(format);
    let next = AtomicU32::new(0);
    let tracks = volume.shape().units();
    bencher.with_inputs(|| text(next.load(Ordering::Relaxed), RECORD_BYTES)).bench_values(|record| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        volume.write_slot(UnitIndex(number * 7 % tracks), record_offset(number), &record).unwrap();
    });
}

/// Replaces the records of a track one after the other, as a host does that fills it.
#[divan::bench(args = FORMATS, sample_count = 50)]
fn write_all_records_of_a_track(bencher: Bencher, format: ImageFormat) {
    let (_folder, volume) = volume(format);
    let next = AtomicU32::new(0);
    let tracks = volume.shape().units();
    bencher.with_inputs(|| text(next.load(Ordering::Relaxed), RECORD_BYTES)).bench_values(|record| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        for place in 0..RECORDS {
            volume.write_slot(UnitIndex(number * 7 % tracks), record_offset(place), &record).unwrap();
        }
    });
}

/// Reads a slot.
#[divan::bench(args = FORMATS, sample_count = 200)]
fn read_a_slot(bencher: Bencher, format: ImageFormat) {
    let (_folder, volume) = volume(format);
    let next = AtomicU32::new(0);
    let mut slot = vec![0; volume.shape().unit_bytes(UnitIndex(0)) as usize];
    bencher.bench_local(|| {
        let number = next.fetch_add(1, Ordering::Relaxed);
        volume.read_slot(UnitIndex(number * 7 % volume.shape().units()), &mut slot).unwrap();
    });
}

fn record_offset(number: u32) -> u32 {
    21 + number % RECORDS * (8 + u32::try_from(RECORD_BYTES).unwrap()) + 8
}
