//! Sessions that make no copy: they count hosts' reads and writes, tell writes, or keep them out.
//!
//! Each has an address domain ([`domain`]) on every volume, resolved when it starts, and stands behind the gate until it
//! is cancelled. Outside of its domain it costs a host the test of a bit. Several may watch one volume, beside
//! snapshots.

mod command;
mod count;
mod domain;
mod notify;
mod protect;
mod start;
mod watch;

pub use notify::{EventSink, WriteEvent};
pub(super) use start::EventListener;
pub(super) use watch::Watch;
