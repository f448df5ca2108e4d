//! The gate, T0, the claim protocol and the copier under shuttle, which decides at every lock and atomic who goes next.
//!
//! Two hosts write to the same units, by a channel program and by single writes; T0 of two sessions is taken meanwhile; a
//! copier makes a tape of the one, a reader goes through the view of the other, and in some scenarios the first is
//! cancelled. Shuttle never lets a wait time out, so all patience is without end here, and a thread that would wait for
//! ever is a deadlock that shuttle reports.
//!
//! Run it with `cargo test --lib --features shuttle interleavings`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, Runner, thread};

use super::disk::MemoryVolume;
use super::rules::Rules;
use super::tape_check::{check_no_tape, check_tape, tidy};
use super::work::{Asked, Sink, Work, expected, files, folder, prepare};
use super::writes::first_slot;
use crate::gate::{HostPort, Still, StillLimits, VolumeGate};
use crate::live::securing::Securing;
use crate::live::{Ending, VolumeAtT0};
use crate::sync::Mutex;
use crate::volume::{BlockShape, Shape, Stage, UnitIndex, UnitSource};

/// Schedules of each scenario by each scheduler; the two protocols of the module's head take some 300 steps.
const SCHEDULES: usize = 400;
/// Changes of priority in a schedule of the scheduler that looks for bugs of so many ordered steps (PCT).
const DEPTH: usize = 4;
/// Nobody gives up.
const EVER: Duration = Duration::from_secs(1 << 20);
const UNITS: u32 = 3;

/// A scenario.
#[derive(Debug, Clone, Copy)]
struct Scenario {
    sink: Sink,
    rules: Rules,
    cancelled: bool,
}

impl Scenario {
    fn run(self, tape: &std::path::Path) {
        let shape = Shape::FixedBlock(BlockShape { blocks: UNITS.into(), block_bytes: 512, unit_blocks: 1 });
        let disk = MemoryVolume::new(shape, &(0..UNITS).map(|unit| first_slot(&shape, unit, &[], 0)).collect::<Vec<_>>());
        let gate = VolumeGate::new("memory", Arc::clone(&disk) as _);
        let (a, b) = (gate.attach("a", None), gate.attach("b", None));
        let bracket = thread::spawn(move || write_in_bracket(&a));
        let singles = thread::spawn(move || write_singly(&b));

        let asked = |sink| Asked {
            sink,
            viewed: false,
            files: Vec::new(),
            block_bytes: 4096,
            cache_bytes: None,
            spills: false,
            sink_writes: None,
            rules: self.rules,
        };
        let (taped, viewed) = (asked(self.sink), asked(Sink::View));
        let (at_t0, view) = (prepare(&gate, &taped, tape), prepare(&gate, &viewed, tape));
        let limits = StillLimits { attempt: EVER, pause: Duration::ZERO, limit: EVER };
        let still = Still::of(std::slice::from_ref(&gate), limits).unwrap();
        let mut ports = Vec::new();
        for session in [&at_t0, &view] {
            let (watcher, port) = self.rules.watcher(&gate, session);
            ports.extend(port);
            session.set_sizes(still.sizes(&gate, gate.sizes().room()));
            still.add_watcher(&gate, watcher);
        }
        let before = disk.content();
        assert!(before.iter().all(|slot| is_whole(slot)), "T0 is in the middle of a write: {before:?}");
        assert!(before[0][0] == before[1][0] || before[0][0] != 10, "T0 is inside of a channel program");
        drop(still);

        let work = Work {
            at_t0: Arc::clone(&at_t0),
            disk: Arc::clone(gate.disk()),
            files: files(&shape, &[], &before),
            asked: taped.clone(),
            stop: Arc::default(),
            tape: tape.to_owned(),
            piped: Arc::default(),
        };
        let piped = Arc::clone(&work.piped);
        let copier = thread::spawn(move || work.make_tape());
        let viewer = {
            let (view, before) = (Arc::clone(&view), before.clone());
            thread::spawn(move || check_view(&view, &shape, &before))
        };
        if self.cancelled {
            at_t0.end(Ending::Over);
        }
        bracket.join().unwrap();
        singles.join().unwrap();
        viewer.join().unwrap();
        check_view(&view, &shape, &before);
        match copier.join().unwrap() {
            Ok(()) => check_tape(&shape, &taped, &before, (tape, &piped.lock().unwrap())),
            Err(error) => {
                assert!(self.cancelled, "{error}");
                check_no_tape(tape);
            }
        }
        let now = disk.content();
        assert!(now.iter().all(|slot| is_whole(slot)), "one write is inside of another: {now:?}");
        assert!([10, 20].contains(&now[0][0]) && now[1][0] == 10 && now[2][0] == 20, "a write is lost: {now:?}");
        tidy(tape.parent().unwrap());
    }
}

/// One channel program with two writes.
fn write_in_bracket(port: &HostPort) {
    let access = port.begin(EVER).unwrap();
    for unit in [1, 0] {
        access.write(UnitIndex(unit), 0, &[10; 512]).unwrap();
    }
}

/// Two writes beside each other's.
fn write_singly(port: &HostPort) {
    for unit in [0, 2] {
        port.single(EVER).unwrap().write(UnitIndex(unit), 0, &[20; 512]).unwrap();
    }
}

fn is_whole(slot: &[u8]) -> bool {
    slot.iter().all(|byte| *byte == slot[0])
}

/// Reads all units through a view, each for itself.
fn check_view(view: &VolumeAtT0, shape: &Shape, before: &[Vec<u8>]) {
    let mut stage = Stage::new();
    for unit in 0..UNITS {
        view.read_units(UnitIndex(unit), 1, &mut stage).unwrap();
        let found = stage.units().next().unwrap();
        assert_eq!((found.kind, found.body.to_vec()), expected(shape, unit, before), "unit {unit} of a view");
    }
}

fn explore(schedulers: Vec<Box<dyn Scheduler + Send>>, scenario: impl Fn() + Send + Sync + Clone + 'static) {
    for scheduler in schedulers {
        let mut config = Config::new();
        config.stack_size = 1 << 20;
        config.failure_persistence = FailurePersistence::Print;
        config.silence_warnings = true;
        Runner::new(scheduler, config).run(scenario.clone());
    }
}

fn schedulers(schedules: usize) -> Vec<Box<dyn Scheduler + Send>> {
    vec![Box::new(RandomScheduler::new(schedules)), Box::new(PctScheduler::new(DEPTH, schedules))]
}

fn explore_scenario(scenario: Scenario, schedules: usize) {
    let (_folder, path) = folder();
    let tape = path.join("tape.aws");
    explore(schedulers(schedules), move || scenario.run(&tape));
}

#[test]
fn a_tape_file_and_a_view_equal_t0_however_threads_go() {
    for cancelled in [false, true] {
        explore_scenario(Scenario { sink: Sink::File, rules: Rules::Right, cancelled }, SCHEDULES);
    }
}

#[test]
fn a_piped_tape_and_a_view_equal_t0_however_threads_go() {
    for cancelled in [false, true] {
        explore_scenario(Scenario { sink: Sink::Pipe, rules: Rules::Right, cancelled }, SCHEDULES);
    }
}

#[test]
fn each_broken_rule_is_noticed() {
    for (sink, rules) in [
        (Sink::File, Rules::CopyBehindWrite),
        (Sink::Pipe, Rules::CopyBehindWrite),
        (Sink::File, Rules::BitBeforeCopy),
        (Sink::Pipe, Rules::BitBeforeCopy),
        (Sink::Pipe, Rules::TestBeforeRead),
    ] {
        let scenario = Scenario { sink, rules, cancelled: false };
        let explored = catch_unwind(AssertUnwindSafe(|| explore_scenario(scenario, 10 * SCHEDULES)));
        assert!(explored.is_err(), "{scenario:?} is not noticed");
    }
}

/// The claim protocol alone, so that few steps are explored often: two writers, whose first copy fails, and a copier.
#[test]
fn a_unit_is_secured_before_it_changes_however_threads_go() {
    explore(schedulers(25 * SCHEDULES), || {
        let (securing, disk, kept) = (Securing::new(1), Mutex::new(0), Mutex::new(None));
        let shared = Arc::new((securing, disk, kept));
        let unit = UnitIndex(0);
        let writer = |value: u8| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let (securing, disk, kept) = &*shared;
                let mut fails = value == 1;
                let copy = |fails: &mut bool| {
                    if std::mem::take(fails) {
                        return Err(());
                    }
                    let original = *disk.lock().unwrap();
                    *kept.lock().unwrap() = Some(original);
                    Ok(())
                };
                while securing.secure(unit, || copy(&mut fails)).is_err() {}
                assert!(securing.is_secured(unit), "a write passes before its unit is secured");
                *disk.lock().unwrap() = value;
            })
        };
        let writers = [writer(1), writer(2)];
        let (securing, disk, kept) = &*shared;
        let read = *disk.lock().unwrap();
        let original = if securing.was_secured_before_read(unit) { kept.lock().unwrap().unwrap() } else { read };
        assert_eq!(original, 0, "the copier has a unit of after T0");
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        assert_eq!(*kept.lock().unwrap(), Some(0), "what was kept is of after T0");
    });
}
