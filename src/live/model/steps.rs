//! Threads that go step by step: one at a time, from stop to stop, in the order that the test says.
//!
//! A copier of the model runs the production code on a thread of its own, and waits at every stop until the test lets it
//! go on to the next. The test's own thread does what hosts do; at its stops (in the middle of a host's write) it can let
//! copiers go on. So each interleaving of a sequence of operations is the same every time, and proptest can make a
//! failing one smaller.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex};

/// What the test does at a stop.
type Hook = Rc<dyn Fn(Stop)>;

thread_local! {
    static COPIER: RefCell<Option<Arc<Turns>>> = const { RefCell::new(None) };
    static TEST: RefCell<Option<Hook>> = const { RefCell::new(None) };
}

/// What is half done at a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Something that holds no lock.
    Unlocked,
    /// A write, which holds the lock of its unit.
    InWrite,
}

/// A stop: another may go first here. Elsewhere than in a test of the model it is none.
pub(super) fn stop_here() {
    stop(Stop::Unlocked);
}

/// A stop in the middle of a write.
pub(super) fn stop_in_write() {
    stop(Stop::InWrite);
}

fn stop(at: Stop) {
    let copier = COPIER.with_borrow(Clone::clone);
    if let Some(turns) = copier {
        return turns.give_back();
    }
    let test = TEST.with_borrow(Clone::clone);
    if let Some(at_stop) = test {
        at_stop(at);
    }
}

/// What the test's own thread does at its stops.
pub(super) fn at_stops_of_this_thread(what: Option<Rc<dyn Fn(Stop)>>) {
    TEST.set(what);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Test,
    Copier,
    /// The copier has ended.
    Nobody,
}

/// Whose turn it is, the test's or one copier's.
pub(super) struct Turns {
    turn: Mutex<Turn>,
    moved: Condvar,
}

impl Turns {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { turn: Mutex::new(Turn::Test), moved: Condvar::new() })
    }

    /// Makes this thread the copier: it waits for its first turn.
    pub(super) fn begin(self: &Arc<Self>) -> Running {
        COPIER.set(Some(Arc::clone(self)));
        self.wait_for(Turn::Copier);
        Running(Arc::clone(self))
    }

    /// Lets the copier go on to its next stop; false if it has ended.
    pub(super) fn step(&self) -> bool {
        if self.set(Turn::Copier) {
            self.wait_for(Turn::Test);
        }
        !self.has_ended()
    }

    pub(super) fn has_ended(&self) -> bool {
        *self.turn.lock().unwrap() == Turn::Nobody
    }

    fn give_back(&self) {
        self.set(Turn::Test);
        self.wait_for(Turn::Copier);
    }

    /// False if the copier has ended.
    fn set(&self, next: Turn) -> bool {
        let mut turn = self.turn.lock().unwrap();
        if *turn == Turn::Nobody {
            return false;
        }
        *turn = next;
        drop(turn);
        self.moved.notify_all();
        true
    }

    fn wait_for(&self, wanted: Turn) {
        let waits = |turn: &mut Turn| *turn != wanted && *turn != Turn::Nobody;
        drop(self.moved.wait_while(self.turn.lock().unwrap(), waits).unwrap());
    }
}

/// A copier between its first turn and its end, panics included.
pub(super) struct Running(Arc<Turns>);

impl Drop for Running {
    fn drop(&mut self) {
        COPIER.set(None);
        self.0.set(Turn::Nobody);
    }
}
