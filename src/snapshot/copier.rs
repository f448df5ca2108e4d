//! The copier: threads that take stages in tape order, read them, and bring them to their places.
//!
//! Where the sizes of all units are known beforehand, a stage's place is known too, and the threads write without
//! waiting for each other. Where they are not (a compressed source, whose units must be expanded to be measured, and
//! are expanded only once), or the tape is written in order, stages are loaded in parallel and pass a turnstile in tape
//! order: behind it the same plan builder gives each its place. Either way the tape is the same to the byte.

use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use tapegate_formats::tape::packer::BlockPacker;
use tapegate_formats::tape::unit::UNIT_HEADER_BYTES;

use super::encode::EncodedStage;
use super::error::SnapshotError;
use super::ledger::Ledger;
use super::live::LiveSource;
use super::monitor::Monitor;
use super::places::{encode_stage, write_stage};
use super::route::{InOrder, Packing, Place, Route};
use super::stages::StageTask;
use super::turnstile::Turnstile;
use crate::aligned::AlignedBuffer;
use crate::finding::Finding;
use crate::parallel::run_in_order;
use crate::plan::{FileSpec, Form};
use crate::tape::partial::{PartialTape, Writer};
use crate::tape::{PackedPart, TapeError};
use crate::volume::UnitSource;
use crate::volume::{Stage, UnitIndex};

/// Findings about raw slots that are told one by one; the others are only counted.
const MOST_RAW_SLOT_FINDINGS: usize = 20;

/// The findings about raw slots, and how many raw slots there were.
pub(super) type RawSlots = Mutex<(Vec<Finding>, usize)>;

/// What all threads of a copy share.
pub(crate) struct CopyJob<'a> {
    pub(crate) source: &'a dyn UnitSource,
    /// What the source adds if hosts write to it meanwhile.
    pub(crate) live: Option<&'a dyn LiveSource>,
    pub(crate) files: &'a [FileSpec],
    pub(crate) tasks: Vec<StageTask>,
    pub(crate) ledger: &'a Ledger,
    pub(crate) monitor: &'a dyn Monitor,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) threads: usize,
}

/// Copies all stages; gives the findings about tracks that went as raw slots.
pub(crate) fn copy(job: &CopyJob<'_>, route: &Route<'_>) -> Result<Vec<Finding>, SnapshotError> {
    let raw_slots = RawSlots::default();
    let work = |number, task: &StageTask, worker: &mut Worker<'_>| worker.copy_stage(number, task);
    let worker = || Worker::new(job, route, &raw_slots);
    let complete = run_in_order(job.threads, &job.tasks, job.stop, worker, work, || route.break_down())?;
    if !complete {
        return Err(SnapshotError::Stopped);
    }
    let (mut findings, count) = raw_slots.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(more) = count.checked_sub(MOST_RAW_SLOT_FINDINGS).filter(|more| *more > 0) {
        findings.push(Finding::damage("raw-slot", format!("{more} more tracks do not walk and are carried as raw slots")));
    }
    Ok(findings)
}

/// One thread of a copy, and its buffers.
pub(super) struct Worker<'a> {
    pub(super) job: &'a CopyJob<'a>,
    pub(super) route: &'a Route<'a>,
    raw_slots: &'a RawSlots,
    pub(super) stage: Stage,
    pub(super) encoded: EncodedStage,
    scratch: AlignedBuffer,
    packer: Option<BlockPacker>,
    packed: PackedPart,
    pub(super) read_back: Vec<u8>,
}

impl<'a> Worker<'a> {
    pub(super) fn new(job: &'a CopyJob<'a>, route: &'a Route<'a>, raw_slots: &'a RawSlots) -> Self {
        let (stage, encoded, scratch, packed, read_back) = Default::default();
        Self { job, route, raw_slots, stage, encoded, scratch, packer: None, packed, read_back }
    }

    fn copy_stage(&mut self, number: usize, task: &StageTask) -> Result<(), SnapshotError> {
        if let Some(live) = self.job.live {
            let bytes = self.copy_live_stage(number, task, live)?;
            self.job.monitor.advance(bytes);
            live.pace(bytes);
            return Ok(());
        }
        // A unit without a body was never written, whatever its bit says.
        let secured =
            self.job.ledger.all_secured(task.slots()) && self.sizes_of(task).iter().all(|&size| size > UNIT_HEADER_BYTES);
        let bytes = if secured {
            self.take_up(number, task)?
        } else {
            self.load(task)?;
            self.bring(number, task)?
        };
        tracing::debug!(file = task.file + 1, unit = task.first.0, units = task.units, bytes, "secured");
        self.job.monitor.advance(bytes);
        Ok(())
    }

    /// Reads a stage and encodes it in the form of its file.
    pub(super) fn load(&mut self, task: &StageTask) -> Result<(), SnapshotError> {
        self.job.source.read_units(task.first, task.units, &mut self.stage)?;
        self.note_raw_slots(task);
        self.encode(task).map_err(|at| self.blocks_changed(task, at))
    }

    /// Encodes the stage that was read; an error is the place in it of a unit that has not the blocks that were planned.
    pub(super) fn encode(&mut self, task: &StageTask) -> Result<(), u32> {
        let (file, place) = (self.file(task), (task.first, task.at));
        let encoded = encode_stage(&mut self.encoded, &self.stage, self.job.source.shape(), file, place);
        // A place in a stage, which has fewer units than a volume.
        encoded.map_err(|at| u32::try_from(at).unwrap_or(u32::MAX))
    }

    pub(super) fn blocks_changed(&self, task: &StageTask, at: u32) -> SnapshotError {
        let address = self.job.source.shape().address(UnitIndex(task.first.0 + at));
        SnapshotError::BlocksChanged { volume: self.job.source.name().to_owned(), address }
    }

    /// Notes those of the task's tracks that don't walk; they are carried as they lie in the image.
    pub(super) fn note_raw_slots(&self, task: &StageTask) {
        for (unit, number) in self.stage.units().zip(task.first.0..task.first.0 + task.units) {
            let Some(defect) = unit.defect else { continue };
            let mut raw_slots = self.raw_slots.lock().unwrap_or_else(PoisonError::into_inner);
            raw_slots.1 += 1;
            if raw_slots.1 <= MOST_RAW_SLOT_FINDINGS {
                let detail = format!("the track is carried as a raw slot, because {defect}");
                let address = self.job.source.shape().address(UnitIndex(number));
                raw_slots.0.push(Finding::damage("raw-slot", detail).at(address));
            }
        }
    }

    /// Writes the stage that was loaded to its place; gives the bytes of its stream.
    pub(super) fn bring(&mut self, number: usize, task: &StageTask) -> Result<u64, SnapshotError> {
        let bytes = self.encoded.bytes();
        match self.route {
            Route::Planned { tape, plan, sizes } => {
                let file = &plan.files[task.file];
                if file.spec.form() == Form::Tracks {
                    self.check_sizes(task, |unit| sizes.encoded_bytes(unit))?;
                }
                self.write(tape, Place { stream: file.stream(), position: task.position }, task)?;
            }
            Route::Discovered { tape, order } => {
                let passed = order.pass(number, |order| {
                    self.job.ledger.set_sizes(task.slot, &self.encoded.sizes);
                    Ok::<_, SnapshotError>(order.place(task, bytes))
                });
                self.write(tape, passed.ok_or(SnapshotError::Stopped)??, task)?;
            }
            Route::InOrder { order, packing } => self.bring_in_order(number, task, (&**order, packing.as_ref()))?,
        }
        self.job.ledger.set_sizes(task.slot, &self.encoded.sizes);
        self.job.ledger.secure(task.slot, &self.encoded.digests);
        Ok(bytes)
    }

    /// Writes the stage that was loaded when its turn comes; it is packed before that.
    fn bring_in_order(
        &mut self,
        number: usize,
        task: &StageTask,
        (order, packing): (&Turnstile<InOrder>, Option<&Packing>),
    ) -> Result<(), SnapshotError> {
        let (form, bytes) = (self.file(task).form(), self.encoded.bytes());
        if let Some(packing) = packing {
            let files = self.job.files;
            let position = packing.positions.pass(number, |at| Ok::<_, SnapshotError>(at.place(files, task.file, bytes)));
            let place = (position.ok_or(SnapshotError::Stopped)??, packing.block_bytes);
            let packer = self.packer.get_or_insert_with(|| packing.compression.packer());
            match form {
                Form::Tracks => self.packed.pack_stream(packer, place, self.encoded.parts(&self.stage)),
                Form::Blocks => self.packed.pack_blocks(packer, self.encoded.blocks(&self.stage)),
            }
        }
        let passed = order.pass(number, |out| -> Result<(), SnapshotError> {
            out.advance(task.file)?;
            out.order.place(task, bytes);
            match form {
                _ if packing.is_some() => out.tape.write_packed(&self.packed)?,
                Form::Tracks => self.encoded.parts(&self.stage).try_for_each(|part| out.tape.write_stream(part))?,
                Form::Blocks => self.encoded.blocks(&self.stage).try_for_each(|block| out.tape.write_block(block))?,
            }
            Ok(())
        });
        passed.ok_or(SnapshotError::Stopped)?
    }

    /// Compares the lengths of the units that were loaded with those that their places were made from.
    pub(super) fn check_sizes(&self, task: &StageTask, planned: impl Fn(UnitIndex) -> u32) -> Result<(), SnapshotError> {
        for (unit, &found) in (task.first.0..).map(UnitIndex).zip(&self.encoded.sizes) {
            let planned = planned(unit);
            if planned != found {
                let address = self.job.source.shape().address(unit);
                return Err(SnapshotError::Changed { volume: self.job.source.name().to_owned(), address, planned, found });
            }
        }
        Ok(())
    }

    /// Writes the stage that was loaded to its place on a tape file.
    pub(super) fn write(&mut self, tape: &PartialTape, place: Place, task: &StageTask) -> Result<(), TapeError> {
        let file = self.file(task);
        write_stage(tape, file, (place, task.at), (&self.encoded, &self.stage), &mut self.scratch, Writer::Copier)
    }

    pub(super) fn file(&self, task: &StageTask) -> &'a FileSpec {
        &self.job.files[task.file]
    }
}

impl StageTask {
    /// The units of the stage in the ledger.
    pub(super) fn slots(&self) -> Range<usize> {
        self.slot..self.slot + self.units as usize
    }
}
