//! A volume of a session: its T0, its tape, and how far that is.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::pipe;
use super::status::{Instant as T0Instant, VolumeStatus};
use super::view::MemberView;
use super::volume_at_t0::VolumeAtT0;
use crate::finding::Finding;
use crate::gate::VolumeGate;
use crate::snapshot::{
    LiveSource, Manifest, Monitor, Preparation, SessionOptions, SessionResult, SnapshotError, SnapshotOptions, Target,
    discard_interrupted, run,
};
use crate::tape::TapeCompression;
use crate::volume::UnitSource;

/// Where the tape of a volume goes.
pub(super) enum Sink {
    /// A tape image, which takes units at their places.
    File(PathBuf),
    /// A named pipe, which takes the tape in order.
    Pipe(PathBuf),
    /// A HET image, which is written in order too.
    Packed(PathBuf, TapeCompression),
}

/// A volume of a session.
pub(super) struct Member {
    pub(super) gate: Arc<VolumeGate>,
    pub(super) at_t0: Arc<VolumeAtT0>,
    pub(super) sink: Option<Sink>,
    pub(super) view: Option<MemberView>,
    pub(super) options: SnapshotOptions,
    pub(super) progress: Progress,
    /// What an earlier process prepared, if this one goes on with its tape.
    pub(super) begun: Mutex<Option<Preparation>>,
    pub(super) result: Mutex<Option<SessionResult>>,
}

/// How far the copy is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    units_total: AtomicU64,
    bytes: AtomicU64,
    bytes_total: AtomicU64,
    copying: AtomicBool,
}

impl Monitor for Progress {
    fn begin(&self, phase: &'static str, total: u64) {
        let copying = phase == "copying";
        self.copying.store(copying, Ordering::Relaxed);
        if copying {
            self.bytes_total.store(total, Ordering::Relaxed);
        }
    }

    fn advance(&self, amount: u64) {
        if self.copying.load(Ordering::Relaxed) {
            self.bytes.fetch_add(amount, Ordering::Relaxed);
        }
    }
}

impl Member {
    /// Makes the tape; the volume's T0 is fixed.
    pub(super) fn make_tape(&self, (t0, instant): (i64, T0Instant), stop: &Arc<AtomicBool>) -> Result<(), SnapshotError> {
        let Some(sink) = &self.sink else {
            self.progress.units_total.store(self.at_t0.shape().units().into(), Ordering::Relaxed);
            return Ok(());
        };
        let options = SnapshotOptions { t0, consistency: Some(instant.word().to_owned()), ..self.options.clone() };
        let volume = &*self.at_t0;
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).take();
        let resume = begun.is_some();
        let preparation = match begun {
            Some(preparation) => preparation,
            None => {
                let preparation = Preparation::new(volume, &options, true, &self.progress)?;
                volume.narrow(&preparation.files, &|_| false);
                preparation
            }
        };
        let wanted: u64 = preparation.files.iter().map(|file| u64::from(file.units.len())).sum();
        self.progress.units_total.store(wanted, Ordering::Relaxed);
        let (target, manifest) = match sink {
            Sink::File(tape) => (Target::File { tape: tape.clone(), resume, sync: true }, Some(Manifest::path_of(tape))),
            Sink::Pipe(pipe) => (Target::Pipe(pipe::open(pipe, stop)?), None),
            Sink::Packed(tape, compression) => {
                let target = Target::Packed { tape: tape.clone(), compression: *compression, sync: true };
                (target, Some(Manifest::path_of(tape)))
            }
        };
        // Blocks of a destination device are the operator's question to `plan`.
        let session = SessionOptions { manifest, destination: (4096, 0), stop, monitor: &self.progress };
        let result = run(volume, &options, preparation, target, &session)?;
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        Ok(())
    }

    /// Takes away what is there of a tape that won't be made.
    pub(super) fn discard_tape(&self) {
        if let Some(Sink::File(tape) | Sink::Packed(tape, _)) = &self.sink {
            discard_interrupted(tape);
        }
    }

    pub(super) fn status(&self) -> VolumeStatus {
        let counters = self.at_t0.counters();
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let tape = match &self.sink {
            Some(Sink::File(path) | Sink::Pipe(path) | Sink::Packed(path, _)) => Some(path.clone()),
            None => None,
        };
        let units_total = self.progress.units_total.load(Ordering::Relaxed);
        let out_of_order = u64::from(counters.out_of_order_units.load(Ordering::Relaxed));
        // A unit that both brought counts once.
        let in_order = u64::from(counters.in_order_units.load(Ordering::Relaxed));
        let in_order = in_order.min(units_total.saturating_sub(out_of_order));
        let bytes_total = self.progress.bytes_total.load(Ordering::Relaxed);
        // The copier does not count what hosts' writes brought.
        let bytes = if result.is_some() { bytes_total } else { self.progress.bytes.load(Ordering::Relaxed) };
        VolumeStatus {
            volume: self.gate.name().to_owned(),
            units_total,
            in_order,
            out_of_order,
            bytes,
            bytes_total,
            tape,
            tape_volser: result.as_ref().and_then(|result| result.manifest.tape.volser.clone()),
            view: self.view.as_ref().filter(|view| view.stands()).map(|view| view.name().to_owned()),
        }
    }

    /// The tape, if it is whole and has its name.
    pub(super) fn whole_tape(&self) -> Option<&PathBuf> {
        let whole = self.result.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        match &self.sink {
            Some(Sink::File(path) | Sink::Packed(path, _)) if whole => Some(path),
            _ => None,
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let mut findings = result.as_ref().map(|result| result.findings.clone()).unwrap_or_default();
        findings.extend(self.view.iter().flat_map(MemberView::findings));
        findings
    }
}
