//! A data set as the VTOC describes it.

use std::fmt;

use serde::{Deserialize, Serialize};
use tapegate_formats::dasd::address::{Cchhr, TrackIndex};
use tapegate_formats::volume::extent::ExtentKind;
use tapegate_formats::volume::name::{DsName, Volser};

/// What a data set is, as far as it decides how it can be copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

impl Extent {
    /// Last track.
    #[must_use]
    pub const fn last(&self) -> u32 {
        self.first + (self.tracks - 1)
    }

    /// Track numbers in order.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        self.first..=self.last()
    }

    /// Whether a track lies in it.
    #[must_use]
    pub const fn contains(&self, track: u32) -> bool {
        track >= self.first && track - self.first < self.tracks
    }
}

/// Tracks of a data set that relative addresses leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OtherExtent {
    /// What they are for: user labels, an ISAM index or overflow.
    pub kind: ExtentKind,
    /// The tracks.
    pub extent: Extent,
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
    /// Extents of user labels, ISAM indexes and the like, in the order of the DSCBs.
    pub other_extents: Vec<OtherExtent>,
    /// Address of the format 1 or 8 DSCB; `None` for what is no data set of a VTOC.
    pub dscb: Option<Cchhr>,
    /// Format of that DSCB: 1 or 8.
    pub dscb_format: u8,
    /// `DS1DSSN`: serial of the data set's first volume.
    pub first_volser: Option<Volser>,
    /// `DS1REFD` as year and day of the year.
    pub referenced: Option<(u16, u16)>,
    /// `DS1TRBAL`: bytes left on the last track, as the system that wrote it reckons.
    pub track_balance: u16,
    /// Whether it is large format (`DSNTYPE=LARGE`).
    pub large_format: bool,
    /// `DS1SMSFG`.
    pub sms_flags: u8,
    /// `DS1SCALO`: how space was asked for (high byte), and the secondary amount.
    pub secondary: u32,
    /// Whether something about its DSCBs makes no sense: an extent was left out, or overlaps another's.
    pub defective: bool,
}

impl DataSet {
    /// A data set with no more attributes than these.
    #[must_use]
    pub const fn bare(name: DsName, kind: DataSetKind, extents: Vec<Extent>) -> Self {
        Self {
            name,
            kind,
            dsorg: 0,
            recfm: 0,
            record_length: 0,
            block_length: 0,
            key_length: 0,
            created: None,
            expires: None,
            volume_sequence: 1,
            last_volume: true,
            last_used: None,
            extents,
            other_extents: Vec::new(),
            dscb: None,
            dscb_format: 1,
            first_volser: None,
            referenced: None,
            track_balance: 0,
            large_format: false,
            sms_flags: 0,
            secondary: 0,
            defective: false,
        }
    }

    /// All its extents: those of data, then the others.
    pub fn all_extents(&self) -> impl Iterator<Item = Extent> + use<'_> {
        self.extents.iter().copied().chain(self.other_extents.iter().map(|other| other.extent))
    }

    /// The track of the volume that is the data set's track `relative`, counted from 0 over its data extents.
    #[must_use]
    pub fn track(&self, relative: u32) -> Option<TrackIndex> {
        let mut left = relative;
        for extent in &self.extents {
            if left < extent.tracks {
                return Some(TrackIndex(extent.first + left));
            }
            left -= extent.tracks;
        }
        None
    }

    /// Tracks allocated for data. Extents that overlap count twice, and the sum stops at what 32 bits hold.
    #[must_use]
    pub fn tracks(&self) -> u32 {
        self.extents.iter().fold(0, |sum, extent| sum.saturating_add(extent.tracks))
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
