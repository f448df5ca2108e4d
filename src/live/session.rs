//! A snapshot session: T0 of its volumes, then a thread for each that makes its tape.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::action::{EventSink, Watch};
use super::member::Member;
use super::pacer::Pacer;
use super::status::{
    CacheUse, Consistency, Instant as T0Instant, Pace, SessionId, SessionRequest, SessionState, SessionStatus, StatusFinding,
};
use super::t0::{self, T0Error};
use super::view::{Beginning, KeptFolder, MemberView, Record, ShowError};
use super::volume_at_t0::{Ending, LossListener};
use crate::finding::Finding;
use crate::gate::{Still, VolumeGate};
use crate::snapshot::{CopySource, SnapshotError};

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
    /// Where its views are kept over a restart of the service.
    folder: Option<KeptFolder>,
    /// What it has behind the gates if it makes no copy.
    watch: Option<Watch>,
}

struct State {
    state: SessionState,
    /// Whether somebody ends it, or has.
    ended: bool,
    /// What was told while it went on, or after it was complete.
    findings: Vec<Finding>,
    /// As it was written to the folder last.
    record: Option<Record>,
    t0: Option<(jiff::Timestamp, T0Instant, Duration)>,
    working: usize,
}

/// A session whose T0 is not fixed, or can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum BeginError {
    #[error(transparent)]
    T0(#[from] T0Error),
    #[error(transparent)]
    Show(#[from] ShowError),
    #[error("the record of session {id} can't be written: {source}")]
    Record { id: SessionId, source: std::io::Error },
}

impl LossListener for Session {
    fn lost(&self, reason: &str) {
        self.void(reason);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        request: SessionRequest,
        members: Vec<Member>,
        pacer: Arc<Pacer>,
        folder: Option<KeptFolder>,
    ) -> Arc<Self> {
        Self::made_of(id, request, (members, None), pacer, folder)
    }

    /// A session that counts, tells or protects.
    pub(super) fn watching(id: SessionId, request: SessionRequest, watch: Watch) -> Arc<Self> {
        let pacer = Arc::new(Pacer::new(request.pace, &[]));
        Self::made_of(id, request, (Vec::new(), Some(watch)), pacer, None)
    }

    fn made_of(
        id: SessionId,
        request: SessionRequest,
        (members, watch): (Vec<Member>, Option<Watch>),
        pacer: Arc<Pacer>,
        folder: Option<KeptFolder>,
    ) -> Arc<Self> {
        let (findings, record, t0, ended) = Default::default();
        let state = State { state: SessionState::Starting, ended, findings, record, t0, working: members.len() };
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
            folder,
            watch,
        })
    }

    /// Begins to count, tell or protect, from one instant on for all volumes.
    pub(super) fn start_watching(&self, sink: &Arc<dyn EventSink>) -> Result<(), BeginError> {
        let Some(watch) = &self.watch else { return Ok(()) };
        let wait = Duration::from_millis(self.request.t0_wait_ms);
        let (held, _) = t0::take(&watch.gates(), Consistency::Now, wait, None)
            .inspect_err(|error| self.set_state(SessionState::Void { reason: error.to_string() }))?;
        watch.begin(held.still());
        drop(held);
        self.set_state(SessionState::Watching);
        for work in watch.work(sink) {
            match std::thread::Builder::new().name(format!("session-{}", self.id)).spawn(work) {
                Ok(thread) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
                Err(error) => self.void(&format!("no thread could be started: {error}")),
            }
        }
        Ok(())
    }

    /// Takes T0 and begins the tapes and views.
    ///
    /// Everything that takes time was prepared before: under the stillness a watcher is put behind each gate, and the
    /// size table is shared.
    pub(super) fn start(self: &Arc<Self>, frozen: Option<&Still>) -> Result<(), BeginError> {
        let gates: Vec<Arc<VolumeGate>> = self.members.iter().map(|member| Arc::clone(&member.gate)).collect();
        let wait = Duration::from_millis(self.request.t0_wait_ms);
        let rooms: Vec<_> = gates.iter().map(|gate| gate.sizes().room()).collect();
        let (held, instant) = t0::take(&gates, self.request.consistency, wait, frozen)
            .inspect_err(|error| self.set_state(SessionState::Void { reason: error.to_string() }))?;
        self.watch(held.still());
        for (member, room) in self.members.iter().zip(rooms) {
            member.at_t0.set_sizes(held.still().sizes(&member.gate, room));
        }
        let t0 = jiff::Timestamp::now();
        let held_for = held.still().held_for();
        drop(held);
        tracing::info!(session = self.id.0, %t0, held_us = held_for.as_micros(), volumes = gates.len(), "T0");
        self.set_t0((t0, instant, held_for));
        self.begin().inspect_err(|error| self.void(&error.to_string()))
    }

    /// Goes on with a session that another process began: its T0 is fixed already.
    pub(super) fn take_up(self: &Arc<Self>, record: Record, still: &Still) {
        self.watch(still);
        self.set_t0((record.t0, record.instant, Duration::from_micros(record.t0_held_us)));
        self.state().record = Some(record);
    }

    /// A session that another process began, and that can't go on.
    pub(super) fn lost(record: Record, reason: &str) -> Arc<Self> {
        let pacer = Arc::new(Pacer::new(record.request.pace, &[]));
        let session = Self::new(record.id, record.request, Vec::new(), pacer, None);
        session.set_t0((record.t0, record.instant, Duration::from_micros(record.t0_held_us)));
        session.set_state(SessionState::Void { reason: reason.to_owned() });
        session
    }

    /// Puts the session's watchers behind the gates, which are held still.
    fn watch(self: &Arc<Self>, still: &Still) {
        let listener: Arc<dyn LossListener> = Arc::clone(self) as _;
        for member in &self.members {
            member.at_t0.set_listener(Arc::downgrade(&listener));
            still.add_watcher(&member.gate, Arc::clone(&member.at_t0) as _);
        }
    }

    fn set_t0(&self, t0: (jiff::Timestamp, T0Instant, Duration)) {
        {
            let mut state = self.state();
            state.state = SessionState::LogicallyComplete;
            state.t0 = Some(t0);
        }
        self.moved.notify_all();
    }

    /// Shows the views and begins the tapes.
    pub(super) fn begin(self: &Arc<Self>) -> Result<(), BeginError> {
        // The record first: a view that a host has seen comes back after a restart.
        self.write_record(|_| {})?;
        for member in &self.members {
            if let Some(view) = &member.view {
                view.show(&member.at_t0)?;
            }
        }
        let t0 = self.state().t0;
        for member in &self.members {
            let (session, member) = (Arc::clone(self), Arc::clone(member));
            let Some(at) = t0.map(|(t0, instant, _)| (t0.as_second(), instant)) else { continue };
            if member.sink.is_none() {
                session.finish_member(&member, member.make_tape(at, &session.stop));
                continue;
            }
            let name = format!("session-{}", self.id);
            let work = move || session.finish_member(&member, member.make_tape(at, &session.stop));
            match std::thread::Builder::new().name(name).spawn(work) {
                Ok(thread) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
                Err(error) => self.void(&format!("no thread could be started: {error}")),
            }
        }
        Ok(())
    }

    /// Writes the record of a session that survives a restart, with a change.
    fn write_record(&self, change: impl FnOnce(&mut Record)) -> Result<(), BeginError> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let mut state = self.state();
        // One that has ended is forgotten, and stays so.
        let goes_on = !state.state.is_over() || self.has_views();
        let Some((t0, instant, held)) = state.t0.filter(|_| goes_on) else { return Ok(()) };
        let record = state.record.get_or_insert_with(|| {
            let image = |member: &Arc<Member>| (member.gate.name().to_owned(), member.at_t0.fingerprint());
            Record::new(Beginning {
                id: self.id,
                request: self.request.clone(),
                t0,
                instant,
                t0_held_us: u64::try_from(held.as_micros()).unwrap_or(u64::MAX),
                images: self.members.iter().map(image).collect(),
                tapes_whole: self.members.iter().all(|member| member.sink.is_none()),
            })
        });
        change(record);
        folder.write_record(record).map_err(|source| BeginError::Record { id: self.id, source })
    }

    fn views(&self) -> impl Iterator<Item = (&Arc<Member>, &MemberView)> {
        self.members.iter().filter_map(|member| member.view.as_ref().map(|view| (member, view)))
    }

    /// Whether a view of the session is not discarded yet.
    fn has_views(&self) -> bool {
        self.views().any(|(_, view)| view.is_reserved())
    }

    /// Takes a member's tape, or its error, which ends the whole session.
    fn finish_member(&self, member: &Member, result: Result<(), SnapshotError>) {
        match result {
            Ok(()) => {
                if member.view.is_none() {
                    member.at_t0.end(Ending::Over);
                    member.gate.forget_ended_watchers();
                }
                let whole = {
                    let mut state = self.state();
                    state.working -= 1;
                    let whole = state.working == 0 && !state.state.is_over();
                    if whole {
                        state.state = SessionState::PhysicallyComplete;
                        tracing::info!(session = self.id.0, "all tapes are whole");
                    }
                    whole
                };
                self.moved.notify_all();
                if whole && !self.has_views() {
                    self.folder.iter().for_each(KeptFolder::remove);
                } else if whole && let Err(error) = self.write_record(|record| record.tapes_whole = true) {
                    tracing::warn!(%error, "after a restart of the service the tapes would be made again");
                }
            }
            Err(SnapshotError::Stopped) if self.state().state == SessionState::Suspended => {}
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

    /// Ends whatever is not over: tapes under way, and views that stand. Tapes that are whole stay, and so does their
    /// session's state.
    fn end(&self, with: SessionState, ending: &Ending) {
        {
            let mut state = self.state();
            let complete = state.state == SessionState::PhysicallyComplete;
            let over = state.state.is_over() && !(complete && self.has_views());
            if over || std::mem::replace(&mut state.ended, true) {
                return;
            }
            if complete && self.members.iter().any(|member| member.sink.is_some()) {
                tracing::info!(session = self.id.0, end = with.words(), "the session's views have ended");
                if let Ending::Void(reason) = ending {
                    let detail = format!("its views are not ready any more: {reason}; the tapes are whole");
                    state.findings.push(Finding::damage("view-lost", detail));
                }
            } else {
                tracing::info!(session = self.id.0, state = with.words(), "the session has ended");
                state.state = with;
            }
            // Before any unit loses its protection, and under the lock of those who write the record: after a kill the
            // session must not come back.
            self.folder.iter().for_each(KeptFolder::forget);
        }
        for member in &self.members {
            member.at_t0.end(ending.clone());
            member.gate.forget_ended_watchers();
        }
        self.watch.iter().for_each(Watch::end);
        self.stop.store(true, Ordering::Release);
        self.moved.notify_all();
        self.discard_views();
    }

    /// Makes the views not ready, at once. What they held is let go behind the back of whoever ended them: it may be a
    /// host's write.
    fn discard_views(&self) {
        let discarded: Vec<_> = self.views().map(|(member, view)| (Arc::clone(member), view.discard())).collect();
        let folder = self.folder.clone();
        if discarded.is_empty() {
            folder.iter().for_each(KeptFolder::remove);
            return;
        }
        let let_go = move || {
            for (member, shown) in discarded {
                drop(shown);
                member.view.iter().for_each(MemberView::tell_discarded);
            }
            folder.iter().for_each(KeptFolder::remove);
        };
        match std::thread::Builder::new().name(format!("let-go-{}", self.id)).spawn(let_go) {
            Ok(thread) => self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread),
            // The files are swept at the next start.
            Err(error) => tracing::warn!(%error, "no thread could be started: the files of a view are left"),
        }
    }

    /// Ends the session: tapes under way are not made, views are discarded.
    pub fn cancel(&self) {
        self.end(SessionState::Cancelled, &Ending::Over);
    }

    /// Stops the copier so that the session can be taken up by another process; when no host writes any more. What has
    /// no tape under way is left as it is.
    pub fn suspend(&self) {
        {
            let mut state = self.state();
            if state.state != SessionState::LogicallyComplete {
                return;
            }
            state.state = SessionState::Suspended;
        }
        self.stop.store(true, Ordering::Release);
        self.moved.notify_all();
        self.join();
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
        let (state, t0, mut findings) = {
            let state = self.state();
            (state.state.clone(), state.t0, state.findings.clone())
        };
        let mut volumes: Vec<_> = self.members.iter().map(|member| member.status()).collect();
        volumes.extend(self.watch.iter().flat_map(Watch::volumes));
        let (held, longest_hold_us) = self.watch.as_ref().map(Watch::holds).unwrap_or_default();
        let bytes: u64 = volumes.iter().map(|volume| volume.bytes).sum();
        let total: u64 = volumes.iter().map(|volume| volume.bytes_total).sum();
        let bytes_per_second = self.rate(bytes);
        let counters = || self.members.iter().map(|member| member.at_t0.counters());
        findings.extend(self.members.iter().flat_map(|member| member.findings()));
        if matches!(state, SessionState::Cancelled | SessionState::Void { .. }) {
            let whole = self.members.iter().filter_map(|member| member.whole_tape());
            findings.extend(whole.map(|tape| {
                let detail = "it was whole before the session ended, and stays; the other volumes have no tape of this T0";
                Finding::note("tape-of-an-ended-session", detail).of(tape.display())
            }));
        }
        let mut cache = CacheUse::default();
        for usage in self.members.iter().map(|member| member.at_t0.cache_usage()) {
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
            writes_held: counters().map(|counters| counters.writes_held.load(Ordering::Relaxed)).sum::<u64>() + held,
            longest_hold_us: counters()
                .map(|counters| counters.longest_hold_us.load(Ordering::Relaxed))
                .fold(longest_hold_us, u64::max),
            cache,
            findings: findings.iter().map(StatusFinding::from).collect(),
            counts: self.watch.as_ref().map(Watch::counts).unwrap_or_default(),
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
