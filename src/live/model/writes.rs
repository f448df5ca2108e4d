//! What hosts write in the model: parts of records, whole units, other record structures, and tracks that don't walk.

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::END_MARK;

use super::disk::track_of;
use crate::volume::{Shape, UnitIndex};

/// Home address and R0.
const HEAD_BYTES: usize = 21;
const COUNT_BYTES: usize = 8;

/// A write of a host to one unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Write {
    /// Bytes inside a record's data, or of a group of blocks.
    Part { at: u16, length: u8, fill: u8 },
    /// The whole unit; a track gets these records.
    Whole { records: Vec<u8>, fill: u8 },
    /// A format write: new records behind R0, and an end mark; what was behind it stays.
    Format { records: Vec<u8>, fill: u8 },
    /// A count field that passes the end of the track.
    Spoil,
}

/// A unit of a new volume.
pub(super) fn first_slot(shape: &Shape, unit: u32, records: &[u8], fill: u8) -> Vec<u8> {
    let mut slot = vec![fill; shape.unit_bytes(UnitIndex(unit)) as usize];
    if let Shape::Ckd(geometry) = shape {
        let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit)));
        let r0 = [&home[..], &[0, 0, 0, 8], &[0; 8]].concat();
        slot[0] = 0;
        slot[1..5].copy_from_slice(&home);
        slot[5..HEAD_BYTES].copy_from_slice(&r0);
        let records = records_and_end(&home, records, fill, slot.len() - HEAD_BYTES);
        slot[HEAD_BYTES..HEAD_BYTES + records.len()].copy_from_slice(&records);
    }
    slot
}

/// As many of the records as have room, and an end mark.
fn records_and_end(home: &[u8; 4], records: &[u8], fill: u8, room: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, &length) in (1..).zip(records) {
        // No length is 0, which would be an end of file.
        let length = length.max(1);
        if bytes.len() + COUNT_BYTES + usize::from(length) + END_MARK.len() > room {
            break;
        }
        bytes.extend(home);
        bytes.extend([number, 0, 0, length]);
        bytes.extend((0..length).map(|at| fill ^ at));
    }
    bytes.extend(END_MARK);
    bytes
}

impl Write {
    /// Where in the unit, and what; `slot` is what the unit holds now.
    pub(super) fn bytes(&self, shape: &Shape, unit: u32, slot: &[u8]) -> (u32, Vec<u8>) {
        let (offset, bytes) = match (self, shape) {
            (Self::Part { at, length, fill }, Shape::FixedBlock(_)) => part(*at, *length, *fill, 0..slot.len()),
            (Self::Part { at, length, fill }, Shape::Ckd(_)) => {
                let track = track_of(shape, unit, slot).and_then(Result::ok);
                let records: Vec<_> = track.iter().flat_map(tapegate_formats::dasd::track::Track::user_records).collect();
                match records.get(usize::from(*at) % records.len().max(1)) {
                    Some(record) => {
                        let start = record.offset + COUNT_BYTES;
                        part(*at, *length, *fill, start..start + record.data.len())
                    }
                    // An empty track has no data, and one that does not walk any bytes.
                    None if track.is_some() => (HEAD_BYTES, END_MARK.to_vec()),
                    None => part(*at, *length, *fill, HEAD_BYTES + COUNT_BYTES..slot.len()),
                }
            }
            (Self::Whole { records, fill }, _) => (0, first_slot(shape, unit, records, *fill)),
            (Self::Format { fill, .. }, Shape::FixedBlock(_)) => (0, vec![*fill; slot.len()]),
            (Self::Spoil, Shape::FixedBlock(_)) => (0, vec![0xff; slot.len()]),
            (Self::Format { records, fill }, Shape::Ckd(geometry)) => {
                let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit)));
                (HEAD_BYTES, records_and_end(&home, records, *fill, slot.len() - HEAD_BYTES))
            }
            (Self::Spoil, Shape::Ckd(_)) => (HEAD_BYTES, vec![0, 0, 0, 0, 1, 0, 0xfe, 0xfe]),
        };
        (u32::try_from(offset).unwrap(), bytes)
    }
}

fn part(at: u16, length: u8, fill: u8, room: std::ops::Range<usize>) -> (usize, Vec<u8>) {
    let start = room.start + usize::from(at) % room.len();
    let end = room.end.min(start + usize::from(length.max(1)));
    (start, vec![fill; end - start])
}
