//! A trial before T0: what can be refused is refused while no host has been held for it.

use std::path::Path;
use std::sync::Arc;

use tapegate_formats::tape::unit::UNIT_HEADER_BYTES;

use super::member::Sink;
use super::sessions::StartError;
use crate::finding::Finding;
use crate::gate::{Disk, LiveSizes};
use crate::snapshot::{CopySource, NoMonitor, Preparation, SnapshotOptions};
use crate::volume::{Fingerprint, Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// A disk as it is now, with hosts writing to it: good enough to find out what can't be done.
pub(super) struct Trial<'a> {
    pub(super) disk: &'a Arc<dyn Disk>,
    pub(super) image: &'a Path,
    pub(super) fingerprint: &'a Fingerprint,
    pub(super) findings: &'a [Finding],
}

impl Trial<'_> {
    /// Prepares as after T0, and compares the length of the tape with the room there is for it.
    pub(super) fn refuse_early(
        &self,
        options: &SnapshotOptions,
        sizes: &LiveSizes,
        sink: Option<&Sink>,
    ) -> Result<(), StartError> {
        let prepared = Preparation::new(self, options, false, &NoMonitor)?;
        let (tape, packed) = match sink {
            Some(Sink::File(tape)) => (tape, false),
            Some(Sink::Packed(tape, _)) => (tape, true),
            Some(Sink::Pipe(_)) | None => return Ok(()),
        };
        let known = sizes.share();
        let longest = self.disk.shape().longest_body_bytes();
        let units = prepared.files.iter().flat_map(|file| file.units.runs());
        let units = units.flat_map(|run| run.first.0..run.first.0 + run.units);
        let bytes: u64 =
            units.map(|unit| u64::from(known.body_bytes(UnitIndex(unit)).unwrap_or(longest) + UNIT_HEADER_BYTES)).sum();
        let folder = tape.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let room = rustix::fs::statvfs(folder).map_err(|errno| {
            StartError::Refused(format!("{}: the folder of the tape can't be used: {errno}", folder.display()))
        })?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        // Lengths that are not known yet were taken as the longest, and how far blocks shrink is known at the end: only what
        // is known to be too long is refused.
        let unknown = sizes.stale_units() > 0 || packed;
        if bytes > free && !unknown {
            let reason = format!("{}: the tape needs about {bytes} bytes, and {free} are free", folder.display());
            return Err(StartError::Refused(reason));
        }
        Ok(())
    }
}

impl UnitSource for Trial<'_> {
    fn shape(&self) -> &Shape {
        self.disk.shape()
    }

    fn name(&self) -> &Path {
        self.image
    }

    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        self.disk.read_units(first, count, stage)
    }

    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        self.disk.measure_units(first, body_bytes)
    }
}

impl CopySource for Trial<'_> {
    /// Nothing is measured for a trial.
    fn measures_sparsely(&self) -> bool {
        false
    }

    fn findings(&self) -> Vec<Finding> {
        self.findings.to_vec()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.fingerprint.clone()
    }

    fn check_unchanged(&self) -> Result<(), VolumeError> {
        Ok(())
    }
}
