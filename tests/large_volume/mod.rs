//! The largest volume there is, in memory: a 3390 of 262,668 cylinders with 100,000 data sets.
//!
//! Each data set has one extent of 39 tracks, or three of 13 that lie scattered. The volume is cut into slots of 39 tracks; third `k` of data set `i`
//! lies in slot `i × m mod 100,000`, and as each factor `m` has no divisor in common with 100,000, every slot has one
//! data set in each of its thirds.

use tapegate::catalog::Extent;
use tapegate::plan::{FileClass, FileSpec, UnitList};

/// Tracks of the volume.
pub const TRACKS: u32 = 262_668 * 15;
/// Data sets on it.
pub const DATA_SETS: u32 = 100_000;
/// Tracks of an extent.
pub const EXTENT_TRACKS: u32 = 13;
/// Where the three extents of a data set lie.
const FACTORS: [u32; 3] = [1, 3, 7];
/// Tracks in front of the first slot: label and VTOC.
const FIRST_SLOT: u32 = 60;

/// First track of extent `k` of data set `i`.
pub fn first_track(i: u32, k: u32) -> u32 {
    let slot = i * FACTORS[k as usize] % DATA_SETS;
    FIRST_SLOT + slot * 3 * EXTENT_TRACKS + k * EXTENT_TRACKS
}

/// Length of a track's body: anything from an empty track to a full one.
pub fn body_bytes(track: u32) -> u32 {
    29 + track.wrapping_mul(2_654_435_761) % 56_600
}

/// Lengths of all tracks.
pub fn bodies() -> Vec<u32> {
    (0..TRACKS).map(body_bytes).collect()
}

/// The data sets, and the tracks that none has; with `scattered` in three extents, else in one.
#[allow(clippy::unwrap_used, reason = "names and extents are right by their making")]
pub fn files(scattered: bool) -> Vec<FileSpec> {
    let mut files: Vec<_> = (0..DATA_SETS)
        .map(|i| {
            let extents = if scattered {
                [0, 1, 2].map(|k| Extent { first: first_track(i, k), tracks: EXTENT_TRACKS }).to_vec()
            } else {
                vec![Extent { first: first_track(i, 0), tracks: 3 * EXTENT_TRACKS }]
            };
            let name = format!("LARGE.VOLUME.D{i:06}").parse().unwrap();
            FileSpec::tracks(name, FileClass::DataSet, UnitList::from_extents(&extents).unwrap())
        })
        .collect();
    let rest = UnitList::complement(files.iter().map(|file| &file.allocated), TRACKS);
    files.push(FileSpec::tracks("TAPEGATE.REST".parse().unwrap(), FileClass::Rest, rest));
    files
}
