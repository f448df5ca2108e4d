//! The shape of a volume: how many units it has, and what their addresses are called.

use std::fmt;

use tapegate_formats::dasd::address::{Cchh, TrackIndex};
use tapegate_formats::dasd::geometry::Geometry;

/// Bytes that are moved at once. Measured from 256 KiB to 4 MiB: below 512 KiB calls cost more, above 1 MiB the bytes
/// leave the processor's cache between reading, hashing and writing.
const STAGE_BYTES: u32 = 1 << 20;

/// Number of a unit on its volume, from 0: a track, or a group of fixed blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitIndex(pub u32);

/// What a volume is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Count-key-data; a unit is a track.
    Ckd(Geometry),
    /// Fixed blocks; a unit is a group of neighbouring blocks.
    FixedBlock(BlockShape),
}

/// The shape of a fixed-block volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockShape {
    /// Blocks of the volume.
    pub blocks: u64,
    /// Bytes of a block.
    pub block_bytes: u32,
    /// Blocks of a unit; the last unit may have fewer.
    pub unit_blocks: u32,
}

impl Shape {
    /// Units of the volume.
    #[must_use]
    pub fn units(&self) -> u32 {
        match self {
            Self::Ckd(geometry) => geometry.tracks(),
            Self::FixedBlock(shape) => u32::try_from(shape.blocks.div_ceil(u64::from(shape.unit_blocks))).unwrap_or(u32::MAX),
        }
    }

    /// The address of a unit, in the words of the volume's kind.
    #[must_use]
    pub fn address(&self, unit: UnitIndex) -> UnitAddress {
        match self {
            Self::Ckd(geometry) => UnitAddress::Track(geometry.cchh(TrackIndex(unit.0))),
            Self::FixedBlock(shape) => UnitAddress::Block(u64::from(unit.0) * u64::from(shape.unit_blocks)),
        }
    }

    /// Bytes of a unit as a plain image has it: a track's slot; fixed blocks, of which the last unit may have fewer and
    /// a unit past the end none.
    #[must_use]
    pub fn unit_bytes(&self, unit: UnitIndex) -> u32 {
        match self {
            Self::Ckd(geometry) => geometry.slot_bytes(),
            Self::FixedBlock(shape) => {
                let left = shape.blocks.saturating_sub(u64::from(unit.0) * u64::from(shape.unit_blocks));
                u32::try_from(left).map_or(shape.unit_blocks, |left| left.min(shape.unit_blocks)) * shape.block_bytes
            }
        }
    }

    /// Units that the copier moves at once: about 1 MiB of either kind.
    #[must_use]
    pub fn stage_units(&self) -> u32 {
        match self {
            Self::Ckd(geometry) => (STAGE_BYTES / geometry.slot_bytes()).max(1),
            Self::FixedBlock(shape) => (STAGE_BYTES / (shape.block_bytes * shape.unit_blocks)).max(1),
        }
    }

    /// Longest body that a unit of the volume can have.
    #[must_use]
    pub fn longest_body_bytes(&self) -> u32 {
        match self {
            Self::Ckd(geometry) => geometry.slot_bytes(),
            Self::FixedBlock(shape) => shape.block_bytes * shape.unit_blocks,
        }
    }
}

/// A unit's address as an operator knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitAddress {
    /// A track.
    Track(Cchh),
    /// The first block of a group.
    Block(u64),
}

impl fmt::Display for UnitAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Track(track) => track.fmt(f),
            Self::Block(block) => write!(f, "block {block}"),
        }
    }
}
