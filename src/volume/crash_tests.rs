//! A file that ends between any two writes has every unit as it was, or as it became; and what a sync acknowledged is
//! there whatever the storage forgets of what came after.

use std::fs;
use std::process::Command;

use tapegate_formats::dasd::compressed_header::OPTION_OPENED;
use tapegate_formats::dasd::device_header::OffsetWidth;
use tapegate_formats::dasd::track::END_MARK;

use super::create::CreateOptions;
use super::opened::Source;
use super::recorder::Change;
use super::round_trip_tests::{home, track};
use super::writable_images::{Sample, blocks, sample, tracks};
use super::*;

/// A run of writes: what the file underwent, and what the volume had at which point.
struct Run {
    /// The file before it.
    start: Vec<u8>,
    changes: Vec<Change>,
    /// The volume after each step, and the number of changes until then.
    states: Vec<(usize, Vec<Vec<u8>>)>,
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

fn samples() -> Vec<Sample> {
    let new = CreateOptions::new;
    vec![
        sample("cckd", tracks(), &new(ImageFormat::Cckd), &[]),
        sample("cckd64", tracks(), &new(ImageFormat::Cckd64), &[]),
        sample("cfba", blocks(), &new(ImageFormat::CompressedFba), &[]),
        sample("shadow of cckd", tracks(), &new(ImageFormat::Cckd), &[OffsetWidth::Bits32]),
        sample("shadow of plain tracks", tracks(), &new(ImageFormat::Ckd), &[OffsetWidth::Bits64]),
    ]
}

/// Writes and rewrites units, with syncs and compaction in between, and closes the volume.
fn run(sample: &Sample, steps: usize) -> Run {
    let start = fs::read(&sample.written).unwrap();
    let volume = sample.open_for_update();
    let recorder = &volume.source.files().into_iter().find(|file| file.is_writable()).unwrap().recorder;
    recorder.start();
    let mut model = sample.slots(&volume);
    let mut states = vec![(0, model.clone())];
    let mut numbers = Numbers(0x2545_f491_4f6c_dd1d);
    for step in 0..steps {
        match step % 12 {
            5 => volume.sync().unwrap(),
            10 => {
                volume.compact(6000).unwrap();
            }
            _ => {
                // Few units, so that they are written again and again and space is used again.
                let unit = numbers.below(24) * (model.len() / 24);
                let (offset, bytes) = content(sample, unit, &mut numbers);
                volume.write_slot(UnitIndex(u32::try_from(unit).unwrap()), offset, &bytes).unwrap();
                model[unit][offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
                model[unit] = sample.kept(u32::try_from(unit).unwrap(), model[unit].clone());
            }
        }
        states.push((recorder.len(), model.clone()));
    }
    let before_close = recorder.len();
    let Source::Compressed(image) = &volume.source else { panic!("a compressed image") };
    image.close().unwrap();
    assert!(recorder.len() > before_close);
    states.push((recorder.len(), model));
    let changes = recorder.changes();
    Run { start, changes, states }
}

fn content(sample: &Sample, unit: usize, numbers: &mut Numbers) -> (u32, Vec<u8>) {
    let number = u32::try_from(unit).unwrap();
    if !matches!(sample.shape, Shape::Ckd(_)) {
        let length = 512 * (1 + numbers.below(sample.shape.unit_bytes(UnitIndex(number)) as usize / 512));
        return (0, (0..length).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect());
    }
    let length = numbers.below(3000);
    let data = (0..length).map(|_| u8::try_from(numbers.below(256)).unwrap()).collect();
    let mut bytes = track(home(&sample.shape, number), [0; 8], &[(Vec::new(), data)]);
    bytes.extend(END_MARK);
    (5, bytes.split_off(5))
}

#[test]
fn a_file_that_ends_between_any_two_writes_has_each_unit_old_or_new() {
    for sample in samples() {
        let run = run(&sample, 60);
        let mut file = run.start.clone();
        let mut state = 0;
        for number in 0..=run.changes.len() {
            if number > 0 {
                run.changes[number - 1].apply(&mut file);
            }
            while run.states[state + 1..].first().is_some_and(|(end, _)| *end <= number) {
                state += 1;
            }
            // Marked from the first change to the last but the sync of it.
            let marked = (1..run.changes.len() - 1).contains(&number);
            assert_eq!(file[515] & OPTION_OPENED != 0, marked, "{} after {number} changes", sample.name);
            sample.replace_written(&file);
            let found = sample.slots(&sample.open());
            let next = run.states.get(state + 1).map(|(_, slots)| slots);
            let right = found == run.states[state].1 || next.is_some_and(|slots| found == *slots);
            assert!(right, "{} after {number} of {} changes", sample.name, run.changes.len());
            // Whoever goes on with it finds its tables in order, and can write.
            if number % 13 == 0 {
                let volume = sample.open_for_update();
                let (offset, bytes) = content(&sample, 1, &mut Numbers(7));
                volume.write_slot(UnitIndex(1), offset, &bytes).unwrap();
                volume.close().unwrap();
                let again = sample.open();
                assert!(again.findings().is_empty(), "{}: {:?}", sample.name, again.findings());
                let mut expected = found;
                expected[1][offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
                expected[1] = sample.kept(1, expected[1].clone());
                assert!(sample.slots(&again) == expected, "{} taken up after {number} changes", sample.name);
            }
        }
    }
}

#[test]
fn the_checker_of_hercules_only_lists_free_space_anew_wherever_the_file_ends() {
    if Command::new("cckdcdsk").output().is_err() {
        eprintln!("skipped: cckdcdsk is not installed");
        return;
    }
    // It knows 32-bit files alone.
    for sample in samples().iter().filter(|sample| !sample.name.contains("64") && !sample.name.contains("plain")) {
        let run = run(sample, 60);
        let mut file = run.start.clone();
        for (number, change) in (1..).zip(&run.changes) {
            change.apply(&mut file);
            let last = number == run.changes.len();
            if number % 9 != 0 && !last {
                continue;
            }
            sample.replace_written(&file);
            let found = sample.slots(&sample.open());
            let options: &[&str] = if last { &["-3"] } else { &["-f", "-3"] };
            let output = Command::new("cckdcdsk").args(options).arg(&sample.written).output().unwrap();
            let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
            let said = text.split(|end: char| end.is_control()).filter(|line| line.contains("HHC"));
            // Sizes in the header, and the list of free spaces, which it makes anew.
            let harmless = ["HHCCU601W", "HHCCU610W", "HHCCU104I"];
            let wrong: Vec<_> = said.filter(|line| last || !harmless.iter().any(|known| line.contains(known))).collect();
            assert!(wrong.is_empty(), "{} after {number} of {} changes: {wrong:?}", sample.name, run.changes.len());
            assert!(sample.slots(&sample.open()) == found, "{} after {number} changes: cckdcdsk changed a unit", sample.name);
        }
    }
}

#[test]
fn what_was_synced_is_there_whatever_the_storage_forgets_of_what_came_later() {
    for sample in samples() {
        let run = run(&sample, 60);
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let mut durable = run.start.clone();
        let mut first = 0;
        for (number, change) in run.changes.iter().enumerate() {
            if *change != Change::Sync {
                continue;
            }
            // The state at the last sync, and any of the writes between that and this one.
            for _ in 0..6 {
                let mut file = durable.clone();
                run.changes[first..number].iter().filter(|_| numbers.below(2) == 0).for_each(|change| change.apply(&mut file));
                check_synced(&sample, &run, first, number, &file);
            }
            run.changes[first..number].iter().for_each(|change| change.apply(&mut durable));
            first = number + 1;
        }
    }
}

/// That units which nobody wrote between two points are as they were at the first.
fn check_synced(sample: &Sample, run: &Run, first: usize, last: usize, file: &[u8]) {
    let before = &run.states.iter().rev().find(|(end, _)| *end <= first).unwrap().1;
    let after = &run.states.iter().find(|(end, _)| *end >= last).unwrap().1;
    sample.replace_written(file);
    let volume = sample.open();
    for (unit, (was, became)) in (0..).zip(before.iter().zip(after)) {
        let group = unit / 15 * 15..unit / 15 * 15 + 15;
        // A block group is stored in one piece.
        let written = match &sample.shape {
            Shape::Ckd(_) => was != became,
            Shape::FixedBlock(_) => group.clone().any(|unit| before.get(unit as usize) != after.get(unit as usize)),
        };
        let mut slot = vec![0; was.len()];
        let read = volume.read_slot(UnitIndex(unit), &mut slot);
        if !written {
            read.unwrap_or_else(|error| panic!("{} between {first} and {last}: {error}", sample.name));
            assert!(slot == *was, "{}: unit {unit} changed between {first} and {last}", sample.name);
        }
    }
}
