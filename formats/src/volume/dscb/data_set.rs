//! Formats 1 and 8: a data set, its attributes and first extents.

use binrw::binrw;

use crate::volume::date::DscbDate;
use crate::volume::extent::ExtentDescriptor;
use crate::volume::pointer::Pointer;

/// A format 1 DSCB, or a format 8, which has the same layout and stands on extended address volumes only.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSetDscb {
    /// Offset 0, `DS1DSNAM`: name, blank padded.
    pub name: [u8; 44],
    /// Offset 44, `DS1FMTID`: X'F1' or X'F8'.
    pub format: u8,
    /// Offset 45, `DS1DSSN`: serial of the data set's first volume.
    pub first_volser: [u8; 6],
    /// Offset 51, `DS1VOLSQ`: which volume of the data set this is, from 1.
    pub volume_sequence: u16,
    /// Offset 53, `DS1CREDT`: created.
    pub created: DscbDate,
    /// Offset 56, `DS1EXPDT`: expires.
    pub expires: DscbDate,
    /// Offset 59, `DS1NOEPV`: extents on this volume.
    pub extent_count: u8,
    /// Offset 60, `DS1NOBDB`: PDS: bytes used in the last directory block.
    pub directory_last_bytes: u8,
    /// Offset 61, `DS1FLAG1`: X'80' compressible, X'40' checkpointed, X'08' large format.
    pub flags: u8,
    /// Offset 62, `DS1SYSCD`: system that made it.
    pub system: [u8; 13],
    /// Offset 75, `DS1REFD`: last referenced.
    pub referenced: DscbDate,
    /// Offset 78, `DS1SMSFG`.
    pub sms: SmsFlags,
    /// Offset 79, `DS1SCEXT`: extension of the secondary amount.
    pub secondary_extension: [u8; 3],
    /// Offset 82, `DS1DSORG`: see [`Dsorg`](crate::volume::attributes::Dsorg).
    pub dsorg: u16,
    /// Offset 84, `DS1RECFM`: see [`Recfm`](crate::volume::attributes::Recfm).
    pub recfm: u8,
    /// Offset 85, `DS1OPTCD`: option codes; for VSAM X'80' cataloged in an ICF catalog, X'40' is one.
    pub options: u8,
    /// Offset 86, `DS1BLKL`: block length.
    pub block_length: u16,
    /// Offset 88, `DS1LRECL`: record length; X'8000' for longer ones (`LRECL=X`).
    pub record_length: u16,
    /// Offset 90, `DS1KEYL`: key length.
    pub key_length: u8,
    /// Offset 91, `DS1RKP`: place of the key in a record.
    pub key_position: u16,
    /// Offset 93, `DS1DSIND`.
    pub indicators: Indicators,
    /// Offset 94, `DS1SCALO`: how space was asked for, and the secondary amount (low three bytes).
    pub secondary: u32,
    /// Offset 98, `DS1LSTAR`: track and record last used, without the bits above 16 of the track.
    pub last_track: u16,
    /// Offset 100: record number of `DS1LSTAR`.
    pub last_record: u8,
    /// Offset 101, `DS1TRBAL`: bytes left on the last track, or the high half of its number (extended format).
    pub track_balance: u16,
    /// Offset 103: reserved.
    pub reserved_103: u8,
    /// Offset 104, `DS1TTTHI`: large format: high byte of the last track's number.
    pub last_track_high: u8,
    /// Offset 105, `DS1EXT1` to `DS1EXT3`.
    pub extents: [ExtentDescriptor; 3],
    /// Offset 135, `DS1PTRDS`: format 2 or 3, for format 8 a format 9.
    pub next: Pointer,
}

impl DataSetDscb {
    /// Whether the data set may have more than 65,535 tracks on a volume (`DSNTYPE=LARGE`).
    #[must_use]
    pub const fn is_large_format(&self) -> bool {
        self.flags & 0x08 != 0
    }

    /// Track and record of `DS1LSTAR`, with the bits above 16 from where the kind of data set keeps them.
    #[must_use]
    pub fn last_used(&self) -> (u32, u8) {
        let high = if self.sms.has(SmsFlags::EXTENDED_FORMAT) {
            u32::from(self.track_balance)
        } else if self.is_large_format() {
            u32::from(self.last_track_high)
        } else {
            0
        };
        (high << 16 | u32::from(self.last_track), self.last_record)
    }

    /// The 140 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; super::BYTES] {
        super::written(self)
    }
}

/// `DS1SMSFG`.
#[binrw]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SmsFlags(pub u8);

impl SmsFlags {
    /// Managed by SMS.
    pub const MANAGED: u8 = 0x80;
    /// Managed and not cataloged.
    pub const UNCATALOGED: u8 = 0x40;
    /// PDSE.
    pub const PDSE: u8 = 0x08;
    /// Extended format.
    pub const EXTENDED_FORMAT: u8 = 0x04;
    /// HFS.
    pub const HFS: u8 = 0x02;

    /// Whether a flag is on.
    #[must_use]
    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }
}

/// `DS1DSIND`.
#[binrw]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indicators(pub u8);

impl Indicators {
    /// The data set ends on this volume.
    pub const LAST_VOLUME: u8 = 0x80;
    /// Protected by RACF.
    pub const RACF: u8 = 0x40;
    /// Protected by a password.
    pub const PASSWORD: u8 = 0x10;
    /// Changed since it was backed up.
    pub const CHANGED: u8 = 0x02;

    /// Whether an indicator is on.
    #[must_use]
    pub const fn has(self, indicator: u8) -> bool {
        self.0 & indicator != 0
    }
}

#[cfg(test)]
mod tests {
    use crate::volume::dscb::{BYTES, Dscb, format};

    #[test]
    fn the_last_track_takes_its_high_bits_from_where_the_kind_keeps_them() {
        let mut bytes = [0; BYTES];
        bytes[44] = format::F1;
        bytes[98..101].copy_from_slice(&[0x12, 0x34, 5]);
        bytes[101..103].copy_from_slice(&[0x00, 0x02]);
        bytes[104] = 0x01;
        let last_used = |bytes: &[u8; BYTES]| match Dscb::parse(bytes) {
            Dscb::DataSet(dscb) => dscb.last_used(),
            other => panic!("{other:?}"),
        };
        assert_eq!(last_used(&bytes), (0x1234, 5));
        bytes[61] = 0x08;
        assert_eq!(last_used(&bytes), (0x01_1234, 5));
        bytes[78] = 0x04;
        assert_eq!(last_used(&bytes), (0x02_1234, 5));
    }
}
