//! The five bytes by which labels and DSCBs point at a record: CCHHR.

use binrw::binrw;

use crate::dasd::address::Cchhr;
use crate::dasd::geometry::Geometry;

/// A record's address as it lies on disk; how its cylinder reads depends on the device.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Pointer {
    /// Cylinder and head, as [`Geometry::decode_cchh`] takes them.
    pub cchh: [u8; 4],
    /// Record number.
    pub record: u8,
}

impl Pointer {
    /// Length on disk.
    pub const BYTES: usize = 5;

    /// Whether it points nowhere: all zero.
    #[must_use]
    pub fn is_null(&self) -> bool {
        *self == Self::default()
    }

    /// The address, unless the pointer is null; it need not lie on the volume.
    #[must_use]
    pub fn decode(&self, geometry: &Geometry) -> Option<Cchhr> {
        (!self.is_null()).then(|| Cchhr { track: geometry.decode_cchh(self.cchh), record: self.record })
    }
}
