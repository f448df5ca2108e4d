//! The server: listens, admits, and stops between channel programs.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::config::{Listener, SharedDeviceConfig};
use super::connection::{Phase, Served, serve};
use super::device::SharedDevice;
use super::peer::Peer;
use super::status::StatusHandle;

/// A client that is silent for so long is asked whether its machine still lives.
const ALIVE_AFTER: Duration = Duration::from_secs(15);
/// How often it is asked, and how often without an answer before the connection is given up.
const ALIVE_EVERY: Duration = Duration::from_secs(5);
const ALIVE_TRIES: u32 = 3;
/// Milliseconds for which a reply may be on its way before the connection is given up.
const UNACKNOWLEDGED_MS: u32 = 30_000;
/// Pause after a connection could not be taken, as when the process has too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Why a server can't be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ServerError {
    /// It can't listen.
    #[error("the shared device server can't listen on {listener}")]
    Listen {
        /// Where.
        listener: Listener,
        /// Why not.
        source: io::Error,
    },
    /// Two devices have one number.
    #[error("device number {number:04X} is given twice: to {first} and {second}")]
    TwiceDevice {
        /// The number.
        number: u16,
        /// A disk.
        first: String,
        /// The other.
        second: String,
    },
}

/// A server that listens.
pub struct SharedDeviceServer {
    config: SharedDeviceConfig,
    served: Arc<Served>,
    tcp: Vec<TcpListener>,
    unix: Vec<(UnixListener, SocketFile)>,
}

impl std::fmt::Debug for SharedDeviceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedDeviceServer").field("config", &self.config).finish_non_exhaustive()
    }
}

impl SharedDeviceServer {
    /// Listens; connections wait until [`run`](Self::run) takes them. Within a tokio runtime.
    ///
    /// # Errors
    /// When an address is taken or a socket can't be made, or two devices have one number.
    pub async fn bind(
        config: SharedDeviceConfig,
        devices: impl IntoIterator<Item = Arc<SharedDevice>>,
    ) -> Result<Self, ServerError> {
        let mut by_number = super::device::Devices::new();
        for device in devices {
            if let Some(first) = by_number.insert(device.number(), Arc::clone(&device)) {
                let (first, second) = (first.gate().name().to_owned(), device.gate().name().to_owned());
                return Err(ServerError::TwiceDevice { number: device.number(), first, second });
            }
        }
        let (mut tcp, mut unix) = (Vec::new(), Vec::new());
        for listener in &config.listeners {
            let failed = |source| ServerError::Listen { listener: listener.clone(), source };
            match listener {
                Listener::Tcp(address) => tcp.push(TcpListener::bind(address).await.map_err(failed)?),
                Listener::Unix(path) => unix.push(bind_socket_file(path).map_err(failed)?),
            }
        }
        let served = Arc::new(Served { devices: by_number, limits: config.limits });
        Ok(Self { config, served, tcp, unix })
    }

    /// The TCP addresses on which it listens, with the ports that the system chose for port 0.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.tcp.iter().filter_map(|listener| listener.local_addr().ok()).collect()
    }

    /// Looks at the clients while it runs.
    #[must_use]
    pub fn status(&self) -> StatusHandle {
        StatusHandle(Arc::clone(&self.served))
    }

    /// Serves until `shutdown` is ready, and then until open channel programs have ended, which it waits for up to
    /// [`Limits::stop`](super::Limits::stop). Not cancel-safe: whoever drops it closes connections inside their channel
    /// programs.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let Self { config, served, tcp, unix } = self;
        let (stop, phase) = watch::channel(Phase::Open);
        let door = Door { served, phase, slots: Arc::new(Semaphore::new(config.most_connections)), config: Arc::new(config) };
        let mut listeners = JoinSet::new();
        for listener in tcp {
            listeners.spawn(door.clone().take_tcp(listener));
        }
        for (listener, file) in unix {
            listeners.spawn(door.clone().take_unix(listener, file));
        }
        shutdown.await;
        // Nobody comes in any more; whoever is in goes at the end of its channel program.
        listeners.shutdown().await;
        stop.send_replace(Phase::Draining);
        let all = u32::try_from(door.config.most_connections).unwrap_or(u32::MAX);
        if tokio::time::timeout(door.config.limits.stop, door.slots.acquire_many(all)).await.is_err() {
            let left = door.config.most_connections - door.slots.available_permits();
            tracing::error!(connections = left, "channel programs are still open at the end of the time for a stop");
            stop.send_replace(Phase::Closed);
            // Those that are held end within a moment; the semaphore is never closed.
            let _ = door.slots.acquire_many(all).await;
        }
    }
}

/// What whoever takes connections needs.
#[derive(Clone)]
struct Door {
    served: Arc<Served>,
    config: Arc<SharedDeviceConfig>,
    phase: watch::Receiver<Phase>,
    /// A permit for every connection.
    slots: Arc<Semaphore>,
}

impl Door {
    async fn take_tcp(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    let peer = Peer::from(address);
                    if !self.config.allowed.iter().any(|network| network.contains(&peer.host)) {
                        tracing::warn!(%peer, "a connection was refused: its address is not allowed");
                        continue;
                    }
                    if let Err(error) = set_options(&stream) {
                        tracing::warn!(%peer, "the connection's options can't be set: {error}");
                    }
                    self.enter(stream, peer);
                }
                Err(error) => self.rest(&error).await,
            }
        }
    }

    async fn take_unix(self, listener: UnixListener, _file: SocketFile) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.enter(stream, Peer::LOCAL),
                Err(error) => self.rest(&error).await,
            }
        }
    }

    fn enter(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer) {
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            tracing::warn!(%peer, most = self.config.most_connections, "a connection was refused: there are too many");
            return;
        };
        let (served, phase) = (Arc::clone(&self.served), self.phase.clone());
        tokio::spawn(async move {
            serve(stream, peer, served, phase).await;
            drop(slot);
        });
    }

    async fn rest(&self, error: &io::Error) {
        tracing::warn!("a connection could not be taken: {error}");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

/// Replies go out at once, and a machine that is gone is noticed.
fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = stream.as_fd();
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, ALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(socket, ALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, ALIVE_TRIES)?;
    sockopt::set_tcp_user_timeout(socket, UNACKNOWLEDGED_MS)?;
    Ok(())
}

/// A socket's name in the file system, which goes with it.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // A name that is left behind is taken away at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Listens on a name in the file system. One that a server left behind is replaced; one behind which somebody answers,
/// and a file that is no socket, are not.
fn bind_socket_file(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    let is_left_behind = is_socket
        && std::os::unix::net::UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    if is_left_behind {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    Ok((listener, SocketFile(path.to_owned())))
}
