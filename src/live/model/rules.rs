//! The rule of the gate as it is, and broken on purpose: the model and shuttle must notice each break.
//!
//! The breaks are made around [`VolumeAtT0`], not in it, so nothing of them is in the program.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::steps::stop_here;
use crate::finding::Finding;
use crate::gate::{ChangeObserver, Disk, HostPort, Refusal, VolumeGate, Watcher};
use crate::live::{Ending, VolumeAtT0};
use crate::plan::FileSpec;
use crate::snapshot::{CopySource, LiveSource, SnapshotError, TapePlaces};
use crate::volume::{Fingerprint, Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// In which order things are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// As the program does them.
    Right,
    /// The host writes, and then the unit is copied.
    CopyBehindWrite,
    /// The unit is marked as secured, and then it is copied.
    BitBeforeCopy,
    /// The copier tests the bits, and then it reads.
    TestBeforeRead,
}

impl Rules {
    /// What stands behind the gate, and what must be kept as long as it shall stand there.
    pub(super) fn watcher(self, gate: &Arc<VolumeGate>, at_t0: &Arc<VolumeAtT0>) -> (Arc<dyn Watcher>, Option<HostPort>) {
        match self {
            Self::Right | Self::TestBeforeRead => (Arc::clone(at_t0) as _, None),
            Self::BitBeforeCopy => (Arc::new(BitBeforeCopy(Arc::clone(at_t0))), None),
            Self::CopyBehindWrite => {
                let late = Arc::new(CopyBehindWrite { at_t0: Arc::clone(at_t0), under_way: Mutex::default() });
                // A port that writes nothing is told of each write when it is done.
                let told = gate.attach("late", Some(Arc::clone(&late) as _));
                (late, Some(told))
            }
        }
    }
}

struct CopyBehindWrite {
    at_t0: Arc<VolumeAtT0>,
    /// Units being copied: a write that comes meanwhile must not wait for them on the one thread of a test.
    under_way: Mutex<BTreeSet<UnitIndex>>,
}

impl Watcher for CopyBehindWrite {
    fn lets_pass(&self, _unit: UnitIndex) -> bool {
        true
    }

    fn before_write(&self, _unit: UnitIndex, _writer: &str) -> Result<(), Refusal> {
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.at_t0.is_over()
    }
}

impl ChangeObserver for CopyBehindWrite {
    fn unit_changed(&self, unit: UnitIndex) {
        if !self.at_t0.lets_pass(unit) && self.under_way.lock().unwrap().insert(unit) {
            self.at_t0.before_write(unit, "late").unwrap();
            self.under_way.lock().unwrap().remove(&unit);
        }
    }

    fn everything_changed(&self) {}
}

struct BitBeforeCopy(Arc<VolumeAtT0>);

impl Watcher for BitBeforeCopy {
    fn lets_pass(&self, unit: UnitIndex) -> bool {
        self.0.lets_pass(unit)
    }

    fn before_write(&self, unit: UnitIndex, writer: &str) -> Result<(), Refusal> {
        if let Some(error) = self.0.keep_behind_bit(unit) {
            self.0.end(Ending::Void(format!("{writer}: {error}")));
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.0.is_over()
    }
}

/// The source of a copier: a volume as of T0, with a stop at each thing that the copier does.
pub(super) struct SteppedSource<'a> {
    pub(super) at_t0: &'a VolumeAtT0,
    pub(super) disk: &'a dyn Disk,
    pub(super) rules: Rules,
}

impl UnitSource for SteppedSource<'_> {
    fn shape(&self) -> &Shape {
        self.at_t0.shape()
    }

    fn name(&self) -> &Path {
        self.at_t0.name()
    }

    fn read_units(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        if self.rules == Rules::TestBeforeRead {
            let secured: Vec<_> = (0..count).map(|at| self.at_t0.lets_pass(UnitIndex(first.0 + at))).collect();
            self.disk.read_units(first, count, stage)?;
            let mut original = Stage::new();
            for (at, unit) in (first.0..).map(UnitIndex).enumerate().take(secured.len()) {
                if secured[at] {
                    self.at_t0.read_units(unit, 1, &mut original)?;
                    let unit = original.units().next().unwrap();
                    stage.replace(at, unit.kind, unit.body, unit.defect);
                }
            }
            return self.at_t0.check_unchanged();
        }
        self.at_t0.read_units(first, count, stage)?;
        stop_here();
        Ok(())
    }

    fn measure_units(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        self.at_t0.measure_units(first, body_bytes)
    }
}

impl CopySource for SteppedSource<'_> {
    fn measures_sparsely(&self) -> bool {
        self.at_t0.measures_sparsely()
    }

    fn findings(&self) -> Vec<Finding> {
        self.at_t0.findings()
    }

    fn fingerprint(&self) -> Fingerprint {
        self.at_t0.fingerprint()
    }

    fn check_unchanged(&self) -> Result<(), VolumeError> {
        self.at_t0.check_unchanged()
    }

    fn live(&self) -> Option<&dyn LiveSource> {
        Some(self)
    }
}

impl LiveSource for SteppedSource<'_> {
    fn narrow(&self, files: &[FileSpec], on_tape: &dyn Fn(usize) -> bool) {
        stop_here();
        self.at_t0.narrow(files, on_tape);
    }

    fn begin_places(&self, places: Arc<TapePlaces>) -> Result<(), SnapshotError> {
        stop_here();
        self.at_t0.begin_places(places)
    }

    fn end_places(&self) -> Option<Arc<TapePlaces>> {
        stop_here();
        self.at_t0.end_places()
    }

    fn delivered(&self, units: Range<u32>) {
        stop_here();
        self.at_t0.delivered(units);
        stop_here();
    }

    fn pace(&self, bytes: u64) {
        self.at_t0.pace(bytes);
    }
}
