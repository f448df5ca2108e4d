//! One connection: what it awaits, and what it does when that happens.
//!
//! A request is applied inline. One that must wait goes to a thread that may be blocked, together with the client's
//! state, which is locked for as long; meanwhile the connection looks out for the end of its client.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tapegate_formats::wire::shared_device::{Code, Command, HEADER_BYTES, Header, Reply, RequestError, RequestParser};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::timeout;

use super::apply::{ClientState, MustWait, Next, Patience, Signals};
use super::client::{Client, Seat};
use super::config::Limits;
use super::device::{Devices, Right};
use super::peer::Peer;

/// Where a server stands; connections watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// It serves.
    Open,
    /// It admits no channel program any more, and connections without one end.
    Draining,
    /// All connections end.
    Closed,
}

/// What connections know of their server.
pub(super) struct Served {
    pub(super) devices: Devices,
    pub(super) limits: Limits,
}

/// What happened.
enum Event {
    /// A whole message lies in the buffer.
    Message(Header),
    /// The client has gone, or has said something that can't be a message.
    Gone,
    /// Another connection has taken the client over.
    Replaced,
    /// The server went into another phase.
    Phase,
}

/// A connection's buffers, which travel with a request to the thread that does it.
struct Desk {
    input: Vec<u8>,
    parser: RequestParser,
    reply: Reply,
}

impl Desk {
    /// Applies the message in the buffer.
    fn apply(
        &mut self,
        state: &mut ClientState,
        client: &Client,
        header: &Header,
        patience: Patience<'_>,
    ) -> Result<Next, MustWait> {
        // The message is whole, so that the range is in the buffer.
        let data = self.input.get(HEADER_BYTES..header.message_bytes()).unwrap_or_default();
        match self.parser.parse(header, data) {
            Ok(request) => state.apply(client, header, request, &mut self.reply, patience),
            Err(error) => {
                tracing::warn!(client = client.id, device = header.device.get(), "no valid request: {error}");
                // A client of a later release may ask for what is not known here; the rest is nonsense.
                if matches!(error, RequestError::Query(_) | RequestError::Command(_)) {
                    self.reply.error(header, Code::Invalid, &error.to_string());
                    return Ok(Next::Answer);
                }
                Ok(Next::Drop)
            }
        }
    }
}

/// Serves a connection until it ends.
pub(super) async fn serve<S>(mut stream: S, peer: Peer, served: Arc<Served>, mut phase: watch::Receiver<Phase>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = Vec::with_capacity(4096);
    let first = tokio::select! {
        // Nothing is lost if it is dropped: the connection ends then.
        first = timeout(served.limits.greeting, first_header(&mut stream, &mut input)) => first,
        // Cancel-safe: see `watch::Receiver::wait_for`.
        _ = phase.wait_for(|phase| *phase != Phase::Open) => return,
    };
    let Ok(Ok(header)) = first else {
        tracing::debug!(%peer, "a connection ended before its first request");
        return;
    };
    let mut reply = Reply::default();
    let Some((seat, returns)) = admit(&served.devices, peer, &header, &mut reply) else {
        // Whether it arrives is the client's affair.
        let _ = stream.write_all(reply.bytes()).await;
        return;
    };
    let Some(device) = served.devices.get(&header.device.get()) else { return };
    let unit_bytes = device.geometry().slot_bytes() as usize;
    let desk = Desk { input, parser: RequestParser::new(unit_bytes), reply };
    tracing::info!(%peer, client = seat.client.id, %device, returns, "a client has connected");
    if returns {
        // An earlier connection may still be at a request of this client.
        let mut state = seat.client.lock().await;
        seat.settle(&mut state);
    }
    let mut connection = Connection { stream, desk: Some(desk), seat, unit_bytes, phase, limits: served.limits };
    let goodbye = connection.run(header.device.get()).await;
    let seat = connection.seat;
    if goodbye {
        device.clients.forget(&seat);
    } else {
        let state = seat.client.lock().await;
        seat.leave(&state);
    }
    tracing::info!(%peer, client = seat.client.id, %device, goodbye, "a connection has ended");
}

/// Reads until the header of the first message is there.
async fn first_header<S: AsyncRead + Unpin>(stream: &mut S, input: &mut Vec<u8>) -> io::Result<Header> {
    loop {
        if let Some(header) = Header::parse(input) {
            return Ok(header);
        }
        if stream.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// Finds the client of a connection by the header of its first message; none, with the reply that says why, if there
/// can be none.
fn admit(devices: &Devices, peer: Peer, header: &Header, reply: &mut Reply) -> Option<(Seat, bool)> {
    let mut refuse = |code, text: &str| {
        tracing::warn!(%peer, device = format_args!("{:04X}", header.device.get()), "a connection was refused: {text}");
        reply.error(header, code, text);
        None
    };
    let Some(command) = header.command() else { return refuse(Code::Invalid, "no valid request") };
    let Some(device) = devices.get(&header.device.get()) else { return refuse(Code::NoDevice, "device not found") };
    let right = device.right_of(peer.host);
    if right == Right::None {
        return refuse(Code::NoDevice, "this address has no right to the device");
    }
    if command != Command::Connect && header.client.get() == 0 {
        return refuse(Code::NotConnected, "CONNECT comes first");
    }
    Some(device.clients.seat(device, peer, right, header.client.get()))
}

/// A connection that belongs to a client.
struct Connection<S> {
    stream: S,
    /// Away while a request is done on another thread.
    desk: Option<Desk>,
    seat: Seat,
    unit_bytes: usize,
    phase: watch::Receiver<Phase>,
    limits: Limits,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Answers requests until the connection ends; true if the client said goodbye.
    async fn run(&mut self, device: u16) -> bool {
        loop {
            let in_bracket = self.seat.client.counters.in_bracket.load(Ordering::Relaxed);
            let phase = *self.phase.borrow();
            if phase == Phase::Closed || (phase == Phase::Draining && !in_bracket) {
                if in_bracket {
                    tracing::error!(
                        client = self.seat.client.id,
                        "closed inside a channel program: the stop could not wait longer"
                    );
                }
                return false;
            }
            match self.next_event().await {
                Event::Message(header) if header.device.get() == device => match self.answer(&header).await {
                    Next::Answer => {}
                    Next::Goodbye => return true,
                    Next::Drop => return false,
                },
                Event::Message(_) | Event::Gone | Event::Replaced => return false,
                Event::Phase => {}
            }
        }
    }

    /// Awaits the next event. A message that is whole already is first.
    async fn next_event(&mut self) -> Event {
        let Some(desk) = &mut self.desk else { return Event::Gone };
        loop {
            if let Some(header) = Header::parse(&desk.input) {
                // Before any of its data is waited for.
                let most = header.command().map_or(0, |command| command.most_data_bytes(self.unit_bytes));
                if usize::from(header.length.get()) > most {
                    tracing::warn!(client = self.seat.client.id, ?header, "no valid request: the data would be too long");
                    return Event::Gone;
                }
                if desk.input.len() >= header.message_bytes() {
                    return Event::Message(header);
                }
            }
            tokio::select! {
                // Cancel-safe: what was read is in the buffer, or nothing was read.
                read = self.stream.read_buf(&mut desk.input) => match read {
                    Ok(0) | Err(_) => return Event::Gone,
                    Ok(_) => {}
                },
                // Cancel-safe: it consumes nothing.
                () = self.seat.lost() => return Event::Replaced,
                // Cancel-safe: a change that isn't seen now is seen the next time. A server that was dropped is closed.
                changed = self.phase.changed() => return if changed.is_ok() { Event::Phase } else { Event::Gone },
            }
        }
    }

    /// Applies a message and sends the reply.
    async fn answer(&mut self, header: &Header) -> Next {
        let client = Arc::clone(&self.seat.client);
        let mut state = client.lock().await;
        if !self.seat.is_mine() {
            return Next::Drop;
        }
        client.counters.answered.store(false, Ordering::Relaxed);
        let Some(desk) = &mut self.desk else { return Next::Drop };
        let next = match desk.apply(&mut state, &client, header, Patience::None) {
            Ok(next) => {
                drop(state);
                next
            }
            Err(MustWait) => self.wait(state, *header).await,
        };
        let Some(desk) = self.desk.as_mut().filter(|_| next != Next::Drop) else { return Next::Drop };
        desk.input.drain(..header.message_bytes());
        if !self.seat.is_mine() || self.stream.write_all(desk.reply.bytes()).await.is_err() {
            return Next::Drop;
        }
        client.counters.answered.store(true, Ordering::Relaxed);
        next
    }

    /// Has a request done on a thread that may be blocked, and tells it when nobody waits for it any more.
    async fn wait(&mut self, mut state: OwnedMutexGuard<ClientState>, header: Header) -> Next {
        let Some(mut desk) = self.desk.take() else { return Next::Drop };
        let signals = Arc::new(Signals::default());
        let (client, limits) = (Arc::clone(&self.seat.client), self.limits);
        let mut work = tokio::task::spawn_blocking({
            let signals = Arc::clone(&signals);
            move || {
                let next = desk.apply(&mut state, &client, &header, Patience::Until(&signals, &limits));
                // With patience nothing must wait.
                (desk, next.unwrap_or(Next::Drop))
            }
        });
        // The client waits too: what comes in now ends the connection, be it its end or something unasked for.
        let mut unasked = [0; 1];
        let (mut there, mut served) = (true, true);
        loop {
            let phase = if served { *self.phase.borrow() } else { Phase::Closed };
            if phase != Phase::Open || !there {
                signals.leave.store(true, Ordering::Relaxed);
            }
            if phase == Phase::Closed {
                signals.abandon.store(true, Ordering::Relaxed);
            }
            tokio::select! {
                // Cancel-safe: it is polled through a reference.
                done = &mut work => {
                    // A thread that panicked has lost the desk; the connection ends, and the client's lock with it.
                    let Ok((desk, next)) = done else { return Next::Drop };
                    self.desk = Some(desk);
                    return if there { next } else { Next::Drop };
                },
                // Cancel-safe: the byte is not looked at.
                _ = self.stream.read(&mut unasked), if there => there = false,
                () = self.seat.lost(), if there => there = false,
                // Cancel-safe, as in `next_event`.
                changed = self.phase.changed(), if served => served = changed.is_ok(),
            }
        }
    }
}
