//! The world of the model: a gate over a disk in memory, and the two arrays that say what must be where.
//!
//! One array is what the disk must hold now; each session has one of what it held at its T0.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::copies::Copy;
use super::disk::MemoryVolume;
use super::steps::{Stop, Turns, at_stops_of_this_thread};
use super::tape_check::{check_no_tape, tidy};
use super::work::{Asked, expected};
use super::writes::{Write, first_slot};
use crate::gate::{Access, HostPort, Still, StillLimits, VolumeGate};
use crate::volume::{Shape, Stage, UnitIndex, UnitSource};

/// What is done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Op {
    Write(HostWrite),
    Read {
        port: bool,
        unit: u8,
    },
    /// START of a channel program.
    Begin {
        port: bool,
    },
    /// Its END.
    End {
        port: bool,
    },
    Freeze,
    Thaw,
    Start(Asked),
    /// A copier goes on by so many steps.
    Step {
        copy: u8,
        steps: u8,
    },
    /// Reads a unit through a session, as a view does.
    ReadAtT0 {
        copy: u8,
        unit: u8,
    },
    /// The length of a unit is noted, as a scan in the background does.
    Measure {
        unit: u8,
    },
    Cancel {
        copy: u8,
    },
    /// Reads of units fail from the n-th on, and then work again.
    FailReads {
        reads: u8,
    },
    Mend,
    /// The process dies; another takes the disk up.
    Crash,
}

/// A write, and what goes on at its stops.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostWrite {
    pub(super) port: bool,
    pub(super) unit: u8,
    pub(super) write: Write,
    pub(super) meanwhile: Vec<Meanwhile>,
}

/// What goes on while a write is half done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meanwhile {
    Nothing,
    Step { copy: u8 },
    Write { port: bool, unit: u8, write: Write },
}

/// Everything; see the module's head.
pub(super) struct World {
    shape: Shape,
    disk: Arc<MemoryVolume>,
    gate: Arc<VolumeGate>,
    ports: [Rc<HostPort>; 2],
    brackets: [Option<Rc<Access>>; 2],
    frozen: Option<Still>,
    /// What the disk must hold now.
    now: Rc<RefCell<Vec<Vec<u8>>>>,
    copies: Vec<Copy>,
    folder: PathBuf,
    tapes: usize,
    /// Whether reads were made to fail since the first session that goes on now began.
    reads_fail: bool,
}

impl World {
    pub(super) fn new(shape: Shape, folder: PathBuf) -> Self {
        let now: Vec<_> = (0..shape.units())
            .map(|unit| {
                let fill = u8::try_from(unit).unwrap();
                first_slot(&shape, unit, &[40, fill, 7][..usize::from(fill % 4)], fill)
            })
            .collect();
        // A case that failed before this one has left its tapes.
        tidy(&folder);
        let disk = MemoryVolume::new(shape, &now);
        let (gate, ports) = opened(&disk);
        let (brackets, copies) = Default::default();
        let now = Rc::new(RefCell::new(now));
        Self { shape, disk, gate, ports, brackets, frozen: None, now, copies, folder, tapes: 0, reads_fail: false }
    }

    pub(super) fn apply(&mut self, op: Op) {
        match op {
            Op::Write(write) => self.write(write),
            Op::Read { port, unit } => {
                let unit = u32::from(unit) % self.shape.units();
                if let Some(access) = self.host().access(port) {
                    let mut slot = vec![0; self.shape.unit_bytes(UnitIndex(unit)) as usize];
                    access.read(UnitIndex(unit), &mut slot).unwrap();
                    assert_eq!(slot, self.now.borrow()[unit as usize], "what a host reads of unit {unit}");
                }
            }
            Op::Begin { port } => {
                let begun = self.ports[usize::from(port)].begin(Duration::ZERO);
                let in_the_way = self.frozen.is_some() || self.brackets.iter().any(Option::is_some);
                assert_eq!(begun.is_err(), in_the_way, "{begun:?}");
                if let Ok(access) = begun {
                    self.brackets[usize::from(port)] = Some(Rc::new(access));
                }
            }
            Op::End { port } => self.brackets[usize::from(port)] = None,
            Op::Freeze => self.frozen = self.frozen.take().or_else(|| self.hold()),
            Op::Thaw => self.frozen = None,
            Op::Start(asked) => self.start(asked),
            Op::Step { copy, steps } => {
                if let Some(copy) = self.copy(copy) {
                    let _all = (0..steps).take_while(|_| copy.step()).count();
                }
            }
            Op::ReadAtT0 { copy, unit } => {
                let (shape, unit) = (self.shape, u32::from(unit) % self.shape.units());
                let fails = self.reads_fail;
                if let Some(copy) = self.copy(copy).filter(|copy| copy.asked.is_viewed()) {
                    copy.check_view(&shape, unit, fails);
                }
            }
            Op::Measure { unit } => {
                let unit = u32::from(unit) % self.shape.units();
                let (_, body) = expected(&self.shape, unit, &self.now.borrow());
                self.gate.sizes().note(UnitIndex(unit), u32::try_from(body.len()).unwrap());
            }
            Op::Cancel { copy } => {
                if let Some(copy) = self.copy(copy) {
                    copy.cancel();
                }
            }
            Op::FailReads { reads } => {
                self.disk.fail_after(reads.into());
                self.reads_fail = true;
                self.copies.iter_mut().for_each(|copy| copy.disturbed = true);
            }
            Op::Mend => self.mend(),
            Op::Crash => self.crash(),
        }
    }

    fn mend(&mut self) {
        self.disk.mend();
        self.reads_fail = false;
    }

    fn host(&self) -> Host {
        let accesses = self.brackets.clone();
        Host {
            shape: self.shape,
            ports: self.ports.clone(),
            brackets: accesses,
            frozen: self.frozen.is_some(),
            now: Rc::clone(&self.now),
            under_way: Rc::default(),
            locked: Rc::default(),
        }
    }

    /// A host's write; at its stops copiers go on, and other writes come.
    fn write(&self, HostWrite { port, unit, write, meanwhile }: HostWrite) {
        let host = self.host();
        let turns: Vec<_> = self.copies.iter().map(|copy| copy.turns().map(Arc::clone)).collect();
        let meanwhile = Meantime { host: host.clone(), turns, todo: RefCell::new(meanwhile.into()) };
        at_stops_of_this_thread(Some(Rc::new(move |stop| meanwhile.at_stop(stop))));
        host.write(port, unit, &write);
        at_stops_of_this_thread(None);
    }

    fn hold(&self) -> Option<Still> {
        let at_once = StillLimits { attempt: Duration::ZERO, pause: Duration::ZERO, limit: Duration::ZERO };
        let still = Still::of(std::slice::from_ref(&self.gate), at_once);
        assert_eq!(still.is_err(), self.brackets.iter().any(Option::is_some), "a channel program is no T0, else it is at once");
        still.ok()
    }

    fn start(&mut self, asked: Asked) {
        let own = if self.frozen.is_none() { self.hold() } else { None };
        let Some(still) = own.as_ref().or(self.frozen.as_ref()) else { return };
        self.tapes += 1;
        let tape = self.folder.join(format!("{}.aws", self.tapes));
        let mut copy = Copy::start(still, &self.gate, self.now.borrow().clone(), asked, &tape);
        copy.disturbed |= self.reads_fail;
        self.copies.push(copy);
    }

    fn copy(&mut self, number: u8) -> Option<&mut Copy> {
        let count = self.copies.len();
        self.copies.get_mut(usize::from(number) % count.max(1))
    }

    /// Kills everything but what lies on disks; sessions are not resumed.
    fn crash(&mut self) {
        self.brackets = [None, None];
        self.frozen = None;
        self.disk.fail_after(0);
        self.copies.iter_mut().for_each(|copy| copy.disturbed = true);
        self.end_copies();
        self.mend();
        assert_eq!(self.disk.content(), *self.now.borrow(), "the disk behind a crash");
        (self.gate, self.ports) = opened(&self.disk);
    }

    /// Lets all copiers go on to their ends, and looks at what they left.
    pub(super) fn end_copies(&mut self) {
        for mut copy in std::mem::take(&mut self.copies) {
            let ended = copy.finish();
            if copy.asked.is_viewed() && !copy.disturbed {
                (0..self.shape.units()).for_each(|unit| copy.check_view(&self.shape, unit, false));
            }
            match ended {
                None => {}
                Some(Ok(())) => copy.check_tape(&self.shape),
                Some(Err(error)) => {
                    assert!(copy.disturbed, "a session failed for no reason: {error}");
                    check_no_tape(&copy.tape);
                }
            }
        }
    }

    /// Ends what is open, and compares everything.
    pub(super) fn finish(mut self) {
        self.mend();
        self.brackets = [None, None];
        self.frozen = None;
        self.end_copies();
        assert_eq!(self.disk.content(), *self.now.borrow(), "the disk at the end");
        tidy(&self.folder);
    }
}

impl Copy {
    /// Reads a unit as of T0, if its originals could all be kept.
    fn check_view(&self, shape: &Shape, unit: u32, may_fail: bool) {
        let mut stage = Stage::new();
        match self.at_t0.read_units(UnitIndex(unit), 1, &mut stage) {
            Ok(()) => {
                let found = stage.units().next().unwrap();
                let (kind, wanted) = expected(shape, unit, &self.before);
                assert_eq!((found.kind, found.body), (kind, &wanted[..]), "unit {unit} of a view");
            }
            Err(error) => assert!(self.disturbed || may_fail, "a view can't be read for no reason: {error}"),
        }
    }
}

fn opened(disk: &Arc<MemoryVolume>) -> (Arc<VolumeGate>, [Rc<HostPort>; 2]) {
    let gate = VolumeGate::new("memory", Arc::clone(disk) as _);
    let ports = ["a", "b"].map(|client| Rc::new(gate.attach(client, None)));
    (gate, ports)
}

/// What hosts see of the world.
#[derive(Clone)]
struct Host {
    shape: Shape,
    ports: [Rc<HostPort>; 2],
    brackets: [Option<Rc<Access>>; 2],
    frozen: bool,
    now: Rc<RefCell<Vec<Vec<u8>>>>,
    /// Units whose writes are half done.
    under_way: Rc<RefCell<Vec<u32>>>,
    /// Those of them whose bytes are being written.
    locked: Rc<RefCell<Vec<u32>>>,
}

impl Host {
    /// A way in for a port: its channel program, or a single operation; none if another's channel program is open.
    fn access(&self, port: bool) -> Option<Rc<Access>> {
        if let Some(open) = &self.brackets[usize::from(port)] {
            return Some(Rc::clone(open));
        }
        let single = self.ports[usize::from(port)].single(Duration::ZERO);
        assert_eq!(single.is_err(), self.frozen || self.brackets[usize::from(!port)].is_some(), "{single:?}");
        single.ok().map(Rc::new)
    }

    fn write(&self, port: bool, unit: u8, write: &Write) {
        let unit = u32::from(unit) % self.shape.units();
        let Some(access) = self.access(port) else { return };
        // One who must not block asks first: on this thread nobody else would secure the unit, or unlock it.
        let is_copied = self.under_way.borrow().contains(&unit) && !access.passes(UnitIndex(unit));
        if is_copied || self.locked.borrow().contains(&unit) {
            return;
        }
        let (offset, bytes) = write.bytes(&self.shape, unit, &self.now.borrow()[unit as usize]);
        self.under_way.borrow_mut().push(unit);
        access.write(UnitIndex(unit), offset, &bytes).unwrap();
        self.under_way.borrow_mut().pop();
        self.now.borrow_mut()[unit as usize][offset as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
}

/// What goes on at the stops of a write.
struct Meantime {
    host: Host,
    turns: Vec<Option<Arc<Turns>>>,
    todo: RefCell<VecDeque<Meanwhile>>,
}

impl Meantime {
    fn at_stop(&self, stop: Stop) {
        let locked = if stop == Stop::InWrite { self.host.under_way.borrow().last().copied() } else { None };
        self.host.locked.borrow_mut().extend(locked);
        self.do_next();
        let locked = self.host.locked.borrow().len() - usize::from(locked.is_some());
        self.host.locked.borrow_mut().truncate(locked);
    }

    fn do_next(&self) {
        let next = self.todo.borrow_mut().pop_front();
        match next {
            None | Some(Meanwhile::Nothing) => {}
            Some(Meanwhile::Step { copy }) => {
                if let Some(Some(turns)) = self.turns.get(usize::from(copy) % self.turns.len().max(1)) {
                    turns.step();
                }
            }
            Some(Meanwhile::Write { port, unit, write }) => self.host.write(port, unit, &write),
        }
    }
}
