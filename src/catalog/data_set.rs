//! A data set as the VTOC describes it.

use std::fmt;

use serde::Serialize;
use tapegate_formats::volume::name::DsName;

/// What a data set is, as far as it decides how it can be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum DataSetKind {
    /// Physical sequential, basic or large format.
    Sequential,
    /// Extended format sequential: raw tracks only.
    Extended,
    /// Partitioned (PDS).
    Partitioned,
    /// Partitioned extended (PDSE): raw tracks only.
    PartitionedExtended,
    /// HFS: raw tracks only.
    Hfs,
    /// A VSAM component, data space, or anything in one: raw tracks only.
    Vsam,
    /// Direct organisation.
    Direct,
    /// Indexed sequential.
    IndexedSequential,
    /// A partition of a Linux CDL volume: the whole extent is its content.
    LinuxPartition,
    /// No organisation in the DSCB.
    Unknown,
}

/// A run of tracks that belongs to a data set, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Extent {
    /// First track.
    pub first: u32,
    /// Number of tracks, at least 1.
    pub tracks: u32,
}

/// A data set: name, attributes, extents in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSet {
    /// Name.
    pub name: DsName,
    /// What it is.
    pub kind: DataSetKind,
    /// `DS1DSORG`, both bytes.
    pub dsorg: u16,
    /// `DS1RECFM`.
    pub recfm: u8,
    /// `DS1LRECL`.
    pub record_length: u16,
    /// `DS1BLKL`.
    pub block_length: u16,
    /// `DS1KEYL`.
    pub key_length: u8,
    /// `DS1CREDT` as year and day of the year, if there is one.
    pub created: Option<(u16, u16)>,
    /// `DS1EXPDT` likewise; never-expires dates are kept as they are.
    pub expires: Option<(u16, u16)>,
    /// `DS1VOLSQ`.
    pub volume_sequence: u16,
    /// Whether `DS1DSIND` says that this is the data set's last volume.
    pub last_volume: bool,
    /// Relative track and record of `DS1LSTAR`, in its wide form where the data set has one; `None` where the
    /// organisation keeps none.
    pub last_used: Option<(u32, u8)>,
    /// Data extents in sequence order.
    pub extents: Vec<Extent>,
}

impl DataSet {
    /// Tracks allocated.
    #[must_use]
    pub fn tracks(&self) -> u32 {
        self.extents.iter().map(|extent| extent.tracks).sum()
    }
}

impl fmt::Display for DataSetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sequential => "sequential",
            Self::Extended => "extended",
            Self::Partitioned => "PDS",
            Self::PartitionedExtended => "PDSE",
            Self::Hfs => "HFS",
            Self::Vsam => "VSAM",
            Self::Direct => "direct",
            Self::IndexedSequential => "ISAM",
            Self::LinuxPartition => "Linux partition",
            Self::Unknown => "unknown",
        })
    }
}
