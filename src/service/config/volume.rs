//! Volumes and views in the configuration.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tapegate_formats::volume::name::Volser;
use thiserror::Error;

use crate::service::network::Network;
use crate::volume::OpenOptions;

/// The number by which hosts know a device: one to four hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceNumber(pub u16);

/// The text is no device number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{0}' is no device number; write one to four hexadecimal digits, such as \"0150\"")]
pub struct NoDeviceNumber(String);

impl FromStr for DeviceNumber {
    type Err = NoDeviceNumber;

    fn from_str(text: &str) -> Result<Self, NoDeviceNumber> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u16::from_str_radix(text, 16).ok().filter(|_| digits).map(Self).ok_or_else(|| NoDeviceNumber(text.to_owned()))
    }
}

impl TryFrom<String> for DeviceNumber {
    type Error = NoDeviceNumber;

    fn try_from(text: String) -> Result<Self, NoDeviceNumber> {
        text.parse()
    }
}

impl From<DeviceNumber> for String {
    fn from(number: DeviceNumber) -> Self {
        number.to_string()
    }
}

impl fmt::Display for DeviceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

/// What a client may do with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessRight {
    /// Nothing: the volume is not there for it.
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
}

/// What clients of a network may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Right {
    /// The network.
    pub from: Network,
    /// What they may do.
    pub access: AccessRight,
}

/// A served volume.
#[derive(Debug, Clone)]
pub struct VolumeConfig {
    /// Its name, in all commands.
    pub name: String,
    /// The image.
    pub image: PathBuf,
    /// How the image is opened.
    pub open: OpenOptions,
    /// The number by which hosts of the shared-device server know it; none if they don't.
    pub device: Option<DeviceNumber>,
    /// Whether nobody may write.
    pub read_only: bool,
    /// Who may do what, the first that fits; without any, whoever may connect may do everything.
    pub rights: Vec<Right>,
}

/// A snapshot view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewConfig {
    /// Its name.
    pub name: String,
    /// The volume that it shows.
    pub of: String,
    /// The number by which hosts know it.
    pub device: Option<DeviceNumber>,
    /// Whether hosts may write into it.
    pub writable: bool,
    /// Serial that it shows instead of the volume's.
    pub volser: Option<Volser>,
    /// Pool that holds its originals; the default one if none is named.
    pub cache: Option<String>,
    /// Who may do what.
    pub rights: Vec<Right>,
}

impl PartialEq for VolumeConfig {
    fn eq(&self, other: &Self) -> bool {
        let key = |volume: &Self| {
            let OpenOptions { kind, shadows, shadow_pattern } = volume.open.clone();
            (volume.name.clone(), volume.image.clone(), kind, shadows, shadow_pattern, volume.device, volume.read_only)
        };
        key(self) == key(other) && self.rights == other.rights
    }
}

impl Eq for VolumeConfig {}

/// What a client may do with a disk, by its rights.
#[must_use]
pub fn access_of(rights: &[Right], writable: bool, client: IpAddr) -> AccessRight {
    let granted = match rights {
        [] => AccessRight::ReadWrite,
        rights => rights.iter().find(|right| right.from.contains(client)).map_or(AccessRight::None, |right| right.access),
    };
    if writable { granted } else { granted.min(AccessRight::Read) }
}
