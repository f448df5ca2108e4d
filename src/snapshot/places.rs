//! Bringing stages, and single units out of order, to their places on a tape file whose plan is known.

use std::sync::{Arc, Mutex, PoisonError};

use tapegate_formats::dasd::address::TrackIndex;
use zerocopy::IntoBytes;

use super::encode::{EncodedStage, chunk_headers, weave, write_place};
use super::error::SnapshotError;
use super::ledger::Ledger;
use super::route::Place;
use crate::aligned::AlignedBuffer;
use crate::finding::Finding;
use crate::plan::{FileSpec, Form, SizeTable, TapePlan};
use crate::tape::TapeError;
use crate::tape::partial::{PartialTape, Writer};
use crate::volume::{Shape, Stage, UnitIndex};

/// Writes an encoded stage, whose first unit is unit `at` of its file, to its place.
pub(super) fn write_stage(
    tape: &PartialTape,
    file: &FileSpec,
    (place, at): (Place, u32),
    (encoded, stage): (&EncodedStage, &Stage),
    scratch: &mut AlignedBuffer,
    writer: Writer,
) -> Result<(), TapeError> {
    let Place { stream, position } = place;
    if let Some(table) = &file.blocks {
        let headers = encoded.block_headers(table.previous_length(at));
        let parts = headers.iter().zip(encoded.blocks(stage));
        let slices = parts.flat_map(|(header, block)| [header.as_bytes(), block]);
        return tape.write_gathered(stream.data + table.place(at), slices, scratch, writer);
    }
    let headers = chunk_headers(&stream, position..position + encoded.bytes());
    let slices = weave(&stream, position, &headers, encoded.parts(stage));
    tape.write_gathered(write_place(&stream, position), slices, scratch, writer)
}

/// Encodes a stage in the form of its file; an error is the place in the stage of a unit that has not the blocks that
/// were planned.
pub(super) fn encode_stage(
    encoded: &mut EncodedStage,
    stage: &Stage,
    shape: &Shape,
    file: &FileSpec,
    (first, at): (UnitIndex, u32),
) -> Result<(), usize> {
    let (Some(table), Shape::Ckd(geometry)) = (&file.blocks, shape) else {
        encoded.encode_tracks(first, stage);
        return Ok(());
    };
    let unit = |inside: usize| first.0 + u32::try_from(inside).unwrap_or(0);
    let home = |inside| geometry.encode_cchh(geometry.cchh(TrackIndex(unit(inside))));
    let planned = &table.units()[at as usize..][..stage.len()];
    encoded.encode_blocks(stage, home, planned)
}

/// A run of neighbouring units of a file: an entry of the inverted list.
#[derive(Debug, Clone, Copy)]
struct PlacedRun {
    first: u32,
    units: u32,
    /// Which file, from 0.
    file: usize,
    /// Unit number in the file of the first unit.
    at: u32,
    /// Number of the first unit in the ledger.
    slot: usize,
    /// Position in the file's stream of the first unit, in `tracks` form.
    position: u64,
}

/// The inverted list of a tape: from a unit of the volume to all its places, and how to write there.
///
/// It is shared by the copier and by host writes, each of which brings units out of order.
pub struct TapePlaces {
    tape: Arc<PartialTape>,
    plan: Arc<TapePlan>,
    sizes: Arc<SizeTable>,
    ledger: Arc<Ledger>,
    shape: Shape,
    /// In the order of their first units.
    runs: Vec<PlacedRun>,
    /// Longest end of all runs up to each: a search backwards may stop where it lies before the unit.
    ends: Vec<u32>,
    findings: Mutex<Vec<Finding>>,
}

impl std::fmt::Debug for TapePlaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TapePlaces").field("tape", &self.tape.path()).finish_non_exhaustive()
    }
}

/// Buffers of one who brings units.
#[derive(Debug, Default)]
pub(crate) struct BringBuffers {
    encoded: EncodedStage,
    scratch: AlignedBuffer,
}

impl TapePlaces {
    pub(crate) fn new(
        tape: Arc<PartialTape>,
        plan: Arc<TapePlan>,
        sizes: Arc<SizeTable>,
        ledger: Arc<Ledger>,
        shape: Shape,
    ) -> Self {
        let (mut runs, mut slot) = (Vec::new(), 0);
        for (file, planned) in plan.files.iter().enumerate() {
            let mut position = 0;
            for run in planned.spec.units.runs() {
                runs.push(PlacedRun { first: run.first.0, units: run.units, file, at: run.at, slot, position });
                slot += run.units as usize;
                position += sizes.run_bytes(run.first.0..run.first.0 + run.units);
            }
        }
        runs.sort_by_key(|run| run.first);
        let ends = runs
            .iter()
            .scan(0, |end: &mut u32, run| {
                *end = (*end).max(run.first + run.units);
                Some(*end)
            })
            .collect();
        Self { tape, plan, sizes, ledger, shape, runs, ends, findings: Mutex::default() }
    }

    /// All runs that have the unit.
    fn runs_of(&self, unit: UnitIndex) -> impl Iterator<Item = &PlacedRun> {
        let behind = self.runs.partition_point(|run| run.first <= unit.0);
        let candidates = self.runs[..behind].iter().zip(&self.ends[..behind]).rev();
        let candidates = candidates.take_while(move |&(_, &end)| end > unit.0).map(|(run, _)| run);
        candidates.filter(move |run| run.first + run.units > unit.0)
    }

    /// Brings the one unit that `stage` holds to each of its places where it is not yet, and notes it in the ledger.
    ///
    /// # Errors
    /// When the tape can't be written, or the unit is not as long as planned.
    pub(crate) fn bring(&self, unit: UnitIndex, stage: &Stage, buffers: &mut BringBuffers) -> Result<(), SnapshotError> {
        for run in self.runs_of(unit) {
            let inside = unit.0 - run.first;
            let slot = run.slot + inside as usize;
            if self.ledger.all_secured(slot..slot + 1) {
                continue;
            }
            let file = &self.plan.files[run.file];
            let at = run.at + inside;
            encode_stage(&mut buffers.encoded, stage, &self.shape, &file.spec, (unit, at)).map_err(|_| {
                SnapshotError::BlocksChanged { volume: self.tape.path().to_owned(), address: self.shape.address(unit) }
            })?;
            if file.spec.form() == Form::Tracks {
                let (planned, found) = (self.sizes.encoded_bytes(unit), buffers.encoded.sizes[0]);
                if planned != found {
                    let address = self.shape.address(unit);
                    return Err(SnapshotError::Changed { volume: self.tape.path().to_owned(), address, planned, found });
                }
            }
            let position = run.position + self.sizes.run_bytes(run.first..unit.0);
            let place = Place { stream: file.stream(), position };
            let encoded = (&buffers.encoded, stage);
            write_stage(&self.tape, &file.spec, (place, at), encoded, &mut buffers.scratch, Writer::Host)?;
            self.ledger.set_sizes(slot, &buffers.encoded.sizes);
            self.ledger.secure(slot, &buffers.encoded.digests);
        }
        if let Some(defect) = stage.units().next().and_then(|staged| staged.defect) {
            let detail = format!("the track is carried as a raw slot, because {defect}");
            let finding = Finding::damage("raw-slot", detail).at(self.shape.address(unit));
            self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
        }
        Ok(())
    }

    /// Findings about units that were brought.
    pub(crate) fn take_findings(&self) -> Vec<Finding> {
        std::mem::take(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
