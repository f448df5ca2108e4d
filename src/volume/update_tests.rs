//! Writing volumes in place, in every format that can be written.

use std::fs;

use proptest::prelude::*;
use proptest::sample::Index;
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::dasd::track::END_MARK;

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
    #![proptest_config(ProptestConfig::with_cases(24))]

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
