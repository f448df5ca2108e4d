//! A tape of ours that holds anything is verified and restored, or refused with an error that names the tape.
//!
//! Checksums are put right first, so that what lies behind them is reached.
#![no_main]

use std::sync::atomic::AtomicBool;

use libfuzzer_sys::fuzz_target;
use tapegate::plan::pattern::Selection;
use tapegate::restore::{NewImageOptions, TapeVolume, restore_new, verify};
use tapegate::snapshot::NoMonitor;
use tapegate::volume::create::CreateOptions;
use tapegate::volume::{ImageFormat, OpenOptions, Shape, Volume};
use tapegate_formats::tape::description::DESCRIPTION_HEADER_BYTES;
use tapegate_formats::tape::unit::UNIT_MAGIC;
use tapegate_fuzz::{check_error, scratch_file};

/// Larger volumes are only verified: an image of them takes long to make.
const MOST_UNITS: u32 = 3_000;

/// Where each byte of each tape file lies, as far as the image is one.
fn streams(tape: &[u8]) -> Vec<Vec<usize>> {
    let mut streams = vec![Vec::new()];
    let mut at = 0;
    while let Some(&[low, high, _, _, flags, _]) = tape.get(at..).and_then(|rest| rest.first_chunk()) {
        let length = usize::from(u16::from_le_bytes([low, high]));
        at += 6;
        if flags & 0x40 != 0 {
            streams.push(Vec::new());
        } else if let Some(last) = streams.last_mut() {
            last.extend(at..tape.len().min(at + length));
        }
        at += length;
    }
    streams
}

/// Puts the checksums of a stream right; gives nothing where it is too short for that.
fn mend(stream: &mut [u8]) -> Option<()> {
    let mut at = 0;
    if stream.starts_with(&[0xe3, 0xc7, 0xe5, 0xd6, 0xd3, 0xe4, 0xd4, 0xc5]) {
        let bytes = u64::from_be_bytes(*stream.get(64..72)?.first_chunk()?);
        at = usize::try_from(bytes).ok()?.checked_add(DESCRIPTION_HEADER_BYTES)?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(stream.get(..124)?), stream.get(DESCRIPTION_HEADER_BYTES..at)?);
        stream.get_mut(124..128)?.copy_from_slice(&crc.to_be_bytes());
    }
    loop {
        let unit = stream.get_mut(at..)?;
        if !unit.starts_with(&UNIT_MAGIC) {
            return None;
        }
        let [_, length @ ..] = *unit.get(8..12)?.first_chunk::<4>()?;
        let end = 16 + u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&unit[..12]), unit.get(16..end)?);
        unit.get_mut(12..16)?.copy_from_slice(&crc.to_be_bytes());
        at += end;
    }
}

fuzz_target!(|input: &[u8]| {
    let mut tape = input.to_vec();
    for positions in streams(input) {
        let mut stream: Vec<u8> = positions.iter().map(|&at| tape[at]).collect();
        mend(&mut stream);
        for (&at, byte) in positions.iter().zip(stream) {
            tape[at] = byte;
        }
    }
    let path = scratch_file("tape.aws", &tape);
    let tape = match TapeVolume::open(&path, |_| {}) {
        Ok(tape) => tape,
        Err(error) => return check_error(&error, &path),
    };
    let verified = verify(&tape, None, None, 1, &NoMonitor);
    if tape.shape().units() > MOST_UNITS {
        return;
    }
    let image = path.with_file_name("new");
    let _ = std::fs::remove_file(&image);
    let format = match tape.shape() {
        Shape::Ckd(_) if input.len() % 2 == 0 => ImageFormat::Ckd,
        Shape::Ckd(_) => ImageFormat::Cckd,
        Shape::FixedBlock(_) => ImageFormat::Fba,
    };
    let options = NewImageOptions {
        image: image.clone(),
        create: CreateOptions::new(format),
        selection: &Selection::default(),
        threads: 1,
        sync: false,
    };
    match restore_new(&tape, None, &options, &AtomicBool::new(false), &NoMonitor) {
        Ok(_) => {
            verified.expect("what can be restored can be verified");
            Volume::open(&image, &OpenOptions::default()).expect("what was restored is a volume");
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert!(!image.exists(), "no image is left after: {error}");
        }
    }
});
