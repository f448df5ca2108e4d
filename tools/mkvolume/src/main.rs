//! Writes a 3390 volume (one CKD_P370 file) full of data, for benchmarks and tests.
//!
//! It depends on none of tapegate's crates, so that a mistake there cannot hide here. Track 0 holds IPL records and
//! the volume label, the VTOC follows, and sequential data sets of equal size fill the rest.

mod text;
mod track;
mod vtoc;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Parser;

use crate::text::{Pool, Random};
use crate::track::{HEADS, SLOT_BYTES, Slot, records_per_track};
use crate::vtoc::DataSet;

/// Writes a 3390 volume (one CKD_P370 file) whose sequential data sets fill it.
#[derive(Debug, Parser)]
struct Options {
    /// The image to write; it must not exist
    output: PathBuf,
    /// Cylinders; 3,339 are a 3390-3
    #[arg(long, default_value_t = 3339, value_parser = clap::value_parser!(u32).range(1..=65_520))]
    cylinders: u32,
    /// Bytes a block: a number from 256 to 32,760, or `mixed` for another size in each data set
    #[arg(long, default_value = "27998")]
    block_size: BlockSize,
    /// Data sets that fill the volume
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=9999))]
    data_sets: u16,
    /// Serial of the volume
    #[arg(long, default_value = "BENCH1")]
    volser: String,
    /// Seed of the data; the same seed gives the same volume
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockSize {
    Fixed(u16),
    Mixed,
}

impl std::str::FromStr for BlockSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "mixed" {
            return Ok(Self::Mixed);
        }
        match text.parse() {
            Ok(bytes @ 256..=32_760) => Ok(Self::Fixed(bytes)),
            _ => Err("neither `mixed` nor a number from 256 to 32760".to_owned()),
        }
    }
}

impl BlockSize {
    /// The block size of the data set with this number, from 0.
    fn of(self, number: usize) -> u16 {
        const MIXED: [u16; 6] = [27_998, 4_096, 27_920, 6_160, 800, 32_760];
        match self {
            Self::Fixed(bytes) => bytes,
            Self::Mixed => MIXED[number % MIXED.len()],
        }
    }
}

/// Lays the data sets end to end behind the VTOC, the first ones a track longer where the space does not divide.
fn lay_out(options: &Options, first: u32) -> Result<Vec<DataSet>> {
    let (tracks, sets) = (options.cylinders * HEADS - first, u32::from(options.data_sets));
    ensure!(tracks >= sets, "{sets} data sets do not fit into {tracks} tracks");
    ensure!(tracks.div_ceil(sets) <= 65_535, "a data set would have more than 65,535 tracks: ask for more data sets");
    let mut next = first;
    Ok((0..sets)
        .map(|number| {
            let tracks = tracks / sets + u32::from(number < tracks % sets);
            let name = format!("BENCH.DATA.N{:05}", number + 1);
            let block_size = options.block_size.of(number as usize);
            let set = DataSet { name, first: next, tracks, block_size };
            next += tracks;
            set
        })
        .collect())
}

/// Writes the volume in order, a cylinder at a time.
fn write_volume(options: &Options, path: &Path) -> Result<()> {
    ensure!(
        (1..=6).contains(&options.volser.len())
            && options.volser.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()),
        "a volume serial has one to six letters and digits, not `{}`",
        options.volser
    );
    let vtoc_tracks = vtoc::tracks_for(usize::from(options.data_sets));
    ensure!(vtoc_tracks < options.cylinders * HEADS, "the VTOC alone needs {vtoc_tracks} tracks");
    let sets = lay_out(options, 1 + vtoc_tracks)?;
    let file = File::create_new(path).with_context(|| format!("creating {}", path.display()))?;
    let mut out = BufWriter::with_capacity(HEADS as usize * SLOT_BYTES * 2, file);
    out.write_all(&track::device_header())?;
    let mut slot = Slot::new();
    for number in 0..=vtoc_tracks {
        slot.begin(number);
        if number == 0 {
            vtoc::write_labels(&mut slot, &options.volser);
        } else {
            vtoc::write_dscbs(&mut slot, number, options.cylinders, &options.volser, &sets);
        }
        out.write_all(slot.finish())?;
    }
    let mut random = Random::new(options.seed);
    let pool = Pool::new(&mut random);
    for set in &sets {
        let blocks = records_per_track(0, set.block_size);
        for relative in 0..set.tracks {
            slot.begin(set.first + relative);
            // The last track has an end-of-file record in place of its last block.
            let last = relative + 1 == set.tracks;
            for _ in 0..blocks - u32::from(last) {
                pool.fill(&mut random, slot.record(0, set.block_size));
            }
            if last {
                slot.record(0, 0);
            }
            out.write_all(slot.finish())?;
        }
    }
    out.into_inner().context("writing the last tracks")?;
    Ok(())
}

fn main() -> Result<()> {
    let options = Options::parse();
    write_volume(&options, &options.output).with_context(|| format!("writing {}", options.output.display()))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn options(arguments: &[&str]) -> Options {
        Options::parse_from(["mkvolume", "unused"].iter().chain(arguments))
    }

    #[test]
    fn a_volume_has_the_size_of_its_tracks_and_the_same_seed_gives_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let options = options(&["--cylinders", "2", "--data-sets", "3", "--block-size", "mixed"]);
        write_volume(&options, &one).unwrap();
        write_volume(&options, &two).unwrap();
        let bytes = std::fs::read(&one).unwrap();
        assert_eq!(bytes.len(), 512 + 30 * 56_832);
        assert!(bytes == std::fs::read(&two).unwrap());
        assert!(write_volume(&options, &one).is_err(), "an image that exists is left alone");
    }

    /// Hercules lists the data sets with the attributes and sizes that were asked for, and copies one out.
    #[test]
    fn hercules_reads_the_volume() {
        if Command::new("dasdls").output().is_err() {
            println!("skipped: dasdls of Hercules is not installed");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("volume.ckd");
        let arguments = ["--cylinders", "5", "--data-sets", "4", "--block-size", "27920", "--volser", "PEER01"];
        write_volume(&options(&arguments), &image).unwrap();
        let output = Command::new("dasdls").arg("-info").arg(&image).output().unwrap();
        let listing = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(listing.contains("VOLSER=PEER01"), "{listing}");
        let lines: Vec<_> = listing.lines().filter(|line| line.starts_with("BENCH.DATA.N")).collect();
        assert_eq!(lines.len(), 4, "{listing}");
        for line in lines {
            let words: Vec<_> = line.split_whitespace().collect();
            assert_eq!(words[2..6], ["PS", "FB", "80", "27920"], "{line}");
        }
        // 75 tracks, one of labels and one of VTOC: the last data set has 18, of two blocks each but the last.
        let output = Command::new("dasdseq").arg(&image).arg("BENCH.DATA.N00004").current_dir(&folder).output().unwrap();
        let copied = folder.path().join("BENCH.DATA.N00004");
        let bytes = std::fs::read(&copied).unwrap_or_default();
        assert_eq!(bytes.len(), (18 * 2 - 1) * 27_920, "{}", String::from_utf8_lossy(&output.stdout));
    }
}
