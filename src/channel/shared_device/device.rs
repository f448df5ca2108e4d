//! A gate under a device number.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use tapegate_formats::dasd::characteristics::{CHARACTERISTICS_BYTES, characteristics, sense_id};
use tapegate_formats::dasd::geometry::Geometry;
use thiserror::Error;

use super::client::Clients;
use crate::gate::VolumeGate;
use crate::volume::Shape;

/// The longest slot whose track fits into a message.
const MOST_SLOT_BYTES: u32 = 65_535 - 6;
/// Cylinder numbers have 16 bits with these clients.
const MOST_CYLINDERS: u32 = 65_535;

/// When what clients wrote is brought to stable storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncPolicy {
    /// Before END is answered: a finished channel program outlives a power loss.
    Bracket,
    /// Every now and then, by whoever runs the server.
    #[default]
    Interval,
    /// When the system finds time.
    Never,
}

/// What a client may do with a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// It can't attach the device.
    None,
    /// Its writes are answered with an error, which stock clients hide from their guests.
    Read,
    /// All.
    ReadWrite,
}

/// A right of addresses.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The addresses.
    pub addresses: IpNet,
    /// Their right.
    pub right: Right,
}

/// How a device is served.
#[derive(Debug, Clone, Default)]
pub struct DeviceOptions {
    /// When writes are brought to stable storage.
    pub sync: SyncPolicy,
    /// The first rule whose addresses hold the client's says its right; without rules all may do all, and with rules an
    /// address that none names has no right.
    pub rules: Vec<Rule>,
}

/// Why a disk can't be served by this protocol.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotServed {
    /// It has blocks.
    #[error("{disk} is a fixed-block volume, and Hercules' shared device client crashes when it reads one; serve it as a file")]
    FixedBlock {
        /// Name of the disk.
        disk: String,
    },
    /// It is larger than the protocol or its clients can address.
    #[error("{disk} has {cylinders} cylinders and slots of {slot_bytes} bytes; the protocol has room for 65,535 and 65,529")]
    Large {
        /// Name of the disk.
        disk: String,
        /// Its cylinders.
        cylinders: u32,
        /// Bytes of a slot.
        slot_bytes: u32,
    },
}

/// A gate under a device number.
#[derive(Debug)]
pub struct SharedDevice {
    number: u16,
    gate: Arc<VolumeGate>,
    geometry: Geometry,
    options: DeviceOptions,
    characteristics: [u8; CHARACTERISTICS_BYTES],
    sense_id: Vec<u8>,
    suspect: Mutex<Option<String>>,
    pub(super) clients: Clients,
}

impl SharedDevice {
    /// Serves the gate's disk as device `number`.
    ///
    /// # Errors
    /// When the disk has fixed blocks, or is too large.
    pub fn new(number: u16, gate: Arc<VolumeGate>, options: DeviceOptions) -> Result<Arc<Self>, NotServed> {
        let disk = || gate.name().to_owned();
        let Shape::Ckd(geometry) = *gate.disk().shape() else { return Err(NotServed::FixedBlock { disk: disk() }) };
        if geometry.cylinders() > MOST_CYLINDERS || geometry.slot_bytes() > MOST_SLOT_BYTES {
            let (cylinders, slot_bytes) = (geometry.cylinders(), geometry.slot_bytes());
            return Err(NotServed::Large { disk: disk(), cylinders, slot_bytes });
        }
        Ok(Arc::new(Self {
            number,
            geometry,
            options,
            characteristics: characteristics(&geometry),
            sense_id: sense_id(&geometry),
            suspect: Mutex::default(),
            clients: Clients::new(),
            gate,
        }))
    }

    /// The device number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }

    /// The gate behind it.
    #[must_use]
    pub const fn gate(&self) -> &Arc<VolumeGate> {
        &self.gate
    }

    /// Why the volume's content is in doubt, since a client lost a write or the disk could not take one; none if all is
    /// well. It stays until the server is started anew or [`clear_suspect`](Self::clear_suspect).
    #[must_use]
    pub fn suspect(&self) -> Option<String> {
        self.suspect.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// An operator has looked at the volume and found it good.
    pub fn clear_suspect(&self) {
        *self.suspect.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Marks the volume's content as doubtful, and says so; the first reason is kept.
    pub(super) fn mark_suspect(&self, reason: String) {
        tracing::error!(device = %self, reason, "the volume is suspect: a write is not on it");
        self.suspect.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
    }

    pub(super) const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    pub(super) const fn sync_policy(&self) -> SyncPolicy {
        self.options.sync
    }

    pub(super) const fn characteristics(&self) -> &[u8] {
        &self.characteristics
    }

    pub(super) fn sense_id(&self) -> &[u8] {
        &self.sense_id
    }

    /// What an address may do.
    pub(super) fn right_of(&self, address: IpAddr) -> Right {
        let rules = &self.options.rules;
        if rules.is_empty() {
            return Right::ReadWrite;
        }
        rules.iter().find(|rule| rule.addresses.contains(&address)).map_or(Right::None, |rule| rule.right)
    }
}

impl std::fmt::Display for SharedDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:04X} ({})", self.number, self.gate.name())
    }
}

/// The devices of a server, by number.
pub(super) type Devices = BTreeMap<u16, Arc<SharedDevice>>;
