//! Addresses on a count-key-data disk.

use std::fmt;

/// A track's address: cylinder and head.
///
/// It is kept as numbers; how it lies in four bytes depends on the device (see
/// [`Geometry::decode_cchh`](super::geometry::Geometry::decode_cchh)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cchh {
    /// Cylinder, from 0; 28 bits at most.
    pub cylinder: u32,
    /// Head (track in the cylinder), from 0.
    pub head: u16,
}

impl Cchh {
    /// Makes the address of `head` in `cylinder`.
    #[must_use]
    pub const fn new(cylinder: u32, head: u16) -> Self {
        Self { cylinder, head }
    }
}

impl fmt::Display for Cchh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cyl {} head {}", self.cylinder, self.head)
    }
}

/// A record's address: track and record number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cchhr {
    /// The track.
    pub track: Cchh,
    /// Record number; 0 is R0.
    pub record: u8,
}

impl fmt::Display for Cchhr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} record {}", self.track, self.record)
    }
}

/// A track's number on its volume: cylinder times heads plus head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackIndex(pub u32);
