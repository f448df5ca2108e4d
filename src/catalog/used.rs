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
    if allocated == 0 {
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
        findings.push(
            if fence == (0, 0) {
                Finding::note("no-end-of-file", "no end-of-file record: never written; all tracks are taken")
            } else {
                Finding::damage(
                    "no-end-of-file",
                    format!("no end-of-file record (DS1LSTAR is {}); all tracks are taken", place(fence)),
                )
            }
            .of(data_set.name),
        );
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
