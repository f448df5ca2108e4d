//! Format 4: the VTOC itself and the device that it describes.

use binrw::binrw;

use crate::volume::extent::ExtentDescriptor;
use crate::volume::pointer::Pointer;

/// A format 4 DSCB, the first record of a VTOC.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VtocDscb {
    /// Offset 0: 44 times X'04'.
    pub key: [u8; 44],
    /// Offset 44: X'F4'.
    pub format: u8,
    /// Offset 45, `DS4HPCHR`: the last format 1.
    pub last_data_set: Pointer,
    /// Offset 50, `DS4DSREC`: free DSCBs; not kept where there is an index.
    pub free_dscbs: u16,
    /// Offset 52, `DS4HCCHH`: next alternate track.
    pub next_alternate: [u8; 4],
    /// Offset 56, `DS4NOATK`: alternate tracks left.
    pub alternates_left: u16,
    /// Offset 58, `DS4VTOCI`.
    pub flags: VtocFlags,
    /// Offset 59, `DS4NOEXT`: extents of the VTOC, always 1.
    pub extent_count: u8,
    /// Offset 60, `DS4SMSFG`: X'C0' for a volume that SMS manages.
    pub sms: u8,
    /// Offset 61, `DS4DEVAC`: alternate cylinders.
    pub alternate_cylinders: u8,
    /// Offset 62, `DS4DSCYL`: cylinders; [`LARGE`](Self::LARGE) sends the reader to `large_cylinders`.
    pub cylinders: u16,
    /// Offset 64, `DS4DSTRK`: tracks in a cylinder.
    pub heads: u16,
    /// Offset 66, `DS4DEVTK`: track length by the device's capacity formula.
    pub track_length: u16,
    /// Offset 68: overheads of a keyed, a last, and any record; 0 for 3380 and 3390.
    pub overheads: [u8; 3],
    /// Offset 71, `DS4DEVFG`.
    pub device_flags: u8,
    /// Offset 72, `DS4DEVTL`: tolerance.
    pub tolerance: u16,
    /// Offset 74, `DS4DEVDT`: DSCBs on a track.
    pub dscbs_per_track: u8,
    /// Offset 75, `DS4DEVDB`: PDS directory blocks on a track.
    pub directory_blocks_per_track: u8,
    /// Offset 76: stamps and flags of VSAM.
    pub vsam: [u8; 24],
    /// Offset 100, `DS4F6PTR`: format 6.
    pub split_cylinders: Pointer,
    /// Offset 105, `DS4VTOCE`: the extent of the VTOC.
    pub extent: ExtentDescriptor,
    /// Offset 115: reserved.
    pub reserved_115: [u8; 10],
    /// Offset 125, `DS4EFLVL`: X'07' where format 7 is in use.
    pub free_space_level: u8,
    /// Offset 126, `DS4EFPTR`: first format 7.
    pub free_space: Pointer,
    /// Offset 131, `DS4MCU`: cylinders that the upper part of an extended address volume is allocated by.
    pub cylinder_unit: u8,
    /// Offset 132, `DS4DCYL`: cylinders of a large volume.
    pub large_cylinders: u32,
    /// Offset 136, `DS4LCYL`: first cylinder of the upper part, in units of 4095.
    pub first_upper_cylinder: u16,
    /// Offset 138, `DS4DEVF2`: X'40': formats 8 and 9 may be there.
    pub device_flags_2: u8,
    /// Offset 139: reserved.
    pub reserved_139: u8,
}

impl VtocDscb {
    /// `DS4DSCYL` of a volume with more than 65,520 cylinders.
    pub const LARGE: u16 = 0xfffe;

    /// Cylinders of the volume; MVS counts alternates of old devices in.
    #[must_use]
    pub const fn volume_cylinders(&self) -> u32 {
        if self.cylinders == Self::LARGE { self.large_cylinders } else { self.cylinders as u32 }
    }
}

/// `DS4VTOCI`.
#[binrw]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VtocFlags(pub u8);

impl VtocFlags {
    /// DOS bit: format 5 can't be trusted, or the volume has an index.
    pub const DOS: u8 = 0x80;
    /// Format 7 is valid.
    pub const FORMAT_7: u8 = 0x20;
    /// A change of the VTOC was interrupted (DIRF). IBM's table; others have X'40'.
    pub const INTERRUPTED: u8 = 0x04;
    /// The volume has a VTOC index.
    pub const INDEXED: u8 = 0x01;

    /// Whether a flag is on.
    #[must_use]
    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}
