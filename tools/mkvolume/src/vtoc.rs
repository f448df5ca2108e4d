//! The volume label and the VTOC.
//!
//! Source: IBM, DFSMSdfp Advanced Services, "VTOC and VTOC index", and the volumes that Hercules `dasdload` makes.

use crate::text::ebcdic;
use crate::track::{HEADS, Slot, TRACK_LENGTH, cchh, record_space, records_per_track};

/// The creation date in DSCBs: year 126, day 1, 2026-01-01.
const CREATED: [u8; 3] = [126, 0, 1];
const DSCB_BYTES: usize = 140;

/// A sequential data set in one extent.
#[derive(Debug)]
pub struct DataSet {
    pub name: String,
    /// First track, by its number on the volume.
    pub first: u32,
    pub tracks: u32,
    pub block_size: u16,
}

/// Tracks of a VTOC for so many data sets, with a format 4 and a format 5 DSCB in front.
pub fn tracks_for(data_sets: usize) -> u32 {
    // At most 9,999 data sets.
    u32::try_from(data_sets + 2).unwrap_or(u32::MAX).div_ceil(records_per_track(44, 96))
}

/// Writes the IPL records and the volume label of track 0.
pub fn write_labels(slot: &mut Slot, volser: &str) {
    for (name, data) in [("IPL1", 24_u16), ("IPL2", 144)] {
        let record = slot.record(4, data);
        record.fill(0);
        record[..4].copy_from_slice(&ebcdic(name));
        if name == "IPL1" {
            // A disabled wait: this volume loads no system.
            record[4..12].copy_from_slice(&[0, 6, 0, 0, 0, 0, 0, 0x0f]);
        }
    }
    let record = slot.record(4, 80);
    record.fill(0x40);
    record[..8].copy_from_slice(&ebcdic("VOL1VOL1"));
    let label = &mut record[4..];
    label[4..4 + volser.len()].copy_from_slice(&ebcdic(volser));
    label[11..15].copy_from_slice(&cchh(1));
    label[15] = 1;
    label[37..45].copy_from_slice(&ebcdic("MKVOLUME"));
}

/// Writes track `track` of the VTOC, of which 1 is the first.
pub fn write_dscbs(slot: &mut Slot, track: u32, cylinders: u32, volser: &str, sets: &[DataSet]) {
    let per_track = records_per_track(44, 96);
    for number in (track - 1) * per_track..track * per_track {
        let record = slot.record(44, 96);
        record.fill(0);
        match number {
            0 => format4(record, cylinders, sets),
            1 => {
                // No free extent is listed; the DOS bit of the format 4 says that this is not the truth.
                record[..4].fill(5);
                record[44] = 0xf5;
            }
            _ => {
                if let Some(set) = sets.get(number as usize - 2) {
                    format1(record, set, volser);
                }
            }
        }
    }
}

fn extent(kind: u8, first: u32, tracks: u32) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[0] = kind;
    bytes[2..6].copy_from_slice(&cchh(first));
    bytes[6..].copy_from_slice(&cchh(first + tracks - 1));
    bytes
}

fn format4(dscb: &mut [u8], cylinders: u32, sets: &[DataSet]) {
    assert_eq!(dscb.len(), DSCB_BYTES);
    let per_track = records_per_track(44, 96);
    let vtoc_tracks = tracks_for(sets.len());
    let used = u32::try_from(sets.len()).unwrap_or(u32::MAX) + 2;
    // The highest format 1: where it is by its number.
    let highest = used - 1;
    dscb[..44].fill(4);
    dscb[44] = 0xf4;
    dscb[45..49].copy_from_slice(&cchh(1 + highest / per_track));
    dscb[49] = low_byte(highest % per_track + 1);
    dscb[50..52].copy_from_slice(&low_half(vtoc_tracks * per_track - used));
    dscb[58] = 0x80;
    dscb[59] = 1;
    dscb[62..64].copy_from_slice(&low_half(cylinders));
    dscb[64..66].copy_from_slice(&low_half(HEADS));
    dscb[66..68].copy_from_slice(&low_half(TRACK_LENGTH));
    dscb[71] = 0x30;
    dscb[74] = low_byte(per_track);
    dscb[75] = low_byte(records_per_track(8, 256));
    dscb[105..115].copy_from_slice(&extent(1, 1, vtoc_tracks));
}

fn format1(dscb: &mut [u8], set: &DataSet, volser: &str) {
    let blocks = records_per_track(0, set.block_size);
    // Cards where they divide the block, else one record a block.
    let (recfm, lrecl) = if set.block_size.is_multiple_of(80) { (0x90, 80) } else { (0x80, set.block_size) };
    dscb[..62].fill(0x40);
    dscb[..set.name.len()].copy_from_slice(&ebcdic(&set.name));
    dscb[44] = 0xf1;
    dscb[45..45 + volser.len()].copy_from_slice(&ebcdic(volser));
    dscb[51..53].copy_from_slice(&[0, 1]);
    dscb[53..56].copy_from_slice(&CREATED);
    dscb[56..59].fill(0);
    dscb[59..62].copy_from_slice(&[1, 0, 0]);
    dscb[62..75].copy_from_slice(&ebcdic("MKVOLUME     "));
    dscb[82] = 0x40;
    dscb[84] = recfm;
    dscb[86..88].copy_from_slice(&set.block_size.to_be_bytes());
    dscb[88..90].copy_from_slice(&lrecl.to_be_bytes());
    dscb[93] = 0x80;
    dscb[94] = 0x80;
    // The last block: of the last track, where the end-of-file record stands in place of one block.
    let (last_track, last_record) = match (set.tracks - 1, blocks - 1) {
        (0, 0) => (0, 0),
        (track, 0) => (track - 1, blocks),
        (track, record) => (track, record),
    };
    dscb[98..100].copy_from_slice(&low_half(last_track));
    dscb[100] = low_byte(last_record);
    let left = TRACK_LENGTH - (blocks - 1) * record_space(0, set.block_size) - record_space(0, 0);
    dscb[101..103].copy_from_slice(&low_half(left));
    dscb[105..115].copy_from_slice(&extent(1, set.first, set.tracks));
}

fn low_half(number: u32) -> [u8; 2] {
    let [_, _, high, low] = number.to_be_bytes();
    [high, low]
}

fn low_byte(number: u32) -> u8 {
    number.to_be_bytes()[3]
}
