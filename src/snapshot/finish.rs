//! The end of a tape file: labels, tape marks and the description are put around the data.
//!
//! This frame is written when all data is there, because trailers count blocks and the last block of a stream whose
//! end was not known beforehand must get its true length. It is written from the last file to the first, so that the
//! first bytes of the tape come last: until then no program takes the file for a tape.

use tapegate_formats::tape::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use zerocopy::IntoBytes;

use super::encode::{chunk_headers, weave};
use super::error::SnapshotError;
use super::frame::{ChunkWriter, Labels};
use crate::plan::{FileClass, FilePlan, Form, TapePlan};
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
