//! A session: it copies a volume as it stood at T0 to the places that the plan gives.

mod check;
mod copier;
mod describe;
mod digest;
mod encode;
mod error;
mod finish;
mod frame;
mod kept_plan;
mod ledger;
mod live;
mod manifest;
mod monitor;
mod options;
mod places;
mod prepare;
mod route;
mod session;
mod source;
mod stages;
mod status;
mod take_up;
mod turnstile;

pub use digest::{UnitDigest, file_digest};
pub(crate) use encode::track_blocks;
pub use error::SnapshotError;
pub(crate) use live::LiveSource;
pub use manifest::{Manifest, ManifestFile, ManifestTape, ManifestVolume};
pub use monitor::{Monitor, NoMonitor};
pub use options::SnapshotOptions;
pub(crate) use places::{BringBuffers, TapePlaces};
pub use prepare::Preparation;
pub(crate) use session::{Interrupted, discard_interrupted, interrupted};
pub use session::{SessionOptions, SessionResult, Target, interrupted_t0, run};
pub(crate) use source::CopySource;
pub use status::{Claim, UpdateStatus};
