//! Data set control blocks: the records of a VTOC, 44 bytes of key and 96 of data.
//!
//! Byte 44, the first of the data, tells the format. Offsets are counted from the key's first byte, as IBM does for
//! format 1 (DFSMSdfp Advanced Services, "DSCB formats"; that book counts format 4 from its data).

mod attributes;
mod data_set;
mod extents;
mod free_space;
mod vtoc;

use std::io::Cursor;

use binrw::{BinRead, BinWrite};
use thiserror::Error;

pub use attributes::AttributeDscb;
pub use data_set::{DataSetDscb, Indicators, SmsFlags};
pub use extents::{ExtentDscb, IsamDscb};
pub use free_space::{FreeRun, FreeSpaceDscb, FreeSpan, WideFreeSpaceDscb};
pub use vtoc::{VtocDscb, VtocFlags};

/// Key length of every DSCB.
pub const KEY_BYTES: usize = 44;
/// Data length of every DSCB.
pub const DATA_BYTES: usize = 96;
/// Length of a DSCB, key and data.
pub const BYTES: usize = KEY_BYTES + DATA_BYTES;

/// Values of the format byte, offset 44.
#[allow(missing_docs, reason = "the names are the format numbers")]
pub mod format {
    pub const FREE: u8 = 0x00;
    pub const F1: u8 = 0xf1;
    pub const F2: u8 = 0xf2;
    pub const F3: u8 = 0xf3;
    pub const F4: u8 = 0xf4;
    pub const F5: u8 = 0xf5;
    pub const F6: u8 = 0xf6;
    pub const F7: u8 = 0xf7;
    pub const F8: u8 = 0xf8;
    pub const F9: u8 = 0xf9;
}

/// A DSCB of any format.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dscb {
    /// Format 0: room for another.
    Free,
    /// Formats 1 and 8: a data set.
    DataSet(DataSetDscb),
    /// Format 2: an ISAM data set's own facts, of which only the pointer is read.
    Isam(IsamDscb),
    /// Format 3: more extents of a data set.
    Extents(ExtentDscb),
    /// Format 4: the VTOC itself.
    Vtoc(VtocDscb),
    /// Format 5: free space.
    FreeSpace(FreeSpaceDscb),
    /// Format 7: free space of a large volume.
    WideFreeSpace(WideFreeSpaceDscb),
    /// Format 9: attributes of a format 8 data set.
    Attributes(AttributeDscb),
    /// Another format, such as 6 (split cylinders), by its byte.
    Other(u8),
}

/// Why a record of a VTOC is no DSCB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a record with key length {key_bytes} and data length {data_bytes} is no DSCB: they are 44 and 96")]
pub struct DscbError {
    /// Key length found.
    pub key_bytes: usize,
    /// Data length found.
    pub data_bytes: usize,
}

/// Puts key and data of a record together, if they have the lengths of a DSCB.
///
/// # Errors
/// When they don't.
pub fn join(key: &[u8], data: &[u8]) -> Result<[u8; BYTES], DscbError> {
    if key.len() != KEY_BYTES || data.len() != DATA_BYTES {
        return Err(DscbError { key_bytes: key.len(), data_bytes: data.len() });
    }
    let mut bytes = [0; BYTES];
    bytes[..KEY_BYTES].copy_from_slice(key);
    bytes[KEY_BYTES..].copy_from_slice(data);
    Ok(bytes)
}

/// Reads one declared structure; all of them have the length of a DSCB and take any content.
fn read<T>(bytes: &[u8; BYTES]) -> Option<T>
where
    T: for<'a> BinRead<Args<'a> = ()> + binrw::meta::ReadEndian,
{
    T::read(&mut Cursor::new(bytes)).ok()
}

impl Dscb {
    /// Reads a DSCB by its format byte. Any content is some DSCB; whether it makes sense is for the reader to judge.
    #[must_use]
    pub fn parse(bytes: &[u8; BYTES]) -> Self {
        let byte = bytes[KEY_BYTES];
        match byte {
            format::FREE => Some(Self::Free),
            format::F1 | format::F8 => read(bytes).map(Self::DataSet),
            format::F2 => read(bytes).map(Self::Isam),
            format::F3 => read(bytes).map(Self::Extents),
            format::F4 => read(bytes).map(Self::Vtoc),
            format::F5 => read(bytes).map(Self::FreeSpace),
            format::F7 => read(bytes).map(Self::WideFreeSpace),
            format::F9 => read(bytes).map(Self::Attributes),
            _ => None,
        }
        .unwrap_or(Self::Other(byte))
    }
}

/// Writes one declared structure to its 140 bytes.
fn written<T>(dscb: &T) -> [u8; BYTES]
where
    T: for<'a> BinWrite<Args<'a> = ()> + binrw::meta::WriteEndian,
{
    let mut bytes = [0; BYTES];
    let room = Cursor::new(&mut bytes[..]);
    // Every structure is 140 bytes long (each has a test that says so), and a slice takes as many as it has.
    let result = dscb.write(&mut { room });
    debug_assert!(result.is_ok());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads and writes back: the declared fields cover every byte, in order.
    fn round_trip<T>(bytes: &[u8; BYTES])
    where
        T: for<'a> BinRead<Args<'a> = ()> + binrw::meta::ReadEndian + for<'a> BinWrite<Args<'a> = ()> + binrw::meta::WriteEndian,
    {
        let mut cursor = Cursor::new(&bytes[..]);
        let dscb = T::read(&mut cursor).unwrap();
        assert_eq!(cursor.position(), 140, "length on disk");
        let mut out = Cursor::new(Vec::new());
        dscb.write(&mut out).unwrap();
        assert_eq!(out.into_inner(), bytes, "what was read is written back");
    }

    #[test]
    fn a_record_of_other_lengths_is_refused() {
        let error = join(&[0; 8], &[0; 256]).unwrap_err();
        assert_eq!(error.to_string(), "a record with key length 8 and data length 256 is no DSCB: they are 44 and 96");
    }

    proptest! {
        #[test]
        fn every_structure_covers_its_140_bytes(bytes in proptest::array::uniform32(any::<u8>()), rest in proptest::collection::vec(any::<u8>(), 108)) {
            let mut all = [0; BYTES];
            all[..32].copy_from_slice(&bytes);
            all[32..].copy_from_slice(&rest);
            round_trip::<DataSetDscb>(&all);
            round_trip::<IsamDscb>(&all);
            round_trip::<ExtentDscb>(&all);
            round_trip::<VtocDscb>(&all);
            round_trip::<FreeSpaceDscb>(&all);
            round_trip::<WideFreeSpaceDscb>(&all);
            round_trip::<AttributeDscb>(&all);
            for byte in 0..=255 {
                all[KEY_BYTES] = byte;
                let _ = Dscb::parse(&all);
            }
        }
    }
}
