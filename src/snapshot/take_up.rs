//! Stages that an interrupted run secured: they are read back, and trusted only if their digests are right.

use tapegate_formats::tape::unit::UNIT_HEADER_BYTES;

use tapegate_formats::tape::chunk::ChunkHeader;
use zerocopy::FromBytes;

use super::copier::{CopyJob, Worker};
use super::digest::UnitDigest;
use super::error::SnapshotError;
use super::route::{Place, Route};
use super::stages::StageTask;
use crate::parallel::run_in_order;
use crate::plan::Form;
use crate::tape::partial::PartialTape;
use crate::volume::UnitIndex;

/// Reads back all units that a live session secured before it was interrupted.
///
/// Hosts have written to the volume since, so a unit that is not on the tape as its digest says can't be had any more: the
/// session is void. Units in `blocks` form have no header to read back by; their digests are over the data of their
/// blocks, which lie between chunk headers.
pub(super) fn check_secured(job: &CopyJob<'_>, route: &Route<'_>) -> Result<(), SnapshotError> {
    let Route::Planned { tape, plan, sizes } = route else { return Ok(()) };
    let work = |_, task: &StageTask, worker: &mut Worker<'_>| {
        let file = &plan.files[task.file];
        for at in 0..task.units {
            let slot = task.slot + at as usize;
            if !job.ledger.all_secured(slot..slot + 1) {
                continue;
            }
            let part = task.part(at, 1, file.spec.form(), sizes);
            let same = match file.spec.form() {
                Form::Tracks => {
                    let place = Place { stream: file.stream(), position: part.position };
                    worker.reads_back(tape, place, &part, &[sizes.encoded_bytes(part.first)])
                }
                Form::Blocks => worker.blocks_read_back(tape, file.data, &part),
            };
            if !same {
                let address = job.source.shape().address(part.first);
                let reason = format!("{address} is not on the partial tape as the journal says; the session can't be resumed");
                return Err(SnapshotError::Refused(reason));
            }
        }
        Ok(())
    };
    let raw_slots = Default::default();
    let complete = run_in_order(job.threads, &job.tasks, job.stop, || Worker::new(job, route, &raw_slots), work, || {})?;
    if complete { Ok(()) } else { Err(SnapshotError::Stopped) }
}

impl Worker<'_> {
    /// Takes up a stage that an earlier run secured, or copies it again; gives the bytes of its stream.
    pub(super) fn take_up(&mut self, number: usize, task: &StageTask) -> Result<u64, SnapshotError> {
        let sizes = self.sizes_of(task);
        let bytes = sizes.iter().map(|&size| u64::from(size)).sum();
        let (tape, place) = match self.route {
            Route::Planned { tape, plan, .. } => {
                (tape, Place { stream: plan.files[task.file].stream(), position: task.position })
            }
            Route::Discovered { tape, order } => {
                let passed = order.pass(number, |order| Ok::<_, SnapshotError>(order.place(task, bytes)));
                (tape, passed.ok_or(SnapshotError::Stopped)??)
            }
            Route::InOrder { .. } => {
                return Err(SnapshotError::Refused("a tape that is written in order can't be resumed".to_owned()));
            }
        };
        // Blocks are not kept by units: they are copied again.
        if self.file(task).form() == Form::Tracks && self.reads_back(tape, place, task, &sizes) {
            return Ok(bytes);
        }
        tracing::warn!(unit = task.first.0, units = task.units, "not on the tape as the journal says; copied again");
        self.load(task)?;
        // The places of all that follows were made from these sizes.
        if self.encoded.sizes != sizes {
            let address = self.job.source.shape().address(task.first);
            let reason = format!("{address}: the journal does not agree with the volume; run again without --resume");
            return Err(SnapshotError::Refused(reason));
        }
        self.write(tape, place, task)?;
        self.job.ledger.secure(task.slot, &self.encoded.digests);
        Ok(bytes)
    }

    /// Encoded lengths of the units of a stage: those that the plan was made with, or those that the journal has.
    pub(super) fn sizes_of(&self, task: &StageTask) -> Vec<u32> {
        match self.route {
            Route::Planned { sizes, .. } if self.file(task).form() == Form::Tracks => {
                (task.first.0..task.first.0 + task.units).map(|unit| sizes.encoded_bytes(UnitIndex(unit))).collect()
            }
            _ => self.job.ledger.sizes(task.slots()),
        }
    }

    /// Whether the blocks of the one unit of a stage lie on the tape as its digest says.
    fn blocks_read_back(&mut self, tape: &PartialTape, data: u64, task: &StageTask) -> bool {
        let Some(table) = &self.file(task).blocks else { return false };
        let (start, end) = (data + table.place(task.at), data + table.place(task.at + 1));
        let Ok(bytes) = usize::try_from(end - start) else { return false };
        self.read_back.resize(bytes, 0);
        if tape.read_exact_at(start, &mut self.read_back).is_err() {
            return false;
        }
        let mut hasher = blake3::Hasher::new();
        let mut rest = &self.read_back[..];
        while !rest.is_empty() {
            let Ok((header, behind)) = ChunkHeader::read_from_prefix(rest) else { return false };
            let Some((block, behind)) = behind.split_at_checked(header.length.get().into()) else { return false };
            hasher.update(block);
            rest = behind;
        }
        self.job.ledger.digests(task.slots()).first() == Some(&UnitDigest::from_hash(&hasher.finalize()))
    }

    /// Whether the units of a stage lie on the tape as their digests say.
    fn reads_back(&mut self, tape: &PartialTape, place: Place, task: &StageTask, sizes: &[u32]) -> bool {
        let Place { stream, position } = place;
        let block = u64::from(stream.block_bytes);
        let end = position + sizes.iter().map(|&size| u64::from(size)).sum::<u64>();
        self.read_back.clear();
        let mut at = position;
        while at < end {
            let part = ((at / block + 1) * block).min(end) - at;
            let start = self.read_back.len();
            // Less than a block of 64 KiB.
            self.read_back.resize(start + usize::try_from(part).unwrap_or(0), 0);
            if tape.read_exact_at(stream.place(at), &mut self.read_back[start..]).is_err() {
                return false;
            }
            at += part;
        }
        let mut rest = &self.read_back[..];
        self.job.ledger.digests(task.slots()).iter().zip(sizes).all(|(digest, &size)| {
            let (unit, behind) = rest.split_at(size as usize);
            rest = behind;
            UnitDigest::of(&unit[UNIT_HEADER_BYTES as usize..]) == *digest
        })
    }
}
