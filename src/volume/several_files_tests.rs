//! Volumes in several files: plain ones split at a cylinder, and bases under shadow files.

use std::fs;
use std::path::{Path, PathBuf};

use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::tape::unit::UnitKind;

use super::create::CreateOptions;
use super::round_trip_tests::{create, home, read_all, track};
use super::*;

/// Bytes of a 2311 cylinder in a plain image.
const CYLINDER: usize = 10 * 4096;

fn shape() -> Shape {
    Shape::Ckd(Geometry::standard(DeviceType::Ibm2311, 5).unwrap())
}

/// Tracks whose only record says `text` and the track's number; every fourth is left null.
fn tracks(text: &str) -> Vec<Option<Vec<u8>>> {
    let shape = shape();
    let record = |number: u32| vec![(Vec::new(), format!("{text} {number}").into_bytes())];
    (0..50).map(|number| (number % 4 != 3).then(|| track(home(&shape, number), [0; 8], &record(number)))).collect()
}

fn bodies(volume: &Volume) -> Vec<Vec<u8>> {
    let read = read_all(volume).unwrap().into_iter();
    read.map(|(kind, body)| {
        assert_eq!(kind, UnitKind::Track);
        body
    })
    .collect()
}

fn open(path: &Path) -> Result<Volume, VolumeError> {
    Volume::open(path, &OpenOptions::default())
}

/// Splits a plain image behind its second cylinder, with headers as Hercules 3.13 writes them.
fn split(whole: &Path, folder: &Path) -> [PathBuf; 2] {
    let bytes = fs::read(whole).unwrap();
    let (header, data) = bytes.split_at(512);
    let (first, second) = data.split_at(2 * CYLINDER);
    let paths = [folder.join("vol_1.ckd"), folder.join("vol_2.ckd")];
    for ((path, data), fields) in paths.iter().zip([first, second]).zip([[1, 1, 0], [2, 0, 0]]) {
        let mut file = header.to_vec();
        file[17..20].copy_from_slice(&fields);
        file.extend(data);
        fs::write(path, file).unwrap();
    }
    paths
}

#[test]
fn a_split_volume_reads_as_one_across_the_border() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    create(&whole, &shape(), &CreateOptions::new(ImageFormat::Ckd), &tracks("whole"));
    let [first, second] = split(&whole, folder.path());
    let volume = open(&first).unwrap();
    assert_eq!(volume.shape(), &shape());
    assert_eq!(volume.fingerprint().files.len(), 2);
    assert!(bodies(&volume) == bodies(&open(&whole).unwrap()));

    let message = open(&second).unwrap_err().to_string();
    assert!(message.contains("this is file 2 of a volume in several"), "{message}");
}

#[test]
fn a_split_volume_whose_files_do_not_belong_together_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    create(&whole, &shape(), &CreateOptions::new(ImageFormat::Ckd), &[]);
    let [first, second] = split(&whole, folder.path());
    let good = fs::read(&second).unwrap();
    let refusal = |place: usize, byte: u8| {
        let mut bad = good.clone();
        bad[place] = byte;
        fs::write(&second, bad).unwrap();
        open(&first).unwrap_err().to_string()
    };
    assert!(refusal(17, 3).contains("it says that it is file 3 where file 2 must be"));
    assert!(refusal(8, 11).contains("are not those of the volume's first file"));
    assert!(refusal(18, 9).contains("the header names 9 as the highest cylinder where the file's size makes it 4"));
    fs::write(&second, &good[..good.len() - 1]).unwrap();
    assert!(open(&first).unwrap_err().to_string().contains("the file ends inside cylinder 4"));
    fs::remove_file(&second).unwrap();
    assert!(matches!(open(&first), Err(VolumeError::Io { .. })));
}

/// Makes a shadow file from a compressed image of the whole volume: tracks of `kept` stay, the others lead below.
fn shadow_of(image: &Path, shadow: &Path, kept: impl Fn(usize) -> bool) {
    let mut bytes = fs::read(image).unwrap();
    bytes[4] = b'S';
    let table = bytes.len() - 2048;
    for number in (0..256).filter(|number| !kept(*number)) {
        bytes[table + 8 * number..table + 8 * number + 8].fill(0xff);
    }
    fs::write(shadow, bytes).unwrap();
}

#[test]
fn shadow_files_hide_what_lies_below_them_track_by_track() {
    for base_format in [ImageFormat::Ckd, ImageFormat::Cckd] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut wholes = Vec::new();
        for (name, format) in [("base", base_format), ("one", ImageFormat::Cckd), ("two", ImageFormat::Cckd)] {
            create(&at(name), &shape(), &CreateOptions::new(format), &tracks(name));
            wholes.push(bodies(&open(&at(name)).unwrap()));
        }
        shadow_of(&at("one"), &at("shadow_1.cckd"), |number| number % 2 == 0);
        shadow_of(&at("two"), &at("shadow_2.cckd"), |number| number % 3 == 0);
        let options = OpenOptions { shadow_pattern: Some(at("shadow_*.cckd")), ..OpenOptions::default() };
        let volume = Volume::open(&at("base"), &options).unwrap();
        assert_eq!((volume.format(), volume.shape()), (ImageFormat::Cckd, &shape()));
        assert_eq!(volume.fingerprint().files.len(), 3);
        for (number, body) in bodies(&volume).into_iter().enumerate() {
            let level = match number {
                number if number % 3 == 0 => 2,
                number if number % 2 == 0 => 1,
                _ => 0,
            };
            assert!(body == wholes[level][number], "track {number} over {base_format}");
        }
        // Named one by one, the lowest first.
        let options = OpenOptions { shadows: vec![at("shadow_1.cckd")], ..OpenOptions::default() };
        assert!(bodies(&Volume::open(&at("base"), &options).unwrap())[3] == wholes[0][3]);
    }
}

#[test]
fn a_null_entry_in_a_shadow_file_hides_the_track_below() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    create(&at("base"), &shape(), &CreateOptions::new(ImageFormat::Ckd), &tracks("base"));
    create(&at("empty"), &shape(), &CreateOptions::new(ImageFormat::Cckd), &[]);
    let mut bytes = fs::read(at("empty")).unwrap();
    bytes[4] = b'S';
    fs::write(at("shadow"), &bytes).unwrap();
    let options = OpenOptions { shadows: vec![at("shadow")], ..OpenOptions::default() };
    assert!(bodies(&Volume::open(&at("base"), &options).unwrap()).iter().all(|body| body.len() == 21));

    // A first-level entry of all ones is another matter.
    bytes[1024..1028].fill(0xff);
    fs::write(at("shadow"), &bytes).unwrap();
    let through = bodies(&Volume::open(&at("base"), &options).unwrap());
    assert!(through == bodies(&open(&at("base")).unwrap()));
}

#[test]
fn a_shadow_of_another_volume_or_no_shadow_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    create(&at("base"), &shape(), &CreateOptions::new(ImageFormat::Cckd), &[]);
    let other = Shape::Ckd(Geometry::standard(DeviceType::Ibm2311, 6).unwrap());
    create(&at("other"), &other, &CreateOptions::new(ImageFormat::Cckd), &[]);
    let with = |name: &str| {
        let options = OpenOptions { shadows: vec![at(name)], ..OpenOptions::default() };
        Volume::open(&at("base"), &options).unwrap_err().to_string()
    };
    assert!(with("other").contains("is no shadow file"));
    let mut bytes = fs::read(at("other")).unwrap();
    bytes[4] = b'S';
    fs::write(at("other"), &bytes).unwrap();
    assert!(with("other").contains("are not those of the base"));
}

#[test]
fn blocks_under_a_shadow_file_read_through_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let blocks = fixed_block::shape(120 * 3 + 8).unwrap();
    let shape = Shape::FixedBlock(blocks);
    let units = |byte| vec![Some(vec![byte; 4096]); 46];
    create(&at("base"), &shape, &CreateOptions::new(ImageFormat::Fba), &units(1));
    create(&at("shadow"), &shape, &CreateOptions::new(ImageFormat::CompressedFba), &units(2));
    let image = fs::read(at("shadow")).unwrap();
    fs::write(at("image"), image).unwrap();
    shadow_of(&at("image"), &at("shadow"), |group| group == 1);
    let options = OpenOptions { shadows: vec![at("shadow")], ..OpenOptions::default() };
    let volume = Volume::open(&at("base"), &options).unwrap();
    assert_eq!(volume.format(), ImageFormat::CompressedFba);
    for (unit, (_, body)) in read_all(&volume).unwrap().into_iter().enumerate() {
        let expected = if (15..30).contains(&unit) { 2 } else { 1 };
        assert!(body == vec![expected; 4096], "unit {unit}");
    }
}
