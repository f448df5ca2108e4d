//! tapegate: disk volumes of mainframes onto labelled virtual tape, and back.
//!
//! The modules follow the way of the data (see ARCHITECTURE.md): [`volume`] → [`catalog`] → [`plan`] → [`snapshot`]
//! → [`tape`], and [`restore`] back. Each knows only those before it.

mod aligned;
mod boot;
pub mod cache;
pub mod catalog;
pub mod channel;
pub mod cli;
pub mod finding;
pub mod gate;
pub mod live;
mod named_file;
mod parallel;
pub mod plan;
pub mod restore;
pub mod service;
pub mod snapshot;
mod sync;
pub mod tape;
pub mod volume;
