//! A session: it copies a volume as it stood at T0 to the places that the plan gives.

mod check;
mod copier;
mod describe;
mod digest;
mod encode;
mod error;
mod finish;
mod frame;
mod ledger;
mod manifest;
mod monitor;
mod options;
mod prepare;
mod route;
mod session;
mod stages;
mod status;
mod take_up;
mod turnstile;

pub use digest::{UnitDigest, file_digest};
pub(crate) use encode::track_blocks;
pub use error::SnapshotError;
pub use manifest::{Manifest, ManifestFile, ManifestTape, ManifestVolume};
pub use monitor::{Monitor, NoMonitor};
pub use options::SnapshotOptions;
pub use prepare::Preparation;
pub use session::{SessionOptions, SessionResult, Target, interrupted_t0, run};
pub use status::{Claim, UpdateStatus};
