//! Live sessions: snapshots of volumes that hosts go on writing to.
//!
//! The rule: a unit's original is safe outside the volume before a host's first write to it goes on. See
//! `securing.rs` for the protocol and [`VolumeAtT0`] for what becomes of originals.

mod action;
mod member;
#[cfg(test)]
mod model;
mod pacer;
mod pipe;
mod securing;
mod session;
mod sessions;
pub mod status;
mod t0;
mod trial;
mod view;
mod volume_at_t0;

pub use action::{EventSink, WriteEvent};
pub use pacer::Pacer;
pub use session::Session;
pub use sessions::{LiveVolume, Sessions, StartError};
pub use t0::T0Error;
pub use view::{LiveView, RestoredViews, ViewDevice, note_stop};
pub use volume_at_t0::{AtT0Parts, Ending, HostCounters, VolumeAtT0};
