//! Front-ends: the protocols through which hosts reach served disks.
//!
//! | module | for |
//! | --- | --- |
//! | [`files`] | any program on the machine: each disk is a plain image file in a folder |
//! | [`shared_device`] | Hercules, with unchanged configuration: `0150 3390 gateway:3990:0150` |
//!
//! A front-end turns messages into accesses of a [gate](crate::gate), and knows nothing of sessions. tokio lives here and
//! in the service: what a connection awaits is here, and what is done with a request is synchronous.

pub mod files;
pub mod shared_device;
