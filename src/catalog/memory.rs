//! A volume in memory, for tests: tracks are built record by record, DSCBs byte by byte from the offsets of IBM's tables.

use std::collections::BTreeMap;

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::ebcdic;
use tapegate_formats::volume::name::DsName;

use super::TrackSource;
use crate::volume::VolumeError;

/// DSCBs on a track of a 3390, as `DS4DEVDT` says.
const DSCBS_PER_TRACK: usize = 50;

pub(crate) struct MemoryVolume {
    geometry: Geometry,
    tracks: BTreeMap<u32, Vec<u8>>,
}

impl TrackSource for MemoryVolume {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn read_track(&self, track: TrackIndex, bytes: &mut Vec<u8>) -> Result<(), VolumeError> {
        bytes.clear();
        match self.tracks.get(&track.0) {
            Some(content) => bytes.extend(content),
            None => bytes.extend(self.empty_track(track)),
        }
        Ok(())
    }
}

impl MemoryVolume {
    /// A 3390 without a label.
    pub(crate) fn blank(cylinders: u32) -> Self {
        Self { geometry: Geometry::standard(DeviceType::Ibm3390, cylinders).unwrap(), tracks: BTreeMap::new() }
    }

    /// A 3390 with a label and a VTOC at cylinder 0 head 1 that holds `dscbs` behind its format 4, and two free ones.
    pub(crate) fn with_vtoc(cylinders: u32, dscbs: &[Dscb]) -> Self {
        let mut volume = Self::blank(cylinders);
        volume.label(*b"TEST01", [0, 0, 0, 1, 1]);
        let tracks = u32::try_from((dscbs.len() + 3).div_ceil(DSCBS_PER_TRACK)).unwrap();
        let end = volume.cchh(tracks);
        let mut all = vec![Dscb::vtoc(cylinders, [0, 0, 0, 1], end)];
        all.extend_from_slice(dscbs);
        all.extend([Dscb([0; 140]), Dscb([0; 140])]);
        for (index, dscb) in all.iter().enumerate() {
            let record = u8::try_from(index % DSCBS_PER_TRACK + 1).unwrap();
            volume.add(u32::try_from(index / DSCBS_PER_TRACK).unwrap() + 1, record, &dscb.0[..44], &dscb.0[44..]);
        }
        volume
    }

    pub(crate) fn label(&mut self, volser: [u8; 6], vtoc: [u8; 5]) {
        self.add(0, 1, &ebcdic::from_ascii(*b"IPL1"), &[0; 24]);
        self.add(0, 2, &ebcdic::from_ascii(*b"IPL2"), &[0; 144]);
        let mut label = [0x40; 80];
        label[..4].copy_from_slice(&ebcdic::from_ascii(*b"VOL1"));
        label[4..10].copy_from_slice(&ebcdic::from_ascii(volser));
        label[11..16].copy_from_slice(&vtoc);
        self.add(0, 3, &ebcdic::from_ascii(*b"VOL1"), &label);
    }

    fn empty_track(&self, track: TrackIndex) -> Vec<u8> {
        let cchh = self.cchh(track.0);
        let mut bytes = vec![0];
        bytes.extend(cchh);
        bytes.extend(cchh);
        bytes.extend([0, 0, 0, 8]);
        bytes.extend([0; 8]);
        bytes
    }

    /// Adds a record to a track.
    pub(crate) fn add(&mut self, track: u32, record: u8, key: &[u8], data: &[u8]) {
        let empty = self.empty_track(TrackIndex(track));
        let cchh = self.cchh(track);
        let bytes = self.tracks.entry(track).or_insert(empty);
        bytes.extend(cchh);
        bytes.extend([record, u8::try_from(key.len()).unwrap()]);
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(key);
        bytes.extend(data);
    }

    /// Makes a track unreadable as records.
    pub(crate) fn damage(&mut self, track: u32) {
        self.tracks.insert(track, vec![0, 1, 2, 3]);
    }

    /// The four bytes of a track's address.
    pub(crate) fn cchh(&self, track: u32) -> [u8; 4] {
        self.geometry.encode_cchh(self.geometry.cchh(TrackIndex(track)))
    }

    /// Address of the DSCB that [`with_vtoc`](Self::with_vtoc) was given as number `index`.
    pub(crate) fn pointer(index: usize) -> [u8; 5] {
        let place = index + 1;
        let [high, low] = u16::try_from(place / DSCBS_PER_TRACK + 1).unwrap().to_be_bytes();
        assert_eq!(high, 0, "one cylinder is enough for tests that follow chains");
        [0, 0, 0, low, u8::try_from(place % DSCBS_PER_TRACK + 1).unwrap()]
    }
}

/// A DSCB's 140 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Dscb(pub(crate) [u8; 140]);

impl Dscb {
    /// A format 1 of an empty PS data set that ends on this volume.
    pub(crate) fn data_set(name: &str) -> Self {
        let mut bytes = [0; 140];
        bytes[..44].copy_from_slice(name.parse::<DsName>().unwrap().as_ebcdic());
        bytes[44] = 0xf1;
        Self(bytes).set(45, &ebcdic::from_ascii(*b"TEST01")).set(51, &[0, 1]).set(82, &[0x40, 0]).set(93, &[0x80])
    }

    pub(crate) fn vtoc(cylinders: u32, lower: [u8; 4], upper: [u8; 4]) -> Self {
        let mut bytes = [0; 140];
        bytes[..44].fill(4);
        bytes[44] = 0xf4;
        let dscb = Self(bytes).set(59, &[1]).set(64, &[0, 15]).set(74, &[50, 45]).set(105, &extent(1, 0, lower, upper));
        match u16::try_from(cylinders) {
            Ok(small) if small <= 65_520 => dscb.set(62, &small.to_be_bytes()),
            _ => dscb.set(62, &[0xff, 0xfe]).set(132, &cylinders.to_be_bytes()),
        }
    }

    /// A format 3 with extents in its 13 places.
    pub(crate) fn further(extents: &[[u8; 10]], next: [u8; 5]) -> Self {
        let mut bytes = [0; 140];
        bytes[..4].fill(3);
        bytes[44] = 0xf3;
        let mut dscb = Self(bytes).set(135, &next);
        for (index, extent) in extents.iter().enumerate() {
            dscb = dscb.set(if index < 4 { 4 + 10 * index } else { 45 + 10 * (index - 4) }, extent);
        }
        dscb
    }

    pub(crate) fn set(mut self, offset: usize, bytes: &[u8]) -> Self {
        self.0[offset..offset + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Puts up to three extents into a format 1 and counts them.
    pub(crate) fn extents(self, extents: &[[u8; 10]]) -> Self {
        self.set(105, &extents.concat()).set(59, &[u8::try_from(extents.len()).unwrap()])
    }
}

/// An extent descriptor.
pub(crate) fn extent(kind: u8, sequence: u8, lower: [u8; 4], upper: [u8; 4]) -> [u8; 10] {
    let mut bytes = [kind, sequence, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[2..6].copy_from_slice(&lower);
    bytes[6..].copy_from_slice(&upper);
    bytes
}
