//! Raw tracks as Linux on Z gives them: a 3390 opened with `raw_track_access`, 64 KiB a track.
//!
//! A track begins with the count field of R0, without a home address, and ends with eight X'FF'. A cylinder has 15
//! tracks. Source: Linux kernel documentation of the DASD driver and IBM, "Device Drivers, Features, and Commands",
//! `raw_track_access`.

use super::address::TrackIndex;
use super::device::DeviceType;
use super::geometry::{Geometry, GeometryError};
use super::track::{COUNT_BYTES, HOME_ADDRESS_BYTES};

/// Bytes of a raw track in the file.
pub const RAW_TRACK_BYTES: u32 = 65_536;
/// Bytes of a cylinder: 15 tracks.
pub const RAW_CYLINDER_BYTES: u64 = 15 * RAW_TRACK_BYTES as u64;
/// Bytes of a raw track with the home address that it lacks in the file.
pub const RAW_SLOT_BYTES: u32 = RAW_TRACK_BYTES + HOME_ADDRESS_BYTES as u32;

/// The geometry of an image of `bytes` bytes; the slot has room for the home address that is put in front.
///
/// # Errors
/// When there is no cylinder, or more than an address can name. Bytes behind the last whole cylinder don't count.
pub fn geometry(bytes: u64) -> Result<Geometry, GeometryError> {
    let cylinders = u32::try_from(bytes / RAW_CYLINDER_BYTES).unwrap_or(u32::MAX);
    Geometry::new(DeviceType::Ibm3390, cylinders, 15, RAW_SLOT_BYTES)
}

/// Whether a track may begin with these bytes: a count field of R0 that names the track, without key, data length 8.
#[must_use]
pub fn is_r0_of(geometry: &Geometry, track: TrackIndex, count: [u8; COUNT_BYTES]) -> bool {
    count[..4] == geometry.encode_cchh(geometry.cchh(track)) && count[4..] == [0, 0, 0, 8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cylinder_has_fifteen_tracks_of_64_kib() {
        let geometry = geometry(983_040 * 3).unwrap();
        assert_eq!((geometry.cylinders(), geometry.heads(), geometry.slot_bytes()), (3, 15, 65_541));
        assert!(super::geometry(983_039).is_err());
        assert!(super::geometry(u64::MAX).is_err());
    }

    #[test]
    fn r0_names_its_track_with_the_high_cylinder_bits_in_the_head() {
        let geometry = geometry(983_040 * 70_000).unwrap();
        let track = TrackIndex(65_537 * 15 + 2);
        assert!(is_r0_of(&geometry, track, [0, 1, 0, 0x12, 0, 0, 0, 8]));
        assert!(!is_r0_of(&geometry, track, [0, 1, 0, 2, 0, 0, 0, 8]));
        assert!(!is_r0_of(&geometry, track, [0; 8]));
    }
}
