//! Tapes: images under way and finished ones.

mod error;
pub mod partial;
pub mod pipe;
mod writeback;

pub use error::TapeError;
