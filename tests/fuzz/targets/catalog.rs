//! A volume whose VTOC and tracks hold any bytes has a catalog: whole extents inside the volume, findings for the rest.
//!
//! Input: number of DSCBs, then so many of 140 bytes, the first of which is the format 4; then the content of all other
//! tracks as items: 0 an end-of-file record, 1 a directory block of 264 bytes, else a record of so many bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tapegate::catalog::{Catalog, TrackSource, read_directory, used_tracks};
use tapegate::volume::VolumeError;
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::ebcdic;

/// Tracks of the VTOC, and DSCBs on each.
const VTOC_TRACKS: usize = 3;
const DSCBS: usize = 50;

struct Fuzzed<'a> {
    geometry: Geometry,
    dscbs: Vec<&'a [u8]>,
    content: &'a [u8],
}

impl Fuzzed<'_> {
    fn record(&self, bytes: &mut Vec<u8>, record: usize, key: &[u8], data: &[u8]) {
        let home = [bytes[1], bytes[2], bytes[3], bytes[4]];
        bytes.extend(home);
        bytes.extend([record as u8, key.len() as u8]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(key);
        bytes.extend(data);
    }
}

impl TrackSource for Fuzzed<'_> {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_track(&self, track: TrackIndex, bytes: &mut Vec<u8>) -> Result<(), VolumeError> {
        bytes.clear();
        bytes.push(0);
        bytes.extend(self.geometry.encode_cchh(self.geometry.cchh(track)));
        self.record(bytes, 0, &[], &[0; 8]);
        match track.0 as usize {
            0 => {
                self.record(bytes, 1, &[0; 4], &[0; 24]);
                self.record(bytes, 2, &[0; 4], &[0; 144]);
                let mut label = [0x40; 80];
                label[..10].copy_from_slice(&ebcdic::from_ascii(*b"VOL1FUZZED"));
                label[11..16].copy_from_slice(&[0, 0, 0, 1, 1]);
                self.record(bytes, 3, &ebcdic::from_ascii(*b"VOL1"), &label);
            }
            track @ 1..=VTOC_TRACKS => {
                for (number, dscb) in self.dscbs.chunks(DSCBS).nth(track - 1).unwrap_or_default().iter().enumerate() {
                    let (key, data) = dscb.split_at(dscb.len().min(44));
                    self.record(bytes, number + 1, key, data);
                }
            }
            track => {
                let mut rest = self.content.get(track % 7..).unwrap_or_default();
                let mut number = 1;
                while let Some((&item, behind)) = rest.split_first() {
                    let length = usize::from(item) + if item == 1 { 263 } else { 0 };
                    let (content, behind) = behind.split_at(length.min(behind.len()));
                    let (key, data) = content.split_at(if item == 1 { content.len().min(8) } else { 0 });
                    self.record(bytes, number, key, data);
                    (rest, number) = (behind, number + 1);
                }
            }
        }
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&count, rest)) = input.split_first() else { return };
    let (dscbs, content) = rest.split_at((usize::from(count) % (VTOC_TRACKS * DSCBS) * 140).min(rest.len()));
    let geometry = Geometry::standard(DeviceType::Ibm3390, 20).expect("a small 3390");
    let volume = Fuzzed { geometry, dscbs: dscbs.chunks(140).collect(), content };
    let catalog = Catalog::read(&volume).expect("damage is a finding");
    for data_set in &catalog.data_sets {
        for extent in data_set.all_extents() {
            assert!(extent.tracks > 0 && extent.last() < geometry.tracks());
        }
        let (used, _) = used_tracks(&volume, data_set).expect("damage is a finding");
        assert!(used.tracks <= data_set.tracks());
        let directory = read_directory(&volume, data_set, &mut Vec::new()).expect("damage is a finding");
        let _ = directory.members.iter().map(|member| member.statistics()).count();
    }
    let outside: u32 = Catalog::outside(&catalog.data_sets, geometry.tracks()).iter().map(|extent| extent.tracks).sum();
    assert!(outside <= geometry.tracks());
});
