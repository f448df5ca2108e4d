//! Format 3, more extents of a data set, and format 2, which stands between an ISAM data set and its format 3.

use binrw::binrw;

use crate::volume::extent::ExtentDescriptor;
use crate::volume::pointer::Pointer;

/// A format 3 DSCB: 13 extents.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtentDscb {
    /// Offset 0: four times X'03'.
    pub key: [u8; 4],
    /// Offset 4: four extents in the key.
    pub in_key: [ExtentDescriptor; 4],
    /// Offset 44: X'F3'.
    pub format: u8,
    /// Offset 45: nine extents in the data.
    pub in_data: [ExtentDescriptor; 9],
    /// Offset 135: the next format 3.
    pub next: Pointer,
}

impl ExtentDscb {
    /// The 13 extents in order, unused ones included.
    pub fn extents(&self) -> impl Iterator<Item = &ExtentDescriptor> {
        self.in_key.iter().chain(&self.in_data)
    }
}

/// A format 2 DSCB, of which only the pointer matters here: ISAM data sets are copied as tracks.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IsamDscb {
    /// Offset 0: key, from X'02'.
    pub key: [u8; 44],
    /// Offset 44: X'F2'.
    pub format: u8,
    /// Offset 45: facts about index and overflow.
    pub isam: [[u8; 30]; 3],
    /// Offset 135: the first format 3.
    pub next: Pointer,
}
