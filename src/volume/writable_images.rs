//! Images of every kind that can be written, for tests of writing.

use std::fs;
use std::path::{Path, PathBuf};

use tapegate_formats::dasd::compressed_header::{CompressedHeader, OPTION_BIG_ENDIAN};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::device_header::{DeviceHeader, DiskClass, Eyecatcher, FileRole, OffsetWidth};
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::lookup_table::{L1Entry, TableLayout};
use tapegate_formats::dasd::track::{END_MARK, Track};

use super::compressed_file::images;
use super::create::{Compression, CreateOptions};
use super::fixed_block;
use super::round_trip_tests::{create, home, track};
use super::*;

/// A volume in a folder of its own.
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) folder: tempfile::TempDir,
    path: PathBuf,
    options: OpenOptions,
    pub(super) shape: Shape,
    /// The file that takes the writes.
    pub(super) written: PathBuf,
    /// Files that stay as they are.
    pub(super) below: Vec<PathBuf>,
    /// Whether bytes behind an end mark are kept.
    pub(super) keeps_rest: bool,
}

impl Sample {
    pub(super) fn open(&self) -> Volume {
        Volume::open(&self.path, &self.options).unwrap()
    }

    pub(super) fn open_for_update(&self) -> Volume {
        self.try_open_for_update().unwrap()
    }

    pub(super) fn try_open_for_update(&self) -> Result<Volume, VolumeError> {
        Volume::open_for_update(&self.path, &self.options)
    }

    /// A slot as the format gives it back.
    pub(super) fn kept(&self, unit: u32, mut slot: Vec<u8>) -> Vec<u8> {
        if let Shape::Ckd(_) = self.shape
            && !self.keeps_rest
            && let Ok(end) = Track::parse(&slot, home(&self.shape, unit)).map(|track| track.bytes().len() + END_MARK.len())
        {
            slot[end..].fill(0);
        }
        slot
    }

    /// The same volume with other bytes in the file that takes the writes.
    pub(super) fn replace_written(&self, bytes: &[u8]) {
        fs::write(&self.written, bytes).unwrap();
    }

    /// All slots.
    pub(super) fn slots(&self, volume: &Volume) -> Vec<Vec<u8>> {
        let unit = |unit| {
            let mut slot = vec![0xdd; self.shape.unit_bytes(UnitIndex(unit)) as usize];
            volume.read_slot(UnitIndex(unit), &mut slot).unwrap();
            slot
        };
        (0..self.shape.units()).map(unit).collect()
    }
}

/// 300 tracks of 4 KiB: two tables of the second level.
pub(super) fn tracks() -> Shape {
    Shape::Ckd(Geometry::standard(DeviceType::Ibm2311, 30).unwrap())
}

pub(super) fn blocks() -> Shape {
    Shape::FixedBlock(fixed_block::shape(300).unwrap())
}

/// Some units of a new volume; the others are null.
fn units(shape: &Shape) -> Vec<Option<Vec<u8>>> {
    let unit = |unit: u32| match shape {
        _ if unit % 3 == 2 || (100..290).contains(&unit) => None,
        Shape::Ckd(_) => {
            let record = (vec![unit as u8; 3], vec![0x40 + unit as u8; 100 * (unit as usize % 20)]);
            Some(track(home(shape, unit), [0; 8], &[record]))
        }
        Shape::FixedBlock(_) => Some(vec![unit as u8; shape.unit_bytes(UnitIndex(unit)) as usize]),
    };
    (0..shape.units()).map(unit).collect()
}

/// Every kind.
pub(super) fn all() -> Vec<Sample> {
    let zlib = |format| CreateOptions::new(format);
    let with = |format, compression| CreateOptions { format, compression };
    let mut all = vec![
        sample("plain tracks", tracks(), &zlib(ImageFormat::Ckd), &[]),
        sample("raw tracks", Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 1).unwrap()), &zlib(ImageFormat::RawTrack), &[]),
        sample("plain blocks", blocks(), &zlib(ImageFormat::Fba), &[]),
        sample("cckd", tracks(), &zlib(ImageFormat::Cckd), &[]),
        sample("cckd64", tracks(), &zlib(ImageFormat::Cckd64), &[]),
        sample("cckd without compression", tracks(), &with(ImageFormat::Cckd, Compression::None), &[]),
        sample("cckd with bzip2", tracks(), &with(ImageFormat::Cckd, Compression::Bzip2), &[]),
        sample("cfba", blocks(), &zlib(ImageFormat::CompressedFba), &[]),
        sample("cfba64", blocks(), &zlib(ImageFormat::CompressedFba64), &[]),
        sample("shadow of plain tracks", tracks(), &zlib(ImageFormat::Ckd), &[OffsetWidth::Bits32]),
        sample("shadow of plain blocks", blocks(), &zlib(ImageFormat::Fba), &[OffsetWidth::Bits64]),
        sample("shadow of cckd", tracks(), &zlib(ImageFormat::Cckd), &[OffsetWidth::Bits32]),
        sample("two shadows of cckd64", tracks(), &zlib(ImageFormat::Cckd64), &[OffsetWidth::Bits64; 2]),
        sample("shadow of cfba", blocks(), &zlib(ImageFormat::CompressedFba), &[OffsetWidth::Bits32]),
    ];
    for null_format in [0, 2] {
        let linux = sample(&format!("cckd of null format {null_format}"), linux(), &zlib(ImageFormat::Cckd), &[]);
        patch(&linux.written, 512 + 44, &[null_format]);
        all.push(linux);
    }
    all.push(big_endian());
    all.push(two_files());
    all
}

/// A 3390 of one cylinder: the only device whose tracks hold what Linux writes.
fn linux() -> Shape {
    Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 1).unwrap())
}

pub(super) fn sample(name: &str, shape: Shape, options: &CreateOptions, shadows: &[OffsetWidth]) -> Sample {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("base");
    create(&path, &shape, options, &units(&shape));
    let shape = *Volume::open(&path, &OpenOptions { kind: Some(options.format), ..OpenOptions::default() }).unwrap().shape();
    let mut files = vec![path.clone()];
    for (number, width) in (1..).zip(shadows) {
        let shadow = folder.path().join(format!("shadow_{number}"));
        fs::write(&shadow, empty_shadow(&shape, *width)).unwrap();
        files.push(shadow);
    }
    let written = files.pop().unwrap();
    let options_kind =
        shadows.is_empty().then_some(options.format).or((options.format == ImageFormat::Fba).then_some(ImageFormat::Fba));
    Sample {
        name: name.to_owned(),
        path,
        options: OpenOptions {
            kind: options_kind,
            shadows: files.iter().skip(1).chain((!shadows.is_empty()).then_some(&written)).cloned().collect(),
            ..OpenOptions::default()
        },
        shape,
        written,
        below: files,
        keeps_rest: shadows.is_empty() && matches!(options.format, ImageFormat::Ckd | ImageFormat::RawTrack),
        folder,
    }
}

/// A shadow file that has nothing yet, as Hercules makes it: a first-level table of ones.
pub(super) fn empty_shadow(shape: &Shape, width: OffsetWidth) -> Vec<u8> {
    let (class, heads, slot_bytes, device_code, cylinders) = match shape {
        Shape::Ckd(geometry) => {
            (DiskClass::Ckd, u32::from(geometry.heads()), geometry.slot_bytes(), geometry.device().code(), geometry.cylinders())
        }
        Shape::FixedBlock(blocks) => (DiskClass::FixedBlock, 0, 0, 0, u32::try_from(blocks.blocks).unwrap()),
    };
    let device = DeviceHeader {
        eyecatcher: Eyecatcher { class, role: FileRole::Shadow, width },
        heads,
        slot_bytes,
        device_code,
        sequence: 0,
        highest_cylinder: 0,
        serial: [0; 12],
    };
    let l1_entries = images(shape).div_ceil(256);
    let mut header = CompressedHeader {
        l1_entries,
        l2_entries: 256,
        cylinders,
        null_format: u8::from(matches!(shape, Shape::Ckd(_))),
        compression: 1,
        parameter: -1,
        ..CompressedHeader::default()
    };
    let layout = TableLayout::of(width, &header);
    header.size_bytes = 1024 + u64::from(l1_entries) * layout.l1_entry_bytes() as u64;
    header.used_bytes = header.size_bytes;
    let mut file = device.to_bytes().to_vec();
    file.extend(header.to_bytes(width).unwrap());
    for _ in 0..l1_entries {
        layout.write_l1(L1Entry::Below, &mut file).unwrap();
    }
    file
}

/// A compressed image whose numbers are big-endian, made from one whose are not.
fn big_endian() -> Sample {
    let little = sample("big-endian cckd", tracks(), &CreateOptions::new(ImageFormat::Cckd), &[]);
    let mut bytes = fs::read(&little.written).unwrap();
    let mut header = CompressedHeader::parse(&bytes[512..], OffsetWidth::Bits32).unwrap();
    let from = TableLayout::of(OffsetWidth::Bits32, &header);
    header.options |= OPTION_BIG_ENDIAN;
    let to = TableLayout::of(OffsetWidth::Bits32, &header);
    let l1: Vec<_> = from.parse_l1(&bytes[1024..1024 + 8]).collect();
    let mut new = Vec::new();
    for entry in &l1 {
        to.write_l1(*entry, &mut new).unwrap();
        let L1Entry::Table(offset) = entry else { continue };
        let table = usize::try_from(*offset).unwrap()..usize::try_from(*offset).unwrap() + 2048;
        let mut swapped = Vec::new();
        for entry in from.parse_l2(&bytes[table.clone()]) {
            to.write_l2(entry, &mut swapped).unwrap();
        }
        bytes[table].copy_from_slice(&swapped);
    }
    bytes[1024..1024 + 8].copy_from_slice(&new);
    bytes[512..1024].copy_from_slice(&header.to_bytes(OffsetWidth::Bits32).unwrap());
    fs::write(&little.written, bytes).unwrap();
    little
}

/// A plain volume in two files.
fn two_files() -> Sample {
    let whole = sample("two files", tracks(), &CreateOptions::new(ImageFormat::Ckd), &[]);
    let bytes = fs::read(&whole.written).unwrap();
    let (header, data) = bytes.split_at(512);
    let (first, second) = data.split_at(7 * 10 * 4096);
    let paths = ["vol_1.ckd", "vol_2.ckd"].map(|name| whole.folder.path().join(name));
    for ((path, data), fields) in paths.iter().zip([first, second]).zip([[1, 6, 0], [2, 0, 0]]) {
        let mut file = header.to_vec();
        file[17..20].copy_from_slice(&fields);
        file.extend(data);
        fs::write(path, file).unwrap();
    }
    let [first, second] = paths;
    Sample { path: first, written: second, ..whole }
}

/// Changes bytes of a file.
pub(super) fn patch(path: &Path, offset: usize, bytes: &[u8]) {
    let mut file = fs::read(path).unwrap();
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
    fs::write(path, file).unwrap();
}
