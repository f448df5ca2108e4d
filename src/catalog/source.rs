//! Where the catalog reads its tracks.

use std::cell::RefCell;

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::track::Track;

use crate::finding::Finding;
use crate::volume::{Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// Gives tracks of a count-key-data volume: an image, or a session's view of one.
pub trait TrackSource {
    /// Shape of the volume.
    fn geometry(&self) -> Geometry;

    /// Reads a track into `bytes`, which it empties first: from the home address to the last record, no end mark.
    ///
    /// # Errors
    /// When the track can't be read; [`VolumeError::Unit`] when the volume goes on being readable without it.
    fn read_track(&self, track: TrackIndex, bytes: &mut Vec<u8>) -> Result<(), VolumeError>;
}

/// The tracks of a volume, opened or as of T0, for one thread.
pub struct VolumeTracks<'v> {
    volume: &'v dyn UnitSource,
    geometry: Geometry,
    stage: RefCell<Stage>,
}

impl<'v> VolumeTracks<'v> {
    /// Takes a count-key-data volume; `None` if it has fixed blocks.
    #[must_use]
    pub fn new(volume: &'v dyn UnitSource) -> Option<Self> {
        match *volume.shape() {
            Shape::Ckd(geometry) => Some(Self { volume, geometry, stage: RefCell::default() }),
            Shape::FixedBlock(_) => None,
        }
    }
}

impl TrackSource for VolumeTracks<'_> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// A damaged track comes as its whole slot, so that whoever walks it finds and tells the defect.
    fn read_track(&self, track: TrackIndex, bytes: &mut Vec<u8>) -> Result<(), VolumeError> {
        let mut stage = self.stage.borrow_mut();
        self.volume.read_units(UnitIndex(track.0), 1, &mut stage)?;
        bytes.clear();
        if let Some(unit) = stage.units().next() {
            bytes.extend_from_slice(unit.body);
        }
        Ok(())
    }
}

/// Reads a track and gives it walked; `None`, and a finding, when that one track is damaged.
pub(super) fn read_walked<'a>(
    source: &impl TrackSource,
    track: TrackIndex,
    bytes: &'a mut Vec<u8>,
    findings: &mut Vec<Finding>,
) -> Result<Option<Track<'a>>, VolumeError> {
    let geometry = source.geometry();
    let address = geometry.cchh(track);
    match source.read_track(track, bytes) {
        Ok(()) => {}
        Err(error @ VolumeError::Unit { .. }) => {
            findings.push(Finding::damage("track-unreadable", error.to_string()).at(address));
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    match Track::from_bytes(bytes, geometry.encode_cchh(address)) {
        Ok(track) => Ok(Some(track)),
        Err(error) => {
            findings.push(Finding::damage("track-damaged", error.to_string()).at(address));
            Ok(None)
        }
    }
}
