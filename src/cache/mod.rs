//! The original-data cache: where originals wait that have no place on a tape yet, and what views read.
//!
//! A host that is about to overwrite a unit has the old content put here. A sequential sink takes it when the stream gets
//! there and releases it (*once*); a snapshot view reads it as often as it likes (*keep*): the cache does not know which,
//! its owner releases or does not.
//!
//! A [`CachePool`] is a named room in memory and on disk, shared by the sessions of several volumes. A [`CacheShare`]
//! of it holds whole unit bodies of one instant of one volume, put in any order and taken in any order. Bodies go to
//! memory up to its limit, then to the spill up to its limit; then `put` says [`CacheError::Full`], and the owner's policy
//! says what becomes of its session.

mod body_file;
mod counted_room;
mod error;
mod granules;
mod group_sync;
mod index_format;
mod kept_files;
mod medium;
mod pool;
mod share;
mod spill;
mod usage;

#[cfg(test)]
mod device_tests;
#[cfg(test)]
mod kept_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod pool_tests;
#[cfg(test)]
mod power_tests;

pub use counted_room::CountedRoom;
pub use error::CacheError;
pub use pool::{CachePool, PoolConfig, SpillConfig};
pub use share::CacheShare;
pub use usage::{OwnerUsage, PoolUsage, RoomUsage, ShareUsage};
