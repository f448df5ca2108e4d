//! Who is at the other end of a connection.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Peer {
    /// The host's address; a socket in the file system has the loopback address.
    pub(super) host: IpAddr,
    /// The port; none for a socket in the file system.
    port: Option<u16>,
}

impl Peer {
    /// A socket in the file system.
    pub(super) const LOCAL: Self = Self { host: IpAddr::V4(Ipv4Addr::LOCALHOST), port: None };
}

impl From<SocketAddr> for Peer {
    /// An IPv4 address that came in over an IPv6 socket is taken for what it is, so that rules match it.
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_canonical(), port: Some(address.port()) }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => SocketAddr::new(self.host, port).fmt(f),
            None => f.write_str("local"),
        }
    }
}
