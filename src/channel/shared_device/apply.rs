//! What a request does, synchronously.
//!
//! A request is applied *inline* first, on the thread of the connection, and then answers at once or finds that it must
//! wait, before it has changed anything. Then it is applied again with patience, on a thread that may be blocked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::wire::shared_device::{Code, Header, MOST_CHANGED_TRACKS, Query, Reply, Request, SENSE_BYTES};

use super::client::Client;
use super::config::Limits;
use super::device::{Right, SharedDevice, SyncPolicy};
use super::{PROTOCOL_RELEASE, PROTOCOL_VERSION};
use crate::gate::{Access, Changed, GateError, HostPort};
use crate::volume::{UnitIndex, VolumeError};

mod sense;
mod track;
mod write;

/// What a client has open, and what is to be known of it for its next request.
pub(super) struct ClientState {
    /// The channel program that is open. Before the port, so that it is dropped before it.
    bracket: Option<Bracket>,
    port: HostPort,
    device: Arc<SharedDevice>,
    /// Tracks whose READ failed: the client keeps what it got until it is told to forget it.
    unreadable: Vec<UnitIndex>,
    /// The last request, if it was a write that was done.
    last_write: Option<WritePlace>,
    /// The write whose answer its client never got, of a client that came back.
    unanswered: Option<WritePlace>,
    /// The client came back, and this is its first request of substance since.
    is_back: bool,
    sense: [u8; SENSE_BYTES],
    /// The client was told that it may not write.
    told_read_only: bool,
}

/// A channel program.
struct Bracket {
    access: Access,
    wrote: bool,
}

/// Where a write went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WritePlace {
    unit: u32,
    offset: u16,
}

/// How a request may be applied.
#[derive(Debug, Clone, Copy)]
pub(super) enum Patience<'a> {
    /// Without blocking.
    None,
    /// With waits, that end when a signal says so.
    Until(&'a Signals, &'a Limits),
}

/// Why a wait should end.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The client left, or another connection took it over, or the server admits no more channel programs: a START is
    /// not waited for any longer. A write is, since its client has forgotten the bytes.
    pub(super) leave: AtomicBool,
    /// The server ends now: nothing is waited for.
    pub(super) abandon: AtomicBool,
}

/// The request would have to wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MustWait;

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// The reply is sent.
    Answer,
    /// The reply is sent, and the connection and the client end.
    Goodbye,
    /// The connection ends without a reply.
    Drop,
}

impl ClientState {
    pub(super) const fn new(port: HostPort, device: Arc<SharedDevice>) -> Self {
        Self {
            bracket: None,
            port,
            device,
            unreadable: Vec::new(),
            last_write: None,
            unanswered: None,
            is_back: false,
            sense: [0; SENSE_BYTES],
            told_read_only: false,
        }
    }

    /// The client is on a new connection; `answered` says whether its last reply was sent on the old one.
    pub(super) fn come_back(&mut self, answered: bool) {
        self.port.set_gone(false);
        // A purge list may have been lost with the connection.
        self.port.distrust_cache();
        self.unanswered = self.last_write.filter(|_| !answered);
        self.is_back = true;
    }

    pub(super) fn set_gone(&self) {
        self.port.set_gone(true);
    }

    /// Does what a request says and makes the reply.
    ///
    /// # Errors
    /// When it would have to wait and may not.
    pub(super) fn apply(
        &mut self,
        client: &Client,
        header: &Header,
        request: Request<'_>,
        reply: &mut Reply,
        patience: Patience<'_>,
    ) -> Result<Next, MustWait> {
        if !matches!(request, Request::Write { .. }) {
            self.last_write = None;
        }
        match request {
            Request::Connect { version, .. } => self.connect(client, header, version, reply),
            Request::Compress { methods, level } => compress(header, methods, level, reply),
            Request::Query(query) => self.query(header, query, reply),
            Request::Sense => {
                reply.with_status(header, Code::Ok, sense::GOOD_STATUS, &self.sense);
                self.sense = [0; SENSE_BYTES];
            }
            Request::Disconnect => {
                self.end(client);
                reply.done(header, &[]);
                return Ok(Next::Goodbye);
            }
            Request::Write { unit, offset, bytes } => {
                self.write(client, header, WritePlace { unit, offset }, bytes, reply, patience)?;
            }
            Request::Read { unit } => {
                if self.bracket.is_none() && self.is_back && self.begin(client, patience)? == Next::Drop {
                    return Ok(Next::Drop);
                }
                self.read(client, header, unit, reply);
                self.forget_return();
            }
            Request::Start { no_wait } => {
                let next = self.start(client, header, no_wait, reply, patience)?;
                self.forget_return();
                return Ok(next);
            }
            Request::End => {
                self.sync_bracket(patience)?;
                // The reply to an END may have been lost with the connection, and the client sends it again.
                let known = self.end(client) || self.is_back;
                self.forget_return();
                if known { reply.done(header, &[]) } else { not_active(header, reply) }
            }
            Request::Reserve | Request::Release => self.reserve(client, header, request == Request::Reserve, reply),
        }
        Ok(Next::Answer)
    }

    fn forget_return(&mut self) {
        (self.is_back, self.last_write, self.unanswered) = (false, None, None);
    }

    fn connect(&self, client: &Client, header: &Header, version: u8, reply: &mut Reply) {
        if version == PROTOCOL_VERSION {
            // The first START after it voids the client's cache.
            self.port.distrust_cache();
            reply.connected(header, PROTOCOL_VERSION, PROTOCOL_RELEASE, client.id);
        } else {
            reply.error(header, Code::Version, &format!("this server speaks version {PROTOCOL_VERSION} of the protocol"));
        }
    }

    fn query(&self, header: &Header, query: Query, reply: &mut Reply) {
        let geometry = self.device.geometry();
        match query {
            Query::Characteristics => reply.done(header, self.device.characteristics()),
            Query::SenseId => reply.done(header, self.device.sense_id()),
            Query::Cylinders => reply.done(header, &geometry.cylinders().to_be_bytes()),
            // What is in use is the guest's affair: all tracks may be.
            Query::Used => reply.done(header, &(geometry.tracks() - 1).to_be_bytes()),
            // Release 1 of the protocol doesn't know the first two, and the others are for fixed blocks.
            Query::Serial | Query::ControlUnit | Query::BlockOrigin | Query::Blocks | Query::BlockBytes => {
                reply.error(header, Code::Invalid, "no such query for this device");
            }
        }
    }

    fn start(
        &mut self,
        client: &Client,
        header: &Header,
        no_wait: bool,
        reply: &mut Reply,
        patience: Patience<'_>,
    ) -> Result<Next, MustWait> {
        // A START that finds the bracket open is one whose reply was lost: nothing was done in it, and the gate may have
        // taken it away meanwhile.
        self.end(client);
        match self.begin(client, patience) {
            Err(MustWait) if no_wait => {
                reply.with_status(header, Code::Busy, 0, &[]);
                return Ok(Next::Answer);
            }
            Ok(Next::Answer) => {}
            other => return other,
        }
        if let Some(bracket) = &self.bracket {
            let changed = with_unreadable(bracket.access.take_changed(), std::mem::take(&mut self.unreadable));
            match changed {
                Changed::Nothing => reply.started(header, Some(&[])),
                Changed::Units(units) => reply.started(header, Some(&units.iter().map(|unit| unit.0).collect::<Vec<_>>())),
                Changed::Everything => reply.started(header, None),
            }
        }
        Ok(Next::Answer)
    }

    /// Opens the bracket, or says that the connection is to be dropped since nobody waits for it any more.
    fn begin(&mut self, client: &Client, patience: Patience<'_>) -> Result<Next, MustWait> {
        let access = match patience {
            Patience::None => self.port.begin(Duration::ZERO).map_err(|_| MustWait)?,
            Patience::Until(signals, limits) => loop {
                let access = self.port.begin(limits.look);
                if signals.leave.load(Ordering::Relaxed) || signals.abandon.load(Ordering::Relaxed) {
                    return Ok(Next::Drop);
                }
                if let Ok(access) = access {
                    break access;
                }
            },
        };
        self.bracket = Some(Bracket { access, wrote: false });
        client.counters.in_bracket.store(true, Ordering::Relaxed);
        Ok(Next::Answer)
    }

    /// Brings what the bracket wrote to stable storage, if END promises that.
    fn sync_bracket(&mut self, patience: Patience<'_>) -> Result<(), MustWait> {
        let Some(bracket) = self.bracket.as_ref().filter(|bracket| bracket.wrote) else { return Ok(()) };
        if self.device.sync_policy() != SyncPolicy::Bracket {
            return Ok(());
        }
        if matches!(patience, Patience::None) {
            return Err(MustWait);
        }
        // A sync that failed is not tried again: the system may have dropped what it could not write, and a second one
        // would succeed without it.
        if let Err(error) = bracket.access.sync() {
            self.device.mark_suspect(format!("{} at the end of a channel program: {}", describe(&error), self.port.client()));
        }
        Ok(())
    }

    /// Closes the bracket; whether there was one.
    fn end(&mut self, client: &Client) -> bool {
        client.counters.in_bracket.store(false, Ordering::Relaxed);
        self.bracket.take().is_some()
    }

    fn reserve(&mut self, client: &Client, header: &Header, reserve: bool, reply: &mut Reply) {
        let Some(bracket) = &self.bracket else { return not_active(header, reply) };
        if reserve {
            bracket.access.reserve();
        } else {
            bracket.access.release();
        }
        client.counters.reserved.store(reserve, Ordering::Relaxed);
        self.forget_return();
        reply.done(header, &[]);
    }

    /// The unit of a number, if the disk has it.
    fn unit(&self, number: u32) -> Option<UnitIndex> {
        (number < self.device.geometry().tracks()).then_some(UnitIndex(number))
    }

    fn describe_place(&self, unit: UnitIndex) -> String {
        format!("{} of {}", self.device.geometry().cchh(TrackIndex(unit.0)), self.device)
    }
}

/// Adds the tracks that the client must read again because it got nothing good.
fn with_unreadable(changed: Changed, unreadable: Vec<UnitIndex>) -> Changed {
    let mut units = match changed {
        Changed::Everything => return Changed::Everything,
        Changed::Units(units) => units,
        Changed::Nothing => Vec::new(),
    };
    for unit in unreadable {
        if !units.contains(&unit) {
            units.push(unit);
        }
    }
    match units.len() {
        0 => Changed::Nothing,
        1..=MOST_CHANGED_TRACKS => Changed::Units(units),
        _ => Changed::Everything,
    }
}

/// Takes part in compression if the client's configuration asks for it (`comp=`); both clients offer it always.
fn compress(header: &Header, methods: u8, level: u8, reply: &mut Reply) {
    const ZLIB: u8 = 1;
    let level = if methods & ZLIB != 0 { level } else { 0 };
    reply.set_level(level);
    reply.done(header, &u16::from(level).to_be_bytes());
}

fn not_active(header: &Header, reply: &mut Reply) {
    reply.error(header, Code::NotActive, "no channel program is open (START comes first)");
}

/// An error with its causes.
fn describe(error: &GateError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Whether the same write can succeed later: the medium is full or fails. Other errors come from what is asked for.
const fn is_passing(error: &GateError) -> bool {
    matches!(error, GateError::Disk(VolumeError::Io { .. } | VolumeError::NoRoom { .. }))
}
