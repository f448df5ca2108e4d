//! What lies on a volume: its label, and its data sets with their extents.

mod assemble;
mod data_set;
mod label;
mod members;
#[cfg(test)]
pub(crate) mod memory;
mod overlap;
mod source;
mod space;
mod used;
mod vtoc;

pub use data_set::{DataSet, DataSetKind, Extent, OtherExtent};
pub use label::VolumeLabel;
pub use members::{Directory, Member, read_directory};
pub use source::{TrackSource, VolumeTracks};
pub use used::{UsedEnd, UsedTracks, used_tracks};
pub use vtoc::VtocInfo;

use tapegate_formats::volume::name::DsName;

use crate::finding::Finding;
use crate::volume::{Shape, Stage, UnitIndex, Volume, VolumeError};
use vtoc::Vtoc;

/// What a volume says about its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    /// Its label.
    pub label: VolumeLabel,
    /// Its VTOC; `None` where there is none, or none that can be read.
    pub vtoc: Option<VtocInfo>,
    /// Data sets in the order of their DSCBs.
    pub data_sets: Vec<DataSet>,
    /// What is odd about all this.
    pub findings: Vec<Finding>,
}

impl Catalog {
    /// The catalog of a volume that has nothing but a label.
    #[must_use]
    pub const fn without_vtoc(label: VolumeLabel) -> Self {
        Self { label, vtoc: None, data_sets: Vec::new(), findings: Vec::new() }
    }

    /// Reads what lies on an opened volume; of a fixed-block volume that is its label.
    ///
    /// # Errors
    /// When the volume can't be read.
    pub fn of_volume(volume: &Volume) -> Result<Self, VolumeError> {
        if let Some(tracks) = VolumeTracks::new(volume) {
            return Self::read(&tracks);
        }
        let mut label = VolumeLabel::Unlabelled;
        if let Shape::FixedBlock(shape) = volume.shape() {
            // Block 1 may be in the first unit or, where a unit is one block, in the second.
            let units = u32::from(shape.unit_blocks < 2) + 1;
            let mut stage = Stage::new();
            volume.read_units(UnitIndex(0), units.min(volume.shape().units()), &mut stage)?;
            let bytes: Vec<u8> = stage.units().flat_map(|unit| unit.body).copied().collect();
            if let Some(block_1) = bytes.get(shape.block_bytes as usize..) {
                label = VolumeLabel::of_fixed_block(block_1);
            }
        }
        Ok(Self::without_vtoc(label))
    }

    /// Reads label and VTOC. A blank volume, or one without a VTOC, has an empty catalog; damage is a finding.
    ///
    /// # Errors
    /// When the volume can't be read.
    pub fn read(source: &impl TrackSource) -> Result<Self, VolumeError> {
        let mut findings = Vec::new();
        let label = VolumeLabel::read(source, &mut findings)?;
        let VolumeLabel::Os { vtoc: pointer, .. } = label else {
            return Ok(Self { findings, ..Self::without_vtoc(label) });
        };
        let Some(vtoc) = Vtoc::read(source, pointer, &mut findings)? else {
            return Ok(Self { findings, ..Self::without_vtoc(label) });
        };
        let mut data_sets = assemble::data_sets(&vtoc, &source.geometry(), &mut findings);
        overlap::check(&mut data_sets, &vtoc.info, &mut findings);
        Ok(Self { label, vtoc: Some(vtoc.info), data_sets, findings })
    }

    /// The data set of that name, if there is one.
    #[must_use]
    pub fn find(&self, name: &DsName) -> Option<&DataSet> {
        self.data_sets.iter().find(|data_set| data_set.name == *name)
    }
}

#[cfg(test)]
mod tests {
    use super::memory::{Dscb, MemoryVolume, extent};
    use super::*;

    fn codes(catalog: &Catalog) -> Vec<&'static str> {
        catalog.findings.iter().map(|finding| finding.code).collect()
    }

    fn first(catalog: &Catalog) -> &DataSet {
        &catalog.data_sets[0]
    }

    #[test]
    fn a_blank_volume_has_an_empty_catalog() {
        let catalog = Catalog::read(&MemoryVolume::blank(10)).unwrap();
        assert_eq!(catalog, Catalog::without_vtoc(VolumeLabel::Unlabelled));
    }

    #[test]
    fn an_empty_vtoc_is_a_vtoc() {
        let catalog = Catalog::read(&MemoryVolume::with_vtoc(10, &[])).unwrap();
        assert_eq!(catalog.label.volser().unwrap().to_string(), "TEST01");
        let vtoc = catalog.vtoc.unwrap();
        assert_eq!((vtoc.extent, vtoc.cylinders), (Extent { first: 1, tracks: 1 }, 10));
        assert_eq!((vtoc.dscbs_used, vtoc.dscbs_free), (1, 2));
        assert!(catalog.data_sets.is_empty() && catalog.findings.is_empty());
    }

    #[test]
    fn extents_come_from_format_1_and_its_chain_of_formats_3_in_sequence_order() {
        let at = |sequence: u8| extent(1, sequence, [0, sequence + 1, 0, 0], [0, sequence + 1, 0, 4]);
        let volume = MemoryVolume::with_vtoc(
            40,
            &[
                Dscb::data_set("A.B").extents(&[at(0), at(1), at(2)]).set(59, &[17]).set(135, &MemoryVolume::pointer(1)),
                Dscb::further(&(3..16).map(at).collect::<Vec<_>>(), MemoryVolume::pointer(2)),
                Dscb::further(&[at(16)], [0; 5]),
            ],
        );
        let catalog = Catalog::read(&volume).unwrap();
        assert_eq!(codes(&catalog), [""; 0]);
        let expected: Vec<_> = (1..=17).map(|cylinder| Extent { first: cylinder * 15, tracks: 5 }).collect();
        assert_eq!(first(&catalog).extents, expected);
        assert_eq!(first(&catalog).track(5), Some(tapegate_formats::dasd::address::TrackIndex(30)));
    }

    #[test]
    fn a_format_8_leads_through_its_format_9_to_format_3_above_cylinder_65520() {
        // Cylinder 0x12345 head 2 lies in the bytes as 2345 0012.
        let high = extent(1, 1, [0x23, 0x45, 0, 0x12], [0x23, 0x45, 0, 0x13]);
        let low = extent(1, 0, [0, 9, 0, 0], [0, 9, 0, 0]);
        let volume = MemoryVolume::with_vtoc(
            262_668,
            &[
                Dscb::data_set("BIG").set(44, &[0xf8]).extents(&[low]).set(59, &[2]).set(135, &MemoryVolume::pointer(1)),
                Dscb([0; 140]).set(0, &[9, 1, 1, 0x80]).set(44, &[0xf9]).set(135, &MemoryVolume::pointer(2)),
                Dscb::further(&[high], [0; 5]),
            ],
        );
        let catalog = Catalog::read(&volume).unwrap();
        assert_eq!(codes(&catalog), [""; 0]);
        assert_eq!(catalog.vtoc.as_ref().unwrap().cylinders, 262_668);
        let data_set = first(&catalog);
        assert_eq!(data_set.dscb_format, 8);
        assert_eq!(data_set.extents, [Extent { first: 135, tracks: 1 }, Extent { first: 0x12345 * 15 + 2, tracks: 2 }]);
    }

    #[test]
    fn a_chain_in_a_circle_or_into_nothing_costs_that_data_set_a_finding() {
        let one = extent(1, 0, [0, 2, 0, 0], [0, 2, 0, 1]);
        let volume = MemoryVolume::with_vtoc(
            10,
            &[
                Dscb::data_set("LOOP").extents(&[one]).set(59, &[5]).set(135, &MemoryVolume::pointer(1)),
                Dscb::further(&[], MemoryVolume::pointer(1)),
                Dscb::data_set("NOWHERE")
                    .extents(&[extent(1, 0, [0, 3, 0, 0], [0, 3, 0, 0])])
                    .set(59, &[2])
                    .set(135, &[9, 9, 0, 0, 1]),
                Dscb::data_set("FINE").extents(&[extent(1, 0, [0, 4, 0, 0], [0, 4, 0, 0])]),
            ],
        );
        let catalog = Catalog::read(&volume).unwrap();
        assert_eq!(codes(&catalog), ["dscb-loop", "extents-missing", "dscb-chain", "extents-missing"]);
        let defective: Vec<_> = catalog.data_sets.iter().map(|data_set| data_set.defective).collect();
        assert_eq!(defective, [true, true, false]);
        assert_eq!(first(&catalog).extents, [Extent { first: 30, tracks: 2 }]);
    }

    #[test]
    fn an_extent_outside_the_volume_is_left_out_and_told() {
        let volume = MemoryVolume::with_vtoc(
            10,
            &[Dscb::data_set("HALF").extents(&[
                extent(1, 0, [0, 9, 0, 0], [0, 9, 0, 14]),
                extent(1, 1, [0, 10, 0, 0], [0, 10, 0, 0]),
                extent(1, 2, [0, 3, 0, 0], [0, 2, 0, 0]),
            ])],
        );
        let catalog = Catalog::read(&volume).unwrap();
        assert_eq!(codes(&catalog), ["extent-outside-volume", "extent-reversed"]);
        assert_eq!(
            catalog.findings[0].to_string(),
            "HALF: cyl 0 head 1 record 2: the extent cyl 10 head 0 to cyl 10 head 0 is not on the volume and was left out"
        );
        assert!(first(&catalog).defective);
        assert_eq!(first(&catalog).extents, [Extent { first: 135, tracks: 15 }]);
    }

    #[test]
    fn a_user_label_track_is_kept_apart_and_not_counted() {
        let label = extent(0x40, 0, [0, 2, 0, 0], [0, 2, 0, 0]);
        let data = extent(1, 1, [0, 2, 0, 1], [0, 2, 0, 14]);
        let volume = MemoryVolume::with_vtoc(10, &[Dscb::data_set("SUL").extents(&[label, data]).set(59, &[1])]);
        let catalog = Catalog::read(&volume).unwrap();
        assert_eq!(codes(&catalog), [""; 0]);
        assert_eq!(first(&catalog).extents, [Extent { first: 31, tracks: 14 }]);
        assert_eq!(first(&catalog).other_extents[0].extent, Extent { first: 30, tracks: 1 });
    }

    #[test]
    fn tracks_of_two_owners_are_told_with_both_names() {
        let volume = MemoryVolume::with_vtoc(
            10,
            &[
                Dscb::data_set("WIDE").extents(&[extent(1, 0, [0, 2, 0, 0], [0, 5, 0, 0])]),
                Dscb::data_set("INSIDE").extents(&[extent(1, 0, [0, 3, 0, 0], [0, 3, 0, 0])]),
                Dscb::data_set("BEHIND").extents(&[extent(1, 0, [0, 5, 0, 1], [0, 5, 0, 2])]),
                Dscb::data_set("ON.VTOC").extents(&[extent(1, 0, [0, 0, 0, 1], [0, 0, 0, 3])]),
            ],
        );
        let catalog = Catalog::read(&volume).unwrap();
        assert_eq!(codes(&catalog), ["extent-overlap"; 2]);
        assert_eq!(catalog.findings[0].to_string(), "ON.VTOC: its tracks from track 1 on belong to the VTOC too");
        assert_eq!(catalog.findings[1].to_string(), "INSIDE: its tracks from track 45 on belong to WIDE too");
        let defective: Vec<_> = catalog.data_sets.iter().map(|data_set| data_set.defective).collect();
        assert_eq!(defective, [true, true, false, true]);
    }

    #[test]
    fn a_damaged_vtoc_track_and_an_interrupted_change_are_told() {
        let dscbs: Vec<_> = (0..60).map(|number| Dscb::data_set(&format!("A.N{number}"))).collect();
        let mut volume = MemoryVolume::with_vtoc(10, &dscbs);
        volume.damage(2);
        let catalog = Catalog::read(&volume).unwrap();
        assert_eq!(codes(&catalog), ["track-damaged"]);
        assert_eq!(catalog.data_sets.len(), 49);

        let mut volume = MemoryVolume::blank(10);
        volume.label(*b"TEST01", [0, 0, 0, 1, 1]);
        let vtoc = Dscb::vtoc(10, [0, 0, 0, 1], [0, 0, 0, 1]).set(58, &[0x04]);
        volume.add(1, 1, &vtoc.0[..44], &vtoc.0[44..]);
        assert_eq!(codes(&Catalog::read(&volume).unwrap()), ["vtoc-interrupted"]);
    }

    #[test]
    fn a_label_that_points_astray_gives_no_vtoc_and_says_so() {
        for (pointer, code) in [([0; 5], "no-vtoc"), ([0, 0, 0, 5, 1], "vtoc-missing"), ([0, 10, 0, 0, 1], "vtoc-outside-volume")]
        {
            let mut volume = MemoryVolume::blank(10);
            volume.label(*b"TEST01", pointer);
            let catalog = Catalog::read(&volume).unwrap();
            assert_eq!((catalog.vtoc.is_none(), codes(&catalog)), (true, vec![code]));
        }
    }
}
