//! Null tracks: those that compressed images do not store, only name by a number.
//!
//! | format | content | bytes with the end mark |
//! | --- | --- | --- |
//! | 0 | home address, R0, an end-of-file record | 37 |
//! | 1 | home address, R0 | 29 |
//! | 2 | home address, R0, twelve records of 4,096 zeros (Linux on a 3390) | 49,277 |
//!
//! R0 carries the track's address and eight zero bytes. Source: tracks that Hercules 3.13 makes.

use super::track::{COUNT_BYTES, END_MARK, HOME_ADDRESS_BYTES};

/// Data bytes of a Linux record.
const LINUX_RECORD_BYTES: usize = 4096;
/// Records of a Linux track.
const LINUX_RECORDS: u8 = 12;

/// What an unstored track holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NullFormat {
    /// Format 0: an end-of-file record.
    EndOfFile,
    /// Format 1: no record but R0, as an initialised volume has.
    Empty,
    /// Format 2: twelve records of zeros.
    Linux,
}

impl NullFormat {
    /// All formats by number.
    pub const ALL: [Self; 3] = [Self::EndOfFile, Self::Empty, Self::Linux];

    /// Reads a format's number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The format's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::EndOfFile => 0,
            Self::Empty => 1,
            Self::Linux => 2,
        }
    }

    /// Length of the track from home address to last record, without an end mark.
    #[must_use]
    pub const fn body_bytes(self) -> usize {
        match self {
            Self::EndOfFile => 29,
            Self::Empty => 21,
            Self::Linux => 21 + (LINUX_RECORDS as usize) * (COUNT_BYTES + LINUX_RECORD_BYTES),
        }
    }

    /// Makes the track with the home address `home`, end mark included, in `slot`; gives its length without the mark.
    ///
    /// `None` if the slot is too short for it.
    pub fn fill(self, home: [u8; 4], slot: &mut [u8]) -> Option<usize> {
        let length = self.body_bytes();
        let slot = slot.get_mut(..length + END_MARK.len())?;
        slot.fill(0);
        let (body, mark) = slot.split_at_mut(length);
        mark.copy_from_slice(&END_MARK);
        body[1..HOME_ADDRESS_BYTES].copy_from_slice(&home);
        let mut rest = &mut body[HOME_ADDRESS_BYTES..];
        for (record, data_bytes) in self.records() {
            let (whole, behind) = rest.split_at_mut(COUNT_BYTES + usize::from(data_bytes));
            whole[..4].copy_from_slice(&home);
            whole[4] = record;
            whole[6..8].copy_from_slice(&data_bytes.to_be_bytes());
            rest = behind;
        }
        Some(length)
    }

    /// Record number and data length of each record, R0 first.
    fn records(self) -> impl Iterator<Item = (u8, u16)> {
        let (last, data_bytes) = match self {
            Self::EndOfFile => (1, 0),
            Self::Empty => (0, 0),
            Self::Linux => (LINUX_RECORDS, LINUX_RECORD_BYTES as u16),
        };
        std::iter::once((0, 8)).chain((1..=last).map(move |record| (record, data_bytes)))
    }

    /// The format whose track of home address `home` is exactly `body`, which has no end mark.
    ///
    /// Hercules goes by the length alone, and so loses what else may stand in tracks of 29 and 37 bytes.
    #[must_use]
    pub fn recognise(home: [u8; 4], body: &[u8]) -> Option<Self> {
        let format = Self::ALL.into_iter().find(|format| format.body_bytes() == body.len())?;
        let (flag_and_home, mut rest) = body.split_at(HOME_ADDRESS_BYTES);
        if flag_and_home[0] != 0 || flag_and_home[1..] != home {
            return None;
        }
        for (record, data_bytes) in format.records() {
            let (whole, behind) = rest.split_at(COUNT_BYTES + usize::from(data_bytes));
            let (count, data) = whole.split_at(COUNT_BYTES);
            let [high, low] = data_bytes.to_be_bytes();
            if count[..4] != home || count[4..] != [record, 0, high, low] || data.iter().any(|byte| *byte != 0) {
                return None;
            }
            rest = behind;
        }
        Some(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dasd::track::Track;

    const HOME: [u8; 4] = [1, 2, 0, 3];

    #[test]
    fn lengths_with_the_end_mark_are_those_of_hercules() {
        let lengths: Vec<_> = NullFormat::ALL.iter().map(|format| format.body_bytes() + END_MARK.len()).collect();
        assert_eq!(lengths, [37, 29, 49_277]);
    }

    #[test]
    fn each_format_walks_and_is_recognised() {
        for format in NullFormat::ALL {
            let mut slot = vec![0xaa; 56_832];
            let length = format.fill(HOME, &mut slot).unwrap();
            let track = Track::parse(&slot, HOME).unwrap();
            assert_eq!(track.bytes().len(), length);
            assert_eq!(NullFormat::recognise(HOME, track.bytes()), Some(format));
        }
    }

    #[test]
    fn a_track_that_differs_in_any_byte_is_none() {
        for format in [NullFormat::EndOfFile, NullFormat::Empty] {
            let mut slot = vec![0; 64];
            let length = format.fill(HOME, &mut slot).unwrap();
            for place in 0..length {
                slot[place] ^= 1;
                assert_eq!(NullFormat::recognise(HOME, &slot[..length]), None, "byte {place}");
                slot[place] ^= 1;
            }
        }
    }

    #[test]
    fn a_linux_track_does_not_fit_a_3330() {
        assert_eq!(NullFormat::Linux.fill(HOME, &mut [0; 13_312]), None);
    }
}
