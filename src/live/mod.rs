//! Live sessions: snapshots of volumes that hosts go on writing to.
//!
//! The rule: a unit's original is safe outside the volume before a host's first write to it goes on. See
//! `securing.rs` for the protocol and [`VolumeAtT0`] for what becomes of originals.

mod pacer;
mod securing;
pub mod status;
mod volume_at_t0;

pub use pacer::Pacer;
pub use volume_at_t0::{AtT0Parts, Ending, HostCounters, VolumeAtT0};
