//! What a guest is told.

use std::fmt;

/// What a guest does with a disk, as `program.asm` numbers it. A track that has no records is formatted, whatever the
/// kind of operation; on a fixed-block disk everything but a read writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads a track or blocks, and compares.
    Read = 0,
    /// Reads the data of one record, and compares.
    ReadRecord = 1,
    /// Writes the data of a record.
    Update = 2,
    /// Writes key and data of a record.
    UpdateWithKey = 3,
    /// Writes one record on each of two tracks, in one channel program.
    UpdatePair = 4,
    /// Writes all records of a track anew, in another layout.
    Format = 5,
    /// Writes an end-of-file record in the place of a record.
    Cut = 6,
    /// Writes the data of a record and of all behind it.
    UpdateRun = 7,
}

/// Of which kind a disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskKind {
    /// Count-key-data, with 15 tracks a cylinder and the capacity of a 3390 track.
    Ckd,
    /// Fixed blocks of 512 bytes.
    FixedBlock,
}

/// A disk that the guest uses.
#[derive(Debug, Clone)]
pub struct Disk {
    /// Device number; channels 0 to 5.
    pub device: u16,
    /// Of which kind it is.
    pub kind: DiskKind,
    /// First track or block that the guest may use.
    pub first: u32,
    /// Tracks or blocks that it may use.
    pub count: u32,
    /// Operations, of which one is drawn each time.
    pub mix: [Kind; 16],
}

impl Disk {
    /// Every kind of operation that leaves a file image right after each single one: no pairs, which a host writes to
    /// a file one track after the other.
    pub const MIXED: [Kind; 16] = {
        use Kind::{Cut, Format, Read, ReadRecord, Update, UpdateRun, UpdateWithKey};
        [
            Read,
            ReadRecord,
            ReadRecord,
            Update,
            Update,
            Update,
            Update,
            Update,
            UpdateWithKey,
            UpdateWithKey,
            UpdateRun,
            UpdateRun,
            Format,
            Format,
            Cut,
            Update,
        ]
    };

    /// As [`MIXED`](Self::MIXED), with pairs.
    pub const MIXED_WITH_PAIRS: [Kind; 16] = {
        let mut mix = Self::MIXED;
        mix[3] = Kind::UpdatePair;
        mix[4] = Kind::UpdatePair;
        mix
    };

    /// Reads and writes by halves, for fixed-block disks.
    pub const HALF_READS: [Kind; 16] = {
        let mut mix = [Kind::Update; 16];
        let mut number = 0;
        while number < 8 {
            mix[number] = Kind::Read;
            number += 1;
        }
        mix
    };

    /// A count-key-data disk.
    #[must_use]
    pub const fn ckd(device: u16, first: u32, count: u32) -> Self {
        Self { device, kind: DiskKind::Ckd, first, count, mix: Self::MIXED }
    }

    /// A fixed-block disk.
    #[must_use]
    pub const fn fixed_block(device: u16, first: u32, count: u32) -> Self {
        Self { device, kind: DiskKind::FixedBlock, first, count, mix: Self::HALF_READS }
    }

    /// The same with another mix.
    #[must_use]
    pub const fn with_mix(mut self, mix: [Kind; 16]) -> Self {
        self.mix = mix;
        self
    }
}

/// Everything that a guest is told.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// One to eight disks.
    pub disks: Vec<Disk>,
    /// Goes into everything that is written, and into the order of operations.
    pub seed: u32,
    /// Operations after which the guest stops.
    pub limit: u32,
    /// Pause before each operation, in microseconds; less than a second.
    pub delay_us: u32,
}

/// Most disks of a guest.
pub const MOST_DISKS: usize = 8;
/// Most tracks or blocks of a disk: what the guest's random numbers reach.
const MOST_UNITS: u32 = 65_535;
/// Fewest blocks of a fixed-block disk: the longest transfer.
pub const LONGEST_BLOCKS: u32 = 32;

impl Parameters {
    /// Parameters without limit and delay.
    #[must_use]
    pub const fn new(seed: u32, disks: Vec<Disk>) -> Self {
        Self { disks, seed, limit: u32::MAX, delay_us: 0 }
    }

    /// Says what the guest could not do.
    ///
    /// # Errors
    /// The reason, for people.
    pub fn check(&self) -> Result<(), ParameterError> {
        let fail = |reason: String| Err(ParameterError(reason));
        if self.disks.is_empty() || self.disks.len() > MOST_DISKS {
            return fail(format!("a guest has 1 to {MOST_DISKS} disks, not {}", self.disks.len()));
        }
        if self.delay_us >= 1_000_000 {
            return fail(format!("a delay is less than a second, not {} microseconds", self.delay_us));
        }
        for disk in &self.disks {
            let device = disk.device;
            let fewest = if disk.kind == DiskKind::Ckd { 1 } else { LONGEST_BLOCKS };
            if device > 0x5ff {
                return fail(format!("{device:04X} is not on channels 0 to 5"));
            }
            if !(fewest..=MOST_UNITS).contains(&disk.count) || disk.first.saturating_add(disk.count) > 1 << 16 {
                return fail(format!(
                    "{device:04X}: {} tracks or blocks from {} on are not {fewest} to {MOST_UNITS} below 65,536",
                    disk.count, disk.first
                ));
            }
        }
        Ok(())
    }
}

/// Why parameters are not possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterError(String);

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ParameterError {}
