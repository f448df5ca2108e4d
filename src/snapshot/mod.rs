//! A session: it copies a volume as it stood at T0 to the places that the plan gives.

mod copier;
mod digest;
mod encode;
mod error;
mod frame;
mod ledger;
mod monitor;
mod source;
mod stages;
mod status;
mod turnstile;

pub use digest::{UnitDigest, file_digest};
pub use error::SnapshotError;
pub use monitor::{Monitor, NoMonitor};
pub use source::UnitSource;
pub use status::{Claim, UpdateStatus};
