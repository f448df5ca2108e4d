//! The lock of a device: channel programs one at a time, single operations side by side, nobody while it is held still.
//!
//! | who | may come in when |
//! | --- | --- |
//! | a bracket: a channel program, START to END | no bracket and no single operation is in, nobody else has it reserved, it is not held still |
//! | a single operation: a read or write of a file | no bracket is in or waits, nobody else has it reserved, it is not held still |
//! | stillness: T0 | no bracket and no single operation is in |
//!
//! Whoever waits for a bracket or for stillness keeps new single operations out, so that a stream of them starves nobody.
//! Stillness is tried for milliseconds only and then let go, so that brackets go on between the tries.
//!
//! A client can vanish inside a bracket. Its bracket, or its reserve, is taken from it when it has been gone for
//! [`GONE_LIMIT`] and somebody else wants the device; what it then still tries to do fails ([`Tenure`]).

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::watcher::Watchers;
use crate::sync::atomic::{AtomicU32, Ordering};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How long a client may be gone before its lock is released for others, unless the gate is told otherwise.
pub const GONE_LIMIT: Duration = Duration::from_secs(15);

/// Number of a port on its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PortId(pub(super) u32);

/// The device is in other hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// The client that has it, as its front-end named it; none while it is held still.
    pub holder: Option<String>,
}

/// A client of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientState {
    /// Its name, as its front-end gave it.
    pub name: String,
    /// Whether it has a channel program open.
    pub in_bracket: bool,
    /// Whether it has the device reserved.
    pub reserved: bool,
    /// For how long its connection has been gone.
    pub gone_for: Option<Duration>,
}

/// How an access came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bracket,
    Single,
}

/// A bracket's right to the device, which can be taken from one whose client is gone: the number of operations under
/// way, or [`REVOKED`](Self::REVOKED) and those that are just finding out.
///
/// One word has both, so an operation that begins and somebody who takes the right away are in one order: no operation
/// fails for a right that was not taken, and none goes on with one that was.
#[derive(Debug, Default)]
pub(super) struct Tenure(AtomicU32);

impl Tenure {
    const REVOKED: u32 = 1 << 31;

    /// Begins an operation; false if the right is gone.
    pub(super) fn begin(&self) -> bool {
        let allowed = self.0.fetch_add(1, Ordering::Acquire) & Self::REVOKED == 0;
        if !allowed {
            self.end();
        }
        allowed
    }

    pub(super) fn end(&self) {
        self.0.fetch_sub(1, Ordering::Release);
    }

    /// Takes the right away, unless an operation is under way.
    fn revoke(&self) -> bool {
        // Acquire: whatever the last operation did is done.
        self.0.compare_exchange(0, Self::REVOKED, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

/// What an access got when it came in.
pub(super) struct Right {
    /// The disk's watchers at that instant.
    pub(super) watchers: Watchers,
    /// Of a bracket; a single operation keeps its right until it ends.
    pub(super) tenure: Option<Arc<Tenure>>,
}

/// Who has the device.
pub(super) struct DeviceLock {
    state: Mutex<State>,
    /// Told of everything that may let somebody in.
    moved: Condvar,
}

struct State {
    bracket: Option<(PortId, Arc<Tenure>)>,
    singles: u32,
    reserved: Option<PortId>,
    still: bool,
    /// How many wait for a bracket or for stillness.
    waiting: u32,
    /// How many wait for anything. Without one nobody is told, which would be a call of the kernel at every single write.
    sleeping: u32,
    ports: HashMap<PortId, Port>,
    watchers: Watchers,
    gone_limit: Duration,
}

struct Port {
    name: Arc<str>,
    gone_since: Option<Instant>,
}

impl DeviceLock {
    pub(super) fn new() -> Self {
        let state = State {
            bracket: None,
            singles: 0,
            reserved: None,
            still: false,
            waiting: 0,
            sleeping: 0,
            ports: HashMap::new(),
            watchers: Arc::new([]),
            gone_limit: GONE_LIMIT,
        };
        Self { state: Mutex::new(state), moved: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked held the lock for a few assignments at most, each whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_port(&self, port: PortId, name: Arc<str>) {
        self.state().ports.insert(port, Port { name, gone_since: None });
    }

    /// Forgets a port whose last user is gone for good; its reserve ends.
    pub(super) fn remove_port(&self, port: PortId) {
        let mut state = self.state();
        state.ports.remove(&port);
        if state.reserved == Some(port) {
            state.reserved = None;
            self.moved.notify_all();
        }
    }

    /// Changes how long a client may be gone.
    pub(super) fn set_gone_limit(&self, limit: Duration) {
        self.state().gone_limit = limit;
        self.moved.notify_all();
    }

    /// Notes that the client behind a port lost its connection, or is back.
    pub(super) fn set_gone(&self, port: PortId, gone: bool) {
        let now = Instant::now();
        if let Some(port) = self.state().ports.get_mut(&port) {
            port.gone_since = gone.then(|| port.gone_since.unwrap_or(now));
        }
    }

    /// Lets an access in, or says who is in the way after `patience`.
    pub(super) fn enter(&self, port: PortId, kind: Kind, patience: Duration) -> Result<Right, Busy> {
        let mut state = self.state();
        if !state.admits(port, kind) {
            state = self.wait_for(state, patience, |state| state.admits(port, kind), kind == Kind::Bracket)?;
        }
        let tenure = match kind {
            Kind::Bracket => {
                let tenure = Arc::new(Tenure::default());
                state.bracket = Some((port, Arc::clone(&tenure)));
                Some(tenure)
            }
            Kind::Single => {
                state.singles += 1;
                None
            }
        };
        Ok(Right { watchers: Arc::clone(&state.watchers), tenure })
    }

    /// Ends an access; one whose right was taken away had left already.
    pub(super) fn leave(&self, right: &Right) {
        let mut state = self.state();
        match &right.tenure {
            None => state.singles -= 1,
            Some(tenure) if state.bracket.as_ref().is_some_and(|(_, held)| Arc::ptr_eq(held, tenure)) => state.bracket = None,
            Some(_) => return,
        }
        let wake = state.singles == 0 && state.sleeping > 0;
        drop(state);
        if wake {
            self.moved.notify_all();
        }
    }

    /// Reserves the device for the port whose bracket it is in.
    pub(super) fn reserve(&self, port: PortId) {
        self.state().reserved = Some(port);
    }

    pub(super) fn release(&self, port: PortId) {
        let mut state = self.state();
        if state.reserved == Some(port) {
            state.reserved = None;
            self.moved.notify_all();
        }
    }

    /// Everybody who has a port.
    pub(super) fn clients(&self) -> Vec<ClientState> {
        let state = self.state();
        let bracket = state.bracket.as_ref().map(|(port, _)| *port);
        let client = |(id, port): (&PortId, &Port)| ClientState {
            name: port.name.to_string(),
            in_bracket: bracket == Some(*id),
            reserved: state.reserved == Some(*id),
            gone_for: port.gone_since.map(|since| since.elapsed()),
        };
        state.ports.iter().map(client).collect()
    }

    /// Whether somebody has a bracket open, or has it reserved.
    pub(super) fn is_held(&self) -> bool {
        let state = self.state();
        state.bracket.is_some() || state.reserved.is_some()
    }

    /// Holds the device still: nobody is in, and nobody comes in until [`let_go`](Self::let_go).
    pub(super) fn hold_still(&self, patience: Duration) -> Result<(), Busy> {
        let free = |state: &State| !state.still && state.bracket.is_none() && state.singles == 0;
        let mut state = self.state();
        if !free(&state) {
            state = self.wait_for(state, patience, free, true)?;
        }
        state.still = true;
        Ok(())
    }

    /// Ends stillness.
    pub(super) fn let_go(&self) {
        self.state().still = false;
        self.moved.notify_all();
    }

    /// Changes the watchers; only while the device is held still.
    pub(super) fn set_watchers(&self, change: impl FnOnce(&Watchers) -> Watchers) {
        let mut state = self.state();
        debug_assert!(state.still, "an access that is out would go on with the old watchers");
        state.watchers = change(&state.watchers);
    }

    /// Leaves out watchers that are over. Accesses that are out keep the list they have, in which these let all pass.
    pub(super) fn forget_ended_watchers(&self) {
        let mut state = self.state();
        if state.watchers.iter().any(|watcher| watcher.is_over()) {
            let left: Watchers = state.watchers.iter().filter(|watcher| !watcher.is_over()).cloned().collect();
            let before = std::mem::replace(&mut state.watchers, left);
            drop(state);
            // What a session held is let go behind the lock.
            drop(before);
        }
    }

    fn wait_for<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        patience: Duration,
        free: impl Fn(&State) -> bool,
        keeps_singles_out: bool,
    ) -> Result<MutexGuard<'a, State>, Busy> {
        let deadline = Instant::now() + patience;
        state.waiting += u32::from(keeps_singles_out);
        state.sleeping += 1;
        loop {
            state.take_from_the_gone();
            let now = Instant::now();
            let done = free(&state);
            if done || now >= deadline {
                state.waiting -= u32::from(keeps_singles_out);
                state.sleeping -= 1;
                if done {
                    return Ok(state);
                }
                let busy = Busy { holder: state.holder() };
                drop(state);
                // Single operations that were kept out for this one.
                self.moved.notify_all();
                return Err(busy);
            }
            let until = state.next_release(now).map_or(deadline, |release| release.min(deadline));
            let waited = self.moved.wait_timeout(state, until.saturating_duration_since(now));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl State {
    fn admits(&self, port: PortId, kind: Kind) -> bool {
        let others = self.reserved.is_some_and(|owner| owner != port);
        let crowded = match kind {
            Kind::Bracket => self.singles > 0,
            Kind::Single => self.waiting > 0,
        };
        !self.still && self.bracket.is_none() && !others && !crowded
    }

    fn holder(&self) -> Option<String> {
        let port = self.bracket.as_ref().map(|(port, _)| *port).or(self.reserved)?;
        self.ports.get(&port).map(|port| port.name.to_string())
    }

    /// Since when the client of a port is gone.
    fn gone_since(&self, port: PortId) -> Option<Instant> {
        self.ports.get(&port).and_then(|port| port.gone_since)
    }

    /// Ends brackets and reserves of clients that are gone for too long.
    fn take_from_the_gone(&mut self) {
        let too_long = |since: Option<Instant>| since.is_some_and(|since| since.elapsed() >= self.gone_limit);
        if let Some((port, tenure)) = &self.bracket
            && too_long(self.gone_since(*port))
            && tenure.revoke()
        {
            tracing::warn!(client = self.holder(), "gone inside a channel program, which was ended for it");
            self.bracket = None;
        }
        if let Some(port) = self.reserved
            && too_long(self.gone_since(port))
        {
            tracing::warn!(client = self.holder(), "gone with the device reserved, which was released");
            self.reserved = None;
        }
    }

    /// When the next lock can be taken from a client that is gone.
    fn next_release(&self, now: Instant) -> Option<Instant> {
        let holders = self.bracket.as_ref().map(|(port, _)| *port).into_iter().chain(self.reserved);
        // A holder that has an operation under way is looked at again a little later.
        holders.filter_map(|port| self.gone_since(port)).map(|since| (since + self.gone_limit).max(now + RECHECK)).min()
    }
}

/// How often a holder that is gone, and still busy, is looked at.
const RECHECK: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_is_taken_between_operations_only_and_the_attempt_fails_none() {
        let tenure = Tenure::default();
        assert!(tenure.begin());
        assert!(!tenure.revoke());
        assert!(tenure.begin(), "an attempt that failed leaves the right as it was");
        tenure.end();
        tenure.end();
        assert!(tenure.revoke());
        assert!(!tenure.begin());
        assert!(!tenure.begin());
    }
}
