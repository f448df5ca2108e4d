//! Sessions whose tape is written in order: into a pipe, or packed into a file.
//!
//! Nothing of such a tape has a place before its turn comes, so originals of a volume that hosts write to wait in the
//! cache, and there is no journal: an interrupted one is begun again. Whatever it ends with but success, nothing is left.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::copier::copy;
use super::error::SnapshotError;
use super::ledger::Ledger;
use super::manifest::PackedPlaces;
use super::route::{InOrder, Packing, Route, StreamPosition, WrittenInOrder};
use super::session::{Copier, SessionResult, alone, stream_bytes};
use super::turnstile::Turnstile;
use crate::finding::Finding;
use crate::parallel::run_in_order;
use crate::tape::in_order::{InOrderTape, Output, Written};
use crate::tape::partial::PartialTape;
use crate::tape::{GroupSum, InOrderFile, ReadBack, TapeCompression, TapeImage, read_group_back};

impl Copier<'_> {
    pub(super) fn into_pipe(self, out: Box<dyn std::io::Write + Send>) -> Result<SessionResult, SnapshotError> {
        let ledger = self.digests()?;
        let (written, findings) = self.write_in_order(&ledger, Output::Pipe(out), None)?;
        let manifest = self.manifest(&written.plan, &ledger, &findings, None);
        if let Some(path) = &self.session.manifest {
            manifest.write(path, true)?;
        }
        Ok(SessionResult { plan: written.plan, manifest, findings })
    }

    pub(super) fn into_packed(
        self,
        target: &Path,
        compression: TapeCompression,
        sync: bool,
    ) -> Result<SessionResult, SnapshotError> {
        let ledger = self.digests()?;
        let tape = Arc::new(PartialTape::create(target, self.writeback(sync))?);
        let out = Output::File(InOrderFile::new(Arc::clone(&tape)));
        let made = self.write_in_order(&ledger, out, Some(compression));
        // Whoever wrote to it is gone.
        let tape = alone(tape);
        let made = made.and_then(|(written, findings)| {
            self.check_packed(&tape, &written.written)?;
            let places = PackedPlaces { compression, bytes: written.written.bytes, files: written.places };
            let manifest = self.manifest(&written.plan, &ledger, &findings, Some(&places));
            if let Some(path) = &self.session.manifest {
                manifest.write(path, sync)?;
            }
            Ok(SessionResult { plan: written.plan, manifest, findings })
        });
        match made {
            Ok(result) => {
                tape.publish(sync)?;
                Ok(result)
            }
            Err(error) => {
                tape.discard();
                Err(error)
            }
        }
    }

    /// A ledger that nothing is resumed from: it keeps the units' digests.
    fn digests(&self) -> Result<Ledger, SnapshotError> {
        let failed = |source| SnapshotError::Io { path: "memory".into(), action: "making room for the digests", source };
        Ledger::in_memory(self.unit_count()).map_err(failed)
    }

    /// Writes the whole tape; gives all findings too.
    fn write_in_order(
        &self,
        ledger: &Ledger,
        out: Output,
        compression: Option<TapeCompression>,
    ) -> Result<(WrittenInOrder, Vec<Finding>), SnapshotError> {
        let block_bytes = self.options.plan.block_bytes;
        let route = Route::InOrder {
            order: Box::new(Turnstile::new(InOrder {
                order: self.order()?,
                tape: InOrderTape::new(out, compression.map(TapeCompression::packer), block_bytes),
                labels: self.labels.clone(),
                description: self.preparation.description.clone(),
                places: Vec::new(),
            })),
            packing: compression.map(|compression| {
                let positions = Turnstile::new(StreamPosition::default());
                Packing { compression, block_bytes, positions }
            }),
        };
        // A compressed source is measured while it is copied.
        let total = self.preparation.plan()?.map_or(0, |plan| stream_bytes(&plan));
        self.session.monitor.begin("copying", total);
        let raw_slots = copy(&self.job(ledger, None), &route)?;
        let Route::InOrder { order, .. } = route else { unreachable!("the route was made so") };
        // The end of the tape is written only when the volume is known to have stood still.
        let findings = self.end_of_copy(ledger, raw_slots)?;
        let written = order.into_inner().finish()?;
        let findings = [findings, self.check_discovered(&written.plan, ledger)?].concat();
        Ok((written, findings))
    }

    /// Reads a packed tape back.
    fn check_packed(&self, tape: &PartialTape, written: &Written) -> Result<(), SnapshotError> {
        let differs =
            |(offset, reason): (u64, String)| SnapshotError::NotAsPlanned { tape: tape.path().to_owned(), offset, reason };
        let found = tape.bytes()?;
        if found != written.bytes {
            return Err(differs((found, format!("it ends, where {} bytes were written", written.bytes))));
        }
        let image = TapeImage::open(tape.path())?;
        self.session.monitor.begin("checking", written.bytes);
        // Each group ends where the next one begins, and the last one at the end of the tape.
        let ends = written.groups.iter().skip(1).map(|group| group.offset).chain([written.bytes]);
        let groups: Vec<_> = written.groups.iter().copied().zip(ends).collect();
        let go_on = |bytes| {
            self.session.monitor.advance(bytes);
            !self.session.stop.load(Ordering::Relaxed)
        };
        let check = |_, (group, end): &(GroupSum, u64), (): &mut ()| match read_group_back(&image, group, go_on)? {
            ReadBack::Same(found) if found == *end => Ok(()),
            ReadBack::Same(found) => Err(differs((found, format!("the tape mark that was written here ends at {end}")))),
            ReadBack::Differs(offset, reason) => Err(differs((offset, reason))),
            ReadBack::Stopped => Err(SnapshotError::Stopped),
        };
        if !run_in_order(self.options.threads.max(1), &groups, self.session.stop, || (), check, || {})? {
            return Err(SnapshotError::Stopped);
        }
        tracing::info!(bytes = written.bytes, plain_bytes = written.plain_bytes, "every block expands to what was written");
        Ok(())
    }
}
