//! What the disks hold after any number of operations.
//!
//! It draws the same random numbers in the same order as `program.asm`, which says in its comments what is drawn.

use std::ops::Range;

use crate::content::content;
use crate::parameters::{Disk, DiskKind, Kind, LONGEST_BLOCKS, Parameters};
use crate::random::Random;

/// Layouts of a track: records, key length, data length.
const LAYOUTS: [(u8, u8, u16); 8] =
    [(12, 0, 4096), (8, 8, 800), (1, 0, 56_664), (20, 0, 80), (16, 44, 96), (3, 16, 13_000), (2, 0, 27_998), (5, 1, 33)];
/// Tracks of a cylinder.
const HEADS: u32 = 15;
/// Bytes of a block.
const BLOCK_BYTES: usize = 512;
/// What makes the identity of a key differ from that of its record.
const KEY: u32 = 0x80;

/// The disks as a guest leaves them.
#[derive(Debug, Clone)]
pub struct Model {
    seed: u32,
    random: Random,
    done: u32,
    disks: Vec<(Disk, Units)>,
}

/// What an operation wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Which of the guest's disks.
    pub disk: usize,
    /// Tracks or blocks, by their numbers on the disk.
    pub units: Range<u32>,
}

#[derive(Debug, Clone)]
enum Units {
    Tracks(Vec<Track>),
    /// The operation that wrote a block; 0 none.
    Blocks(Vec<u32>),
}

#[derive(Debug, Clone, Default)]
struct Track {
    formatted: bool,
    layout: usize,
    end_of_file: bool,
    /// Operations that wrote the key and the data.
    records: Vec<(u32, u32)>,
}

impl Model {
    /// The disks before the first operation.
    #[must_use]
    pub fn new(parameters: &Parameters) -> Self {
        let units = |disk: &Disk| match disk.kind {
            DiskKind::Ckd => Units::Tracks(vec![Track::default(); disk.count as usize]),
            DiskKind::FixedBlock => Units::Blocks(vec![0; disk.count as usize]),
        };
        Self {
            seed: parameters.seed,
            random: Random::new(parameters.seed),
            done: 0,
            disks: parameters.disks.iter().map(|disk| (disk.clone(), units(disk))).collect(),
        }
    }

    /// Operations done.
    #[must_use]
    pub const fn done(&self) -> u32 {
        self.done
    }

    /// Goes on to the state after `operations`.
    ///
    /// # Panics
    /// When that lies behind: the model does not go back.
    pub fn advance_to(&mut self, operations: u32) {
        assert!(self.done <= operations, "the model stands at operation {}, behind {operations}", self.done);
        while self.done < operations {
            self.step();
        }
    }

    /// Does the next operation and tells what it wrote; nothing, for a read.
    pub fn step(&mut self) -> Vec<Change> {
        self.done += 1;
        let number = self.random.below(self.disks.len() as u32) as usize;
        let (disk, units) = &mut self.disks[number];
        let kind = disk.mix[(self.random.next() >> 28) as usize];
        let written = match units {
            Units::Tracks(tracks) => operate_on_tracks(tracks, kind, self.done, &mut self.random),
            Units::Blocks(blocks) => operate_on_blocks(blocks, kind, self.done, &mut self.random),
        };
        let first = disk.first;
        let absolute = |units: Range<u32>| Change { disk: number, units: units.start + first..units.end + first };
        written.into_iter().map(absolute).collect()
    }

    /// What a track or block holds: a track from its home address to its last record, a block whole. `None` where the
    /// guest never wrote, or must not.
    #[must_use]
    pub fn contents(&self, disk: usize, unit: u32) -> Option<Vec<u8>> {
        let (settings, units) = self.disks.get(disk)?;
        let index = unit.checked_sub(settings.first)? as usize;
        let device = (disk as u32) << 24;
        match units {
            Units::Tracks(tracks) => tracks.get(index).filter(|track| track.formatted).map(|track| {
                let identity = device + (unit << 8);
                track.bytes(self.seed, unit, identity)
            }),
            Units::Blocks(blocks) => {
                let operation = blocks.get(index).copied().filter(|operation| *operation > 0)?;
                Some(content(self.seed, operation, device + unit, BLOCK_BYTES))
            }
        }
    }
}

fn operate_on_tracks(tracks: &mut [Track], kind: Kind, operation: u32, random: &mut Random) -> Vec<Range<u32>> {
    let count = tracks.len() as u32;
    let first = random.below(count);
    let _style = random.next();
    let track = &mut tracks[first as usize];
    let records = track.records.len() as u32;
    let written = |track: u32| track..track + 1;
    match kind {
        _ if records == 0 => track.format(operation, random),
        Kind::Read => return Vec::new(),
        Kind::ReadRecord => {
            random.below(records);
            return Vec::new();
        }
        Kind::Update => track.records[random.below(records) as usize].1 = operation,
        Kind::UpdateWithKey => track.records[random.below(records) as usize] = (operation, operation),
        Kind::UpdatePair => {
            let record = random.below(records) as usize;
            let second = random.below(count);
            let other = &mut tracks[second as usize];
            if other.records.is_empty() {
                tracks[first as usize].format(operation, random);
            } else {
                let other_record = random.below(other.records.len() as u32) as usize;
                other.records[other_record].1 = operation;
                tracks[first as usize].records[record].1 = operation;
                return vec![written(first), written(second)];
            }
        }
        Kind::Format => track.format(operation, random),
        Kind::Cut => {
            track.records.truncate(random.below(records) as usize);
            track.end_of_file = true;
        }
        Kind::UpdateRun => {
            let from = random.below(records) as usize;
            for record in &mut track.records[from..] {
                record.1 = operation;
            }
        }
    }
    vec![written(first)]
}

fn operate_on_blocks(blocks: &mut [u32], kind: Kind, operation: u32, random: &mut Random) -> Vec<Range<u32>> {
    let count = random.below(LONGEST_BLOCKS) + 1;
    let first = random.below(blocks.len() as u32 - count + 1);
    if kind == Kind::Read {
        return Vec::new();
    }
    let written = first..first + count;
    blocks[written.start as usize..written.end as usize].fill(operation);
    vec![written]
}

impl Track {
    fn format(&mut self, operation: u32, random: &mut Random) {
        self.formatted = true;
        self.layout = random.below(LAYOUTS.len() as u32) as usize;
        self.end_of_file = false;
        self.records = vec![(operation, operation); usize::from(LAYOUTS[self.layout].0)];
    }

    /// The track as it lies in an image, without end mark: home address, R0, records.
    fn bytes(&self, seed: u32, number: u32, identity: u32) -> Vec<u8> {
        let home = [number / HEADS, number % HEADS].map(|half| (half as u16).to_be_bytes()).concat();
        let mut bytes = vec![0];
        bytes.extend(&home);
        let count = |record: u8, key: u8, data: u16| {
            let mut count = home.clone();
            count.extend([record, key]);
            count.extend(data.to_be_bytes());
            count
        };
        bytes.extend(count(0, 0, 8));
        bytes.extend([0; 8]);
        let (_, key, data) = LAYOUTS[self.layout];
        let mut next = 1;
        for (key_operation, data_operation) in &self.records {
            bytes.extend(count(next, key, data));
            let identity = identity + u32::from(next);
            bytes.extend(content(seed, *key_operation, identity + KEY, usize::from(key)));
            bytes.extend(content(seed, *data_operation, identity, usize::from(data)));
            next += 1;
        }
        if self.end_of_file {
            bytes.extend(count(next, 0, 0));
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_changes_what_it_says_and_nothing_else() {
        let disks = vec![
            Disk::ckd(0x150, 30, 8).with_mix(Disk::MIXED_WITH_PAIRS),
            Disk::fixed_block(0x160, 100, 200),
            Disk::ckd(0x151, 0, 5),
        ];
        let ends = [30..38, 100..300, 0..5];
        let mut model = Model::new(&Parameters::new(3, disks));
        let all = |model: &Model| -> Vec<Vec<_>> {
            ends.iter().enumerate().map(|(disk, units)| units.clone().map(|unit| model.contents(disk, unit)).collect()).collect()
        };
        let mut before = all(&model);
        for _ in 0..200 {
            let changes = model.step();
            let after = all(&model);
            for (disk, units) in ends.iter().enumerate() {
                for (index, unit) in units.clone().enumerate() {
                    let told = changes.iter().any(|change| change.disk == disk && change.units.contains(&unit));
                    let changed = before[disk][index] != after[disk][index];
                    assert_eq!(told, changed, "operation {}: unit {unit} of disk {disk}", model.done());
                }
            }
            before = after;
        }
        let written = before.iter().flatten().filter(|unit| unit.is_some()).count();
        assert!(written > 190, "200 operations reach nearly all of 213 units, not {written}");
    }

    /// The largest layout is as long as Hercules' slot of a 3390 allows, with home address, R0 and end mark.
    #[test]
    fn every_layout_fits_the_slot_of_a_3390() {
        for (records, key, data) in LAYOUTS {
            let bytes = 5 + 16 + u32::from(records) * (8 + u32::from(key) + u32::from(data)) + 8;
            assert!(bytes <= 56_832, "{records} records: {bytes}");
        }
    }
}
