//! A cylinder of raw tracks, 64 KiB each, that hold any bytes is read, or is no image of raw tracks.
//!
//! Input: two bytes for each track, which say how many bytes of the rest it has; all tracks begin with their own R0.
#![no_main]

use std::fs::OpenOptions as FileOptions;
use std::os::unix::fs::FileExt;

use libfuzzer_sys::fuzz_target;
use tapegate::catalog::Catalog;
use tapegate::volume::{ImageFormat, OpenOptions, Stage, UnitIndex, Volume};
use tapegate_fuzz::scratch_file;

const TRACKS: u8 = 15;

fuzz_target!(|input: &[u8]| {
    let Some((lengths, mut rest)) = input.split_first_chunk::<{ 2 * TRACKS as usize }>() else { return };
    let path = scratch_file("raw", &[]);
    let file = FileOptions::new().write(true).open(&path).expect("the scratch file is there");
    file.set_len(u64::from(TRACKS) << 16).expect("a hole can be made");
    for (track, length) in (0..TRACKS).zip(lengths.chunks(2)) {
        let length = usize::from(u16::from_be_bytes([length[0], length[1]])).min(rest.len());
        let (content, behind) = rest.split_at(length);
        rest = behind;
        let mut bytes = vec![0, 0, 0, track, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend(content);
        bytes.extend([0xff; 8]);
        bytes.truncate(1 << 16);
        file.write_all_at(&bytes, u64::from(track) << 16).expect("a track can be written");
    }
    let options = OpenOptions { kind: Some(ImageFormat::RawTrack), ..OpenOptions::default() };
    let volume = Volume::open(&path, &options).expect("a cylinder of tracks that begin with their R0");
    let mut stage = Stage::new();
    let mut measured = [0; TRACKS as usize];
    volume.measure_units(UnitIndex(0), &mut measured).expect("the file is whole");
    volume.read_units(UnitIndex(0), u32::from(TRACKS), &mut stage).expect("the file is whole");
    assert!(stage.units().map(|unit| unit.body.len() as u32).eq(measured));
    let _ = Catalog::of_volume(&volume);
});
