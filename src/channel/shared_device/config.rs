//! What the server is told.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

/// The port that clients take when none is configured.
pub const STANDARD_PORT: u16 = 3990;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listener {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A socket in the file system: `/tmp/hercules_shared.PORT` is where a client goes whose configuration names
    /// `localhost`. Who may connect is said by the file's permissions, and peers count as `127.0.0.1`.
    Unix(PathBuf),
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// The configuration of a server.
#[derive(Debug, Clone)]
pub struct SharedDeviceConfig {
    /// Where it listens.
    pub listeners: Vec<Listener>,
    /// From where clients may connect; others are sent away at once.
    pub allowed: Vec<IpNet>,
    /// Connections at a time. Each device of each client has one, and each can keep a thread waiting, so it should be
    /// below the runtime's blocking threads (tokio: 512).
    pub most_connections: usize,
    /// How long things may take.
    pub limits: Limits,
}

impl Default for SharedDeviceConfig {
    /// The standard port of the loopback address, for loopback addresses, with 256 connections.
    fn default() -> Self {
        Self {
            listeners: vec![Listener::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, STANDARD_PORT)))],
            allowed: vec![loopback_v4(), IpNet::from(std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST))],
            most_connections: 256,
            limits: Limits::default(),
        }
    }
}

/// 127.0.0.0/8.
fn loopback_v4() -> IpNet {
    // A prefix of 8 bits is one.
    ipnet::Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8).into()
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long a write that the disk can't take is tried again before it is given up, and with it its content.
    pub hold: Duration,
    /// Between two tries of a write that is held.
    pub retry: Duration,
    /// How often a START that waits looks whether its client is still there.
    pub look: Duration,
    /// How long a new connection may take for its first request.
    pub greeting: Duration,
    /// How long a stop waits for open brackets.
    pub stop: Duration,
}

impl Default for Limits {
    /// An hour, half a second, a second, 30 seconds, 20 seconds.
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(3600),
            retry: Duration::from_millis(500),
            look: Duration::from_secs(1),
            greeting: Duration::from_secs(30),
            stop: Duration::from_secs(20),
        }
    }
}
