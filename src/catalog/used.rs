//! How many tracks of a data set are in use.
//!
//! `DS1LSTAR` is a fence, not the truth: it is written when a data set is closed, and its record number means the last
//! block on MVS and the end-of-file record in volumes of `dasdload`. So the count fields are walked to the end-of-file
//! record. Where the two disagree the larger is taken, so that nothing that either counts is left out, and a finding
//! says so.

use tapegate_formats::dasd::track::Record;

use super::data_set::{DataSet, DataSetKind};
use super::members;
use super::source::{TrackSource, read_walked};
use crate::finding::Finding;
use crate::volume::VolumeError;

/// What is in use of a data set, from its first track on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedTracks {
    /// Relative tracks in use; the track of the end-of-file record is one of them.
    pub tracks: u32,
    /// How the end was found.
    pub end: UsedEnd,
}

/// Where the used part of a data set ends, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UsedEnd {
    /// At an end-of-file record.
    FoundEof {
        /// Its track, relative to the data set.
        track: u32,
        /// Its record number.
        record: u8,
    },
    /// At `DS1LSTAR`: the data set goes on on another volume, and has its end-of-file record there.
    Fence,
    /// There is no end-of-file record: all tracks are taken.
    NoEof,
    /// The organisation keeps no last track: all tracks are taken.
    WholeAllocation,
}

/// Finds how many tracks of `data_set` are in use.
///
/// # Errors
/// When the volume can't be read. A damaged track is a finding.
pub fn used_tracks(source: &impl TrackSource, data_set: &DataSet) -> Result<(UsedTracks, Vec<Finding>), VolumeError> {
    let mut findings = Vec::new();
    let allocated = data_set.tracks();
    let whole = UsedTracks { tracks: allocated, end: UsedEnd::WholeAllocation };
    let Some((last_track, last_record)) = data_set.last_used else { return Ok((whole, findings)) };
    // Where extents are missing or belong to others too, relative tracks mean nothing.
    if allocated == 0 || data_set.defective {
        return Ok((whole, findings));
    }
    let mut report = |finding: Finding| findings.push(finding.of(data_set.name));
    if last_track >= allocated {
        report(Finding::damage(
            "lstar-outside",
            format!("DS1LSTAR names track {last_track} of {allocated}; all tracks are taken"),
        ));
        return Ok((whole, findings));
    }
    let used = match data_set.kind {
        // The blocks of an extended format data set have a suffix that tells which are old: not read here, so all are taken.
        DataSetKind::Extended => whole,
        DataSetKind::Partitioned => partitioned(source, data_set, last_track, &mut findings)?,
        _ => sequential(source, data_set, (last_track, last_record), &mut findings)?,
    };
    debug_assert!(used.tracks <= allocated);
    Ok((used, findings))
}

/// A record's place in a data set: relative track, and record number.
type Place = (u32, u8);

fn sequential(
    source: &impl TrackSource,
    data_set: &DataSet,
    fence: Place,
    findings: &mut Vec<Finding>,
) -> Result<UsedTracks, VolumeError> {
    let allocated = data_set.tracks();
    let (last_track, last_record) = fence;
    if !data_set.last_volume {
        if let Some((track, record)) = find_eof(source, data_set, (0, 1), last_track.saturating_add(2).min(allocated), findings)?
        {
            let tracks = (track + 1).max(last_track + 1);
            return Ok(UsedTracks { tracks, end: UsedEnd::FoundEof { track, record } });
        }
        if fence == (0, 0) {
            let detail =
                "no end-of-file record and no DS1LSTAR on this volume, which is not the data set's last: all tracks are taken";
            findings.push(Finding::note("no-end-of-file", detail).of(data_set.name));
            return Ok(UsedTracks { tracks: allocated, end: UsedEnd::WholeAllocation });
        }
        return Ok(UsedTracks { tracks: last_track + 1, end: UsedEnd::Fence });
    }
    let Some((track, record)) = find_eof(source, data_set, (0, 1), allocated, findings)? else {
        // Nothing is lost, since all tracks are taken. Full data sets of MVS end so, and SYS1.LOGREC always does.
        let detail = if fence == (0, 0) {
            "no end-of-file record: never written; all tracks are taken".to_owned()
        } else {
            format!("no end-of-file record (DS1LSTAR is {}); all tracks are taken", place(fence))
        };
        findings.push(Finding::note("no-end-of-file", detail).of(data_set.name));
        return Ok(UsedTracks { tracks: allocated, end: UsedEnd::NoEof });
    };
    // The fence is the end-of-file record itself (dasdload) or the block before it (MVS), which may be on the track before.
    let agrees =
        fence == (track, record) || fence == (track, record.saturating_sub(1)) || (last_track + 1 == track && record == 1);
    // Never written, and given its end-of-file record by whoever allocated it.
    let empty = fence == (0, 0) && (track, record) == (0, 1);
    if !agrees && !empty {
        let taken = if track >= last_track { "up to the record is taken" } else { "up to DS1LSTAR is taken" };
        let detail = format!(
            "the end-of-file record is {} and DS1LSTAR is {}; all {taken}",
            place((track, record)),
            place((last_track, last_record))
        );
        findings.push(Finding::note("lstar-disagrees", detail).of(data_set.name));
    }
    Ok(UsedTracks { tracks: track.max(last_track) + 1, end: UsedEnd::FoundEof { track, record } })
}

fn partitioned(
    source: &impl TrackSource,
    data_set: &DataSet,
    last_track: u32,
    findings: &mut Vec<Finding>,
) -> Result<UsedTracks, VolumeError> {
    let allocated = data_set.tracks();
    let directory = members::read_directory(source, data_set, findings)?;
    let Some(end_of_directory) = directory.end else {
        findings.push(Finding::damage("no-directory-end", "the directory does not end; all tracks are taken").of(data_set.name));
        return Ok(UsedTracks { tracks: allocated, end: UsedEnd::NoEof });
    };
    let places = directory.members.iter().map(|member| (member.track, member.record));
    let Some(last_member) = places.filter(|(track, _)| *track < allocated).max() else {
        let (track, record) = end_of_directory;
        return Ok(UsedTracks { tracks: track.max(last_track) + 1, end: UsedEnd::FoundEof { track, record } });
    };
    let Some((track, record)) = find_eof(source, data_set, last_member, allocated, findings)? else {
        // The directory sends a reader into the void, whatever is taken.
        let detail = format!("the last member, at {}, has no end-of-file record; all tracks are taken", place(last_member));
        findings.push(Finding::damage("no-end-of-file", detail).of(data_set.name));
        return Ok(UsedTracks { tracks: allocated, end: UsedEnd::NoEof });
    };
    if track > last_track {
        let detail = format!(
            "the last member ends on track {track} and DS1LSTAR is track {last_track}; all up to the member's end is taken"
        );
        findings.push(Finding::note("lstar-disagrees", detail).of(data_set.name));
    }
    let tracks = track.max(last_track).max(end_of_directory.0) + 1;
    Ok(UsedTracks { tracks, end: UsedEnd::FoundEof { track, record } })
}

/// Finds the first end-of-file record from `start` on, on a track below `tracks`.
fn find_eof(
    source: &impl TrackSource,
    data_set: &DataSet,
    start: Place,
    tracks: u32,
    findings: &mut Vec<Finding>,
) -> Result<Option<Place>, VolumeError> {
    let mut bytes = Vec::new();
    let mut passed_start = false;
    for relative in start.0..tracks {
        let Some(number) = data_set.track(relative) else { break };
        let Some(track) = read_walked(source, number, &mut bytes, findings)? else {
            passed_start = true;
            continue;
        };
        // Record numbers need not ascend: on the first track the search begins where the record itself lies.
        let from_start = |record: &Record<'_>| {
            passed_start |= relative > start.0 || start.1 <= 1 || record.count.record == start.1;
            passed_start
        };
        let mut records = track.user_records().filter(from_start);
        if let Some(record) = records.find(|record| record.count.is_end_of_file()) {
            return Ok(Some((relative, record.count.record)));
        }
    }
    Ok(None)
}

fn place((track, record): Place) -> String {
    format!("track {track} record {record}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::memory::MemoryVolume;
    use crate::catalog::{DataSet, Extent};

    /// A data set on tracks 30 to 33 and 60 to 61, with `DS1LSTAR`.
    fn data_set(kind: DataSetKind, last_used: Place) -> DataSet {
        let extents = vec![Extent { first: 30, tracks: 4 }, Extent { first: 60, tracks: 2 }];
        DataSet { last_used: Some(last_used), ..DataSet::bare("A.B".parse().unwrap(), kind, extents) }
    }

    /// A volume with two blocks on each of the data set's first `full` tracks, behind them an end-of-file record.
    fn written(full: u32) -> MemoryVolume {
        let mut volume = MemoryVolume::blank(10);
        let place = data_set(DataSetKind::Sequential, (0, 0));
        for relative in 0..full {
            let track = place.track(relative).unwrap().0;
            volume.add(track, 1, &[], &[0xc1; 800]);
            volume.add(track, 2, &[], &[0xc2; 800]);
        }
        volume
    }

    fn add_eof(volume: &mut MemoryVolume, relative: u32, record: u8) {
        let track = data_set(DataSetKind::Sequential, (0, 0)).track(relative).unwrap().0;
        volume.add(track, record, &[], &[]);
    }

    fn used(volume: &MemoryVolume, data_set: &DataSet) -> (u32, UsedEnd, Vec<String>) {
        let (used, findings) = used_tracks(volume, data_set).unwrap();
        (used.tracks, used.end, findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn both_readings_of_lstar_agree_with_the_end_of_file_record() {
        let mut volume = written(3);
        add_eof(&mut volume, 2, 3);
        for last in [(2, 2), (2, 3)] {
            let found = UsedEnd::FoundEof { track: 2, record: 3 };
            assert_eq!(used(&volume, &data_set(DataSetKind::Sequential, last)), (3, found, vec![]));
        }
    }

    #[test]
    fn an_end_of_file_record_alone_on_the_next_track_and_extent_is_in_use() {
        let mut volume = written(4);
        add_eof(&mut volume, 4, 1);
        let found = UsedEnd::FoundEof { track: 4, record: 1 };
        assert_eq!(used(&volume, &data_set(DataSetKind::Sequential, (3, 2))), (5, found, vec![]));
    }

    #[test]
    fn where_lstar_disagrees_the_larger_is_taken_and_told() {
        let mut volume = written(5);
        add_eof(&mut volume, 4, 3);
        let (tracks, end, findings) = used(&volume, &data_set(DataSetKind::Sequential, (1, 1)));
        assert_eq!((tracks, end), (5, UsedEnd::FoundEof { track: 4, record: 3 }));
        assert_eq!(
            findings,
            ["A.B: the end-of-file record is track 4 record 3 and DS1LSTAR is track 1 record 1; all up to the record is taken"]
        );
        let (tracks, _, findings) = used(&volume, &data_set(DataSetKind::Sequential, (5, 1)));
        assert_eq!((tracks, findings.len()), (6, 1));
    }

    #[test]
    fn without_an_end_of_file_record_all_tracks_are_taken() {
        for last in [(0, 0), (2, 2)] {
            let (tracks, end, findings) = used(&written(6), &data_set(DataSetKind::Sequential, last));
            assert_eq!((tracks, end, findings.len()), (6, UsedEnd::NoEof, 1));
        }
    }

    #[test]
    fn a_part_that_goes_on_elsewhere_ends_at_lstar() {
        let part = DataSet { last_volume: false, ..data_set(DataSetKind::Sequential, (3, 2)) };
        assert_eq!(used(&written(6), &part), (4, UsedEnd::Fence, vec![]));
        let (tracks, end, findings) = used(&written(6), &DataSet { last_used: Some((0, 0)), ..part });
        assert_eq!((tracks, end, findings.len()), (6, UsedEnd::WholeAllocation, 1));
    }

    #[test]
    fn a_track_outside_the_allocation_is_not_believed() {
        let (tracks, end, findings) = used(&written(6), &data_set(DataSetKind::Sequential, (6, 1)));
        assert_eq!((tracks, end), (6, UsedEnd::WholeAllocation));
        assert_eq!(findings, ["A.B: DS1LSTAR names track 6 of 6; all tracks are taken"]);
    }

    #[test]
    fn a_damaged_track_is_told_and_passed_over() {
        let mut volume = written(1);
        volume.damage(31);
        add_eof(&mut volume, 2, 1);
        let (tracks, _, findings) = used(&volume, &data_set(DataSetKind::Sequential, (1, 2)));
        assert_eq!((tracks, findings.len()), (3, 1));
    }

    /// A directory of one block with members at the given places, ended by its end-of-file record.
    fn library(members: &[(u8, u8)]) -> MemoryVolume {
        let mut volume = MemoryVolume::blank(10);
        let mut block = vec![0, 0];
        for (index, (track, record)) in members.iter().enumerate() {
            block.extend([0xc1 + u8::try_from(index).unwrap(), 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0x40, 0, *track, *record, 0]);
        }
        block.extend([0xff; 8]);
        block[1] = u8::try_from(block.len()).unwrap();
        block.resize(256, 0);
        volume.add(30, 1, &[0xff; 8], &block);
        volume.add(30, 2, &[], &[]);
        volume
    }

    #[test]
    fn a_library_ends_with_its_last_member_also_past_lstar() {
        let mut volume = library(&[(1, 1), (0, 3)]);
        volume.add(30, 3, &[], &[0xc1; 80]);
        volume.add(30, 4, &[], &[]);
        volume.add(31, 1, &[], &[0xc1; 80]);
        volume.add(32, 1, &[], &[]);
        let found = UsedEnd::FoundEof { track: 2, record: 1 };
        assert_eq!(used(&volume, &data_set(DataSetKind::Partitioned, (3, 1))), (4, found, vec![]));
        let (tracks, end, findings) = used(&volume, &data_set(DataSetKind::Partitioned, (0, 4)));
        assert_eq!((tracks, end), (3, found));
        assert_eq!(
            findings,
            ["A.B: the last member ends on track 2 and DS1LSTAR is track 0; all up to the member's end is taken"]
        );
    }

    #[test]
    fn an_empty_library_ends_behind_its_directory() {
        let found = UsedEnd::FoundEof { track: 0, record: 2 };
        assert_eq!(used(&library(&[]), &data_set(DataSetKind::Partitioned, (0, 2))), (1, found, vec![]));
    }

    #[test]
    fn a_library_without_a_directory_or_with_a_member_in_the_void_takes_all_tracks() {
        let (tracks, _, findings) = used(&written(6), &data_set(DataSetKind::Partitioned, (2, 1)));
        assert_eq!((tracks, findings.len()), (6, 2));
        assert!(
            findings[0].ends_with("key length 0 and data length 800 are no directory block: they are 8 and 256"),
            "{findings:?}"
        );
        let (tracks, _, findings) = used(&library(&[(9, 1), (1, 1)]), &data_set(DataSetKind::Partitioned, (1, 1)));
        assert_eq!(tracks, 6);
        assert!(findings[0].ends_with("member A begins on track 9 of 6"), "{findings:?}");
        assert!(findings[1].starts_with("A.B: the last member, at track 1 record 1, has no end-of-file record"), "{findings:?}");
    }

    #[test]
    fn a_data_set_whose_extents_make_no_sense_is_taken_whole() {
        let mut volume = written(2);
        add_eof(&mut volume, 1, 3);
        let data_set = DataSet { defective: true, ..data_set(DataSetKind::Sequential, (1, 2)) };
        assert_eq!(used(&volume, &data_set), (6, UsedEnd::WholeAllocation, vec![]));
    }

    #[test]
    fn organisations_without_a_last_track_take_all() {
        for kind in [DataSetKind::Vsam, DataSetKind::Direct, DataSetKind::Unknown, DataSetKind::Extended] {
            let data_set = DataSet { last_used: None, ..data_set(kind, (0, 0)) };
            assert_eq!(used(&written(6), &data_set), (6, UsedEnd::WholeAllocation, vec![]));
        }
    }
}
