//! What is written into a new image of any format reads back as it was.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::tape::unit::UnitKind;

use super::create::{Compression, CreateOptions, NewImage};
use super::fixed_block;
use super::*;
use crate::finding::Grade;

/// Every format for tracks, and every compression.
fn ckd_options() -> Vec<CreateOptions> {
    let mut all = vec![CreateOptions::new(ImageFormat::Ckd), CreateOptions::new(ImageFormat::RawTrack)];
    for format in [ImageFormat::Cckd, ImageFormat::Cckd64] {
        for compression in [Compression::None, Compression::Zlib { level: 1 }, Compression::Bzip2] {
            all.push(CreateOptions { format, compression });
        }
    }
    all
}

pub(super) fn home(shape: &Shape, track: u32) -> [u8; 4] {
    let Shape::Ckd(geometry) = shape else { panic!("a CKD volume") };
    geometry.encode_cchh(geometry.cchh(TrackIndex(track)))
}

/// A track with R0 and records of the given keys and data.
pub(super) fn track(home: [u8; 4], r0: [u8; 8], records: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let mut body = vec![0];
    body.extend(home);
    body.extend(home);
    body.extend([0, 0, 0, 8]);
    body.extend(r0);
    for (number, (key, data)) in (1..).zip(records) {
        body.extend(home);
        body.extend([number, u8::try_from(key.len()).unwrap()]);
        body.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        body.extend(key);
        body.extend(data);
    }
    body
}

/// All units of a volume, after checking that measuring agrees with reading.
pub(super) fn read_all(volume: &Volume) -> Result<Vec<(UnitKind, Vec<u8>)>, VolumeError> {
    let mut stage = Stage::new();
    let units = volume.shape().units();
    let mut all = Vec::new();
    // An odd number of units at once crosses every border there is.
    for first in (0..units).step_by(7) {
        let count = (units - first).min(7);
        volume.read_units(UnitIndex(first), count, &mut stage)?;
        let mut lengths = vec![0; count as usize];
        volume.measure_units(UnitIndex(first), &mut lengths)?;
        for (unit, length) in stage.units().zip(lengths) {
            assert_eq!(unit.body.len(), length as usize);
            all.push((unit.kind, unit.body.to_vec()));
        }
    }
    Ok(all)
}

/// Writes the units that there are, from two threads, and finishes.
pub(super) fn create(path: &Path, shape: &Shape, options: &CreateOptions, units: &[Option<Vec<u8>>]) {
    let image = NewImage::create(path, shape, options).unwrap();
    let kind = if matches!(shape, Shape::Ckd(_)) { UnitKind::Track } else { UnitKind::Blocks };
    let write = |part: usize| {
        for (number, unit) in (0..).zip(units) {
            if let Some(unit) = unit.as_ref().filter(|_| number as usize % 2 == part) {
                image.write_units(UnitIndex(number), &[(kind, unit)]).unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| write(1));
        write(0);
    });
    image.finish(false).unwrap();
}

fn any_records() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let record = (prop::collection::vec(any::<u8>(), 0..20), prop::collection::vec(0..4_u8, 0..900));
    prop::collection::vec(record, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn tracks_read_back_from_every_format(
        tracks in prop::collection::vec(prop::option::of((any_records(), prop::array::uniform8(0..2_u8))), 30),
    ) {
        let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 2).unwrap());
        let units: Vec<_> = (0..)
            .zip(&tracks)
            .map(|(number, content)| content.as_ref().map(|(records, r0)| track(home(&shape, number), *r0, records)))
            .collect();
        for options in ckd_options() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("image");
            create(&path, &shape, &options, &units);
            let volume = Volume::open(&path, &OpenOptions::default()).unwrap();
            prop_assert_eq!(volume.format(), options.format);
            // Tracks of R0 alone whose data are not zeros are stored as if they were null tracks, and noted.
            prop_assert!(volume.findings().iter().all(|finding| finding.grade == Grade::Note));
            for ((number, unit), (kind, body)) in (0..).zip(&units).zip(read_all(&volume).unwrap()) {
                prop_assert_eq!(kind, UnitKind::Track);
                let expected = unit.clone().unwrap_or_else(|| track(home(&shape, number), [0; 8], &[]));
                prop_assert!(body == expected, "{:?} track {}", options, number);
            }
        }
    }

    #[test]
    fn blocks_read_back_from_every_format(
        blocks in 1_u64..300,
        fill in prop::collection::vec(prop::option::of(any::<u8>()), 40),
    ) {
        let shape = Shape::FixedBlock(fixed_block::shape(blocks).unwrap());
        let Shape::FixedBlock(block_shape) = &shape else { unreachable!() };
        let units: Vec<_> = (0..shape.units())
            .zip(&fill)
            .map(|(unit, byte)| byte.map(|byte| vec![byte; fixed_block::unit_bytes(block_shape, unit)]))
            .collect();
        for format in [ImageFormat::Fba, ImageFormat::CompressedFba, ImageFormat::CompressedFba64] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("image");
            create(&path, &shape, &CreateOptions::new(format), &units);
            let options = OpenOptions { kind: Some(format), ..OpenOptions::default() };
            let volume = Volume::open(&path, &options).unwrap();
            prop_assert_eq!(volume.shape(), &shape);
            for ((number, unit), (_, body)) in (0..).zip(&units).zip(read_all(&volume).unwrap()) {
                let length = fixed_block::unit_bytes(block_shape, number);
                prop_assert_eq!(&body, &unit.clone().unwrap_or_else(|| vec![0; length]));
            }
        }
    }
}

#[test]
fn every_device_type_reads_back_with_its_own_slots() {
    for device in DeviceType::ALL {
        let shape = Shape::Ckd(Geometry::standard(device, 3).unwrap());
        let longest = usize::try_from(device.longest_record()).unwrap();
        let units = [Some(track(home(&shape, 0), [0; 8], &[(Vec::new(), vec![0xe5; longest])]))];
        for format in [ImageFormat::Ckd, ImageFormat::Cckd] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("image");
            create(&path, &shape, &CreateOptions::new(format), &units);
            let volume = Volume::open(&path, &OpenOptions::default()).unwrap();
            assert_eq!(volume.shape(), &shape);
            assert_eq!(Some(&read_all(&volume).unwrap()[0].1), units[0].as_ref(), "{device}");
        }
    }
}

#[test]
fn an_existing_file_is_not_overwritten_and_a_dropped_image_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3330, 1).unwrap());
    let options = CreateOptions::new(ImageFormat::Ckd);
    drop(NewImage::create(&path, &shape, &options).unwrap());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    fs::write(&path, "precious").unwrap();
    assert!(matches!(NewImage::create(&path, &shape, &options), Err(VolumeError::Refused { .. })));

    fs::remove_file(&path).unwrap();
    let image = NewImage::create(&path, &shape, &options).unwrap();
    assert!(matches!(NewImage::create(&path, &shape, &options), Err(VolumeError::Refused { .. })));
    fs::write(&path, "precious").unwrap();
    assert!(matches!(image.finish(true), Err(VolumeError::Refused { .. })));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_raw_slot_goes_into_plain_images_only() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3330, 1).unwrap());
    let slot = vec![0x5a; 13_312];
    for format in [ImageFormat::Ckd, ImageFormat::Cckd, ImageFormat::Cckd64] {
        let path = folder.path().join(format.name());
        let image = NewImage::create(&path, &shape, &CreateOptions::new(format)).unwrap();
        let written = image.write_units(UnitIndex(4), &[(UnitKind::RawSlot, &slot)]);
        if format != ImageFormat::Ckd {
            assert!(matches!(written, Err(VolumeError::Unfit { .. })));
            continue;
        }
        written.unwrap();
        image.finish(false).unwrap();
        let volume = Volume::open(&path, &OpenOptions::default()).unwrap();
        let mut stage = Stage::new();
        volume.read_units(UnitIndex(4), 1, &mut stage).unwrap();
        let unit = stage.units().next().unwrap();
        assert_eq!((unit.kind, unit.body), (UnitKind::RawSlot, &slot[..]));
        assert!(unit.defect.is_some());
    }
}

#[test]
fn a_track_of_another_address_or_too_long_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3330, 1).unwrap());
    let image = NewImage::create(&folder.path().join("image"), &shape, &CreateOptions::new(ImageFormat::Ckd)).unwrap();
    let stranger = track(home(&shape, 1), [0; 8], &[]);
    let long = track(home(&shape, 0), [0; 8], &[(Vec::new(), vec![0; 13_300])]);
    for body in [&stranger, &long] {
        let error = image.write_units(UnitIndex(0), &[(UnitKind::Track, body)]).unwrap_err();
        assert!(matches!(error, VolumeError::Unfit { .. }), "{error}");
    }
    assert!(image.write_units(UnitIndex(19), &[(UnitKind::Track, &stranger)]).is_err());
}

#[test]
fn null_tracks_take_no_room_in_compressed_images() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 100).unwrap());
    let mut slot = vec![0; 56_832];
    let units: Vec<_> = (0..1500)
        .map(|number| {
            let format = NullFormat::ALL[number as usize % 3];
            let length = format.fill(home(&shape, number), &mut slot).unwrap();
            Some(slot[..length].to_vec())
        })
        .collect();
    create(&path, &shape, &CreateOptions::new(ImageFormat::Cckd), &units);
    // Two headers, six entries of the first level, six tables of the second.
    assert_eq!(fs::metadata(&path).unwrap().len(), 1024 + 6 * 4 + 6 * 2048);
    let volume = Volume::open(&path, &OpenOptions::default()).unwrap();
    for (unit, (_, body)) in units.iter().zip(read_all(&volume).unwrap()) {
        assert!(unit.as_ref() == Some(&body));
    }
}
