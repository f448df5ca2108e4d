//! Makes images of units as compressed files store them.
//!
//! Two things are stored plain that could be compressed. Tracks whose R0 is not the usual one (key length 0, data
//! length 8, the track's own address): Hercules 3.13 expands such a track to rubbish, and reads it well when it is
//! stored plain. And tracks of at most one record without key and data that are not exactly a null track: Hercules goes
//! by the length when it expands, and would make a null track of them. Its checker complains of both kinds however they
//! are stored; a disk that has them can't be kept in a compressed image otherwise.

use tapegate_formats::dasd::lookup_table::L2Entry;
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::dasd::track::{END_MARK, HOME_ADDRESS_BYTES, Track};
use tapegate_formats::dasd::track_image::{Compression, IMAGE_HEADER_BYTES, LevelError, Packer};

/// Entry of a block group of zeros.
pub(super) const BLOCK_NULL: L2Entry = L2Entry::Null(0);
/// Tracks of this length with their end mark, or less, are null tracks to Hercules.
const LONGEST_NULL_BYTES: usize = 37;

/// What a thread needs to make images.
pub(super) struct Packers {
    packer: Packer,
    plain: Packer,
    unit: Vec<u8>,
}

/// What became of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    /// It needs no image.
    Null(L2Entry),
    /// An image of this length.
    Image(usize),
}

impl Packers {
    /// Makes packers of a compression.
    pub(super) fn new(compression: Compression) -> Result<Self, LevelError> {
        Ok(Self { packer: Packer::new(compression)?, plain: Packer::new(Compression::None)?, unit: Vec::new() })
    }

    /// Appends the image of a track, from home address to last record, unless it is null. `null_format` is that of the
    /// file's header.
    pub(super) fn pack_track(&mut self, home: [u8; 4], body: &[u8], null_format: NullFormat, images: &mut Vec<u8>) -> Made {
        match NullFormat::recognise(home, body) {
            // Where the header names the Linux format, the number of this one is taken for it.
            Some(NullFormat::EndOfFile) if null_format == NullFormat::Linux => {}
            Some(format) => return Made::Null(L2Entry::Null(u16::from(format.number()))),
            None => {}
        }
        self.unit.clear();
        self.unit.extend_from_slice(body);
        self.unit.extend_from_slice(&END_MARK);
        let usual = has_usual_r0(home, body) && self.unit.len() > LONGEST_NULL_BYTES;
        let packer = if usual { &mut self.packer } else { &mut self.plain };
        Made::Image(packer.pack(&self.unit, images))
    }

    /// Appends the image of a slot. A track whose records don't walk is stored with its whole slot: it is on its way to
    /// become another, or what a guest did to it is kept.
    pub(super) fn pack_slot(&mut self, home: [u8; 4], slot: &[u8], null_format: NullFormat, images: &mut Vec<u8>) -> Made {
        match Track::parse(slot, home) {
            Ok(track) => self.pack_track(home, track.bytes(), null_format, images),
            Err(_) if has_usual_r0(home, slot) => Made::Image(self.packer.pack(slot, images)),
            Err(_) => Made::Image(self.plain.pack(slot, images)),
        }
    }

    /// Appends the image of a block group with the five bytes in front of it, unless it is all zeros.
    pub(super) fn pack_group(&mut self, group: &[u8], images: &mut Vec<u8>) -> Made {
        if group[IMAGE_HEADER_BYTES..].iter().all(|byte| *byte == 0) {
            return Made::Null(BLOCK_NULL);
        }
        Made::Image(self.packer.pack(group, images))
    }
}

/// Whether a track begins with the R0 that every tool expects: its own address, no key, eight data bytes.
fn has_usual_r0(home: [u8; 4], body: &[u8]) -> bool {
    body.get(HOME_ADDRESS_BYTES..).is_some_and(|rest| rest.starts_with(&home) && rest[4..].starts_with(&[0, 0, 0, 8]))
}
