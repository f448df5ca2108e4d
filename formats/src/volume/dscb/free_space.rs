//! Formats 5 and 7: free space. Nothing is decided by them, because systems rebuild them; they are read to be shown.

use binrw::binrw;

use crate::volume::pointer::Pointer;

/// Free tracks of a format 5 DSCB.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeRun {
    /// First free track, as its number on the volume.
    pub first_track: u16,
    /// Whole cylinders.
    pub cylinders: u16,
    /// Tracks beyond them.
    pub tracks: u8,
}

/// A format 5 DSCB: 26 runs of free tracks.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FreeSpaceDscb {
    /// Offset 0: four times X'05'.
    pub key: [u8; 4],
    /// Offset 4: eight runs in the key.
    pub in_key: [FreeRun; 8],
    /// Offset 44: X'F5'.
    pub format: u8,
    /// Offset 45: 18 runs in the data.
    pub in_data: [FreeRun; 18],
    /// Offset 135: the next format 5.
    pub next: Pointer,
}

/// Free tracks of a format 7 DSCB.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeSpan {
    /// First free track, as its number on the volume.
    pub first_track: u32,
    /// The track behind the last free one.
    pub end_track: u32,
}

/// A format 7 DSCB: 16 spans of free tracks.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WideFreeSpaceDscb {
    /// Offset 0: four times X'07'.
    pub key: [u8; 4],
    /// Offset 4: five spans in the key.
    pub in_key: [FreeSpan; 5],
    /// Offset 44: X'F7'.
    pub format: u8,
    /// Offset 45: 11 spans in the data.
    pub in_data: [FreeSpan; 11],
    /// Offset 133: reserved.
    pub reserved_133: [u8; 2],
    /// Offset 135: the next format 7.
    pub next: Pointer,
}
