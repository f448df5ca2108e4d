//! Images of all formats behind the files: what is read is the volume, what is written is on it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use tapegate::channel::files::{Entry, ImageLayout};
use tapegate::gate::VolumeGate;
use tapegate::volume::{OpenOptions, Shape, Volume};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tempfile::tempdir;

use crate::common::{CKD_FIXTURES, assert_same_units, fixture, has, open, peer, track, units};
use crate::mounted::{LONG, Mounted, mount};

fn served(name: &str, volume: Volume) -> Option<Mounted> {
    mount(&[Entry { name: name.to_owned(), gate: VolumeGate::new(name, Arc::new(volume)), read_only: false }])
}

/// A fixture of one's own, served for update.
fn updated(name: &str, folder: &Path) -> (std::path::PathBuf, Option<Mounted>) {
    let path = folder.join(name);
    fs::write(&path, fs::read(fixture(name)).unwrap()).unwrap();
    let volume = Volume::open_for_update(&path, &OpenOptions::default()).unwrap();
    let mounted = served("disk", volume);
    (path, mounted)
}

#[test]
fn the_file_is_the_volume_whatever_its_format() {
    for name in CKD_FIXTURES.into_iter().chain(["tiny.fba", "tiny.cfba"]) {
        let path = fixture(name);
        let volume = open(&path);
        let (extension, size) = match volume.shape() {
            Shape::Ckd(geometry) => ("ckd", 512 + u64::from(geometry.tracks()) * u64::from(geometry.slot_bytes())),
            Shape::FixedBlock(shape) => ("fba", shape.blocks * u64::from(shape.block_bytes)),
        };
        let Some(mounted) = served("disk", volume) else { return };
        let file = mounted.path(&format!("disk.{extension}"));
        assert_eq!(fs::metadata(&file).unwrap().len(), size, "{name}");
        assert_same_units(&units(&path), &units(&file), name);
    }
}

/// `cckd2ckd` and `cfba2fba` of Hercules make the same plain image.
#[test]
fn the_file_is_what_hercules_makes_of_the_volume() {
    for (name, program) in
        [("linux.cckd", "cckd2ckd"), ("bzip2.cckd", "cckd2ckd"), ("stored.cckd", "cckd2ckd"), ("tiny.cfba", "cfba2fba")]
    {
        if !has(program) {
            return;
        }
        let folder = tempdir().unwrap();
        // The programs open their source for writing.
        let source = folder.path().join(name);
        fs::write(&source, fs::read(fixture(name)).unwrap()).unwrap();
        peer(folder.path(), program, &["-q".as_ref(), name.as_ref(), "plain".as_ref()]);
        let theirs = folder.path().join("plain");
        let Some(mounted) = served("disk", open(&source)) else { return };
        let file = mounted.mount().paths().remove(0);
        if name.ends_with("cfba") {
            assert_eq!(fs::read(&file).unwrap(), fs::read(&theirs).unwrap(), "{name}");
        } else {
            let head = |path: &Path| fs::read(path).unwrap()[..512].to_vec();
            assert_eq!(head(&file), head(&theirs), "{name}");
            assert_eq!(fs::metadata(&file).unwrap().len(), fs::metadata(&theirs).unwrap().len(), "{name}");
            assert_same_units(&units(&theirs), &units(&file), name);
        }
    }
}

#[test]
fn the_header_is_that_of_dasdinit_for_every_device() {
    if !has("dasdinit") {
        return;
    }
    let folder = tempdir().unwrap();
    for device in DeviceType::ALL {
        let (name, kind) = (format!("{device}.ckd"), device.to_string());
        peer(folder.path(), "dasdinit", &[name.as_ref(), kind.as_ref(), "HEADER".as_ref(), "2".as_ref()]);
        let path = folder.path().join(&name);
        let Ok(theirs) = fs::read(&path) else { panic!("dasdinit made no {device}") };
        // One cylinder more: dasdinit counts an alternate one for some devices.
        let volume = open(&path);
        let layout = ImageLayout::of(volume.shape());
        assert_eq!(layout.header(), &theirs[..512], "{device}");
        assert_eq!(layout.size_bytes(), theirs.len() as u64, "{device}");
        let Shape::Ckd(geometry) = volume.shape() else { panic!("{device} has no tracks") };
        let standard = Geometry::standard(device, geometry.cylinders()).unwrap();
        if device != DeviceType::Ibm2305 {
            assert_eq!(*geometry, standard, "{device}");
        }
    }
}

#[test]
fn what_is_written_to_a_plain_image_is_in_its_file() {
    let folder = tempdir().unwrap();
    let (path, mounted) = updated("tiny.ckd", folder.path());
    let Some(mut mounted) = mounted else { return };
    let file = mounted.open("disk.ckd");
    let mut model = fs::read(&path).unwrap();
    assert_eq!(fs::read(mounted.path("disk.ckd")).unwrap(), model);
    // All of the third track but its home address, and across the border to the fourth track's data.
    let slot = u64::from(DeviceType::Ibm2311.slot_bytes());
    let place = 512 + 2 * slot + 5;
    let bytes: Vec<u8> = (0..slot as usize - 5).map(|at| (at % 251) as u8).collect();
    file.write_all_at(&bytes, place).unwrap();
    model[place as usize..][..bytes.len()].copy_from_slice(&bytes);
    let wrong = file.write_at(&[9; 10], 512 + 3 * slot).unwrap_err();
    assert_eq!(wrong.kind(), std::io::ErrorKind::InvalidInput, "a track under another's address: {wrong}");
    drop(file);
    mounted.take().unmount(LONG).unwrap();
    drop(mounted);
    assert!(fs::read(&path).unwrap() == model);
}

#[test]
fn what_is_written_to_fixed_blocks_is_in_their_file() {
    let folder = tempdir().unwrap();
    let (path, mounted) = updated("tiny.fba", folder.path());
    let Some(mut mounted) = mounted else { return };
    let mut model = fs::read(&path).unwrap();
    let file = mounted.open("disk.fba");
    let bytes = vec![0xa5; 9000];
    file.write_all_at(&bytes, 1234).unwrap();
    model[1234..10_234].copy_from_slice(&bytes);
    drop(file);
    mounted.take().unmount(LONG).unwrap();
    drop(mounted);
    assert!(fs::read(&path).unwrap() == model);
}

/// As programs do that know nothing of tracks: 4 KiB at a time, in order, so that tracks are half new in between.
#[test]
fn a_volume_copied_over_another_in_small_pieces_is_that_volume() {
    let folder = tempdir().unwrap();
    let (path, mounted) = updated("tiny.ckd", folder.path());
    let Some(mut mounted) = mounted else { return };
    let mut image = fs::read(&path).unwrap();
    let slot = DeviceType::Ibm2311.slot_bytes() as usize;
    for index in 0..30 {
        let body = track_of(DeviceType::Ibm2311, index);
        let place = 512 + index as usize * slot;
        image[place..place + slot].fill(0);
        image[place..place + body.len()].copy_from_slice(&body);
        image[place + body.len()..place + body.len() + 8].fill(0xff);
    }
    let copy = folder.path().join("copy");
    fs::write(&copy, &image).unwrap();
    let target = mounted.path("disk.ckd");
    let arguments: [&OsStr; 5] =
        ["bs=4k".as_ref(), "conv=notrunc,fsync".as_ref(), "status=none".as_ref(), "".as_ref(), "".as_ref()];
    let (from, to) = (format!("if={}", copy.display()), format!("of={}", target.display()));
    let arguments = [arguments[0], arguments[1], arguments[2], from.as_ref(), to.as_ref()];
    peer(folder.path(), "dd", &arguments);
    assert!(fs::read(&target).unwrap() == image);
    mounted.take().unmount(LONG).unwrap();
    drop(mounted);
    assert_same_units(&units(&copy), &units(&path), "the copied volume");
}

/// A track of a device with ten heads, with two records.
fn track_of(device: DeviceType, index: u32) -> Vec<u8> {
    let mut body = track(0, &[&[index as u8; 100], &[0x40; 900]]);
    let heads = u32::from(device.heads());
    let [_, _, c0, c1] = (index / heads).to_be_bytes();
    let [_, _, h0, h1] = (index % heads).to_be_bytes();
    let home = [c0, c1, h0, h1];
    for place in [1, 5, 21, 21 + 8 + 100] {
        body[place..place + 4].copy_from_slice(&home);
    }
    body
}
