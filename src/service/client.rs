//! The other end of the control interface: what the command line calls.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::protocol::{Reply, Request};

/// A request that was not done.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers.
    #[error("{}: no service answers; start one with `tapegate serve`, or name its socket with --control", path.display())]
    NoService {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The connection broke.
    #[error("the connection to the service broke: {0}")]
    Broken(#[from] std::io::Error),
    /// The service stopped before it answered.
    #[error("the service hung up before it answered; its log says why")]
    HungUp,
    /// The reply makes no sense: another version.
    #[error("the service answered what this program does not know ({0}); are both of one version?")]
    Unknown(#[from] serde_json::Error),
    /// The service refused.
    #[error("{0}")]
    Refused(String),
}

/// A connection to a service on this machine.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the control socket of a service.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| ClientError::NoService { path: path.to_owned(), source })?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Asks, and waits for the reply.
    ///
    /// # Errors
    /// When the service refuses, or is gone.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.send(request)?;
        self.next()
    }

    /// Asks for a stream of replies; `each` gives false to hear no more.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn watch(mut self, request: &Request, mut each: impl FnMut(Reply) -> bool) -> Result<(), ClientError> {
        self.send(request)?;
        loop {
            match self.next()? {
                Reply::Done => return Ok(()),
                reply => {
                    if !each(reply) {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.stream.get_mut().write_all(&line)?;
        Ok(())
    }

    fn next(&mut self) -> Result<Reply, ClientError> {
        let mut line = Vec::new();
        // Replies come from the service that this program trusts: they have no limit.
        self.stream.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            return Err(ClientError::HungUp);
        }
        match serde_json::from_slice(&line)? {
            Reply::Error { message } => Err(ClientError::Refused(message)),
            reply => Ok(reply),
        }
    }
}
