//! A client of a device, over all its connections.
//!
//! A client is known by its address and its id. One that has lost its connection comes back with the id, perhaps with
//! nothing else, and must find its bracket as it left it. A connection has the client's *seat*; a new one takes it, and
//! the old one, which may be half dead, ends as soon as it sees that. What the old one was doing then, such as a write
//! that is held, is finished first: it has the client's state locked.
//!
//! Ids are given out from a place that changes from start to start, and none that is remembered is given to another:
//! clients of a server that was restarted come back with the ids of the old one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use jiff::Timestamp;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};

use super::apply::ClientState;
use super::device::{Right, SharedDevice};
use super::peer::Peer;

/// Clients without a connection that a device remembers.
const MOST_GONE: usize = 32;

/// A client of a device.
pub(super) struct Client {
    pub(super) id: u16,
    host: IpAddr,
    pub(super) right: Right,
    /// Locked for as long as a request is worked on.
    state: Arc<AsyncMutex<ClientState>>,
    /// Counts the connections; the last one has the seat.
    seat: watch::Sender<u64>,
    pub(super) counters: Counters,
    connection: Mutex<ConnectionNote>,
}

/// What a client did, for whoever looks at it, and whether its last reply went out.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) reads: AtomicU64,
    pub(super) writes: AtomicU64,
    /// Writes that had to wait for a session or for the disk.
    pub(super) held_writes: AtomicU64,
    /// Writes that were answered with an error.
    pub(super) failed_writes: AtomicU64,
    /// A write is held now.
    pub(super) holding: AtomicBool,
    pub(super) in_bracket: AtomicBool,
    pub(super) reserved: AtomicBool,
    /// Whether the reply to the last request was handed to the connection.
    pub(super) answered: AtomicBool,
}

/// The connection that a client has or had.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionNote {
    pub(super) peer: Peer,
    pub(super) since: Timestamp,
    /// Since when it is lost.
    pub(super) gone: Option<Instant>,
}

/// What the gate calls a client.
pub(super) fn port_name(host: IpAddr, id: u16) -> String {
    format!("{host} (client {id})")
}

impl Client {
    fn new(id: u16, peer: Peer, device: &Arc<SharedDevice>, right: Right) -> Self {
        let port = device.gate().attach(&port_name(peer.host, id), None);
        let state = Arc::new(AsyncMutex::new(ClientState::new(port, Arc::clone(device))));
        let connection = Mutex::new(ConnectionNote { peer, since: Timestamp::now(), gone: None });
        Self { id, host: peer.host, right, state, seat: watch::Sender::new(0), counters: Counters::default(), connection }
    }

    /// Locks the state, as soon as no request is worked on.
    pub(super) async fn lock(&self) -> OwnedMutexGuard<ClientState> {
        Arc::clone(&self.state).lock_owned().await
    }

    /// The connection that it has or had.
    pub(super) fn connection(&self) -> ConnectionNote {
        *self.note()
    }

    fn note(&self) -> MutexGuard<'_, ConnectionNote> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_seat(self: Arc<Self>, peer: Peer) -> Seat {
        self.seat.send_modify(|number| *number += 1);
        let moved = self.seat.subscribe();
        let number = *moved.borrow();
        *self.note() = ConnectionNote { peer, since: Timestamp::now(), gone: None };
        Seat { client: self, number, moved }
    }
}

/// A connection's hold of its client.
pub(super) struct Seat {
    pub(super) client: Arc<Client>,
    number: u64,
    moved: watch::Receiver<u64>,
}

impl Seat {
    /// Whether no later connection has taken the client over.
    pub(super) fn is_mine(&self) -> bool {
        *self.moved.borrow() == self.number
    }

    /// Waits until a later connection takes the client over. Cancel-safe: nothing is consumed.
    pub(super) async fn lost(&mut self) {
        let number = self.number;
        // The sender lives as long as the client, of which this is a holder.
        let _ = self.moved.wait_for(|now| *now != number).await;
    }

    /// The client is back on this connection: its lock is safe, and nothing that it may have missed is assumed known.
    ///
    /// To be called with the state locked, as `leave` is, so that the earlier connection doesn't undo it.
    pub(super) fn settle(&self, state: &mut ClientState) {
        if self.is_mine() {
            let answered = self.client.counters.answered.load(Ordering::Relaxed);
            state.come_back(answered);
        }
    }

    /// The connection is lost.
    pub(super) fn leave(&self, state: &ClientState) {
        if self.is_mine() {
            self.client.note().gone = Some(Instant::now());
            state.set_gone();
        }
    }
}

/// The clients of a device.
#[derive(Debug)]
pub(super) struct Clients(Mutex<Known>);

struct Known {
    clients: HashMap<(IpAddr, u16), Arc<Client>>,
    next_id: u16,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.clients.keys()).finish()
    }
}

impl Clients {
    pub(super) fn new() -> Self {
        // The standard library's hasher is seeded by the system.
        #[allow(clippy::cast_possible_truncation, reason = "any 16 bits of it will do")]
        let next_id = RandomState::new().hash_one(0_u8) as u16;
        Self(Mutex::new(Known { clients: HashMap::new(), next_id }))
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seats a connection: of a new client if `id` is 0, else of the client with that id. One that isn't known is one of
    /// an earlier server's; whether the client came back is told as well.
    pub(super) fn seat(&self, device: &Arc<SharedDevice>, peer: Peer, right: Right, id: u16) -> (Seat, bool) {
        let mut known = self.known();
        let returns = id != 0;
        let id = if returns { id } else { known.free_id() };
        let client = known.clients.entry((peer.host, id)).or_insert_with(|| Arc::new(Client::new(id, peer, device, right)));
        let seat = Arc::clone(client).take_seat(peer);
        known.forget_some();
        (seat, returns)
    }

    /// Forgets a client that said goodbye; its port ends with its last holder.
    pub(super) fn forget(&self, seat: &Seat) {
        if seat.is_mine() {
            self.known().clients.remove(&(seat.client.host, seat.client.id));
        }
    }

    /// All clients, by id.
    pub(super) fn all(&self) -> Vec<Arc<Client>> {
        let mut clients: Vec<_> = self.known().clients.values().map(Arc::clone).collect();
        clients.sort_by_key(|client| client.id);
        clients
    }
}

impl Known {
    /// An id that no client has, whatever its address. There are far fewer clients than ids.
    fn free_id(&mut self) -> u16 {
        loop {
            self.next_id = self.next_id.wrapping_add(1);
            if self.next_id != 0 && self.clients.keys().all(|(_, id)| *id != self.next_id) {
                return self.next_id;
            }
        }
    }

    /// Keeps the number of clients that are gone within its bound: first those go that left nothing open, and of these
    /// the ones that left first.
    fn forget_some(&mut self) {
        let mut gone: Vec<_> = self
            .clients
            .iter()
            .filter_map(|(key, client)| {
                let open = client.counters.in_bracket.load(Ordering::Relaxed) || client.counters.reserved.load(Ordering::Relaxed);
                client.note().gone.map(|since| (open, since, *key))
            })
            .collect();
        gone.sort_unstable();
        let surplus = gone.len().saturating_sub(MOST_GONE);
        for (_, _, key) in gone.drain(..surplus) {
            self.clients.remove(&key);
        }
    }
}
