//! The check of a finished tape: every chunk header on it against the plan, before the tape gets its name.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use tapegate_formats::tape::chunk::{CHUNK_HEADER_BYTES, ChunkHeader};
use zerocopy::FromBytes;

use super::error::SnapshotError;
use crate::parallel::run_in_order;
use crate::plan::{FilePlan, Form, LabelKind, TapePlan};
use crate::tape::partial::PartialTape;

/// Blocks that a thread checks at once.
const TASK_BLOCKS: u64 = 2048;
const LABEL_BYTES: u16 = 80;

/// A part of the tape that is checked by one thread.
enum Part<'a> {
    /// Labels and tape marks around a file.
    Frame(&'a FilePlan),
    /// Blocks of a file's data.
    Data(&'a FilePlan, Range<u64>),
}

/// Compares all chunk headers of the finished tape with the plan.
///
/// # Errors
/// When one differs, or the tape is longer or shorter.
pub(super) fn check_tape(tape: &PartialTape, plan: &TapePlan, threads: usize) -> Result<(), SnapshotError> {
    let differs = |(offset, reason): Differs| SnapshotError::NotAsPlanned { tape: tape.path().to_owned(), offset, reason };
    let found = tape.bytes()?;
    if found != plan.bytes {
        return Err(differs((found, format!("it ends, where the plan has {} bytes", plan.bytes))));
    }
    let mut parts = Vec::new();
    for file in &plan.files {
        parts.push(Part::Frame(file));
        // Blocks of different lengths are found one behind the other only.
        let step = if file.spec.form() == Form::Tracks { TASK_BLOCKS } else { file.blocks.max(1) };
        let starts = (0..file.blocks).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        parts.extend(starts.map(|start| Part::Data(file, start..(start + step).min(file.blocks))));
    }
    let check = |_, part: &Part<'_>, (): &mut ()| -> Result<(), SnapshotError> {
        let (file, checked) = match part {
            Part::Frame(file) => (file, check_frame(tape, plan.options.labels, file)),
            Part::Data(file, blocks) => (file, check_data(tape, file, blocks.clone())),
        };
        checked.map_err(|(offset, reason)| differs((offset, format!("file {}: {reason}", file.number))))
    };
    run_in_order(threads, &parts, &AtomicBool::new(false), || (), check, || {})?;
    Walk { tape, at: plan.bytes - plan.options.labels.end_bytes(), previous: 0 }.expect_tape_mark().map_err(differs)
}

fn check_frame(tape: &PartialTape, labels: LabelKind, file: &FilePlan) -> Result<(), Differs> {
    let labels = if labels == LabelKind::None { 0 } else { 2 };
    let mut walk = Walk { tape, at: file.header, previous: 0 };
    if file.number == 1 && labels > 0 {
        walk.at = 0;
        walk.expect_block(LABEL_BYTES)?;
        walk.expect_at(file.header)?;
    }
    walk.expect_group(labels)?;
    walk.expect_at(file.data)?;
    let mut walk = Walk { tape, at: file.data_end, previous: file.last_block };
    walk.expect_tape_mark()?;
    walk.expect_group(labels)
}

fn check_data(tape: &PartialTape, file: &FilePlan, blocks: Range<u64>) -> Result<(), Differs> {
    let stream = file.stream();
    let tracks = file.spec.form() == Form::Tracks;
    let previous = if blocks.start == 0 { 0 } else { file.block_bytes };
    let mut walk = Walk { tape, at: if tracks { stream.header_place(blocks.start) } else { file.data }, previous };
    let last = blocks.end == file.blocks;
    for block in blocks {
        let at = walk.at;
        let header = walk.next()?;
        let planned =
            if tracks { stream.header(block) } else { ChunkHeader::block(header.length.get(), header.previous_length.get()) };
        if header != planned || header.length.get() == 0 {
            return Err((at, format!("block {} is not as planned", block + 1)));
        }
    }
    if last { walk.expect_at(file.data_end) } else { Ok(()) }
}

/// A walk from chunk to chunk.
struct Walk<'a> {
    tape: &'a PartialTape,
    at: u64,
    previous: u16,
}

/// Where something differs, and what.
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
        self.previous = if header.is_tape_mark() { 0 } else { header.length.get() };
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
        (0..labels).try_for_each(|_| self.expect_block(LABEL_BYTES))?;
        if labels > 0 { self.expect_tape_mark() } else { Ok(()) }
    }
}
