//! Snapshot views: volumes as of T0, shown as devices of their own.
//!
//! | file | what it is about |
//! | --- | --- |
//! | `device` | the disk that hosts see: ready, or not |
//! | `overlay` | what was written into a view |
//! | `relabel` | another serial in its volume label |
//! | `prepare`, `member_view` | a session's view, from before T0 to its end |
//! | `kept`, `trust`, `restore` | how views survive a restart of the service, and when they must not |

mod device;
mod kept;
mod member_view;
mod overlay;
mod prepare;
mod relabel;
mod restore;
mod trust;

pub use device::ViewDevice;
pub(super) use kept::{Beginning, KeptFolder, Record};
pub use member_view::LiveView;
pub(super) use member_view::{MemberView, ShowError};
pub(super) use prepare::{Left, Place, Views};
pub use restore::{RestoredViews, note_stop};
