//! Format 9: attributes of a data set with a format 8, and the way to its format 3.

use binrw::binrw;

use crate::volume::pointer::Pointer;

/// A format 9 DSCB.
#[binrw]
#[brw(big)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeDscb {
    /// Offset 0: X'09'.
    pub key: u8,
    /// Offset 1: subtype.
    pub subtype: u8,
    /// Offset 2: format 9 DSCBs of the data set.
    pub count: u8,
    /// Offset 3: X'80': job, step and time are valid.
    pub flags: u8,
    /// Offset 4: job that made the data set.
    pub job: [u8; 8],
    /// Offset 12: its step.
    pub step: [u8; 8],
    /// Offset 20: microseconds since midnight of the day of creation, 48 bits.
    pub created_us: [u8; 6],
    /// Offset 26: reserved.
    pub reserved_26: [u8; 18],
    /// Offset 44: X'F9'.
    pub format: u8,
    /// Offset 45: addresses of format 3 DSCBs, which `next` leads to as well, and reserved bytes.
    pub reserved_45: [[u8; 30]; 3],
    /// Offset 135: another format 9, or the first format 3.
    pub next: Pointer,
}
