//! Extent descriptors of DSCBs (IBM, DFSMSdfp Advanced Services, "Format-1 DSCB", `DS1EXT1`).

use binrw::binrw;

/// An extent as ten bytes of a DSCB; its limits are addresses, both included.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ExtentDescriptor {
    /// Offset 0: what the tracks are for.
    pub kind: ExtentKind,
    /// Offset 1: sequence number in the data set on this volume, from 0.
    pub sequence: u8,
    /// Offset 2: CCHH of the first track.
    pub lower: [u8; 4],
    /// Offset 6: CCHH of the last track.
    pub upper: [u8; 4],
}

impl ExtentDescriptor {
    /// Length on disk.
    pub const BYTES: usize = 10;
}

/// The type byte of an extent.
#[binrw]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ExtentKind(pub u8);

impl ExtentKind {
    /// No extent.
    pub const UNUSED: Self = Self(0x00);
    /// User data.
    pub const DATA: Self = Self(0x01);
    /// Overflow area of an ISAM data set.
    pub const ISAM_OVERFLOW: Self = Self(0x02);
    /// Index of an ISAM data set.
    pub const ISAM_INDEX: Self = Self(0x04);
    /// User labels: one track before the data, left out of relative addresses.
    pub const USER_LABEL: Self = Self(0x40);
    /// Data that shares its cylinders with other data sets (split cylinders).
    pub const SHARED_CYLINDER: Self = Self(0x80);
    /// User data that begins and ends on cylinder borders.
    pub const DATA_CYLINDERS: Self = Self(0x81);

    /// Whether the tracks hold the data that relative track addresses count.
    #[must_use]
    pub const fn is_data(self) -> bool {
        matches!(self, Self::DATA | Self::DATA_CYLINDERS | Self::SHARED_CYLINDER)
    }

    /// The kind in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::UNUSED => "unused",
            Self::DATA => "data",
            Self::ISAM_OVERFLOW => "ISAM overflow",
            Self::ISAM_INDEX => "ISAM index",
            Self::USER_LABEL => "user label",
            Self::SHARED_CYLINDER => "shared cylinders",
            Self::DATA_CYLINDERS => "data on cylinder borders",
            _ => "of an unknown type",
        }
    }
}
