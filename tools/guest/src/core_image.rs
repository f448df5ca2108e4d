//! The guest as a file for `loadcore`, with its parameters filled in.

use crate::assembler::{AssemblyError, Program, assemble};
use crate::parameters::{DiskKind, ParameterError, Parameters};
use crate::random::Random;

/// Source of the guest.
const SOURCE: &str = include_str!("program.asm");
/// First address of the tables of the disks.
const TABLES: u32 = 0x4_0000;
/// Bytes of a track's entry.
const TRACK_ENTRY_BYTES: u32 = 256;
/// Bytes of a block's entry.
const BLOCK_ENTRY_BYTES: u32 = 4;

/// A field of the guest's storage that an operator may read or alter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Operations completed; 4 bytes.
    Done,
    /// Operations after which to stop; 4 bytes.
    Limit,
    /// 4 bytes; not 0 in the first: stop before the next operation.
    Pause,
    /// Microseconds before each operation; 4 bytes.
    Delay,
    /// Channel status word (8), sense (32), operation (4), its kind (4) and its track (4) at an error.
    Bad,
}

/// Storage of the guest before its start.
#[derive(Debug, Clone)]
pub struct CoreImage {
    program: Program,
    storage_bytes: u32,
}

/// Why there is no core image.
#[derive(Debug, thiserror::Error)]
pub enum CoreImageError {
    /// The source can't be assembled.
    #[error("assembling the guest: {0}")]
    Assembly(#[from] AssemblyError),
    /// The parameters are not possible.
    #[error("parameters of the guest: {0}")]
    Parameters(#[from] ParameterError),
}

impl CoreImage {
    /// A guest with these parameters.
    ///
    /// # Errors
    /// When the parameters are not possible.
    pub fn new(parameters: &Parameters) -> Result<Self, CoreImageError> {
        parameters.check()?;
        let mut image = Self { program: assemble(SOURCE)?, storage_bytes: 0 };
        image.set("LIMIT", &parameters.limit.to_be_bytes());
        image.set("DELAY", &parameters.delay_us.to_be_bytes());
        image.set("SEED", &parameters.seed.to_be_bytes());
        image.set("STATE", &Random::start(parameters.seed).to_be_bytes());
        image.set("DISKS", &(parameters.disks.len() as u16).to_be_bytes());
        let mut table = TABLES;
        let mut entries = Vec::new();
        for disk in &parameters.disks {
            let (kind, entry_bytes) = match disk.kind {
                DiskKind::Ckd => (0_u16, TRACK_ENTRY_BYTES),
                DiskKind::FixedBlock => (1, BLOCK_ENTRY_BYTES),
            };
            entries.extend(disk.device.to_be_bytes());
            entries.extend(kind.to_be_bytes());
            for word in [disk.first, disk.count, table] {
                entries.extend(word.to_be_bytes());
            }
            entries.extend(disk.mix.map(|kind| kind as u8));
            table += disk.count * entry_bytes;
        }
        image.set("DISK", &entries);
        image.storage_bytes = table;
        Ok(image)
    }

    /// Bytes to be loaded at address 0.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.program.image
    }

    /// Main storage that the guest needs, in MiB.
    #[must_use]
    pub const fn storage_mib(&self) -> u32 {
        self.storage_bytes.div_ceil(1 << 20)
    }

    /// Addresses and bytes beside the source.
    #[must_use]
    pub fn listing(&self) -> &str {
        &self.program.listing
    }

    /// Address of a field.
    #[must_use]
    pub fn address(&self, field: Field) -> u32 {
        self.symbol(match field {
            Field::Done => "DONE",
            Field::Limit => "LIMIT",
            Field::Pause => "PAUSE",
            Field::Delay => "DELAY",
            Field::Bad => "BADCSW",
        })
    }

    fn symbol(&self, name: &str) -> u32 {
        self.program.symbols.get(name).copied().unwrap_or_else(|| panic!("program.asm defines {name}"))
    }

    fn set(&mut self, name: &str, bytes: &[u8]) {
        let address = self.symbol(name) as usize;
        self.program.image[address..address + bytes.len()].copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Disk;

    #[test]
    fn the_guest_lies_where_register_0_reaches_and_bears_its_parameters() {
        let disks = vec![Disk::ckd(0x150, 15, 435), Disk::fixed_block(0x160, 64, 4096)];
        let image = CoreImage::new(&Parameters { limit: 500, ..Parameters::new(9, disks) }).unwrap();
        assert!(image.bytes().len() <= 4096, "{} bytes", image.bytes().len());
        assert_eq!(image.bytes()[0x20c..0x210], 500_u32.to_be_bytes());
        assert_eq!((image.address(Field::Done), image.address(Field::Limit)), (0x208, 0x20c));
        let second = &image.bytes()[0x320..0x330];
        let table = TABLES + 435 * 256;
        assert_eq!(second[..12], [0x01, 0x60, 0, 1, 0, 0, 0, 64, 0, 0, 16, 0]);
        assert_eq!(second[12..], table.to_be_bytes());
        assert!(image.listing().contains("RESTART  LCTL"));
    }

    #[test]
    fn impossible_parameters_are_told() {
        for (disks, words) in [
            (vec![], "1 to 8 disks, not 0"),
            (vec![Disk::ckd(0x650, 0, 15)], "0650 is not on channels 0 to 5"),
            (vec![Disk::fixed_block(0x160, 0, 31)], "0160: 31 tracks or blocks from 0 on"),
            (vec![Disk::ckd(0x150, 65_000, 600)], "0150: 600 tracks or blocks from 65000 on"),
        ] {
            let error = CoreImage::new(&Parameters::new(1, disks)).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
