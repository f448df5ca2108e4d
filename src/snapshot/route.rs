//! The ways of stages to the tape, and the plan as it grows where it is not known beforehand.

use super::error::SnapshotError;
use super::frame::Labels;
use super::stages::StageTask;
use super::turnstile::Turnstile;
use crate::plan::{BlockedStream, FileSpec, PlanBuilder, SizeTable, TapePlan};
use crate::tape::TapeCompression;
use crate::tape::in_order::{InOrderTape, Written};
use crate::tape::partial::PartialTape;

/// A position in the stream of a file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) stream: BlockedStream,
    pub(crate) position: u64,
}

/// Where stages go.
pub(crate) enum Route<'a> {
    /// To their places, known beforehand.
    Planned { tape: &'a PartialTape, plan: &'a TapePlan, sizes: &'a SizeTable },
    /// To a file, at places found in order.
    Discovered { tape: &'a PartialTape, order: Turnstile<Order> },
    /// Into a pipe, or packed into a file, in order.
    InOrder { order: Box<Turnstile<InOrder>>, packing: Option<Packing> },
}

/// How stages are packed before their turn comes to be written.
///
/// Where a stage's blocks begin depends on the position of its bytes in their stream, which those before it tell as soon
/// as they are loaded; that is the first of two turnstiles that a stage passes. Packing is between them.
pub(crate) struct Packing {
    pub(crate) compression: TapeCompression,
    /// Length of the blocks that streams are cut into.
    pub(crate) block_bytes: u16,
    pub(crate) positions: Turnstile<StreamPosition>,
}

/// The file whose stages were told last, and the bytes of its stream so far.
#[derive(Debug, Default)]
pub(crate) struct StreamPosition {
    file: usize,
    bytes: u64,
}

impl StreamPosition {
    /// Adds `bytes` bytes to the stream of file `file`, one of these files; gives the position of the first.
    pub(crate) fn place(&mut self, files: &[FileSpec], file: usize, bytes: u64) -> u64 {
        if self.file != file || self.bytes == 0 {
            let fixed = files.get(file).and_then(|spec| spec.fixed_bytes);
            *self = Self { file, bytes: fixed.unwrap_or(0) };
        }
        self.bytes += bytes;
        self.bytes - bytes
    }
}

/// The plan as far as it is known.
pub(crate) struct Order {
    pub(crate) builder: PlanBuilder,
    /// Files to come, the next one last.
    pub(crate) coming: Vec<FileSpec>,
    pub(crate) opened: usize,
}

/// A tape that is written in order, and the plan of what went onto it.
pub(crate) struct InOrder {
    pub(crate) order: Order,
    pub(crate) tape: InOrderTape,
    pub(crate) labels: Labels,
    /// The stream of the first file.
    pub(crate) description: Vec<u8>,
    /// Where the files lie, as far as they are written.
    pub(crate) places: Vec<FilePlaces>,
}

/// Where a file lies in the image; what the plan says of a tape whose blocks are not packed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FilePlaces {
    /// L: offset of the first header label.
    pub(crate) header: u64,
    /// D: offset of the first data block.
    pub(crate) data: u64,
    /// Offset behind the last data block.
    pub(crate) data_end: u64,
}

/// What is known of a tape that was written in order.
pub(crate) struct WrittenInOrder {
    /// The plan of its content.
    pub(crate) plan: TapePlan,
    pub(crate) written: Written,
    /// Places by file, in tape order.
    pub(crate) places: Vec<FilePlaces>,
}

impl Order {
    pub(crate) fn new(builder: PlanBuilder, mut files: Vec<FileSpec>) -> Self {
        files.reverse();
        Self { builder, coming: files, opened: 0 }
    }

    /// Opens file `file`, closing all before it.
    fn advance(&mut self, file: usize) {
        while self.opened <= file {
            let Some(spec) = self.coming.pop() else { return };
            self.builder.close();
            let fixed = spec.fixed_bytes;
            self.builder.open(spec);
            self.builder.extend(fixed.unwrap_or(0));
            self.opened += 1;
        }
    }

    /// Adds a stage to the plan; gives its place in the stream of its file, whose end is not known yet.
    pub(crate) fn place(&mut self, task: &StageTask, bytes: u64) -> Place {
        self.advance(task.file);
        let file = self.builder.current().unwrap_or_else(|| unreachable!("a stage belongs to a file, which was opened"));
        // No block of it is taken for the last, shorter one: the frame is written last and puts that right.
        let stream = BlockedStream { bytes: u64::MAX >> 1, ..file.stream() };
        let position = file.stream_bytes;
        self.builder.extend(bytes);
        Place { stream, position }
    }

    /// Ends the plan.
    pub(crate) fn finish(mut self) -> TapePlan {
        self.advance(usize::MAX);
        self.builder.close();
        self.builder.finish()
    }
}

impl InOrder {
    /// Brings the tape to the data of file `file`: trailers and headers of all between.
    pub(crate) fn advance(&mut self, file: usize) -> Result<(), SnapshotError> {
        while self.order.opened <= file && !self.order.coming.is_empty() {
            self.close_current()?;
            let next = self.order.opened;
            self.order.advance(next);
            let Some(plan) = self.order.builder.current() else { break };
            if next == 0 {
                for label in self.labels.volume()? {
                    self.tape.write_block(&label)?;
                }
            }
            let mut places = FilePlaces { header: self.tape.place(), ..FilePlaces::default() };
            let header = self.labels.header(plan)?;
            for label in &header {
                self.tape.write_block(label)?;
            }
            if !header.is_empty() {
                self.tape.write_tape_mark()?;
            }
            places.data = self.tape.place();
            self.places.push(places);
            if next == 0 {
                self.tape.write_stream(&self.description)?;
            }
        }
        Ok(())
    }

    fn close_current(&mut self) -> Result<(), SnapshotError> {
        self.order.builder.close();
        let Some(plan) = self.order.builder.current() else { return Ok(()) };
        self.tape.flush_stream()?;
        if let Some(places) = self.places.last_mut() {
            places.data_end = self.tape.place();
        }
        self.tape.write_tape_mark()?;
        let trailer = self.labels.trailer(plan)?;
        for label in &trailer {
            self.tape.write_block(label)?;
        }
        if !trailer.is_empty() {
            self.tape.write_tape_mark()?;
        }
        Ok(())
    }

    /// Ends the tape; gives what was written.
    pub(crate) fn finish(mut self) -> Result<WrittenInOrder, SnapshotError> {
        self.advance(usize::MAX)?;
        self.close_current()?;
        self.tape.write_tape_mark()?;
        let written = self.tape.finish()?;
        let plan = self.order.finish();
        if written.plain_bytes != plan.bytes {
            let reason = format!("the tape has {} bytes where the plan has {}", written.plain_bytes, plan.bytes);
            return Err(SnapshotError::NotAsPlanned { tape: "-".into(), offset: written.bytes, reason });
        }
        Ok(WrittenInOrder { plan, written, places: self.places })
    }
}

impl Route<'_> {
    /// Lets go all threads that wait for their turn.
    pub(crate) fn break_down(&self) {
        match self {
            Self::Planned { .. } => {}
            Self::Discovered { order, .. } => order.break_down(),
            Self::InOrder { order, packing } => {
                order.break_down();
                packing.iter().for_each(|packing| packing.positions.break_down());
            }
        }
    }
}
