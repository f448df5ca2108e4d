//! What a volume that hosts write to adds to a copy.

use std::ops::Range;
use std::sync::Arc;

use super::copier::Worker;
use super::error::SnapshotError;
use super::places::TapePlaces;
use super::route::{Place, Route};
use super::stages::StageTask;
use crate::plan::{FileSpec, Form, SizeTable};
use crate::volume::UnitIndex;

/// A volume as of T0 that hosts go on writing to.
///
/// A read gives a unit's original if the unit had not changed when it was read, or if the cache has it. A unit whose
/// original went to its places on the tape instead is given as it is *now*, and the ledger says that it is there: it is
/// noted before the host's write goes on.
pub trait LiveSource: Sync {
    /// The files are chosen: units that none of them has need no protection any more.
    /// `on_tape` tells of each unit of each file, in tape order, whether it is on the tape already.
    fn narrow(&self, files: &[FileSpec], on_tape: &dyn Fn(usize) -> bool);

    /// From here on the originals of units go to their places; those that the cache has are brought there at once.
    ///
    /// # Errors
    /// When the tape can't be written.
    fn begin_places(&self, places: Arc<TapePlaces>) -> Result<(), SnapshotError>;

    /// Nobody writes to the places any more; gives them back if they were begun.
    fn end_places(&self) -> Option<Arc<TapePlaces>>;

    /// One piece of each of these units is where it belongs: the stream has passed it, or it is on the tape.
    fn delivered(&self, units: Range<u32>);

    /// Lets hosts go first, and keeps the rate; called before each stage with the bytes that the last one had.
    fn pace(&self, bytes: u64);
}

impl Worker<'_> {
    /// Copies a stage of a live volume; gives the bytes of its stream.
    ///
    /// Units that a host's write brought to their places are left out. They are looked for after the read: a unit that
    /// was not there then had not changed when it was read.
    pub(super) fn copy_live_stage(
        &mut self,
        number: usize,
        task: &StageTask,
        live: &dyn LiveSource,
    ) -> Result<u64, SnapshotError> {
        let (tape, plan, sizes) = match self.route {
            Route::Planned { tape, plan, sizes } => (*tape, *plan, *sizes),
            Route::Discovered { .. } | Route::InOrder { .. } => {
                self.load(task)?;
                // All of it is in memory, and as it was at T0. What the sink then does holds no host up.
                live.delivered(task.range());
                return self.bring(number, task);
            }
        };
        let file = &plan.files[task.file];
        let mut bytes = 0;
        let mut done = 0;
        while done < task.units {
            let missing = (done..task.units).take_while(|&at| !self.is_on_tape(task, at)).count();
            let mut part = task.part(done, u32::try_from(missing).unwrap_or(0), file.spec.form(), sizes);
            if part.units == 0 {
                done += 1;
                continue;
            }
            self.job.source.read_units(part.first, part.units, &mut self.stage)?;
            match self.encode(&part) {
                Ok(()) => {}
                // It has not the planned blocks, because it has changed after it was brought to its place.
                Err(at) if self.is_on_tape(&part, at) => part.units = at,
                Err(at) => return Err(self.blocks_changed(&part, at)),
            }
            let kept = (0..part.units).take_while(|&at| !self.is_on_tape(&part, at)).count();
            part.units = u32::try_from(kept).unwrap_or(0);
            self.encoded.truncate(kept);
            if part.units == 0 {
                continue;
            }
            self.note_raw_slots(&part);
            if file.spec.form() == Form::Tracks {
                self.check_sizes(&part, |unit| sizes.encoded_bytes(unit))?;
            }
            self.write(tape, Place { stream: file.stream(), position: part.position }, &part)?;
            self.job.ledger.set_sizes(part.slot, &self.encoded.sizes);
            self.job.ledger.secure(part.slot, &self.encoded.digests);
            live.delivered(part.range());
            bytes += self.encoded.bytes();
            done += part.units;
        }
        Ok(bytes)
    }

    /// Whether unit `at` of the stage is at its place.
    fn is_on_tape(&self, task: &StageTask, at: u32) -> bool {
        let slot = task.slot + at as usize;
        self.job.ledger.all_secured(slot..slot + 1)
    }
}

impl StageTask {
    /// The units of the stage on the volume.
    fn range(&self) -> Range<u32> {
        self.first.0..self.first.0 + self.units
    }

    /// `units` units of the stage from unit `at` on.
    pub(super) fn part(&self, at: u32, units: u32, form: Form, sizes: &SizeTable) -> Self {
        let first = self.first.0 + at;
        let before = if form == Form::Tracks { sizes.run_bytes(self.first.0..first) } else { 0 };
        Self {
            at: self.at + at,
            first: UnitIndex(first),
            units,
            slot: self.slot + at as usize,
            position: self.position + before,
            ..*self
        }
    }
}
