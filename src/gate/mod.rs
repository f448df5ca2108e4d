//! The gate: the one place through which every host write to a served volume passes, whichever front-end it came by.
//!
//! | piece | what it is for |
//! | --- | --- |
//! | [`Disk`] | what stands behind a gate: a volume, or a snapshot view |
//! | [`VolumeGate`] | one served disk: its device lock, its watchers, its ports |
//! | [`HostPort`] | a host's way in: a client of a front-end |
//! | [`Access`] | a channel program, or a single operation, under way; the only way to read and write |
//! | [`Watcher`] | a session that must be asked before a unit changes |
//! | [`Still`] | several disks held still at one instant: T0 |
//!
//! # Why no write slips past T0
//! An [`Access`] is the guard of the design: it is taken before the first bit is tested and dropped after the last byte
//! is written, and it carries the list of watchers as it was when it was taken. [`Still`] waits until no access is
//! out, and only with it can a watcher be added. So no write is under way at T0, and none tests the bits of before T0 and
//! writes after it. A START..END bracket is one access, so T0 never falls inside a channel program.

mod access;
mod changes;
mod device_lock;
mod disk;
mod error;
mod port;
mod sizes;
mod still;
mod unit_locks;
mod volume_gate;
mod watcher;
mod write_mark;

pub use access::Access;
pub use changes::{ChangeObserver, Changed};
pub use device_lock::{Busy, ClientState, GONE_LIMIT};
pub use disk::Disk;
pub use error::GateError;
pub use port::HostPort;
pub use sizes::{LiveSizes, SharedSizes};
pub use still::{HeldBy, Still, StillLimits};
pub use volume_gate::{GateActivity, VolumeGate};
pub use watcher::{Refusal, Watcher, Watchers};
pub use write_mark::{LastWrite, WriteMark};

#[cfg(test)]
mod tests;
