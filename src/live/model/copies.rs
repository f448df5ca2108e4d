//! A session of the model: T0, and a copier that makes a tape of it step by step.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::steps::Turns;
use super::tape_check::check_tape;
use super::work::{Asked, Sink, Work, files, prepare};
use crate::gate::{HostPort, Still, VolumeGate};
use crate::live::{Ending, VolumeAtT0};
use crate::snapshot::SnapshotError;
use crate::tape::test_faults;
use crate::volume::Shape;

/// A session under way, or ended.
pub(super) struct Copy {
    pub(super) asked: Asked,
    pub(super) at_t0: Arc<VolumeAtT0>,
    /// The volume at T0.
    pub(super) before: Vec<Vec<u8>>,
    /// Whether something was done to it for which it may end without a tape.
    pub(super) disturbed: bool,
    pub(super) tape: PathBuf,
    piped: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
    turns: Arc<Turns>,
    copier: Option<JoinHandle<Result<(), SnapshotError>>>,
    /// What the broken rules need.
    _port: Option<HostPort>,
}

impl Copy {
    /// Takes T0 of a gate that is held still, and prepares the copier, which stands before its first step.
    pub(super) fn start(still: &Still, gate: &Arc<VolumeGate>, before: Vec<Vec<u8>>, asked: Asked, tape: &Path) -> Self {
        let at_t0 = prepare(gate, &asked, tape);
        let (watcher, port) = asked.rules.watcher(gate, &at_t0);
        at_t0.set_sizes(still.sizes(gate, gate.sizes().room()));
        still.add_watcher(gate, watcher);
        if let Some(writes) = asked.sink_writes {
            test_faults::fail_after(tape, writes.into());
        }
        let (stop, turns, piped) = (Arc::default(), Turns::new(), Arc::default());
        let disturbed = asked.cache_bytes.is_some() || asked.sink_writes.is_some();
        let work = Work {
            at_t0: Arc::clone(&at_t0),
            disk: Arc::clone(gate.disk()),
            files: files(gate.disk().shape(), &asked.files, &before),
            asked: asked.clone(),
            stop: Arc::clone(&stop),
            tape: tape.to_owned(),
            piped: Arc::clone(&piped),
        };
        let copier = (asked.sink != Sink::View).then(|| {
            let turns = Arc::clone(&turns);
            std::thread::spawn(move || {
                let _running = turns.begin();
                work.make_tape()
            })
        });
        let tape = tape.to_owned();
        Self { asked, at_t0, before, disturbed, tape, piped, stop, turns, copier, _port: port }
    }

    /// Lets the copier take a step; false if it has none left.
    pub(super) fn step(&self) -> bool {
        self.copier.is_some() && self.turns.step()
    }

    /// Fails unless the tape equals T0.
    pub(super) fn check_tape(&self, shape: &Shape) {
        check_tape(shape, &self.asked, &self.before, (&self.tape, &self.piped.lock().unwrap()));
    }

    /// How the copier's turns are taken, for whoever lets it go on while something else is half done.
    pub(super) const fn turns(&self) -> Option<&Arc<Turns>> {
        if self.copier.is_some() { Some(&self.turns) } else { None }
    }

    /// Ends it as the operator does.
    pub(super) fn cancel(&mut self) {
        self.disturbed = true;
        self.at_t0.end(Ending::Over);
        self.stop.store(true, Ordering::Release);
    }

    /// Lets the copier go on to its end, and gives how that was.
    pub(super) fn finish(&mut self) -> Option<Result<(), SnapshotError>> {
        while self.step() {}
        let ended = self.copier.take()?.join();
        Some(ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for Copy {
    /// A test that failed leaves copiers, which must not wait for ever.
    fn drop(&mut self) {
        if self.copier.is_some() {
            self.cancel();
            while self.step() {}
        }
        test_faults::forget(&self.tape);
    }
}
