//! Snapshot views: volumes as of T0, shown as devices of their own.

mod device;
mod overlay;

pub use device::ViewDevice;
