//! Volume labels: `VOL1` of volumes with a VTOC, `LNX1` of Linux LDL disks, `CMS1` of CMS minidisks.
//!
//! On CKD all three are the data of record 3 of cylinder 0 head 0; `VOL1` has a key that says `VOL1` too, and 80 bytes of
//! data. On fixed-block volumes the label opens block 1. (IBM, DFSMSdfp Using Data Sets, "Direct access storage device
//! volume labels"; s390-tools for LNX1; the layout of CMS1 as in Linux `asm/vtoc.h`.)

use binrw::{BinRead, binrw};
use std::io::Cursor;

use super::name::Volser;
use super::pointer::Pointer;
use crate::ebcdic;

/// `VOL1` in EBCDIC.
pub const VOL1: [u8; 4] = ebcdic::from_ascii(*b"VOL1");
/// `LNX1` in EBCDIC.
pub const LNX1: [u8; 4] = ebcdic::from_ascii(*b"LNX1");
/// `CMS1` in EBCDIC.
pub const CMS1: [u8; 4] = ebcdic::from_ascii(*b"CMS1");

/// The standard label, 80 bytes.
#[binrw]
#[brw(big, magic = b"\xe5\xd6\xd3\xf1")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StandardLabel {
    /// Offset 4: volume serial.
    pub volser: [u8; 6],
    /// Offset 10: security byte, of no use.
    pub security: u8,
    /// Offset 11: the format-4 DSCB. On a VSE fixed-block volume bytes 12 to 15 are the VTOC's first block.
    pub vtoc: Pointer,
    /// Offset 16: reserved.
    pub reserved_16: [u8; 5],
    /// Offset 21: fixed-block: length of a control interval of the VTOC.
    pub interval_bytes: u32,
    /// Offset 25: fixed-block: blocks of a control interval.
    pub interval_blocks: u32,
    /// Offset 29: fixed-block: labels in a control interval.
    pub interval_labels: u32,
    /// Offset 33: reserved.
    pub reserved_33: [u8; 4],
    /// Offset 37: owner.
    pub owner: [u8; 14],
    /// Offset 51: reserved.
    pub reserved_51: [u8; 29],
}

impl StandardLabel {
    /// Length on disk.
    pub const BYTES: usize = 80;

    /// Whether the label bears the mark of a volume that CP formatted, `CPVOL` in bytes that others leave alone.
    #[must_use]
    pub fn is_cp(&self) -> bool {
        let mark = ebcdic::from_ascii(*b"CPVOL");
        self.reserved_16 == mark || self.reserved_51.windows(mark.len()).any(|bytes| bytes == mark)
    }
}

/// The label of a Linux LDL disk, 88 bytes at the start of a block.
#[binrw]
#[brw(big, magic = b"\xd3\xd5\xe7\xf1")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinuxLabel {
    /// Offset 4: volume serial.
    pub volser: [u8; 6],
    /// Offset 10: reserved.
    pub reserved_10: [u8; 32],
    /// Offset 42: reserved.
    pub reserved_42: [u8; 32],
    /// Offset 74: reserved.
    pub reserved_74: [u8; 5],
    /// Offset 79: version as an EBCDIC digit.
    pub version: u8,
    /// Offset 80: blocks formatted, from version 2 on.
    pub formatted_blocks: u64,
}

/// The first part of the label of a CMS minidisk, 36 bytes.
#[binrw]
#[brw(big, magic = b"\xc3\xd4\xe2\xf1")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CmsLabel {
    /// Offset 4: volume name.
    pub volser: [u8; 6],
    /// Offset 10: version.
    pub version: u16,
    /// Offset 12: bytes of a block.
    pub block_bytes: u32,
    /// Offset 16: block of the directory.
    pub directory_block: u32,
    /// Offset 20: cylinders (CKD) or blocks formatted.
    pub formatted: u32,
    /// Offset 24: cylinders or blocks that the disk can have.
    pub most: u32,
    /// Offset 28: blocks of the file system.
    pub blocks: u32,
    /// Offset 32: blocks in use.
    pub used_blocks: u32,
}

/// A label of any kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// `VOL1`.
    Standard(StandardLabel),
    /// `LNX1`.
    Linux(LinuxLabel),
    /// `CMS1`.
    Cms(CmsLabel),
}

impl Label {
    /// Finds a label at the start of `data`; `None` if there is none, or it is cut short.
    #[must_use]
    pub fn find(data: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(data);
        match *data.first_chunk::<4>()? {
            VOL1 => StandardLabel::read(&mut cursor).ok().map(Self::Standard),
            LNX1 => LinuxLabel::read(&mut cursor).ok().map(Self::Linux),
            CMS1 => CmsLabel::read(&mut cursor).ok().map(Self::Cms),
            _ => None,
        }
    }

    /// The volume serial.
    #[must_use]
    pub const fn volser(&self) -> Volser {
        Volser::from_ebcdic(match self {
            Self::Standard(label) => label.volser,
            Self::Linux(label) => label.volser,
            Self::Cms(label) => label.volser,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use binrw::BinWrite;

    #[test]
    fn labels_are_found_where_the_sheet_puts_their_fields() {
        let mut bytes = [0x40; 88];
        bytes[..4].copy_from_slice(&VOL1);
        bytes[4..10].copy_from_slice(&ebcdic::from_ascii(*b"PUB010"));
        bytes[11..16].copy_from_slice(&[0, 0, 0, 1, 1]);
        let Some(Label::Standard(label)) = Label::find(&bytes[..80]) else { panic!("no VOL1") };
        assert_eq!(Volser::from_ebcdic(label.volser).to_string(), "PUB010");
        assert_eq!(label.vtoc, Pointer { cchh: [0, 0, 0, 1], record: 1 });
        let mut written = Cursor::new(Vec::new());
        label.write(&mut written).unwrap();
        assert_eq!(written.into_inner(), bytes[..StandardLabel::BYTES]);

        bytes[..4].copy_from_slice(&LNX1);
        bytes[79] = 0xf2;
        bytes[80..].copy_from_slice(&600_840_u64.to_be_bytes());
        let Some(Label::Linux(label)) = Label::find(&bytes) else { panic!("no LNX1") };
        assert_eq!((label.version, label.formatted_blocks), (0xf2, 600_840));
        let mut written = Cursor::new(Vec::new());
        label.write(&mut written).unwrap();
        assert_eq!(written.into_inner(), bytes);

        bytes[..4].copy_from_slice(&CMS1);
        bytes[12..16].copy_from_slice(&4096_u32.to_be_bytes());
        let Some(Label::Cms(label)) = Label::find(&bytes) else { panic!("no CMS1") };
        assert_eq!(label.block_bytes, 4096);
        let mut written = Cursor::new(Vec::new());
        label.write(&mut written).unwrap();
        assert_eq!(written.into_inner(), bytes[..36]);
    }

    #[test]
    fn a_label_cut_short_is_none() {
        assert_eq!(Label::find(&VOL1), None);
        assert_eq!(Label::find(&[]), None);
        assert_eq!(Label::find(&[0; 80]), None);
    }
}
