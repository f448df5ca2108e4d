//! The shape of a count-key-data volume, and how its addresses lie in bytes.

use thiserror::Error;

use super::address::{Cchh, TrackIndex};
use super::device::DeviceType;

/// More cylinders than any device has (3390-A: 262,668); what 28 bits hold.
const MOST_CYLINDERS: u32 = 1 << 28;

/// Cylinders, heads and slot size of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    device: DeviceType,
    cylinders: u32,
    heads: u16,
    slot_bytes: u32,
}

/// Why a geometry can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GeometryError {
    /// No cylinder, no head, or more tracks than an address can name.
    #[error("{cylinders} cylinders of {heads} heads are no disk")]
    Tracks {
        /// Cylinders asked for.
        cylinders: u32,
        /// Heads asked for.
        heads: u32,
    },
    /// A slot that can't hold a home address, R0 and an end mark, or is larger than 64 KiB and a home address.
    #[error("a slot of {slot_bytes} bytes a track is not between 512 and 65,541")]
    Slot {
        /// Slot asked for.
        slot_bytes: u32,
    },
}

impl Geometry {
    /// Makes the geometry that an image header gives.
    ///
    /// # Errors
    /// When it has no track, more than 2^32 - 1, or an impossible slot.
    pub fn new(device: DeviceType, cylinders: u32, heads: u32, slot_bytes: u32) -> Result<Self, GeometryError> {
        let tracks = GeometryError::Tracks { cylinders, heads };
        let heads = u16::try_from(heads).map_err(|_| tracks)?;
        if cylinders == 0 || heads == 0 || cylinders > MOST_CYLINDERS || cylinders.checked_mul(u32::from(heads)).is_none() {
            return Err(tracks);
        }
        if !(512..=65_541).contains(&slot_bytes) {
            return Err(GeometryError::Slot { slot_bytes });
        }
        Ok(Self { device, cylinders, heads, slot_bytes })
    }

    /// The geometry of `cylinders` of a device as its maker built it.
    ///
    /// # Errors
    /// When `cylinders` is 0 or more than an address can name.
    pub fn standard(device: DeviceType, cylinders: u32) -> Result<Self, GeometryError> {
        Self::new(device, cylinders, u32::from(device.heads()), device.slot_bytes())
    }

    /// The device type.
    #[must_use]
    pub const fn device(&self) -> DeviceType {
        self.device
    }

    /// Cylinders, alternates included.
    #[must_use]
    pub const fn cylinders(&self) -> u32 {
        self.cylinders
    }

    /// Tracks in a cylinder.
    #[must_use]
    pub const fn heads(&self) -> u16 {
        self.heads
    }

    /// Bytes that an image reserves for a track, home address and end mark included.
    #[must_use]
    pub const fn slot_bytes(&self) -> u32 {
        self.slot_bytes
    }

    /// Tracks of the volume.
    #[must_use]
    pub const fn tracks(&self) -> u32 {
        self.cylinders * self.heads as u32
    }

    /// The track's number, if the volume has it.
    #[must_use]
    pub const fn track_index(&self, track: Cchh) -> Option<TrackIndex> {
        if track.cylinder < self.cylinders && track.head < self.heads {
            Some(TrackIndex(track.cylinder * self.heads as u32 + track.head as u32))
        } else {
            None
        }
    }

    /// The address of a track by its number; a number past the end gives an address past the end.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "a remainder by a u16 fits into one")]
    pub const fn cchh(&self, track: TrackIndex) -> Cchh {
        Cchh::new(track.0 / self.heads as u32, (track.0 % self.heads as u32) as u16)
    }

    /// Whether the device can have 28-bit cylinder numbers: those with 15 heads or fewer, whose head fits four bits.
    #[must_use]
    pub const fn wide_cylinders(&self) -> bool {
        self.heads <= 15
    }

    /// Reads an address from the four bytes in which DSCBs, labels and home addresses keep it.
    ///
    /// Where the device has 15 heads or fewer, the upper 12 bits of HH are the high cylinder bits, `CCCCcccH` (IBM,
    /// DFSMSdfp Advanced Services, "track address format"); on other devices HH is the head alone.
    #[must_use]
    pub const fn decode_cchh(&self, bytes: [u8; 4]) -> Cchh {
        let cylinder = u16::from_be_bytes([bytes[0], bytes[1]]) as u32;
        let head = u16::from_be_bytes([bytes[2], bytes[3]]);
        if self.wide_cylinders() {
            Cchh::new(((head >> 4) as u32) << 16 | cylinder, head & 15)
        } else {
            Cchh::new(cylinder, head)
        }
    }

    /// Writes an address of this volume as [`decode_cchh`](Self::decode_cchh) reads it.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the parts are cut on purpose")]
    pub const fn encode_cchh(&self, track: Cchh) -> [u8; 4] {
        let [c0, c1] = (track.cylinder as u16).to_be_bytes();
        let high = if self.wide_cylinders() { ((track.cylinder >> 16) as u16) << 4 } else { 0 };
        let [h0, h1] = (high | track.head).to_be_bytes();
        [c0, c1, h0, h1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wide_cylinder_lies_in_the_head_bits_of_a_15_head_device() {
        let eav = Geometry::standard(DeviceType::Ibm3390, 262_668).unwrap();
        let track = Cchh::new(0x2_1234, 14);
        assert_eq!(eav.encode_cchh(track), [0x12, 0x34, 0x00, 0x2e]);
        assert_eq!(eav.decode_cchh([0x12, 0x34, 0x00, 0x2e]), track);
    }

    #[test]
    fn a_head_above_15_stays_a_head_where_the_device_has_it() {
        let ibm3350 = Geometry::standard(DeviceType::Ibm3350, 555).unwrap();
        assert_eq!(ibm3350.decode_cchh([0, 5, 0, 29]), Cchh::new(5, 29));
        assert_eq!(ibm3350.encode_cchh(Cchh::new(5, 29)), [0, 5, 0, 29]);
    }

    #[test]
    fn track_numbers_and_addresses_are_inverse_and_bounded() {
        let geometry = Geometry::standard(DeviceType::Ibm3330, 411).unwrap();
        for number in [0, 18, 19, geometry.tracks() - 1] {
            assert_eq!(geometry.track_index(geometry.cchh(TrackIndex(number))), Some(TrackIndex(number)));
        }
        assert_eq!(geometry.track_index(Cchh::new(411, 0)), None);
        assert_eq!(geometry.track_index(Cchh::new(0, 19)), None);
    }

    #[test]
    fn impossible_geometries_are_refused() {
        assert!(Geometry::new(DeviceType::Ibm3390, 0, 15, 56_832).is_err());
        assert!(Geometry::new(DeviceType::Ibm3390, 1 << 28, 65_535, 56_832).is_err());
        assert!(Geometry::new(DeviceType::Ibm3390, 10, 15, 16).is_err());
    }
}
