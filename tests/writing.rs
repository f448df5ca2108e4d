//! Compressed images that are written in place are to Hercules what the originals are.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{assert_same_units, fixture, has, open, peer, units, units_of};
use tapegate::volume::create::{CreateOptions, NewImage};
use tapegate::volume::{ImageFormat, OpenOptions, UnitIndex, Volume};

/// Bytes of a write, as a front-end for files cuts them.
const PIECE_BYTES: usize = 4096;

/// Writes every unit of `original` into `volume`, piece by piece, after other things were there, and closes it.
fn write_all(original: &Volume, volume: Volume) {
    let units = original.shape().units();
    let slot_of = |volume: &Volume, unit: u32| {
        let mut slot = vec![0; volume.shape().unit_bytes(UnitIndex(unit)) as usize];
        volume.read_slot(UnitIndex(unit), &mut slot).unwrap();
        slot
    };
    // The tracks of the beginning shifted by one, so that images have to find other places when their own come.
    for unit in 0..100.min(units) {
        let mut slot = slot_of(original, (unit + 1) % units);
        slot[..5].copy_from_slice(&slot_of(original, unit)[..5]);
        volume.write_slot(UnitIndex(unit), 0, &slot).unwrap();
    }
    volume.sync().unwrap();
    for unit in 0..units {
        let slot = slot_of(original, unit);
        let there = slot_of(&volume, unit);
        let pieces = slot.chunks(PIECE_BYTES).zip(there.chunks(PIECE_BYTES)).zip((0..).step_by(PIECE_BYTES));
        for ((piece, _), offset) in pieces.filter(|((piece, there), _)| piece != there) {
            volume.write_slot(UnitIndex(unit), offset, piece).unwrap();
        }
        if unit % 2000 == 0 {
            volume.sync().unwrap();
        }
    }
    assert_same_units(&units_of(original), &units_of(&volume), "what was written");
    volume.close().unwrap();
}

/// A compressed image without records.
fn empty(path: &Path, original: &Volume) {
    NewImage::create(path, original.shape(), &CreateOptions::new(ImageFormat::Cckd)).unwrap().finish(false).unwrap();
}

/// A shadow file that has nothing, made of a compressed image that has nothing: its first-level table is all ones.
fn empty_shadow(path: &Path, original: &Volume) {
    empty(path, original);
    let mut bytes = fs::read(path).unwrap();
    bytes[4] = b'S';
    bytes[1024..].fill(0xff);
    fs::write(path, bytes).unwrap();
}

/// What Hercules' programs read from a volume.
fn told(folder: &Path, image: &[&OsStr]) -> Vec<u8> {
    let list: Vec<&OsStr> = ["-info", "-caldt", "-expdt"].iter().map(OsStr::new).chain(image.iter().copied()).collect();
    let mut told = peer(folder, "dasdls", &list);
    for members in ["TAPEGATE.SOURCE/*", "SYS1.MACLIB/*", "DEMO.PDS/*"] {
        let cat: Vec<&OsStr> = std::iter::once(OsStr::new("-i")).chain(image.iter().copied()).chain([members.as_ref()]).collect();
        told.extend(peer(folder, "dasdcat", &cat));
    }
    let name = image[0].to_string_lossy().into_owned();
    String::from_utf8_lossy(&told).replace(&name, "").into_bytes()
}

fn check(image: &Path) {
    let check = Command::new("cckdcdsk").arg("-3").arg(image).output().unwrap();
    let said = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
    assert!(check.status.success() && !said.contains("HHC"), "cckdcdsk -3 {}: {said}", image.display());
}

#[test]
fn hercules_reads_what_was_written_in_place() {
    if !(has("dasdls") && has("dasdcat") && has("cckdcdsk") && has("cckd2ckd")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { folder.path().join(name) };
    let demo = fixture("demo.cckd");
    let original = open(&demo);
    let expected = told(folder.path(), &[demo.as_os_str()]);
    assert!(expected.len() > 200, "{}", String::from_utf8_lossy(&expected));

    let image = at("image");
    empty(&image, &original);
    write_all(&original, Volume::open_for_update(&image, &OpenOptions::default()).unwrap());
    check(&image);
    assert_same_units(&units(&demo), &units(&image), "written in place");
    assert_eq!(told(folder.path(), &[image.as_os_str()]), expected);

    let (base, shadow) = (at("base"), at("shadow_1.cckd"));
    empty(&base, &original);
    empty_shadow(&shadow, &original);
    let below = fs::read(&base).unwrap();
    let options = OpenOptions { shadow_pattern: Some(at("shadow_*.cckd")), ..OpenOptions::default() };
    write_all(&original, Volume::open_for_update(&base, &options).unwrap());
    assert!(fs::read(&base).unwrap() == below);
    check(&shadow);
    let pattern = format!("sf={}", at("shadow_*.cckd").display());
    assert_eq!(told(folder.path(), &[base.as_os_str(), pattern.as_ref()]), expected, "through a shadow file");
    let expanded = at("expanded");
    peer(folder.path(), "cckd2ckd", &[base.as_os_str(), pattern.as_ref(), expanded.as_os_str()]);
    assert_same_units(&units(&demo), &units(&expanded), "expanded by cckd2ckd");
}
