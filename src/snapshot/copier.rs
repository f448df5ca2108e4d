//! The copier: threads that take stages in tape order, read them, and bring them to their places.
//!
//! Where the sizes of all units are known beforehand, a stage's place is known too, and the threads write without
//! waiting for each other. Where they are not (a compressed source, whose units must be expanded to be measured, and
//! are expanded only once), or the tape is a pipe, stages are loaded in parallel and pass a turnstile in tape order:
//! behind it the same plan builder gives each its place. Either way the tape is the same to the byte.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::tape::unit::UNIT_HEADER_BYTES;
use zerocopy::IntoBytes;

use super::digest::UnitDigest;
use super::encode::{EncodedStage, chunk_headers, weave, write_place};
use super::error::SnapshotError;
use super::frame::Labels;
use super::ledger::Ledger;
use super::monitor::Monitor;
use super::source::UnitSource;
use super::stages::StageTask;
use super::status::UpdateStatus;
use super::turnstile::Turnstile;
use crate::aligned::AlignedBuffer;
use crate::finding::Finding;
use crate::parallel::run_in_order;
use crate::plan::{BlockedStream, FileSpec, Form, PlanBuilder, SizeTable, TapePlan};
use crate::tape::TapeError;
use crate::tape::partial::PartialTape;
use crate::tape::pipe::PipeTape;
use crate::volume::{Shape, Stage, UnitIndex};

/// Findings about raw slots that are told one by one; the others are only counted.
const MOST_RAW_SLOT_FINDINGS: usize = 20;

/// The findings about raw slots, and how many raw slots there were.
type RawSlots = Mutex<(Vec<Finding>, usize)>;

/// What all threads of a copy share.
pub(crate) struct CopyJob<'a> {
    pub(crate) source: &'a dyn UnitSource,
    pub(crate) files: &'a [FileSpec],
    pub(crate) tasks: Vec<StageTask>,
    pub(crate) ledger: &'a Ledger,
    pub(crate) status: &'a [UpdateStatus],
    pub(crate) monitor: &'a dyn Monitor,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) threads: usize,
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

/// Buffers of one thread, used again for each stage.
#[derive(Default)]
struct Buffers {
    stage: Stage,
    encoded: EncodedStage,
    read_back: Vec<u8>,
    scratch: AlignedBuffer,
}

/// Copies all stages; gives the findings about tracks that went as raw slots.
pub(crate) fn copy(job: &CopyJob<'_>, route: &Route<'_>) -> Result<Vec<Finding>, SnapshotError> {
    let findings = RawSlots::default();
    let work = |number, task: &StageTask, buffers: &mut Buffers| copy_stage(job, route, number, task, buffers, &findings);
    let complete = run_in_order(job.threads, &job.tasks, job.stop, Buffers::default, work, || route.break_down())?;
    if !complete {
        return Err(SnapshotError::Stopped);
    }
    let (mut findings, count) = findings.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(more) = count.checked_sub(MOST_RAW_SLOT_FINDINGS).filter(|more| *more > 0) {
        findings.push(Finding::damage("raw-slot", format!("{more} more tracks do not walk and are carried as raw slots")));
    }
    Ok(findings)
}

impl Route<'_> {
    fn break_down(&self) {
        match self {
            Self::Planned { .. } => {}
            Self::Discovered { order, .. } => order.break_down(),
            Self::Piped { order } => order.break_down(),
        }
    }
}

/// The units of a stage in the ledger.
fn slots(task: &StageTask) -> std::ops::Range<usize> {
    task.slot..task.slot + task.units as usize
}

fn copy_stage(
    job: &CopyJob<'_>,
    route: &Route<'_>,
    number: usize,
    task: &StageTask,
    buffers: &mut Buffers,
    findings: &RawSlots,
) -> Result<(), SnapshotError> {
    let status = &job.status[task.file];
    let claim = status.claim(task.at..task.at + task.units);
    debug_assert_eq!(claim.units(), task.units, "stages are disjoint, and nobody else claims units of a plain copy");
    let bytes = if job.ledger.all_secured(slots(task)) {
        take_up(job, route, number, task, buffers, findings)?
    } else {
        job.source.read_units(task.first, task.units, &mut buffers.stage)?;
        note_raw_slots(job, task, &buffers.stage, findings);
        bring(job, route, number, task, buffers)?
    };
    claim.secure();
    tracing::debug!(file = task.file + 1, unit = task.first.0, units = task.units, bytes, "secured");
    job.monitor.advance(bytes);
    Ok(())
}

/// Notes tracks that don't walk; they are carried as they lie in the image.
fn note_raw_slots(job: &CopyJob<'_>, task: &StageTask, stage: &Stage, findings: &RawSlots) {
    for (unit, number) in stage.units().zip(task.first.0..) {
        let Some(defect) = unit.defect else { continue };
        let mut findings = findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.1 += 1;
        if findings.1 <= MOST_RAW_SLOT_FINDINGS {
            let detail = format!("the track is carried as a raw slot, because {defect}");
            let address = job.source.shape().address(UnitIndex(number));
            findings.0.push(Finding::damage("raw-slot", detail).at(address));
        }
    }
}

/// Writes the stage that was read into the buffers to its place; gives the bytes of its stream.
fn bring(
    job: &CopyJob<'_>,
    route: &Route<'_>,
    number: usize,
    task: &StageTask,
    buffers: &mut Buffers,
) -> Result<u64, SnapshotError> {
    let Buffers { stage, encoded, scratch, .. } = buffers;
    encode(job, task, stage, encoded)?;
    let bytes = encoded.bytes();
    let form = job.files[task.file].form();
    match route {
        Route::Planned { tape, plan, sizes } => {
            let file = &plan.files[task.file];
            if form == Form::Tracks {
                check_sizes(job, task, &encoded.sizes, sizes)?;
            }
            write_stage(tape, file.stream(), file.data, task.position, &job.files[task.file], task, stage, encoded, scratch)?;
        }
        Route::Discovered { tape, order } => {
            let passed = order.pass(number, |order| {
                job.ledger.set_sizes(task.slot, &encoded.sizes);
                Ok::<_, SnapshotError>(discover(order, task, bytes))
            });
            let (stream, position) = passed.ok_or(SnapshotError::Stopped)??;
            write_stage(tape, stream, stream.data, position, &job.files[task.file], task, stage, encoded, scratch)?;
        }
        Route::Piped { order } => {
            let passed = order.pass(number, |pipe| -> Result<(), SnapshotError> {
                pipe.advance(task.file)?;
                discover(&mut pipe.order, task, bytes);
                match form {
                    Form::Tracks => encoded.parts(stage).try_for_each(|part| pipe.pipe.write_stream(part))?,
                    Form::Blocks => encoded.blocks(stage).try_for_each(|block| pipe.pipe.write_block(block))?,
                }
                Ok(())
            });
            passed.ok_or(SnapshotError::Stopped)??;
        }
    }
    job.ledger.set_sizes(task.slot, &encoded.sizes);
    job.ledger.secure(task.slot, &encoded.digests);
    Ok(bytes)
}

/// Makes headers and digests of the stage in the form of its file.
fn encode(job: &CopyJob<'_>, task: &StageTask, stage: &Stage, encoded: &mut EncodedStage) -> Result<(), SnapshotError> {
    let (Some(table), Shape::Ckd(geometry)) = (&job.files[task.file].blocks, job.source.shape()) else {
        encoded.encode_tracks(task.first, stage);
        return Ok(());
    };
    let unit = |at: usize| UnitIndex(task.first.0 + u32::try_from(at).unwrap_or(0));
    let home = |at| geometry.encode_cchh(geometry.cchh(TrackIndex(unit(at).0)));
    let planned = &table.units()[task.at as usize..(task.at + task.units) as usize];
    encoded.encode_blocks(stage, home, planned).map_err(|at| SnapshotError::BlocksChanged {
        volume: job.source.name().to_owned(),
        address: job.source.shape().address(unit(at)),
    })
}

/// Adds a stage to the plan; gives the stream of its file, whose end is not known yet, and the stage's position in it.
fn discover(order: &mut Order, task: &StageTask, bytes: u64) -> (BlockedStream, u64) {
    order.advance(task.file);
    let file = order.builder.current().unwrap_or_else(|| unreachable!("a stage belongs to a file, which was opened"));
    // No block of it is taken for the last, shorter one: the frame is written last and puts that right.
    let stream = BlockedStream { bytes: u64::MAX >> 1, ..file.stream() };
    let position = file.stream_bytes;
    order.builder.extend(bytes);
    (stream, position)
}

/// Compares the lengths of units with those that the plan was made with.
fn check_sizes(job: &CopyJob<'_>, task: &StageTask, found: &[u32], sizes: &SizeTable) -> Result<(), SnapshotError> {
    for (unit, &found) in (task.first.0..).map(UnitIndex).zip(found) {
        let planned = sizes.encoded_bytes(unit);
        if planned != found {
            let address = job.source.shape().address(unit);
            return Err(SnapshotError::Changed { volume: job.source.name().to_owned(), address, planned, found });
        }
    }
    Ok(())
}

/// Writes an encoded stage to its place on a tape file.
#[allow(clippy::too_many_arguments, reason = "a place on tape has so many coordinates")]
fn write_stage(
    tape: &PartialTape,
    stream: BlockedStream,
    data: u64,
    position: u64,
    file: &FileSpec,
    task: &StageTask,
    stage: &Stage,
    encoded: &EncodedStage,
    scratch: &mut AlignedBuffer,
) -> Result<(), TapeError> {
    if let Some(table) = &file.blocks {
        let headers = encoded.block_headers(table.previous_length(task.at));
        let parts = headers.iter().zip(encoded.blocks(stage));
        let slices = parts.flat_map(|(header, block)| [header.as_bytes(), block]);
        return tape.write_gathered(data + table.place(task.at), slices, scratch);
    }
    let headers = chunk_headers(&stream, position..position + encoded.bytes());
    let slices = weave(&stream, position, &headers, encoded.parts(stage));
    tape.write_gathered(write_place(&stream, position), slices, scratch)
}

/// Takes up a stage that an earlier run secured, if what lies on the tape still has its digests; else copies it.
fn take_up(
    job: &CopyJob<'_>,
    route: &Route<'_>,
    number: usize,
    task: &StageTask,
    buffers: &mut Buffers,
    findings: &RawSlots,
) -> Result<u64, SnapshotError> {
    let sizes = job.ledger.sizes(slots(task));
    let bytes = sizes.iter().map(|&size| u64::from(size)).sum();
    let (tape, stream, position) = match route {
        Route::Planned { tape, plan, .. } => (tape, plan.files[task.file].stream(), task.position),
        Route::Discovered { tape, order } => {
            let passed = order.pass(number, |order| Ok::<_, SnapshotError>(discover(order, task, bytes)));
            let (stream, position) = passed.ok_or(SnapshotError::Stopped)??;
            (tape, stream, position)
        }
        Route::Piped { .. } => return Err(SnapshotError::Refused("a pipe can't be resumed".to_owned())),
    };
    // A unit of no size was never written, whatever its bit says.
    let whole = job.files[task.file].form() == Form::Tracks && sizes.iter().all(|&size| size > UNIT_HEADER_BYTES);
    if whole && reads_back(job, tape, &stream, position, task, &sizes, &mut buffers.read_back) {
        return Ok(bytes);
    }
    tracing::warn!(unit = task.first.0, units = task.units, "not on the tape as the journal says; copied again");
    job.source.read_units(task.first, task.units, &mut buffers.stage)?;
    note_raw_slots(job, task, &buffers.stage, findings);
    let Buffers { stage, encoded, scratch, .. } = buffers;
    encode(job, task, stage, encoded)?;
    for (unit, (&planned, &found)) in (task.first.0..).map(UnitIndex).zip(sizes.iter().zip(&encoded.sizes)) {
        if planned != found {
            let address = job.source.shape().address(unit);
            return Err(SnapshotError::Changed { volume: job.source.name().to_owned(), address, planned, found });
        }
    }
    write_stage(tape, stream, stream.data, position, &job.files[task.file], task, stage, encoded, scratch)?;
    job.ledger.secure(task.slot, &encoded.digests);
    Ok(bytes)
}

/// Whether the units of a stage lie on the tape as their digests say.
fn reads_back(
    job: &CopyJob<'_>,
    tape: &PartialTape,
    stream: &BlockedStream,
    position: u64,
    task: &StageTask,
    sizes: &[u32],
    buffer: &mut Vec<u8>,
) -> bool {
    let bytes: u64 = sizes.iter().map(|&size| u64::from(size)).sum();
    buffer.clear();
    let mut at = position;
    while at < position + bytes {
        let block_end = (at / u64::from(stream.block_bytes) + 1) * u64::from(stream.block_bytes);
        let part = block_end.min(position + bytes) - at;
        let start = buffer.len();
        // Less than a block of 64 KiB.
        buffer.resize(start + usize::try_from(part).unwrap_or(0), 0);
        if tape.read_exact_at(stream.place(at), &mut buffer[start..]).is_err() {
            return false;
        }
        at += part;
    }
    let mut rest = &buffer[..];
    job.ledger.digests(slots(task)).iter().zip(sizes).all(|(digest, &size)| {
        let (unit, behind) = rest.split_at(size as usize);
        rest = behind;
        UnitDigest::of(&unit[UNIT_HEADER_BYTES as usize..]) == *digest
    })
}
