//! Another serial in a view's volume label, so that one system can have both the volume and its view.
//!
//! Only the label changes: serial and nothing else, in every kind of label that [`Label`] knows (record 3 of cylinder 0
//! head 0, or block 1). What else bears the old name is told and left as it is: it is part of the volume as of T0, and
//! changing it would need the systems that made it.

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::{COUNT_BYTES, HOME_ADDRESS_BYTES, Track};
use tapegate_formats::volume::label::Label;
use tapegate_formats::volume::name::Volser;

use crate::catalog::Catalog;
use crate::finding::Finding;
use crate::volume::{Shape, UnitIndex};

/// The record of cylinder 0 head 0 that holds the label.
const LABEL_RECORD: u8 = 3;
/// Where each kind of label has the serial.
const SERIAL: std::ops::Range<usize> = 4..10;
/// Data set names that a finding lists before it only counts.
const MOST_NAMES: usize = 4;

/// The unit that holds the label.
pub(in crate::live) fn label_unit(shape: &Shape) -> UnitIndex {
    match shape {
        Shape::Ckd(_) => UnitIndex(0),
        Shape::FixedBlock(blocks) => UnitIndex(u32::from(blocks.unit_blocks < 2)),
    }
}

/// Puts `serial` into the label in the slot of [`label_unit`]; gives the serial that was there, or none if there is no
/// label and nothing was changed.
pub(in crate::live) fn relabel(shape: &Shape, slot: &mut [u8], serial: Volser) -> Option<Volser> {
    let at = match shape {
        Shape::Ckd(geometry) => label_on_track(slot, geometry.encode_cchh(geometry.cchh(TrackIndex(0))))?,
        // Block 1 begins its unit, or follows block 0 in it.
        Shape::FixedBlock(blocks) if blocks.unit_blocks < 2 => 0,
        Shape::FixedBlock(blocks) => blocks.block_bytes as usize,
    };
    let label = slot.get_mut(at..)?;
    let old = Label::find(label)?.volser();
    label.get_mut(SERIAL)?.copy_from_slice(serial.as_ebcdic());
    Some(old)
}

/// Where the data of the label's record begins in a track's slot.
fn label_on_track(slot: &[u8], home: [u8; 4]) -> Option<usize> {
    let mut at = HOME_ADDRESS_BYTES;
    for (number, record) in Track::parse(slot, home).ok()?.records().enumerate() {
        if number > 0 && record.count.record == LABEL_RECORD {
            return Some(at + COUNT_BYTES + record.key.len());
        }
        at += COUNT_BYTES + record.count.content_bytes();
    }
    None
}

/// What bears the old serial beside the label, as far as the VTOC shows it.
pub(in crate::live) fn still_bear(catalog: &Catalog, view: &str, old: Volser, new: Volser) -> Finding {
    let serial = old.to_string();
    let serial = serial.trim_end();
    let by_dscb = catalog.data_sets.iter().filter(|data_set| data_set.first_volser == Some(old)).count();
    let named: Vec<String> = catalog
        .data_sets
        .iter()
        .map(|data_set| data_set.name.to_string())
        .filter(|name| name.split('.').any(|part| part == serial || part.strip_prefix('V') == Some(serial)))
        .collect();
    let mut bear = Vec::new();
    if by_dscb > 0 {
        bear.push(format!("{by_dscb} data sets name it as their first volume (DS1DSSN)"));
    }
    if !named.is_empty() {
        let more = named.len().saturating_sub(MOST_NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let names = named[..named.len().min(MOST_NAMES)].join(", ");
        bear.push(format!("it is part of the names {names}{more}, with whatever catalog entries these hold"));
    }
    let bear = if bear.is_empty() { "nothing else in its VTOC bears the old one".to_owned() } else { bear.join("; ") };
    Finding::note("view-relabelled", format!("the view shows the serial {new} for {serial}: {bear}")).of(view)
}

#[cfg(test)]
mod tests {
    use tapegate_formats::dasd::device::DeviceType;
    use tapegate_formats::dasd::geometry::Geometry;
    use tapegate_formats::dasd::track::END_MARK;
    use tapegate_formats::ebcdic;

    use super::*;
    use crate::catalog::memory::{Dscb, MemoryVolume};
    use crate::catalog::{TrackSource, VolumeLabel};
    use crate::volume::BlockShape;

    fn serial(text: &str) -> Volser {
        text.parse().unwrap()
    }

    #[test]
    fn the_label_of_a_ckd_volume_gets_the_serial_and_nothing_else_changes() {
        let volume = MemoryVolume::with_vtoc(10, &[]);
        let geometry = Geometry::standard(DeviceType::Ibm3390, 10).unwrap();
        let mut slot = Vec::new();
        volume.read_track(TrackIndex(0), &mut slot).unwrap();
        slot.extend(END_MARK);
        slot.resize(geometry.slot_bytes() as usize, 0);
        let before = slot.clone();
        let old = relabel(&Shape::Ckd(geometry), &mut slot, serial("YEST01"));
        assert_eq!(old, Some(serial("TEST01")));
        // Home address 5, R0 16, IPL1 8+4+24, IPL2 8+4+144, VOL1 8+4, then the label.
        let at = 5 + 16 + 36 + 156 + 12 + 4;
        assert_eq!(slot[at..at + 6], ebcdic::from_ascii(*b"YEST01"));
        slot[at..at + 6].copy_from_slice(&before[at..at + 6]);
        assert_eq!(slot, before);
    }

    #[test]
    fn the_label_of_a_fixed_block_volume_is_in_block_1_whatever_a_unit_is() {
        for (unit_blocks, unit, at) in [(8, 0, 512), (1, 1, 0)] {
            let shape = Shape::FixedBlock(BlockShape { blocks: 100, block_bytes: 512, unit_blocks });
            assert_eq!(label_unit(&shape), UnitIndex(unit));
            let mut slot = vec![0; unit_blocks as usize * 512];
            slot[at..at + 4].copy_from_slice(&ebcdic::from_ascii(*b"VOL1"));
            slot[at + 4..at + 10].copy_from_slice(&ebcdic::from_ascii(*b"FBA001"));
            assert_eq!(relabel(&shape, &mut slot, serial("FBA002")), Some(serial("FBA001")));
            let VolumeLabel::FixedBlock { volser } = VolumeLabel::of_fixed_block(&slot[at..]) else { panic!("no label") };
            assert_eq!(volser, serial("FBA002"));
        }
    }

    #[test]
    fn a_volume_without_a_label_can_not_be_relabelled() {
        let shape = Shape::FixedBlock(BlockShape { blocks: 100, block_bytes: 512, unit_blocks: 8 });
        let mut slot = vec![0; 4096];
        assert_eq!(relabel(&shape, &mut slot, serial("FBA002")), None);
        assert_eq!(slot, vec![0; 4096]);
    }

    #[test]
    fn what_still_bears_the_old_serial_is_counted_and_named() {
        let other = Dscb::data_set("APPL.SECOND").set(45, &ebcdic::from_ascii(*b"OTHER1"));
        let dscbs = [Dscb::data_set("SYS1.VVDS.VTEST01"), Dscb::data_set("SYS1.VTOCIX.TEST01"), Dscb::data_set("A.B"), other];
        let catalog = Catalog::read(&MemoryVolume::with_vtoc(10, &dscbs)).unwrap();
        let finding = still_bear(&catalog, "view01", serial("TEST01"), serial("YEST01")).to_string();
        assert_eq!(
            finding,
            "view01: the view shows the serial YEST01 for TEST01: 3 data sets name it as their first volume (DS1DSSN); it is \
             part of the names SYS1.VVDS.VTEST01, SYS1.VTOCIX.TEST01, with whatever catalog entries these hold"
        );
        let none = still_bear(&catalog, "view01", serial("NOSUCH"), serial("YEST01")).to_string();
        assert!(none.ends_with("nothing else in its VTOC bears the old one"), "{none}");
    }
}
