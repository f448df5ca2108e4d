//! The ways of stages to the tape, and the plan as it grows where it is not known beforehand.

use super::error::SnapshotError;
use super::frame::Labels;
use super::stages::StageTask;
use super::turnstile::Turnstile;
use crate::plan::{BlockedStream, FileSpec, PlanBuilder, SizeTable, TapePlan};
use crate::tape::partial::PartialTape;
use crate::tape::pipe::PipeTape;

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
    /// Into a pipe, in order.
    Piped { order: Turnstile<PipeOrder> },
}

/// The plan as far as it is known.
pub(crate) struct Order {
    pub(crate) builder: PlanBuilder,
    /// Files to come, the next one last.
    pub(crate) coming: Vec<FileSpec>,
    pub(crate) opened: usize,
}

/// A pipe, and the plan of what went into it.
pub(crate) struct PipeOrder {
    pub(crate) order: Order,
    pub(crate) pipe: PipeTape,
    pub(crate) labels: Labels,
    /// The stream of the first file.
    pub(crate) description: Vec<u8>,
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

impl PipeOrder {
    /// Brings the pipe to the data of file `file`: trailers and headers of all between.
    pub(crate) fn advance(&mut self, file: usize) -> Result<(), SnapshotError> {
        while self.order.opened <= file && !self.order.coming.is_empty() {
            self.close_current()?;
            let next = self.order.opened;
            self.order.advance(next);
            let Some(plan) = self.order.builder.current() else { break };
            if next == 0 {
                for label in self.labels.volume()? {
                    self.pipe.write_block(&label)?;
                }
            }
            let header = self.labels.header(plan)?;
            for label in &header {
                self.pipe.write_block(label)?;
            }
            if !header.is_empty() {
                self.pipe.write_tape_mark()?;
            }
            if next == 0 {
                self.pipe.write_stream(&self.description)?;
            }
        }
        Ok(())
    }

    fn close_current(&mut self) -> Result<(), SnapshotError> {
        self.order.builder.close();
        let Some(plan) = self.order.builder.current() else { return Ok(()) };
        self.pipe.flush_stream()?;
        self.pipe.write_tape_mark()?;
        let trailer = self.labels.trailer(plan)?;
        for label in &trailer {
            self.pipe.write_block(label)?;
        }
        if !trailer.is_empty() {
            self.pipe.write_tape_mark()?;
        }
        Ok(())
    }

    /// Ends the tape; gives the plan of what was written.
    pub(crate) fn finish(mut self) -> Result<TapePlan, SnapshotError> {
        self.advance(usize::MAX)?;
        self.close_current()?;
        self.pipe.write_tape_mark()?;
        let written = self.pipe.finish()?;
        let plan = self.order.finish();
        if written != plan.bytes {
            let reason = format!("the tape has {written} bytes where the plan has {}", plan.bytes);
            return Err(SnapshotError::NotAsPlanned { tape: "-".into(), offset: written, reason });
        }
        Ok(plan)
    }
}

impl Route<'_> {
    /// Lets go all threads that wait for their turn.
    pub(crate) fn break_down(&self) {
        match self {
            Self::Planned { .. } => {}
            Self::Discovered { order, .. } => order.break_down(),
            Self::Piped { order } => order.break_down(),
        }
    }
}
