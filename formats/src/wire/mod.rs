//! Wires: the messages of protocols through which hosts reach disks.

pub mod shared_device;
