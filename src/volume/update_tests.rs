//! Writing volumes in place, in every format that can be written.

use std::fs::{self, File};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use proptest::sample::Index;
use rustix::fs::{FlockOperation, flock};
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::dasd::track::END_MARK;

use super::editor::Editor;
use super::opened::Source;
use super::round_trip_tests::{home, track};
use super::writable_images::{Sample, all};
use super::*;

/// What is done to a volume.
#[derive(Debug, Clone)]
enum Step {
    /// Writes a track of records as a host does: from R0 to the end mark.
    Format(Index, Vec<(Vec<u8>, Vec<u8>)>),
    /// Writes any bytes anywhere behind the home address.
    Scribble(Index, Index, Vec<u8>),
    /// Writes a null track, or zeros.
    Clear(Index, NullFormat),
    /// Writes the slot of another unit, whole.
    Copy(Index, Index),
    Sync,
    Compact,
    Close,
    Drop,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let record = (
        prop::collection::vec(any::<u8>(), 0..9),
        prop_oneof![
            prop::collection::vec(any::<u8>(), 0..900),
            (any::<u8>(), 0..900_usize).prop_map(|(byte, length)| vec![byte; length]),
        ],
    );
    let records = prop::collection::vec(record, 0..4);
    let null = prop::sample::select(NullFormat::ALL.to_vec());
    let step = prop_oneof![
        6 => (any::<Index>(), records).prop_map(|(unit, records)| Step::Format(unit, records)),
        4 => (any::<Index>(), any::<Index>(), prop::collection::vec(any::<u8>(), 1..600))
            .prop_map(|(unit, offset, bytes)| Step::Scribble(unit, offset, bytes)),
        2 => (any::<Index>(), null).prop_map(|(unit, format)| Step::Clear(unit, format)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Step::Copy(from, to)),
        2 => Just(Step::Sync),
        1 => Just(Step::Compact),
        1 => Just(Step::Close),
        1 => Just(Step::Drop),
    ];
    prop::collection::vec(step, 1..40)
}

/// The unit, offset and bytes of a write; `None` for a step that writes none.
fn write_of(step: &Step, sample: &Sample, model: &[Vec<u8>]) -> Option<(u32, usize, Vec<u8>)> {
    let shape = &sample.shape;
    let is_ckd = matches!(shape, Shape::Ckd(_));
    let unit = |index: &Index| u32::try_from(index.index(model.len())).unwrap();
    Some(match step {
        Step::Format(index, records) => {
            let unit = unit(index);
            let mut bytes = track(home_of(shape, unit), [0; 8], records);
            bytes.extend(END_MARK);
            bytes.drain(..5);
            bytes.truncate(model[unit as usize].len() - 5);
            (unit, 5, bytes)
        }
        Step::Scribble(index, offset, bytes) => {
            let unit = unit(index);
            let length = model[unit as usize].len();
            let first = if is_ckd { 5 } else { 0 };
            let offset = first + offset.index(length - first);
            (unit, offset, bytes[..bytes.len().min(length - offset)].to_vec())
        }
        Step::Clear(index, format) => {
            let unit = unit(index);
            let mut bytes = vec![0; model[unit as usize].len()];
            if is_ckd {
                format.fill(home_of(shape, unit), &mut bytes)?;
            }
            (unit, 0, bytes)
        }
        Step::Copy(from, to) => {
            let (from, to) = (unit(from), unit(to));
            let mut bytes = model[from as usize].clone();
            bytes.truncate(model[to as usize].len());
            if is_ckd {
                bytes[..5].copy_from_slice(&model[to as usize][..5]);
            }
            (to, 0, bytes)
        }
        Step::Sync | Step::Compact | Step::Close | Step::Drop => return None,
    })
}

fn home_of(shape: &Shape, unit: u32) -> [u8; 4] {
    if matches!(shape, Shape::Ckd(_)) { home(shape, unit) } else { [0; 4] }
}

/// That no byte of a closed image is lost, and its book is right: what is used and what the list has add up.
fn check_closed(sample: &Sample) {
    let volume = sample.open();
    let odd: Vec<_> = volume.findings().iter().filter(|finding| finding.code != "null-track-stored").collect();
    assert!(odd.is_empty(), "{}: {odd:?}", sample.name);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_format_holds_what_was_written(steps in steps()) {
        for sample in all() {
            let below: Vec<_> = sample.below.iter().map(|path| fs::read(path).unwrap()).collect();
            let mut volume = sample.open_for_update();
            let mut model = sample.slots(&volume);
            for step in &steps {
                if let Some((unit, offset, bytes)) = write_of(step, &sample, &model) {
                    volume.write_slot(UnitIndex(unit), u32::try_from(offset).unwrap(), &bytes).unwrap();
                    let mut slot = std::mem::take(&mut model[unit as usize]);
                    slot[offset..offset + bytes.len()].copy_from_slice(&bytes);
                    model[unit as usize] = sample.kept(unit, slot);
                    let mut read = vec![0; model[unit as usize].len()];
                    volume.read_slot(UnitIndex(unit), &mut read).unwrap();
                    prop_assert!(read == model[unit as usize], "{}: unit {unit} after {step:?}", sample.name);
                }
                match step {
                    Step::Sync => volume.sync().unwrap(),
                    Step::Compact => {
                        volume.compact(10_000).unwrap();
                    }
                    Step::Close | Step::Drop => {
                        if matches!(step, Step::Close) { volume.close().unwrap() } else { drop(volume) }
                        check_closed(&sample);
                        volume = sample.open_for_update();
                    }
                    _ => {}
                }
            }
            prop_assert!(sample.slots(&volume) == model, "{}", sample.name);
            volume.close().unwrap();
            check_closed(&sample);
            prop_assert!(sample.slots(&sample.open()) == model, "{} after it was closed", sample.name);
            for (path, was) in sample.below.iter().zip(&below) {
                prop_assert!(&fs::read(path).unwrap() == was, "{}: {} changed", sample.name, path.display());
            }
        }
    }
}

/// A track or unit that says whose it is and which version: every byte behind the home address and R0 is the version.
fn version(sample: &Sample, unit: u32, version: u8) -> Vec<u8> {
    let length = 200 + usize::from(version) * 11;
    if matches!(sample.shape, Shape::Ckd(_)) {
        let mut bytes = track(home(&sample.shape, unit), [0; 8], &[(vec![unit as u8], vec![version; length])]);
        bytes.extend(END_MARK);
        bytes.resize(4096, 0);
        bytes
    } else {
        let mut bytes = vec![version; sample.shape.unit_bytes(UnitIndex(unit)) as usize];
        bytes[0] = unit as u8;
        bytes
    }
}

#[test]
fn readers_writers_syncs_and_compaction_do_not_disturb_each_other() {
    let samples = all().into_iter().filter(|sample| ["cckd", "cckd64", "cfba", "shadow of cckd"].contains(&sample.name.as_str()));
    for sample in samples {
        let volume = sample.open_for_update();
        let units = sample.shape.units();
        for unit in 0..units {
            volume.write_slot(UnitIndex(unit), 0, &version(&sample, unit, 0)).unwrap();
        }
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let writers: Vec<_> = (0..3)
                .map(|part| {
                    let (sample, volume) = (&sample, &volume);
                    scope.spawn(move || {
                        for number in 1..=20 {
                            for unit in (part..units).step_by(3).filter(|unit| (unit / 3 + u32::from(number)) % 4 != 0) {
                                volume.write_slot(UnitIndex(unit), 0, &version(sample, unit, number)).unwrap();
                            }
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    volume.sync().unwrap();
                    volume.compact(20_000).unwrap();
                }
            });
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    for unit in 0..units {
                        let mut slot = vec![0; sample.shape.unit_bytes(UnitIndex(unit)) as usize];
                        volume.read_slot(UnitIndex(unit), &mut slot).unwrap();
                        let found = slot[slot.len().min(100) - 1];
                        assert!(slot == version(&sample, unit, found), "{}: unit {unit}, version {found}", sample.name);
                    }
                }
            });
            for writer in writers {
                writer.join().unwrap();
            }
            done.store(true, Ordering::Release);
        });
        let slots = sample.slots(&volume);
        volume.close().unwrap();
        check_closed(&sample);
        assert!(sample.slots(&sample.open()) == slots, "{}", sample.name);
        for (unit, slot) in (0..).zip(slots) {
            let last = if (unit / 3 + 20) % 4 == 0 { 19 } else { 20 };
            assert!(slot == version(&sample, unit, last), "{}: unit {unit}", sample.name);
        }
    }
}

#[test]
fn what_passes_a_unit_or_gives_a_track_another_address_is_refused() {
    for sample in all() {
        let volume = sample.open_for_update();
        let before = sample.slots(&volume);
        let last = sample.shape.units() - 1;
        let unit_bytes = sample.shape.unit_bytes(UnitIndex(last));
        let refused = |unit: u32, offset: u32, bytes: &[u8], why: &str| {
            let error = volume.write_slot(UnitIndex(unit), offset, bytes).unwrap_err();
            assert!(matches!(error, VolumeError::Refused { .. }), "{}: {error}", sample.name);
            assert!(error.to_string().contains(why), "{}: {error}", sample.name);
        };
        refused(last, unit_bytes - 1, &[1, 2], "pass the end of the unit");
        refused(last, u32::MAX, &[1], "pass the end of the unit");
        refused(last + 1, 0, &[1], "pass the end of the volume");
        assert!(volume.read_slot(UnitIndex(last + 1), &mut [0; 512]).is_err());
        assert!(volume.read_slot(UnitIndex(last), &mut [0; 511]).is_err());
        if matches!(sample.shape, Shape::Ckd(_)) {
            refused(7, 3, &[0xff], "byte 3 of its home address would become FF");
            volume.write_slot(UnitIndex(7), 1, &home(&sample.shape, 7)).unwrap();
        }
        volume.write_slot(UnitIndex(last), unit_bytes, &[]).unwrap();
        volume.close().unwrap();
        let volume = sample.open();
        assert!(sample.slots(&volume) == before, "{}", sample.name);
        let error = volume.write_slot(UnitIndex(0), 0, &[]).unwrap_err();
        assert!(error.to_string().contains("opened for reading only"), "{error}");
    }
}

#[test]
fn who_writes_keeps_everybody_out_but_of_what_lies_below_a_shadow() {
    for sample in all() {
        let volume = sample.open_for_update();
        assert!(volume.is_writable());
        let lock = |path: &Path, operation| flock(File::open(path).unwrap(), operation);
        assert!(lock(&sample.written, FlockOperation::NonBlockingLockShared).is_err(), "{}", sample.name);
        for below in &sample.below {
            lock(below, FlockOperation::NonBlockingLockShared).unwrap();
            assert!(lock(below, FlockOperation::NonBlockingLockExclusive).is_err(), "{}", sample.name);
        }
        drop(volume);
        // A reader keeps writers out.
        let _reader = sample.open();
        assert!(lock(&sample.written, FlockOperation::NonBlockingLockExclusive).is_err(), "{}", sample.name);
    }
}

#[test]
fn a_write_changes_the_fingerprint_of_now_and_not_that_of_then() {
    for sample in all() {
        let volume = sample.open_for_update();
        let then = volume.fingerprint().clone();
        assert_eq!(volume.current_fingerprint().unwrap(), then);
        let unit_bytes = sample.shape.unit_bytes(UnitIndex(3));
        volume.write_slot(UnitIndex(3), unit_bytes - 1, &[0x77]).unwrap();
        volume.write_slot(UnitIndex(3), 100, &[0x77; 9]).unwrap();
        assert_ne!(volume.current_fingerprint().unwrap(), then, "{}", sample.name);
        assert_eq!(volume.fingerprint(), &then);
        volume.check_unchanged().unwrap();
    }
}

/// The book of a compressed volume that is written.
fn editor(volume: &Volume) -> &Editor {
    let Source::Compressed(image) = &volume.source else { panic!("a compressed image") };
    image.top().editor().unwrap()
}

#[test]
fn a_write_without_room_changes_nothing_and_succeeds_when_there_is_room_again() {
    let sample = all().swap_remove(3);
    let volume = sample.open_for_update();
    // A track that does not shrink.
    let noise = |unit: u32, seed: u32| -> Vec<u8> {
        let mut state = seed + 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut slot = track(home(&sample.shape, unit), [0; 8], &[(Vec::new(), (0..3000).map(|_| next()).collect())]);
        slot.extend(END_MARK);
        slot.resize(4096, 0);
        slot
    };
    let limit = volume.room().unwrap().size_bytes + 20_000;
    editor(&volume).space().set_limit(limit);
    let mut full = None;
    for unit in 0..15 {
        let before = sample.slots(&volume)[unit as usize].clone();
        match volume.write_slot(UnitIndex(unit), 0, &noise(unit, unit)) {
            Ok(()) => {}
            Err(VolumeError::NoRoom { needed_bytes, size_bytes, limit_bytes, .. }) => {
                assert!(size_bytes + needed_bytes > limit_bytes && limit_bytes == limit);
                assert!(sample.slots(&volume)[unit as usize] == before);
                full = Some(unit);
                break;
            }
            Err(error) => panic!("{error}"),
        }
    }
    let full = full.unwrap();
    assert!(fs::metadata(&sample.written).unwrap().len() <= limit);
    let null_of = |unit| {
        let mut slot = vec![0; 4096];
        NullFormat::Empty.fill(home(&sample.shape, unit), &mut slot).unwrap();
        slot
    };
    volume.write_slot(UnitIndex(1), 0, &null_of(1)).unwrap();
    // The room that a null track leaves is had by a sync that comes by itself, and so is that of each image replaced.
    for round in 0..3 {
        volume.write_slot(UnitIndex(0), 0, &noise(0, 100 + round)).unwrap();
    }
    volume.write_slot(UnitIndex(2), 0, &null_of(2)).unwrap();
    volume.write_slot(UnitIndex(full), 0, &noise(full, 7)).unwrap();
    volume.close().unwrap();
    check_closed(&sample);
}

#[test]
fn space_is_not_free_while_somebody_reads_it() {
    let sample = all().swap_remove(3);
    let volume = sample.open_for_update();
    volume.write_slot(UnitIndex(0), 40, &[1; 60]).unwrap();
    volume.sync().unwrap();
    volume.write_slot(UnitIndex(0), 40, &[2; 60]).unwrap();
    let retired = volume.room().unwrap().unsynced_bytes;
    assert!(retired > 0);
    let Source::Compressed(image) = &volume.source else { panic!("a compressed image") };
    std::thread::scope(|scope| {
        let reading = image.top().hold();
        let sync = scope.spawn(|| volume.sync().unwrap());
        for _ in 0..10_000 {
            assert_eq!(volume.room().unwrap().unsynced_bytes, retired);
            std::thread::yield_now();
        }
        drop(reading);
        sync.join().unwrap();
    });
    assert_eq!(volume.room().unwrap().unsynced_bytes, 0);
}
