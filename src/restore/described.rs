//! The tracks that a tape's description holds, label and VTOC: enough to read the volume's catalog from the tape.

use std::collections::HashMap;

use tapegate_formats::dasd::address::{Cchh, TrackIndex};
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::tape::unit::UnitKind;

use super::error::RestoreError;
use super::tape_volume::TapeVolume;
use super::units::split_units;
use crate::catalog::TrackSource;
use crate::volume::{Shape, UnitIndex, VolumeError};

/// Label and VTOC of the volume on a tape.
#[derive(Debug)]
pub struct DescribedTracks {
    geometry: Option<Geometry>,
    units: HashMap<u32, (UnitKind, Vec<u8>)>,
    tape: std::path::PathBuf,
}

impl DescribedTracks {
    /// Takes them from a tape.
    ///
    /// # Errors
    /// When a unit of the description is damaged.
    pub fn new(tape: &TapeVolume) -> Result<Self, RestoreError> {
        let path = tape.image().path();
        let units = split_units(tape.label_units()).map_err(|(at, defect)| RestoreError::Unit {
            tape: path.to_owned(),
            file: 1,
            offset: at as u64,
            defect,
        })?;
        let units = units.into_iter().map(|(header, body)| (header.unit, (header.kind, body.to_vec()))).collect();
        let geometry = match tape.shape() {
            Shape::Ckd(geometry) => Some(*geometry),
            Shape::FixedBlock(_) => None,
        };
        Ok(Self { geometry, units, tape: path.to_owned() })
    }

    /// The units by their numbers, in no order.
    pub(crate) fn units(&self) -> impl Iterator<Item = (UnitIndex, UnitKind, &[u8])> {
        self.units.iter().map(|(unit, (kind, body))| (UnitIndex(*unit), *kind, &body[..]))
    }

    /// A track, with its address as it lies in home addresses.
    pub(super) fn track(&self, address: Cchh) -> Option<([u8; 4], &[u8])> {
        let geometry = self.geometry.as_ref()?;
        let (_, body) = self.units.get(&geometry.track_index(address)?.0)?;
        Some((geometry.encode_cchh(address), body))
    }

    /// The tracks as a source of a catalog; `None` for a fixed-block volume.
    #[must_use]
    pub fn tracks(&self) -> Option<impl TrackSource + '_> {
        self.geometry.map(|geometry| Tracks { geometry, described: self })
    }
}

struct Tracks<'a> {
    geometry: Geometry,
    described: &'a DescribedTracks,
}

impl TrackSource for Tracks<'_> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_track(&self, track: TrackIndex, bytes: &mut Vec<u8>) -> Result<(), VolumeError> {
        let address = Shape::Ckd(self.geometry).address(UnitIndex(track.0));
        let (_, body) = self.described.units.get(&track.0).ok_or_else(|| VolumeError::Unit {
            path: self.described.tape.clone(),
            address,
            offset: 0,
            reason: "the description does not hold this track".to_owned(),
        })?;
        bytes.clear();
        bytes.extend_from_slice(body);
        Ok(())
    }
}
