//! Damaged images give an error, or the same content as before; never a panic, and never anything else unseen.

use std::fs;
use std::path::Path;

use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::tape::unit::UnitKind;

use super::create::CreateOptions;
use super::round_trip_tests::{create, home, read_all, track};
use super::*;

/// A volume of one cylinder with two tracks of records, in a format.
fn small(path: &Path, format: ImageFormat) -> Vec<(UnitKind, Vec<u8>)> {
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3340, 1).unwrap());
    let units: Vec<_> = (0..2)
        .map(|number| {
            let data = (0..700_u32).map(|n| u8::try_from((n * n) % 251).unwrap()).collect();
            Some(track(home(&shape, number), [0; 8], &[(b"KEY1".to_vec(), data)]))
        })
        .collect();
    create(path, &shape, &CreateOptions::new(format), &units);
    read_all(&Volume::open(path, &OpenOptions::default()).unwrap()).unwrap()
}

fn read(path: &Path) -> Result<Vec<(UnitKind, Vec<u8>)>, VolumeError> {
    read_all(&Volume::open(path, &OpenOptions::default())?)
}

/// Makes the file anew: file systems may write a file that was cut and filled again to disk at once, which is slow.
fn rewrite(path: &Path, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Flips each bit of the bytes in `places` and calls `look` with what the image then reads as.
fn flip_each(
    path: &Path,
    places: impl Iterator<Item = usize>,
    mut look: impl FnMut(usize, u8, Result<Vec<(UnitKind, Vec<u8>)>, VolumeError>),
) {
    let good = fs::read(path).unwrap();
    for place in places {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[place] ^= 1 << bit;
            rewrite(path, &bad);
            look(place, bit, read(path));
        }
    }
}

#[test]
fn a_flipped_bit_in_headers_or_tables_is_an_error_or_harmless() {
    for (format, l2_bytes) in [(ImageFormat::Cckd, 2048), (ImageFormat::Cckd64, 4096)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        let good = small(&path, format);
        let end = usize::try_from(fs::metadata(&path).unwrap().len()).unwrap();
        // Both headers as far as they have fields, the first-level table, the entries of the cylinder's tracks.
        let entries = end - l2_bytes..end - l2_bytes + 12 * l2_bytes / 256;
        let places = (0..32).chain(512..600).chain(1024..1032).chain(entries);
        flip_each(&path, places, |place, bit, result| {
            let Ok(units) = result else { return };
            // Another device type, other heads, another null format: another volume, but not one with wrong tracks.
            let named_otherwise = matches!(place, 8..20 | 512..600) || units.len() != good.len();
            // A null entry's format is what the entry says.
            let changed = units.iter().zip(&good).filter(|(now, then)| now != then).count();
            let defects = units.iter().filter(|(kind, _)| *kind == UnitKind::RawSlot).count();
            assert!(
                changed == 0 || defects > 0 || named_otherwise || changed == 1,
                "{format}: byte {place} bit {bit}: {changed} tracks changed unseen"
            );
        });
    }
}

#[test]
fn a_flipped_bit_in_a_compressed_track_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let good = small(&path, ImageFormat::Cckd);
    // The first image lies behind the first-level table of one entry; its first byte's upper bits mean nothing.
    flip_each(&path, 1029..1100, |place, bit, result| {
        let kinds = result.map(|units| units.iter().any(|(kind, _)| *kind == UnitKind::RawSlot) || units == good);
        assert!(kinds.unwrap_or(true), "byte {place} bit {bit}");
    });
}

#[test]
fn an_image_cut_anywhere_is_an_error_or_harmless() {
    for format in [ImageFormat::Ckd, ImageFormat::Cckd, ImageFormat::Cckd64] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        small(&path, format);
        let whole = fs::read(&path).unwrap();
        for length in (0..1600).chain(whole.len() - 20..whole.len()) {
            rewrite(&path, &whole[..length]);
            assert!(read(&path).is_err(), "{format} cut to {length} bytes");
        }
    }
}

#[test]
fn a_table_entry_outside_the_file_names_track_and_offset() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    small(&path, ImageFormat::Cckd);
    let mut bytes = fs::read(&path).unwrap();
    let entry = bytes.len() - 2048 + 8;
    bytes[entry..entry + 4].copy_from_slice(&0x0100_0000_u32.to_le_bytes());
    fs::write(&path, &bytes).unwrap();

    let volume = Volume::open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(volume.findings()[0].code, "bad-table-entry");
    assert_eq!(volume.findings()[0].address.as_deref(), Some("cyl 0 head 1"));
    let error = volume.read_units(UnitIndex(0), 2, &mut Stage::new()).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("image: cyl 0 head 1 (offset 16777216): its table entry leads out of the file"), "{message}");
    volume.read_units(UnitIndex(2), 10, &mut Stage::new()).unwrap();
}

#[test]
fn tables_on_top_of_each_other_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3350, 100).unwrap());
    create(&path, &shape, &CreateOptions::new(ImageFormat::Cckd), &[Some(track(home(&shape, 0), [0; 8], &[(vec![1], vec![2])]))]);
    let mut bytes = fs::read(&path).unwrap();
    let first: [u8; 4] = bytes[1024..1028].try_into().unwrap();
    bytes[1028..1032].copy_from_slice(&first);
    fs::write(&path, &bytes).unwrap();
    let message = Volume::open(&path, &OpenOptions::default()).unwrap_err().to_string();
    assert!(message.contains("entry 1 of the first-level table"), "{message}");
}

#[test]
fn an_image_that_was_not_closed_is_found_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let good = small(&path, ImageFormat::Cckd);
    let mut bytes = fs::read(&path).unwrap();
    bytes[515] = 0xc0;
    fs::write(&path, &bytes).unwrap();
    let volume = Volume::open(&path, &OpenOptions::default()).unwrap();
    assert_eq!(volume.findings().iter().map(|finding| finding.code).collect::<Vec<_>>(), ["image-not-closed"]);
    assert!(read_all(&volume).unwrap() == good);
    // Written since the last check, as every image at rest is: nothing to say.
    bytes[515] = 0x40;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(Volume::open(&path, &OpenOptions::default()).unwrap().findings(), []);
}

#[test]
fn what_is_no_image_is_refused_with_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let refusal = |content: &[u8]| {
        fs::write(&path, content).unwrap();
        Volume::open(&path, &OpenOptions::default()).unwrap_err().to_string()
    };
    assert!(refusal(b"").contains("the file is empty"));
    assert!(refusal(b"CKD_P370").contains("8 bytes"));
    assert!(refusal(&[1; 700]).contains("no disk image that is known"));
    let mut shadow = b"CKD_S370".to_vec();
    shadow.resize(2000, 0);
    assert!(refusal(&shadow).contains("this is a shadow file"));
    shadow[4] = b'X';
    assert!(refusal(&shadow).contains("\"CKD_X370\" is not known"));
}

#[test]
fn raw_tracks_and_blocks_are_told_apart_or_the_operator_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 1).unwrap());
    create(&path, &shape, &CreateOptions::new(ImageFormat::RawTrack), &[]);
    let format = |options: &OpenOptions| Volume::open(&path, options).map(|volume| volume.format());
    assert_eq!(format(&OpenOptions::default()).unwrap(), ImageFormat::RawTrack);

    let mut bytes = fs::read(&path).unwrap();
    bytes[65_536] = 1;
    fs::write(&path, &bytes).unwrap();
    let message = format(&OpenOptions::default()).unwrap_err().to_string();
    assert!(message.contains("--type raw-track or --type fba"), "{message}");
    for kind in [ImageFormat::RawTrack, ImageFormat::Fba] {
        assert_eq!(format(&OpenOptions { kind: Some(kind), ..OpenOptions::default() }).unwrap(), kind);
    }

    bytes.fill(0);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(format(&OpenOptions::default()).unwrap(), ImageFormat::Fba);
    assert!(format(&OpenOptions { kind: Some(ImageFormat::Ckd), ..OpenOptions::default() }).is_err());
}
