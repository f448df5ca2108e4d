//! A track: home address, R0, and records of count, key and data up to an end mark.
//!
//! The form is the one that Hercules keeps in image slots and FICON hosts see as "read track": five bytes of home
//! address (flag, CC, HH), then records, each an 8-byte count field followed by key and data, then eight X'FF'. What
//! lies behind the end mark in a slot is stale and never interpreted.
//!
//! The address in a count field need not be the track's and record numbers need not ascend: guests write what they
//! like. Only key and data length matter for walking.

use std::fmt;

use thiserror::Error;
use zerocopy::byteorder::big_endian::U16;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What follows the last record.
pub const END_MARK: [u8; 8] = [0xff; 8];
/// Length of the home address: flag, cylinder, head.
pub const HOME_ADDRESS_BYTES: usize = 5;
/// Length of a count field.
pub const COUNT_BYTES: usize = 8;

/// The count field of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CountField {
    /// Cylinder and head as the writer gave them; on old systems the first bit can mean track overflow.
    pub cchh: [u8; 4],
    /// Record number.
    pub record: u8,
    /// Key length in bytes.
    pub key_length: u8,
    /// Data length in bytes; 0 with no key is an end-of-file record.
    pub data_length: U16,
}

impl CountField {
    /// Whether the record is an end-of-file record: neither key nor data.
    #[must_use]
    pub fn is_end_of_file(&self) -> bool {
        self.key_length == 0 && self.data_length.get() == 0
    }

    /// Bytes of key and data.
    #[must_use]
    pub fn content_bytes(&self) -> usize {
        usize::from(self.key_length) + usize::from(self.data_length.get())
    }
}

/// Why bytes are not a track, and at which offset from the home address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("at offset {offset} of the track: {defect}")]
pub struct TrackError {
    /// Offset from the first byte of the home address.
    pub offset: usize,
    /// What is wrong there.
    pub defect: TrackDefect,
}

/// What can be wrong with a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackDefect {
    /// The home address names another track.
    HomeAddress {
        /// CCHH found there.
        found: [u8; 4],
        /// CCHH of the track.
        expected: [u8; 4],
    },
    /// The bytes end before home address and R0 do.
    NoR0,
    /// A record would pass the end of the slot.
    RecordPastEnd {
        /// Its key length.
        key_length: u8,
        /// Its data length.
        data_length: u16,
        /// Bytes that the slot has left for key and data.
        left: usize,
    },
    /// The slot ends without an end mark.
    NoEndMark,
}

impl fmt::Display for TrackDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HomeAddress { found, expected } => write!(
                f,
                "the home address is {:08X} where this track is {:08X}",
                u32::from_be_bytes(*found),
                u32::from_be_bytes(*expected)
            ),
            Self::NoR0 => write!(f, "no room for home address and R0"),
            Self::RecordPastEnd { key_length, data_length, left } => {
                write!(
                    f,
                    "a record with key length {key_length} and data length {data_length} passes the end ({left} bytes are left)"
                )
            }
            Self::NoEndMark => write!(f, "the end mark is missing"),
        }
    }
}

/// Walks a track count field by count field, without its keys and data at hand.
///
/// It serves whoever reads an image sparsely: the caller reads [`COUNT_BYTES`] bytes at [`offset`](Self::offset) and
/// feeds them in until [`Step::End`].
#[derive(Debug, Clone)]
pub struct Walk {
    offset: usize,
    slot_bytes: usize,
}

/// What a count field led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A record; the walk stands at the next count field.
    Record(CountField),
    /// The end mark: the track has this many bytes from its home address to its last record.
    End(usize),
}

impl Walk {
    /// Starts behind the home address of a slot.
    #[must_use]
    pub const fn new(slot_bytes: usize) -> Self {
        Self { offset: HOME_ADDRESS_BYTES, slot_bytes }
    }

    /// Where the next count field lies, from the home address.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// Whether a whole count field or end mark fits at the offset.
    ///
    /// # Errors
    /// When it does not: the track has no end mark.
    pub const fn check_room(&self) -> Result<(), TrackError> {
        if self.offset + COUNT_BYTES > self.slot_bytes {
            return Err(TrackError { offset: self.offset, defect: TrackDefect::NoEndMark });
        }
        Ok(())
    }

    /// Takes the eight bytes at the offset and goes on.
    ///
    /// # Errors
    /// When the record would leave no room for an end mark behind it, or the track ends before R0.
    pub fn step(&mut self, bytes: [u8; COUNT_BYTES]) -> Result<Step, TrackError> {
        if bytes == END_MARK {
            if self.offset == HOME_ADDRESS_BYTES {
                return Err(TrackError { offset: self.offset, defect: TrackDefect::NoR0 });
            }
            return Ok(Step::End(self.offset));
        }
        let count: CountField = zerocopy::transmute!(bytes);
        let next = self.offset + COUNT_BYTES + count.content_bytes();
        if next + COUNT_BYTES > self.slot_bytes {
            return Err(TrackError {
                offset: self.offset,
                defect: TrackDefect::RecordPastEnd {
                    key_length: count.key_length,
                    data_length: count.data_length.get(),
                    left: self.slot_bytes.saturating_sub(self.offset + COUNT_BYTES),
                },
            });
        }
        self.offset = next;
        Ok(Step::Record(count))
    }
}

/// A track whose records were found to be whole; it borrows its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track<'a> {
    bytes: &'a [u8],
}

impl<'a> Track<'a> {
    /// Finds the track in a slot: from the home address to the end mark, which is left off.
    ///
    /// # Errors
    /// When the home address is not `home` or the records don't walk to an end mark inside the slot.
    pub fn parse(slot: &'a [u8], home: [u8; 4]) -> Result<Self, TrackError> {
        check_home(slot, home)?;
        let mut walk = Walk::new(slot.len());
        loop {
            walk.check_room()?;
            let Some(bytes) = slot[walk.offset()..].first_chunk::<COUNT_BYTES>() else {
                return Err(TrackError { offset: walk.offset(), defect: TrackDefect::NoEndMark });
            };
            if let Step::End(length) = walk.step(*bytes)? {
                return Ok(Self { bytes: &slot[..length] });
            }
        }
    }

    /// Takes the bytes of a track from home address to last record, without an end mark.
    ///
    /// # Errors
    /// When the home address is not `home`, or the last record does not end where the bytes do.
    pub fn from_bytes(bytes: &'a [u8], home: [u8; 4]) -> Result<Self, TrackError> {
        check_home(bytes, home)?;
        // Room for the end mark that is not there.
        let mut walk = Walk::new(bytes.len() + COUNT_BYTES);
        while walk.offset() < bytes.len() {
            let Some(count) = bytes[walk.offset()..].first_chunk::<COUNT_BYTES>() else {
                return Err(TrackError { offset: walk.offset(), defect: TrackDefect::NoEndMark });
            };
            if let Step::End(_) = walk.step(*count)? {
                // An end mark inside would cut the track when it is written to a slot.
                return Err(TrackError { offset: walk.offset(), defect: TrackDefect::NoEndMark });
            }
        }
        if walk.offset() == HOME_ADDRESS_BYTES {
            return Err(TrackError { offset: walk.offset(), defect: TrackDefect::NoR0 });
        }
        Ok(Self { bytes })
    }

    /// The bytes from the home address to the last record.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records in the order in which they lie, R0 first.
    #[must_use]
    pub const fn records(&self) -> Records<'a> {
        Records { bytes: self.bytes, offset: HOME_ADDRESS_BYTES }
    }

    /// The records that hold user data: all but R0, which is the first.
    pub fn user_records(&self) -> impl Iterator<Item = Record<'a>> + use<'a> {
        self.records().skip(1)
    }
}

fn check_home(bytes: &[u8], expected: [u8; 4]) -> Result<(), TrackError> {
    let Some([_, found @ ..]) = bytes.first_chunk::<HOME_ADDRESS_BYTES>() else {
        return Err(TrackError { offset: 0, defect: TrackDefect::NoR0 });
    };
    if *found != expected {
        return Err(TrackError { offset: 1, defect: TrackDefect::HomeAddress { found: *found, expected } });
    }
    Ok(())
}

/// A record of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Offset of the count field from the home address.
    pub offset: usize,
    /// The count field.
    pub count: CountField,
    /// The key; empty where there is none.
    pub key: &'a [u8],
    /// The data.
    pub data: &'a [u8],
}

/// Iterator over the records of a [`Track`].
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let offset = self.offset;
        // The track was walked when it was made, so each part is there.
        let (count, rest) = CountField::read_from_prefix(self.bytes.get(offset..)?).ok()?;
        let (key, rest) = rest.split_at_checked(usize::from(count.key_length))?;
        let (data, _) = rest.split_at_checked(usize::from(count.data_length.get()))?;
        self.offset = offset + COUNT_BYTES + count.content_bytes();
        Some(Record { offset, count, key, data })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOME: [u8; 4] = [0, 1, 0, 2];

    /// A slot as `dasdinit` leaves it, with one record of key `KEY1` and data `DATA` added.
    fn slot() -> Vec<u8> {
        let mut slot = vec![0, 0, 1, 0, 2];
        slot.extend([0, 1, 0, 2, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        slot.extend([0, 1, 0, 2, 1, 4, 0, 4]);
        slot.extend(*b"KEY1DATA");
        slot.extend(END_MARK);
        slot.resize(512, 0xaa);
        slot
    }

    #[test]
    fn a_slot_gives_its_records_and_nothing_behind_the_end_mark() {
        let slot = slot();
        let track = Track::parse(&slot, HOME).unwrap();
        assert_eq!(track.bytes().len(), 37);
        let records: Vec<_> = track.user_records().collect();
        assert_eq!(records.len(), 1);
        assert_eq!((records[0].key, records[0].data), (&b"KEY1"[..], &b"DATA"[..]));
        assert_eq!(Track::from_bytes(track.bytes(), HOME), Ok(track));
    }

    #[test]
    fn another_tracks_home_address_is_refused() {
        let error = Track::parse(&slot(), [0, 1, 0, 3]).unwrap_err();
        assert_eq!(error.to_string(), "at offset 1 of the track: the home address is 00010002 where this track is 00010003");
    }

    #[test]
    fn a_record_past_the_slot_is_refused_where_it_begins() {
        let mut slot = slot();
        slot[27] = 0xff;
        let error = Track::parse(&slot, HOME).unwrap_err();
        assert_eq!(error.offset, 21);
        assert!(matches!(error.defect, TrackDefect::RecordPastEnd { data_length: 0xff04, .. }));
    }

    #[test]
    fn a_slot_without_an_end_mark_is_refused() {
        let mut slot = slot();
        slot.truncate(37);
        // Eight bytes more: a record of no key and no data that ends with the slot.
        slot.extend([0, 1, 0, 2, 2, 0, 0, 0]);
        assert!(Track::parse(&slot, HOME).is_err());
        assert_eq!(Track::parse(&slot[..3], HOME).unwrap_err().defect, TrackDefect::NoR0);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_give_a_track_or_an_error(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            for home in [HOME, [0; 4]] {
                if let Ok(track) = Track::parse(&bytes, home) {
                    let walked: usize = track.records().map(|record| COUNT_BYTES + record.count.content_bytes()).sum();
                    proptest::prop_assert_eq!(walked + HOME_ADDRESS_BYTES, track.bytes().len());
                }
            }
        }
    }
}
