//! The index of a share that survives a restart: its bytes, and what they mean.
//!
//! It begins with a header. All numbers are big-endian.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 8 | `TGODCX1` and a zero |
//! | 8 | 4 | flags: 1 durable; the others are zero |
//! | 12 | 4 | length of the identity, at most 1 MiB |
//! | 16 | 16 | boot id of the machine when the share was made |
//! | 32 | 4 | CRC-32C of bytes 0 to 31 and the identity |
//! | 36 | | identity, UTF-8, and zeros up to a multiple of 4,096 |
//!
//! Behind it comes one entry for each unit that was put or released, in the order in which that happened. 32 divides
//! the length of a page and of a sector, so an entry is there as a whole or not at all.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 16 | header of the unit as on tape: number, kind, length, and a CRC-32C over them and the body |
//! | 16 | 4 | where the body begins in the file of bodies, in granules of 4,096 bytes |
//! | 20 | 4 | 1 put, 2 released |
//! | 24 | 4 | entries that were safe when this one was written, counted from the first |
//! | 28 | 4 | CRC-32C of bytes 0 to 27, carried on from the header's: an entry of another index is none of this one |
//!
//! # What is damage, and what was never promised
//!
//! An entry whose checksum is wrong was being written when the end came, or was damaged later. The third field tells:
//! *safe* means written, or synced in a durable share. When an entry behind counts the broken one among the safe ones, a
//! unit is lost that was promised, and the index is refused. Otherwise no `put` that the broken entry, or any
//! behind it, belongs to has ever returned: they are cut off.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use tapegate_formats::tape::unit::{UNIT_HEADER_BYTES, UnitHeader};
use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::body_file::granules_of;
use super::error::CacheError;
use super::granules::Run;
use crate::boot::BootId;

/// First bytes of an index.
pub(super) const INDEX_MAGIC: [u8; 8] = *b"TGODCX1\0";
/// Longest identity.
pub(super) const LONGEST_IDENTITY_BYTES: u32 = 1 << 20;
/// Length of an entry.
pub(super) const ENTRY_BYTES: usize = 32;
const HEADER_BYTES: usize = 36;
const PAGE_BYTES: u64 = 4096;
const FLAG_DURABLE: u32 = 1;

/// A unit's header, as bytes.
pub(super) type UnitHeaderBytes = [u8; UNIT_HEADER_BYTES as usize];

/// What an index says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct IndexHeader {
    /// Whether bodies and entries are synced before `put` returns.
    pub(super) is_durable: bool,
    pub(super) boot: BootId,
    pub(super) identity: String,
}

/// What happened to a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Put,
    Released,
}

/// One entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) header: UnitHeaderBytes,
    pub(super) granule: u32,
    pub(super) action: Action,
    /// Entries that were safe when this one was written.
    pub(super) safe: u32,
}

/// A unit that is there when all entries have been followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) header: UnitHeaderBytes,
    pub(super) bytes: u32,
    pub(super) run: Run,
}

/// An index that was read.
#[derive(Debug)]
pub(super) struct ReadIndex {
    pub(super) header: IndexHeader,
    /// Checksum that those of the entries carry on.
    pub(super) seed: u32,
    /// Offset of the first entry.
    pub(super) entries_at: u64,
    /// Entries that count; what lies behind them is to be cut off.
    pub(super) entries: u32,
    pub(super) units: BTreeMap<u32, Found>,
}

#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    flags: U32,
    identity_bytes: U32,
    boot: [u8; 16],
    crc: U32,
}

#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawEntry {
    header: UnitHeaderBytes,
    granule: U32,
    action: U32,
    safe: U32,
    crc: U32,
}

impl IndexHeader {
    /// The bytes of the header up to the first entry, and the checksum that entries carry on. `None` when the identity
    /// is too long.
    pub(super) fn encode(&self) -> Option<(Vec<u8>, u32)> {
        let identity_bytes = u32::try_from(self.identity.len()).ok().filter(|&bytes| bytes <= LONGEST_IDENTITY_BYTES)?;
        let mut raw = RawHeader {
            magic: INDEX_MAGIC,
            flags: U32::new(if self.is_durable { FLAG_DURABLE } else { 0 }),
            identity_bytes: U32::new(identity_bytes),
            boot: self.boot.0,
            crc: U32::ZERO,
        };
        let seed = header_crc(&raw, self.identity.as_bytes());
        raw.crc = U32::new(seed);
        let mut bytes = raw.as_bytes().to_vec();
        bytes.extend_from_slice(self.identity.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES as usize), 0);
        Some((bytes, seed))
    }

    /// Reads a header; gives the checksum that entries carry on, and the offset of the first entry.
    ///
    /// # Errors
    /// When it can't be read or is none.
    pub(super) fn read(path: &Path, input: &mut impl Read) -> Result<(Self, u32, u64), CacheError> {
        let bad = |offset, reason: &str| CacheError::damaged(path, offset, reason);
        let mut raw = [0; HEADER_BYTES];
        fill(path, 0, input, &mut raw)?;
        let raw: RawHeader = zerocopy::transmute!(raw);
        if raw.magic != INDEX_MAGIC {
            return Err(bad(0, "it is not an index of originals"));
        }
        let (flags, identity_bytes) = (raw.flags.get(), raw.identity_bytes.get());
        if identity_bytes > LONGEST_IDENTITY_BYTES {
            return Err(bad(12, "the identity is longer than any"));
        }
        let entries_at = (HEADER_BYTES as u64 + u64::from(identity_bytes)).next_multiple_of(PAGE_BYTES);
        // At most a mebibyte and a page.
        let mut identity = vec![0; usize::try_from(entries_at).unwrap_or(0).saturating_sub(HEADER_BYTES)];
        fill(path, HEADER_BYTES as u64, input, &mut identity)?;
        identity.truncate(identity_bytes as usize);
        let seed = header_crc(&raw, &identity);
        if seed != raw.crc.get() {
            return Err(bad(32, "the header fails its checksum"));
        }
        if flags & !FLAG_DURABLE != 0 {
            return Err(bad(8, "it was made by a later version"));
        }
        let identity = String::from_utf8(identity).map_err(|_| bad(HEADER_BYTES as u64, "the identity is no text"))?;
        Ok((Self { is_durable: flags & FLAG_DURABLE != 0, boot: BootId(raw.boot), identity }, seed, entries_at))
    }
}

impl Entry {
    /// The bytes of the entry, in an index whose header has the checksum `seed`.
    pub(super) fn encode(&self, seed: u32) -> [u8; ENTRY_BYTES] {
        let action = match self.action {
            Action::Put => 1,
            Action::Released => 2,
        };
        let mut raw = RawEntry {
            header: self.header,
            granule: U32::new(self.granule),
            action: U32::new(action),
            safe: U32::new(self.safe),
            crc: U32::ZERO,
        };
        raw.crc = U32::new(entry_crc(&raw, seed));
        zerocopy::transmute!(raw)
    }

    /// Reads an entry. `Ok(None)` when the checksum is wrong.
    fn parse(bytes: [u8; ENTRY_BYTES], seed: u32) -> Result<Option<(Self, UnitHeader)>, String> {
        let raw: RawEntry = zerocopy::transmute!(bytes);
        if entry_crc(&raw, seed) != raw.crc.get() {
            return Ok(None);
        }
        let action = match raw.action.get() {
            1 => Action::Put,
            2 => Action::Released,
            other => return Err(format!("the entry has the unknown action {other}")),
        };
        let header = UnitHeader::parse(raw.header).map_err(|error| error.to_string())?;
        Ok(Some((Self { header: raw.header, granule: raw.granule.get(), action, safe: raw.safe.get() }, header)))
    }
}

impl ReadIndex {
    /// Follows the entries behind a header that was read; `bytes` is the length of the file.
    ///
    /// # Errors
    /// When it can't be read, or a unit is lost whose `put` had returned.
    pub(super) fn read(
        path: &Path,
        input: &mut impl Read,
        (header, seed, entries_at): (IndexHeader, u32, u64),
        bytes: u64,
    ) -> Result<Self, CacheError> {
        let count = bytes.saturating_sub(entries_at) / ENTRY_BYTES as u64;
        let count = u32::try_from(count).map_err(|_| CacheError::damaged(path, entries_at, "more entries than any index has"))?;
        let mut units = BTreeMap::new();
        let mut broken = None;
        for number in 0..count {
            let offset = entries_at + u64::from(number) * ENTRY_BYTES as u64;
            let damaged = |reason: String| CacheError::damaged(path, offset, reason);
            let mut bytes = [0; ENTRY_BYTES];
            fill(path, offset, input, &mut bytes)?;
            let Some((entry, unit)) = Entry::parse(bytes, seed).map_err(damaged)? else {
                broken.get_or_insert(number);
                continue;
            };
            if entry.safe > number {
                return Err(damaged("the entry counts more before it than there are".to_owned()));
            }
            match broken {
                Some(broken) if entry.safe > broken => {
                    let offset = entries_at + u64::from(broken) * ENTRY_BYTES as u64;
                    return Err(CacheError::damaged(path, offset, "an entry fails its checksum"));
                }
                Some(_) => {}
                None => follow(&mut units, &entry, &unit).map_err(|reason| damaged(reason.to_owned()))?,
            }
        }
        Ok(Self { header, seed, entries_at, entries: broken.unwrap_or(count), units })
    }
}

fn follow(units: &mut BTreeMap<u32, Found>, entry: &Entry, unit: &UnitHeader) -> Result<(), &'static str> {
    let run = Run { first: entry.granule.into(), granules: granules_of(unit.body_bytes) };
    let found = Found { header: entry.header, bytes: unit.body_bytes, run };
    match entry.action {
        // Where a sync failed behind the first entry, a unit was put again; either body is the original.
        Action::Put => {
            units.insert(unit.unit, found);
            Ok(())
        }
        Action::Released => match units.remove(&unit.unit) {
            Some(put) if put.header == found.header => Ok(()),
            _ => Err("a unit is released that is not there"),
        },
    }
}

/// Reads bytes at `offset`; an end before them is damage.
fn fill(path: &Path, offset: u64, input: &mut impl Read, bytes: &mut [u8]) -> Result<(), CacheError> {
    input.read_exact(bytes).map_err(|error: io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => CacheError::damaged(path, offset, "the index ends here"),
        _ => CacheError::io_at(path, "reading the index", offset, error),
    })
}

fn header_crc(raw: &RawHeader, identity: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&raw.as_bytes()[..HEADER_BYTES - 4]), identity)
}

fn entry_crc(raw: &RawEntry, seed: u32) -> u32 {
    crc32c::crc32c_append(seed, &raw.as_bytes()[..ENTRY_BYTES - 4])
}

#[cfg(test)]
mod tests {
    use tapegate_formats::tape::unit::{UnitKind, unit_header};

    use super::*;

    const BOOT: BootId = BootId([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);

    fn header() -> IndexHeader {
        IndexHeader { is_durable: true, boot: BOOT, identity: "view of PROD01".to_owned() }
    }

    fn entry(unit: u32, action: Action, safe: u32) -> Entry {
        Entry { header: unit_header(unit, UnitKind::Track, b"body"), granule: unit * 2, action, safe }
    }

    fn read(bytes: &[u8]) -> Result<ReadIndex, CacheError> {
        let (path, mut input) = (Path::new("index"), bytes);
        let head = IndexHeader::read(path, &mut input)?;
        ReadIndex::read(path, &mut input, head, bytes.len() as u64)
    }

    fn index(entries: &[Entry]) -> Vec<u8> {
        let (mut bytes, seed) = header().encode().unwrap();
        entries.iter().for_each(|entry| bytes.extend(entry.encode(seed)));
        bytes
    }

    /// The checksums were computed bit by bit, outside of this program, from the published polynomial of CRC-32C.
    #[test]
    fn header_and_entry_lie_as_documented() {
        let (bytes, seed) = header().encode().unwrap();
        assert_eq!(bytes.len(), 4096);
        assert_eq!(&bytes[..8], b"TGODCX1\0");
        assert_eq!(bytes[8..16], [0, 0, 0, 1, 0, 0, 0, 14]);
        assert_eq!(bytes[16..32], BOOT.0);
        assert_eq!(bytes[32..36], [0xcf, 0x88, 0xe1, 0xa4]);
        assert_eq!(&bytes[36..50], b"view of PROD01");
        assert!(bytes[50..].iter().all(|&byte| byte == 0));

        let header = unit_header(0x0102_0304, UnitKind::Track, b"body");
        let entry = Entry { header, granule: 0x0a0b_0c0d, action: Action::Put, safe: 7 }.encode(seed);
        let unit = [0xe3, 0xc7, 0xe4, 0xf1, 1, 2, 3, 4, 1, 0, 0, 4, 0x46, 0x24, 0x5c, 0x69];
        assert_eq!(entry[..16], unit);
        assert_eq!(entry[16..], [0x0a, 0x0b, 0x0c, 0x0d, 0, 0, 0, 1, 0, 0, 0, 7, 0x66, 0xfa, 0x84, 0xaa]);
    }

    #[test]
    fn a_unit_is_there_when_it_was_put_and_not_released_since() {
        let entries = [
            entry(1, Action::Put, 0),
            entry(2, Action::Put, 1),
            entry(1, Action::Released, 2),
            entry(3, Action::Put, 3),
            entry(1, Action::Put, 4),
            entry(2, Action::Released, 5),
        ];
        let found = read(&index(&entries)).unwrap();
        assert_eq!(found.header, header());
        assert_eq!((found.entries, found.entries_at), (6, 4096));
        assert_eq!(found.units.keys().copied().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(found.units[&3].run, Run { first: 6, granules: 1 });
    }

    /// Every length to which the last entry can be cut.
    #[test]
    fn an_entry_that_is_cut_off_was_never_there() {
        let bytes = index(&[entry(1, Action::Put, 0), entry(2, Action::Put, 1)]);
        for length in 4096..bytes.len() {
            let found = read(&bytes[..length]).unwrap();
            let whole = (length - 4096) / ENTRY_BYTES;
            assert_eq!((found.entries as usize, found.units.len()), (whole, whole));
        }
        for length in 0..4096 {
            assert!(matches!(read(&bytes[..length]), Err(CacheError::Damaged { .. })), "{length}");
        }
    }

    #[test]
    fn a_broken_entry_that_was_never_safe_is_cut_off_with_all_behind_it() {
        // The entries 2 to 4 were on their way when the power failed; the medium got 3 and 4 only.
        let safe = [0, 1, 2, 2, 2].into_iter().zip(1..).map(|(safe, unit)| entry(unit, Action::Put, safe));
        let mut bytes = index(&safe.collect::<Vec<_>>());
        bytes[4096 + 2 * ENTRY_BYTES..][..ENTRY_BYTES].fill(0);
        let found = read(&bytes).unwrap();
        assert_eq!((found.entries, found.units.len()), (2, 2));
        // An entry that was safe when a later one was written is not to be missed.
        bytes[4096 + ENTRY_BYTES..][..ENTRY_BYTES].fill(0);
        let offset = 4096 + ENTRY_BYTES as u64;
        assert!(matches!(read(&bytes), Err(CacheError::Damaged { offset: at, .. }) if at == offset));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let good = index(&[entry(1, Action::Put, 0), entry(2, Action::Put, 1)]);
        for bit in (0..50 * 8).chain(4096 * 8..good.len() * 8) {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            match read(&bytes) {
                Err(CacheError::Damaged { .. }) => assert!(bit / 8 < 4096 + ENTRY_BYTES, "bit {bit}"),
                // Nothing behind the last entry says that it was safe.
                Ok(found) => assert!(bit / 8 >= 4096 + ENTRY_BYTES && found.entries == 1, "bit {bit}"),
                Err(error) => panic!("bit {bit}: {error}"),
            }
        }
    }

    #[test]
    fn entries_that_make_no_sense_are_damage() {
        let (mut bytes, seed) = header().encode().unwrap();
        let release = entry(1, Action::Released, 0).encode(seed);
        bytes.extend(release);
        assert!(read(&bytes).unwrap_err().to_string().contains("is not there"));
        bytes.truncate(4096);
        bytes.extend(entry(1, Action::Put, 1).encode(seed));
        assert!(read(&bytes).unwrap_err().to_string().contains("more before it"));
        // An entry of another index, with a checksum that is right there.
        let (_, other) = IndexHeader { boot: BootId([9; 16]), ..header() }.encode().unwrap();
        bytes.truncate(4096);
        bytes.extend(entry(1, Action::Put, 0).encode(other));
        assert_eq!(read(&bytes).unwrap().entries, 0);
    }

    /// Found by fuzzing: a body of no bytes has no place, so its entries may name any.
    #[test]
    fn a_unit_of_no_bytes_is_released_wherever_it_is_said_to_be() {
        let header = unit_header(0, UnitKind::Track, b"");
        let put = Entry { header, granule: 3, action: Action::Put, safe: 0 };
        let released = Entry { granule: 0, action: Action::Released, ..put };
        assert_eq!(read(&index(&[put])).unwrap().units.len(), 1);
        assert_eq!(read(&index(&[put, released])).unwrap().units.len(), 0);
    }

    #[test]
    fn an_identity_has_at_most_a_mebibyte() {
        let long = |bytes| IndexHeader { identity: "i".repeat(bytes), ..header() };
        let (bytes, _) = long(1 << 20).encode().unwrap();
        assert_eq!(read(&bytes).unwrap().header, long(1 << 20));
        assert!(long((1 << 20) + 1).encode().is_none());
    }
}
