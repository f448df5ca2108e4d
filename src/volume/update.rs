//! Writing volumes in place: what the gate of a served volume does, and nobody else.
//!
//! A slot has the same bytes whatever the format behind it: those of a plain image. The checks that keep a write inside
//! its unit, and a track under its own address, are made here, once for all formats.

use std::path::Path;

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::HOME_ADDRESS_BYTES;

use super::error::VolumeError;
use super::image_file::{Fingerprint, ImageFile};
use super::opened::{Source, Volume};
use super::shape::{Shape, UnitIndex};

/// The room of an image whose file grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes of the file.
    pub size_bytes: u64,
    /// Bytes that the format can have: a little less than 4 GiB with 32-bit offsets.
    pub limit_bytes: u64,
    /// Bytes inside the file that can be written now.
    pub free_bytes: u64,
    /// Bytes of images that were replaced since the last [`sync`](Volume::sync): they are free after the next.
    pub unsynced_bytes: u64,
}

impl Room {
    /// Bytes that could still be written, in as many pieces as there are.
    #[must_use]
    pub const fn left_bytes(&self) -> u64 {
        self.limit_bytes.saturating_sub(self.size_bytes) + self.free_bytes + self.unsynced_bytes
    }
}

impl Volume {
    /// Whether it was opened by [`open_for_update`](Self::open_for_update).
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.writable
    }

    /// Reads a unit as a plain image has it: a track's whole slot, whatever lies behind its end mark, or blocks.
    ///
    /// `buffer` is as long as [`Shape::unit_bytes`] says. Compressed images keep nothing behind an end mark: there the
    /// rest of the slot is zeros.
    ///
    /// # Errors
    /// When the volume has no such unit, the buffer has another length, the file can't be read, or a compressed unit
    /// can't be expanded.
    pub fn read_slot(&self, unit: UnitIndex, buffer: &mut [u8]) -> Result<(), VolumeError> {
        self.check_range(unit, 1)?;
        let unit_bytes = self.shape().unit_bytes(unit);
        if buffer.len() != unit_bytes as usize {
            return Err(self.refused(unit, format!("a buffer of {} bytes for a unit of {unit_bytes}", buffer.len())));
        }
        match &self.source {
            Source::Plain(image) => image.read_slot(TrackIndex(unit.0), buffer),
            Source::RawTracks(image) => image.read_slot(TrackIndex(unit.0), buffer),
            Source::Blocks(image) => image.read_slot(unit, buffer),
            Source::Compressed(image) => image.read_slot(unit, buffer),
        }
    }

    /// Writes bytes of a unit, from `offset` in it on.
    ///
    /// Several threads may write different units at once; the caller lets one at a time write to a unit. Who reads a unit
    /// of a plain image meanwhile may get some of its bytes old and some new; of a compressed image, all of one write or
    /// nothing of it. When this returns, a crash of the process loses nothing of it; a power loss may until
    /// [`sync`](Self::sync).
    ///
    /// # Errors
    /// [`VolumeError::Refused`] when the volume was opened for reading, has no such unit, the bytes pass the unit's end
    /// or would give a track the home address of another; [`VolumeError::NoRoom`] when a compressed image is full, and
    /// whatever reading and writing the files can meet. A compressed unit is then as it was before; a plain one may have
    /// some of the bytes.
    pub fn write_slot(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        self.check_range(unit, 1)?;
        if !self.writable {
            return Err(self.refused(unit, "the volume was opened for reading only".to_owned()));
        }
        let unit_bytes = self.shape().unit_bytes(unit);
        if offset as usize + bytes.len() > unit_bytes as usize {
            let reason = format!("{} bytes from offset {offset} on pass the end of the unit, at {unit_bytes}", bytes.len());
            return Err(self.refused(unit, reason));
        }
        self.check_home(unit, offset, bytes)?;
        if bytes.is_empty() {
            return Ok(());
        }
        match &self.source {
            Source::Plain(image) => image.write_slot(TrackIndex(unit.0), offset, bytes),
            Source::RawTracks(image) => image.write_slot(TrackIndex(unit.0), offset, bytes),
            Source::Blocks(image) => image.write_slot(unit, offset, bytes),
            Source::Compressed(image) => image.write_slot(unit, offset, bytes),
        }
    }

    /// Waits until everything written so far is on stable storage.
    ///
    /// # Errors
    /// When the medium fails. What it holds then is not known: after a failed sync the kernel may forget what it could
    /// not write, and a second call that succeeds proves nothing.
    pub fn sync(&self) -> Result<(), VolumeError> {
        match &self.source {
            Source::Compressed(image) => image.sync(),
            source => source.files().into_iter().filter(|file| file.is_writable()).try_for_each(ImageFile::sync),
        }
    }

    /// Identity of the volume's files as they are now.
    ///
    /// # Errors
    /// When their attributes can't be read.
    pub fn current_fingerprint(&self) -> Result<Fingerprint, VolumeError> {
        let files = self.source.files().into_iter().map(ImageFile::current_identity).collect::<Result<_, _>>()?;
        Ok(Fingerprint { files })
    }

    /// Room left in an image whose file grows; `None` for one whose units have fixed places, or opened for reading.
    #[must_use]
    pub fn room(&self) -> Option<Room> {
        match &self.source {
            Source::Compressed(image) => image.room(),
            Source::Plain(_) | Source::RawTracks(_) | Source::Blocks(_) => None,
        }
    }

    /// Moves images from the end of a compressed file into free space before them, so that the file gets shorter: up to
    /// `most_bytes` of images, of which it gives how many it moved. 0 means that nothing more can be moved.
    ///
    /// Units are read and written meanwhile. What was moved counts as free after the next [`sync`](Self::sync), which
    /// also cuts the file; so turns of `compact` and `sync` bring room back bit by bit.
    ///
    /// # Errors
    /// When the file can't be read or written; every unit is then in its old or in its new place.
    pub fn compact(&self, most_bytes: u64) -> Result<u64, VolumeError> {
        match &self.source {
            Source::Compressed(image) => image.compact(most_bytes),
            Source::Plain(_) | Source::RawTracks(_) | Source::Blocks(_) => Ok(0),
        }
    }

    /// Leaves the image as a clean stop does: what is pending is written, a compressed file gets its list of free spaces
    /// and is marked as closed, and all is on stable storage.
    ///
    /// A volume that is dropped instead is closed as well as can be, without waiting for the storage. One that is written
    /// to afterwards must be closed again.
    ///
    /// # Errors
    /// When a file can't be written; the image is then as a crash would have left it.
    pub fn close(&self) -> Result<(), VolumeError> {
        match &self.source {
            Source::Compressed(image) => image.close(),
            Source::Plain(_) | Source::RawTracks(_) | Source::Blocks(_) => self.sync(),
        }
    }

    /// Checks that bytes which cover the home address of a track say what it is.
    fn check_home(&self, unit: UnitIndex, offset: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        let Shape::Ckd(geometry) = self.shape() else { return Ok(()) };
        let home = geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)));
        // The flag byte has a place in plain images only: others make it from nothing, or keep the compression there.
        let keeps_flag = matches!(self.source, Source::Plain(_));
        for (place, byte) in (offset as usize..HOME_ADDRESS_BYTES).zip(bytes) {
            let right = match place.checked_sub(1) {
                None => keeps_flag || *byte == 0,
                Some(place) => home[place] == *byte,
            };
            if !right {
                let reason = format!("byte {place} of its home address would become {byte:02X}, and the track has {home:02X?}");
                return Err(self.refused(unit, reason));
            }
        }
        Ok(())
    }

    fn refused(&self, unit: UnitIndex, reason: String) -> VolumeError {
        let path: &Path = self.path();
        VolumeError::Refused { path: path.to_owned(), reason: format!("{}: {reason}", self.shape().address(unit)) }
    }
}
