//! The catalog of volumes in memory, whose DSCBs are laid out byte by byte.

use proptest::prelude::*;
use tapegate_formats::ebcdic;
use tapegate_formats::volume::name::Volser;

use super::memory::{Dscb, MemoryVolume, extent};
use super::*;
use crate::finding::Grade;

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
    for (pointer, code) in [([0; 5], "no-vtoc"), ([0, 0, 0, 5, 1], "vtoc-missing"), ([0, 10, 0, 0, 1], "vtoc-outside-volume")] {
        let mut volume = MemoryVolume::blank(10);
        volume.label(*b"TEST01", pointer);
        let catalog = Catalog::read(&volume).unwrap();
        assert_eq!((catalog.vtoc.is_none(), codes(&catalog)), (true, vec![code]));
    }
}

#[test]
fn a_format_3_that_another_data_set_has_is_not_taken_twice() {
    let one = |cylinder| [extent(1, 0, [0, cylinder, 0, 0], [0, cylinder, 0, 0])];
    let further = Dscb::further(&[extent(1, 1, [0, 7, 0, 0], [0, 7, 0, 0])], [0; 5]);
    let volume = MemoryVolume::with_vtoc(
        10,
        &[
            Dscb::data_set("FIRST").extents(&one(2)).set(59, &[2]).set(135, &MemoryVolume::pointer(2)),
            Dscb::data_set("SECOND").extents(&one(3)).set(59, &[2]).set(135, &MemoryVolume::pointer(2)),
            further,
        ],
    );
    let catalog = Catalog::read(&volume).unwrap();
    assert_eq!(codes(&catalog), ["dscb-shared", "extents-missing"]);
    assert_eq!(catalog.findings[0].detail, "the chain of DSCBs leads to cyl 0 head 1 record 4, which FIRST has");
    assert_eq!(first(&catalog).tracks(), 2);
}

#[test]
fn kinds_are_told_by_organisation_and_sms_flags() {
    // DS1DSORG, DS1SMSFG, as in IBM's table of the format-1 DSCB.
    let cases: [(&str, [u8; 2], u8, DataSetKind); 11] = [
        ("PS", [0x40, 0], 0, DataSetKind::Sequential),
        ("PS.SMS", [0x40, 0], 0x80, DataSetKind::Sequential),
        ("PS.EXT", [0x40, 0], 0x84, DataSetKind::Extended),
        ("PO", [0x02, 0], 0, DataSetKind::Partitioned),
        ("PDSE", [0x02, 0], 0x88, DataSetKind::PartitionedExtended),
        ("HFS", [0x02, 0], 0x82, DataSetKind::Hfs),
        ("VSAM", [0, 0x08], 0x80, DataSetKind::Vsam),
        ("DA", [0x20, 0], 0, DataSetKind::Direct),
        ("IS", [0x80, 0], 0, DataSetKind::IndexedSequential),
        ("LINUX.V0X0201.PART0001.NATIVE", [0, 0], 0, DataSetKind::LinuxPartition),
        ("NOTHING", [0, 0], 0, DataSetKind::Unknown),
    ];
    let dscbs: Vec<_> = cases.iter().map(|(name, dsorg, sms, _)| Dscb::data_set(name).set(82, dsorg).set(78, &[*sms])).collect();
    let catalog = Catalog::read(&MemoryVolume::with_vtoc(10, &dscbs)).unwrap();
    for (data_set, (name, .., kind)) in catalog.data_sets.iter().zip(cases) {
        assert_eq!(data_set.kind, kind, "{name}");
    }
}

#[test]
fn volumes_of_linux_cms_and_cp_are_told_by_their_labels() {
    let label = |text: [u8; 4]| {
        let mut data = vec![0x40; 512];
        data[..4].copy_from_slice(&ebcdic::from_ascii(text));
        data[4..10].copy_from_slice(&ebcdic::from_ascii(*b"VOLSER"));
        data[80..88].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 9]);
        data
    };
    let volser = Volser::from_ebcdic(ebcdic::from_ascii(*b"VOLSER"));
    let read = |text: [u8; 4]| {
        let mut volume = MemoryVolume::blank(2);
        volume.add(0, 3, &[], &label(text));
        Catalog::read(&volume).unwrap()
    };
    assert_eq!(read(*b"LNX1"), Catalog::without_vtoc(VolumeLabel::Ldl { volser, blocks: 9 }));
    assert!(matches!(read(*b"CMS1").label, VolumeLabel::Cms { .. }));

    let mut volume = MemoryVolume::blank(2);
    let mut cp = label(*b"VOL1");
    cp.truncate(80);
    cp[11..16].fill(0);
    cp[16..21].copy_from_slice(&ebcdic::from_ascii(*b"CPVOL"));
    volume.add(0, 3, &ebcdic::from_ascii(*b"VOL1"), &cp);
    let catalog = Catalog::read(&volume).unwrap();
    assert!(matches!(catalog.label, VolumeLabel::Os { cp: true, .. }));
    assert_eq!(codes(&catalog), ["no-vtoc"]);
    assert!(catalog.findings.iter().all(|finding| finding.grade == Grade::Note));
}

proptest! {
    /// Whatever DSCBs hold, the catalog is read, data sets keep to the volume, and walking them ends.
    #[test]
    fn any_bytes_in_a_vtoc_and_a_directory_give_a_catalog_and_findings(
        changes in proptest::collection::vec((0_usize..4, 44_usize..140, any::<u8>()), 0..24),
        directory in proptest::collection::vec((0_usize..256, any::<u8>()), 0..8),
        damaged in proptest::option::of(30_u32..60),
    ) {
        let mut dscbs = [
            Dscb::data_set("A.PS").extents(&[extent(1, 0, [0, 2, 0, 0], [0, 2, 0, 14])]).set(135, &MemoryVolume::pointer(2)),
            Dscb::data_set("A.PO").extents(&[extent(1, 0, [0, 3, 0, 0], [0, 3, 0, 14])]).set(82, &[2, 0]),
            Dscb::further(&[extent(1, 1, [0, 4, 0, 0], [0, 4, 0, 14])], [0; 5]),
            Dscb::data_set("A.DA").extents(&[extent(1, 0, [0, 5, 0, 0], [0, 5, 0, 0])]).set(82, &[0x20, 0]),
        ];
        for (dscb, offset, byte) in changes {
            dscbs[dscb].0[offset] = byte;
        }
        let mut volume = MemoryVolume::with_vtoc(10, &dscbs);
        let mut block = [0; 256];
        for (offset, byte) in directory {
            block[offset] = byte;
        }
        volume.add(45, 1, &[0xff; 8], &block);
        volume.add(45, 2, &[], &[]);
        if let Some(track) = damaged {
            volume.damage(track);
        }
        let catalog = Catalog::read(&volume).unwrap();
        for data_set in &catalog.data_sets {
            prop_assert!(data_set.all_extents().all(|extent| extent.last() < 150));
            let (used, _) = used_tracks(&volume, data_set).unwrap();
            prop_assert!(used.tracks <= data_set.tracks());
            let _ = read_directory(&volume, data_set, &mut Vec::new()).unwrap();
        }
    }
}
