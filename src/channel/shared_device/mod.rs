//! The server of the Hercules Shared Device protocol, for CKD disks.
//!
//! | piece | what it does |
//! | --- | --- |
//! | [`SharedDeviceServer`] | listens, admits, stops between channel programs |
//! | [`SharedDevice`] | a gate under a device number, with rights and what the device tells of itself |
//! | `connection` | awaits what happens on a connection, and hands what must wait to a thread |
//! | `apply` | does what a request says, synchronously; a START..END bracket is one [`Access`](crate::gate::Access) |
//! | `client` | a client over its reconnections: its port, its bracket, its seat |
//!
//! # What clients get wrong, and what follows
//! - A WRITE that fails is not told to the guest. So a write that meets a full disk or a failing medium is held and
//!   tried again until [`Limits::hold`]; the reply is the only brake there is.
//! - A client that loses its connection while it writes sends the write again without its bytes. If the first one is
//!   known to have been done, all is well; else the device is marked suspect and the client's cache voided.
//! - A client that comes back may send no CONNECT and no START, so its bracket outlives the connection: it is found by
//!   the address and the id, and the gate takes it from a client that stays away.
//! - A track whose READ failed stays in the client's cache as it is, so the next START names it.
//! - A connection that is closed inside a bracket can lose a write; between END and START it is safe. So a stop waits
//!   for brackets to end.
//!
//! It speaks release 1 of the protocol's version 0: later clients ask a server of release 3 for control unit types that
//! have to equal their own tables.

mod apply;
mod client;
mod config;
mod connection;
mod device;
mod peer;
mod server;
mod status;

pub use config::{Limits, Listener, SharedDeviceConfig};
pub use device::{DeviceOptions, NotServed, Right, Rule, SharedDevice, SyncPolicy};
pub use server::{ServerError, SharedDeviceServer};
pub use status::{ClientStatus, StatusHandle};

/// Version of the protocol, which clients require.
const PROTOCOL_VERSION: u8 = 0;
/// Release of the protocol.
const PROTOCOL_RELEASE: u8 = 1;

#[cfg(test)]
mod tests;
