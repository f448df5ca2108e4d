//! The phases of a load, as standard input names them.

use std::io::BufRead;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

/// Phases as they come in.
pub struct Phases {
    names: Receiver<String>,
}

/// How many names have come in; one more when the input has ended.
static COME_IN: AtomicUsize = AtomicUsize::new(0);

/// One phase, or the end.
pub struct Phase {
    number: usize,
    name: Option<String>,
}

impl Phase {
    /// Its number, from 1.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// What it is called; nothing at the end.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether none came before.
    pub const fn is_first(&self) -> bool {
        self.number == 1
    }
}

impl Phases {
    /// Reads standard input in a thread of its own.
    pub fn listen() -> Self {
        let (sender, names) = channel();
        std::thread::spawn(move || read(std::io::stdin().lock(), &sender));
        Self { names }
    }

    /// The number of the phase that is going on; one atomic load.
    pub fn current(&self) -> usize {
        COME_IN.load(Ordering::Acquire)
    }

    /// The phase behind `number`.
    pub fn wait_for_next(&self, number: usize) -> Phase {
        // The sender is gone when the input has ended.
        Phase { number: number + 1, name: self.names.recv().ok() }
    }
}

fn read(lines: impl BufRead, names: &Sender<String>) {
    for name in lines.lines().map_while(Result::ok) {
        // First the number ends the phase before: a phase whose name is known goes on until the next number.
        COME_IN.fetch_add(1, Ordering::Release);
        // Nobody listens any more if the load failed.
        let _gone = names.send(name);
    }
    COME_IN.fetch_add(1, Ordering::Release);
}
