//! The end of a tape file: labels, tape marks and the description are put around the data, and all is checked.
//!
//! The frame is written when all data is there, because trailers count blocks and the last block of a stream whose
//! end was not known beforehand must get its true length. It is written from the last file to the first, so that the
//! first bytes of the tape come last: until then no program takes the file for a tape.

use tapegate_formats::tape::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use zerocopy::{FromBytes, IntoBytes};

use super::encode::{chunk_headers, weave};
use super::error::SnapshotError;
use super::frame::{ChunkWriter, Labels};
use crate::plan::{FileClass, FilePlan, Form, LabelKind, TapePlan};
use crate::tape::partial::PartialTape;

/// Puts the frame around the data.
pub(crate) fn write_frame(tape: &PartialTape, plan: &TapePlan, labels: &Labels, description: &[u8]) -> Result<(), SnapshotError> {
    tape.set_len(plan.bytes)?;
    let mut end = ChunkWriter::behind(0);
    end.tape_mark();
    put(tape, plan.bytes - plan.options.labels.end_bytes(), &end.bytes)?;
    for file in plan.files.iter().rev() {
        put(tape, file.data_end, &trailer_bytes(labels, file)?)?;
        if let Some((place, header)) = last_block_header(file) {
            put(tape, place, header.as_bytes())?;
        }
        if file.spec.class == FileClass::Description {
            let stream = file.stream();
            let headers = chunk_headers(&stream, 0..stream.bytes);
            let slices = weave(&stream, 0, &headers, std::iter::once(description));
            let bytes = slices.concat();
            put(tape, file.data, &bytes)?;
        }
        let bytes = header_bytes(labels, file)?;
        let place = if file.number == 1 { 0 } else { file.header };
        put(tape, place, &bytes)?;
    }
    Ok(())
}

/// Writes bytes of the frame; those of the tape's very first chunk header last.
fn put(tape: &PartialTape, place: u64, bytes: &[u8]) -> Result<(), SnapshotError> {
    let first = if place == 0 { CHUNK_HEADER_BYTES as usize } else { 0 };
    let (first, others) = bytes.split_at(first.min(bytes.len()));
    tape.write(place + first.len() as u64, others)?;
    Ok(tape.write(place, first)?)
}

/// Header labels of a file, the volume label before those of the first.
fn header_bytes(labels: &Labels, file: &FilePlan) -> Result<Vec<u8>, SnapshotError> {
    let mut chunks = ChunkWriter::behind(0);
    if file.number == 1 {
        labels.volume()?.iter().for_each(|label| chunks.label(label));
    }
    let header = labels.header(file)?;
    header.iter().for_each(|label| chunks.label(label));
    if !header.is_empty() {
        chunks.tape_mark();
    }
    Ok(chunks.bytes)
}

/// The tape mark behind a file's data, and its trailer labels.
fn trailer_bytes(labels: &Labels, file: &FilePlan) -> Result<Vec<u8>, SnapshotError> {
    let mut chunks = ChunkWriter::behind(file.last_block);
    chunks.tape_mark();
    let trailer = labels.trailer(file)?;
    trailer.iter().for_each(|label| chunks.label(label));
    if !trailer.is_empty() {
        chunks.tape_mark();
    }
    Ok(chunks.bytes)
}

/// Place and content of the header of a copied stream's last block.
fn last_block_header(file: &FilePlan) -> Option<(u64, ChunkHeader)> {
    if file.spec.form() == Form::Blocks || file.spec.class == FileClass::Description {
        return None;
    }
    let stream = file.stream();
    let last = stream.blocks().checked_sub(1)?;
    Some((stream.header_place(last), stream.header(last)))
}

/// Walks all chunk headers of the finished tape and compares them with the plan.
pub(crate) fn check_tape(tape: &PartialTape, plan: &TapePlan) -> Result<(), SnapshotError> {
    let differs = |offset, reason: String| SnapshotError::NotAsPlanned { tape: tape.path().to_owned(), offset, reason };
    let found = tape.bytes()?;
    if found != plan.bytes {
        return Err(differs(found, format!("it ends, where the plan has {} bytes", plan.bytes)));
    }
    let labels = if plan.options.labels == LabelKind::None { 0 } else { 2 };
    let mut walk = Walk { tape, at: 0, previous: 0 };
    for file in &plan.files {
        if file.number == 1 && labels > 0 {
            walk.expect_block(80).map_err(|(offset, reason)| differs(offset, reason))?;
        }
        let mut check = || -> Result<(), (u64, String)> {
            walk.expect_at(file.header)?;
            walk.expect_group(labels)?;
            walk.expect_at(file.data)?;
            walk.expect_data(file)?;
            walk.expect_at(file.data_end)?;
            walk.expect_tape_mark()?;
            walk.expect_group(labels)
        };
        check().map_err(|(offset, reason)| differs(offset, format!("file {}: {reason}", file.number)))?;
    }
    walk.expect_tape_mark().map_err(|(offset, reason)| differs(offset, reason))
}

/// A walk from chunk to chunk.
struct Walk<'a> {
    tape: &'a PartialTape,
    at: u64,
    previous: u16,
}

type Differs = (u64, String);

impl Walk<'_> {
    fn next(&mut self) -> Result<ChunkHeader, Differs> {
        let mut bytes = [0; CHUNK_HEADER_BYTES as usize];
        self.tape.read_exact_at(self.at, &mut bytes).map_err(|error| (self.at, error.to_string()))?;
        let header = ChunkHeader::read_from_bytes(&bytes).map_err(|error| (self.at, error.to_string()))?;
        if header.previous_length.get() != self.previous {
            return Err((self.at, format!("the previous length is {} and not {}", header.previous_length.get(), self.previous)));
        }
        self.at += u64::from(CHUNK_HEADER_BYTES) + u64::from(header.length.get());
        self.previous = header.length.get();
        Ok(header)
    }

    fn expect_at(&self, place: u64) -> Result<(), Differs> {
        if self.at == place { Ok(()) } else { Err((self.at, format!("the plan has {place} here"))) }
    }

    fn expect_block(&mut self, length: u16) -> Result<(), Differs> {
        let at = self.at;
        let expected = ChunkHeader::block(length, self.previous);
        if self.next()? == expected { Ok(()) } else { Err((at, format!("no block of {length} bytes begins here"))) }
    }

    fn expect_tape_mark(&mut self) -> Result<(), Differs> {
        let at = self.at;
        if self.next()?.is_tape_mark() { Ok(()) } else { Err((at, "no tape mark is here".to_owned())) }
    }

    /// `labels` labels and a tape mark; nothing where there are no labels.
    fn expect_group(&mut self, labels: u32) -> Result<(), Differs> {
        (0..labels).try_for_each(|_| self.expect_block(80))?;
        if labels > 0 { self.expect_tape_mark() } else { Ok(()) }
    }

    fn expect_data(&mut self, file: &FilePlan) -> Result<(), Differs> {
        let stream = file.stream();
        for block in 0..file.blocks {
            let at = self.at;
            let header = self.next()?;
            let right = match file.spec.form() {
                Form::Tracks => header == stream.header(block),
                Form::Blocks => header == ChunkHeader::block(header.length.get(), header.previous_length.get()),
            };
            if !right || header.length.get() == 0 {
                return Err((at, format!("block {} is not as planned", block + 1)));
            }
        }
        Ok(())
    }
}
