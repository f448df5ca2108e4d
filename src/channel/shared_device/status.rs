//! What an operator sees of the clients.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::client::Client;
use super::connection::Served;
use super::device::{Right, SharedDevice};

/// A client of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClientStatus {
    /// Number of the device.
    pub device: u16,
    /// Name of the disk.
    pub disk: String,
    /// The client's id on the device.
    pub id: u16,
    /// Its address.
    pub host: IpAddr,
    /// Address and port of its connection, or of the last one; `local` for a socket in the file system.
    pub peer: String,
    /// When it connected, RFC 3339.
    pub since: String,
    /// Whether it has a connection now.
    pub connected: bool,
    /// Whether it may write.
    pub may_write: bool,
    /// Whether a channel program is open.
    pub in_bracket: bool,
    /// Whether it has the device reserved.
    pub reserved: bool,
    /// Whether a write is held now, since the disk can't take it.
    pub holding: bool,
    /// Tracks read.
    pub reads: u64,
    /// Writes done.
    pub writes: u64,
    /// Writes that had to wait for a session or for the disk.
    pub held_writes: u64,
    /// Writes answered with an error.
    pub failed_writes: u64,
}

impl ClientStatus {
    /// The name under which the gate knows the client.
    #[must_use]
    pub fn name(&self) -> String {
        super::client::port_name(self.host, self.id)
    }
}

/// Looks at a server that runs.
#[derive(Clone)]
pub struct StatusHandle(pub(super) Arc<Served>);

impl std::fmt::Debug for StatusHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("StatusHandle").field(&self.0.devices).finish()
    }
}

impl StatusHandle {
    /// The clients of all devices, those that are gone and remembered among them; by device and id.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientStatus> {
        let devices = self.0.devices.values();
        devices.flat_map(|device| device.clients.all().into_iter().map(|client| status(device, &client))).collect()
    }

    /// The devices.
    pub fn devices(&self) -> impl Iterator<Item = &Arc<SharedDevice>> {
        self.0.devices.values()
    }
}

fn status(device: &SharedDevice, client: &Client) -> ClientStatus {
    let (connection, counters) = (client.connection(), &client.counters);
    ClientStatus {
        device: device.number(),
        disk: device.gate().name().to_owned(),
        id: client.id,
        host: connection.peer.host,
        peer: connection.peer.to_string(),
        since: connection.since.to_string(),
        connected: connection.gone.is_none(),
        may_write: client.right == Right::ReadWrite && device.gate().disk().is_writable(),
        in_bracket: counters.in_bracket.load(Ordering::Relaxed),
        reserved: counters.reserved.load(Ordering::Relaxed),
        holding: counters.holding.load(Ordering::Relaxed),
        reads: counters.reads.load(Ordering::Relaxed),
        writes: counters.writes.load(Ordering::Relaxed),
        held_writes: counters.held_writes.load(Ordering::Relaxed),
        failed_writes: counters.failed_writes.load(Ordering::Relaxed),
    }
}
