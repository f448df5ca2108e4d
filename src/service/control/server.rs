//! The listeners of the control interface.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::serve;
use super::{Answer, Token};
use crate::service::config::{ControlConfig, TcpControl};
use crate::service::network::Network;
use crate::service::stopping::stopped;

/// Sockets that are open for control connections.
#[derive(Debug)]
pub struct Listeners {
    socket: (UnixListener, PathBuf),
    tcp: Option<(TcpListener, Token, Vec<Network>)>,
    connections: usize,
}

impl Listeners {
    /// Opens the sockets; must be called inside a tokio runtime.
    ///
    /// A socket that a dead service left behind is replaced; one that answers is not.
    ///
    /// # Errors
    /// When a socket can't be opened, or the token can't be read, in a sentence.
    pub async fn open(config: &ControlConfig) -> anyhow::Result<Self> {
        let socket = listen_on_path(&config.socket)
            .map_err(|error| anyhow::anyhow!("{}: opening the control socket failed: {error}", config.socket.display()))?;
        let tcp = match &config.tcp {
            None => None,
            Some(TcpControl { listen, token_file, allow }) => {
                let token = Token::read(token_file)?;
                let listener = TcpListener::bind(listen)
                    .await
                    .map_err(|error| anyhow::anyhow!("{listen}: opening the control port failed: {error}"))?;
                Some((listener, token, allow.clone()))
            }
        };
        Ok(Self { socket: (socket, config.socket.clone()), tcp, connections: config.connections })
    }
}

fn listen_on_path(path: &Path) -> io::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    match fs::symlink_metadata(path) {
        Ok(there) if there.file_type().is_socket() => {
            if std::os::unix::net::UnixStream::connect(path).is_ok() {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "another service answers there; stop it first"));
            }
            fs::remove_file(path)?;
        }
        Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket is there")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    // Nobody else gets at the socket between its making and the change of its mode: umask is 077 in `serve`.
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// The control server.
pub struct ControlServer {
    answer: Arc<dyn Answer>,
}

impl ControlServer {
    /// A server that hands requests to `answer`.
    #[must_use]
    pub fn new(answer: Arc<dyn Answer>) -> Self {
        Self { answer }
    }

    /// Serves until `stopping` turns true; connections that wait for a request are closed then, others after their answer.
    pub async fn run(self, listeners: Listeners, mut stopping: watch::Receiver<bool>) {
        let Listeners { socket: (socket, path), tcp, connections } = listeners;
        let room = Arc::new(Semaphore::new(connections));
        let mut serving = JoinSet::new();
        let told = stopping.clone();
        loop {
            // Accepting is cancel-safe: a connection that is not taken stays in the queue.
            tokio::select! {
                accepted = socket.accept() => match (accepted, Arc::clone(&room).try_acquire_owned()) {
                    (Ok((stream, _)), Ok(place)) => {
                        let (answer, stopping) = (Arc::clone(&self.answer), told.clone());
                        serving.spawn(async move {
                            finished(serve(stream, None, answer, stopping).await);
                            drop(place);
                        });
                    }
                    (Ok(_), Err(_)) => tracing::warn!("a control connection was refused: there are {connections} already"),
                    (Err(error), _) => pause_after(&error).await,
                },
                accepted = accept_tcp(tcp.as_ref()) => match (accepted, Arc::clone(&room).try_acquire_owned()) {
                    (Ok((stream, token)), Ok(place)) => {
                        let (answer, stopping) = (Arc::clone(&self.answer), told.clone());
                        serving.spawn(async move {
                            finished(serve(stream, Some(token), answer, stopping).await);
                            drop(place);
                        });
                    }
                    (Ok(_), Err(_)) => tracing::warn!("a control connection was refused: there are {connections} already"),
                    (Err(error), _) => pause_after(&error).await,
                },
                () = stopped(&mut stopping) => break,
                Some(_) = serving.join_next(), if !serving.is_empty() => {}
            }
        }
        // The name goes first: a new service may take it while the last answers are sent.
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!("{}: {error}", path.display());
        }
        while serving.join_next().await.is_some() {}
    }
}

/// Who comes over TCP from an address that may; never, without a TCP listener.
async fn accept_tcp(tcp: Option<&(TcpListener, Token, Vec<Network>)>) -> io::Result<(tokio::net::TcpStream, Token)> {
    let Some((listener, token, allow)) = tcp else { return std::future::pending().await };
    loop {
        let (stream, from) = listener.accept().await?;
        let address: IpAddr = from.ip();
        if allow.iter().any(|network| network.contains(address)) {
            stream.set_nodelay(true)?;
            return Ok((stream, token.clone()));
        }
        tracing::warn!("{from}: a control connection was refused: the address is not allowed");
    }
}

/// Accepting fails for good when file handles run out, and at once again: so not in a circle.
async fn pause_after(error: &io::Error) {
    tracing::warn!("accepting a control connection failed: {error}");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}

fn finished(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::debug!("a control connection broke: {error}");
    }
}
