//! A snapshot session: T0 of its volumes, then a thread for each that makes its tape.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::member::Member;
use super::pacer::Pacer;
use super::status::{
    CacheUse, Instant as T0Instant, Pace, SessionId, SessionRequest, SessionState, SessionStatus, StatusFinding,
};
use super::t0::{self, T0Error};
use super::volume_at_t0::Ending;
use crate::gate::{Still, VolumeGate};
use crate::snapshot::SnapshotError;

/// Over how long the rate is reckoned.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// A session under way, or ended.
pub struct Session {
    id: SessionId,
    request: SessionRequest,
    members: Vec<Arc<Member>>,
    pacer: Arc<Pacer>,
    stop: Arc<AtomicBool>,
    state: Mutex<State>,
    moved: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
    rate: Mutex<VecDeque<(Instant, u64)>>,
}

struct State {
    state: SessionState,
    t0: Option<(jiff::Timestamp, T0Instant, Duration)>,
    working: usize,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(id: SessionId, request: SessionRequest, members: Vec<Member>, pacer: Arc<Pacer>) -> Arc<Self> {
        let state = State { state: SessionState::Starting, t0: None, working: members.len() };
        Arc::new(Self {
            id,
            request,
            members: members.into_iter().map(Arc::new).collect(),
            pacer,
            stop: Arc::default(),
            state: Mutex::new(state),
            moved: Condvar::new(),
            threads: Mutex::default(),
            rate: Mutex::default(),
        })
    }

    /// Takes T0 and begins the tapes.
    ///
    /// Everything that takes time was prepared before: under the stillness a watcher is put behind each gate, and the
    /// size table is shared.
    pub(super) fn start(self: &Arc<Self>, frozen: Option<&Still>) -> Result<(), T0Error> {
        let gates: Vec<Arc<VolumeGate>> = self.members.iter().map(|member| Arc::clone(&member.gate)).collect();
        let wait = Duration::from_millis(self.request.t0_wait_ms);
        let taken = t0::take(&gates, self.request.consistency, wait, frozen);
        let (held, instant) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                self.set_state(SessionState::Void { reason: error.to_string() });
                return Err(error);
            }
        };
        for member in &self.members {
            let still = held.still();
            member.at_t0.set_sizes(still.sizes(&member.gate));
            still.add_watcher(&member.gate, Arc::clone(&member.at_t0) as _);
        }
        let t0 = jiff::Timestamp::now();
        let held_for = held.still().held_for();
        drop(held);
        tracing::info!(session = self.id.0, %t0, held_us = held_for.as_micros(), volumes = gates.len(), "T0");
        {
            let mut state = self.state();
            state.state = SessionState::LogicallyComplete;
            state.t0 = Some((t0, instant, held_for));
        }
        self.moved.notify_all();
        for member in &self.members {
            let (session, member) = (Arc::clone(self), Arc::clone(member));
            let name = format!("session-{}", self.id);
            let work = move || session.finish_member(&member, member.make_tape((t0.as_second(), instant), &session.stop));
            match std::thread::Builder::new().name(name).spawn(work) {
                Ok(thread) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
                Err(error) => self.void(&format!("no thread could be started: {error}")),
            }
        }
        Ok(())
    }

    /// Takes a member's tape, or its error, which ends the whole session.
    fn finish_member(&self, member: &Member, result: Result<(), SnapshotError>) {
        match result {
            Ok(()) => {
                let mut state = self.state();
                state.working -= 1;
                if state.working == 0 && !state.state.is_over() {
                    state.state = SessionState::PhysicallyComplete;
                    tracing::info!(session = self.id.0, "all tapes are whole");
                }
                drop(state);
                self.moved.notify_all();
                member.at_t0.end(Ending::Over);
            }
            Err(error) => {
                let reason = format!("{}: {:#}", member.gate.name(), anyhow::Error::from(error));
                self.void(&reason);
                member.discard_tape();
            }
        }
    }

    /// Ends the session without tapes, unless it has ended; hosts go on.
    fn void(&self, reason: &str) {
        self.end(SessionState::Void { reason: reason.to_owned() }, &Ending::Void(reason.to_owned()));
    }

    fn end(&self, with: SessionState, ending: &Ending) {
        {
            let mut state = self.state();
            if state.state.is_over() {
                return;
            }
            tracing::info!(session = self.id.0, state = with.words(), "the session has ended");
            state.state = with;
        }
        for member in &self.members {
            member.at_t0.end(ending.clone());
        }
        self.stop.store(true, Ordering::Release);
        self.moved.notify_all();
    }

    /// Ends the session without tapes.
    pub fn cancel(&self) {
        self.end(SessionState::Cancelled, &Ending::Over);
    }

    /// Changes the copier's pace.
    pub fn set_pace(&self, pace: Pace) {
        self.pacer.set(pace);
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// What it was asked for.
    #[must_use]
    pub const fn request(&self) -> &SessionRequest {
        &self.request
    }

    /// Waits until it is over, or `patience` has passed; gives whether it is.
    pub fn wait(&self, patience: Duration) -> bool {
        let over = |state: &mut State| !state.state.is_over();
        let state = self.moved.wait_timeout_while(self.state(), patience, over).unwrap_or_else(PoisonError::into_inner).0;
        state.state.is_over()
    }

    /// Waits until its threads are gone; after it was ended.
    pub fn join(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // A thread that panicked has told so.
            let _told = thread.join();
        }
    }

    /// Where it is.
    #[must_use]
    pub fn status(&self) -> SessionStatus {
        let (state, t0) = {
            let state = self.state();
            (state.state.clone(), state.t0)
        };
        let volumes: Vec<_> = self.members.iter().map(|member| member.status()).collect();
        let bytes: u64 = volumes.iter().map(|volume| volume.bytes).sum();
        let total: u64 = volumes.iter().map(|volume| volume.bytes_total).sum();
        let bytes_per_second = self.rate(bytes);
        let counters = || self.members.iter().map(|member| member.at_t0.counters());
        let findings: Vec<_> = self.members.iter().flat_map(|member| member.findings()).collect();
        let mut cache = CacheUse::default();
        for usage in self.members.iter().map(|member| member.at_t0.cache().usage()) {
            cache.units += usage.units;
            cache.bytes += usage.bytes;
        }
        SessionStatus {
            id: self.id,
            name: self.request.name.clone(),
            action: self.request.action.clone(),
            seconds_left: (bytes_per_second > 0 && !state.is_over()).then(|| total.saturating_sub(bytes) / bytes_per_second),
            state,
            t0: t0.map(|(t0, ..)| t0.to_string()),
            instant: t0.map(|(_, instant, _)| instant),
            t0_held_us: t0.map(|(.., held)| u64::try_from(held.as_micros()).unwrap_or(u64::MAX)),
            volumes,
            bytes_per_second,
            pace: self.pacer.get(),
            writes_held: counters().map(|counters| counters.writes_held.load(Ordering::Relaxed)).sum(),
            longest_hold_us: counters().map(|counters| counters.longest_hold_us.load(Ordering::Relaxed)).max().unwrap_or(0),
            cache,
            findings: findings.iter().map(StatusFinding::from).collect(),
            counts: Vec::new(),
        }
    }

    /// Bytes a second over the last seconds in which somebody asked.
    fn rate(&self, bytes: u64) -> u64 {
        let now = Instant::now();
        let mut samples = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back((now, bytes));
        while samples.len() > 2 && samples.front().is_some_and(|(at, _)| now.duration_since(*at) > RATE_WINDOW) {
            samples.pop_front();
        }
        let Some(&(at, before)) = samples.front() else { return 0 };
        let milliseconds = now.duration_since(at).as_millis();
        let moved = u128::from(bytes.saturating_sub(before)) * 1000;
        moved.checked_div(milliseconds).and_then(|rate| u64::try_from(rate).ok()).unwrap_or(0)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, with: SessionState) {
        self.state().state = with;
        self.moved.notify_all();
    }
}
