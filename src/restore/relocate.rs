//! A track that comes to lie somewhere else, and the DSCB that describes it there.
//!
//! The home address and R0 name the track, and so does the count field of every record that was written in the usual
//! way. Count fields that name another address were made so by a guest, and stay.

use tapegate_formats::dasd::track::{COUNT_BYTES, HOME_ADDRESS_BYTES, Track, TrackError};
use tapegate_formats::volume::dscb;

/// Moves a track from the address `from` to the address `to`; both as four bytes of CCHH.
///
/// # Errors
/// When the bytes are no track at `from`.
pub(super) fn relocate_track(body: &[u8], from: [u8; 4], to: [u8; 4]) -> Result<Vec<u8>, TrackError> {
    let track = Track::from_bytes(body, from)?;
    let mut moved = body.to_vec();
    moved[1..HOME_ADDRESS_BYTES].copy_from_slice(&to);
    for record in track.records().filter(|record| record.count.cchh == from) {
        moved[record.offset..record.offset + to.len()].copy_from_slice(&to);
    }
    Ok(moved)
}

/// What a data set takes along from its old DSCB: organisation, record format and lengths, the end of its data. Name,
/// extents, dates, space requests and the chain to other DSCBs stay those of the new one.
///
/// Ranges are offsets in a format-1 DSCB, key included (IBM, DFSMSdfp Advanced Services, "Format-1 DSCB").
const TAKEN_ALONG: [std::ops::Range<usize>; 4] = [
    // DS1NOBDB and DS1FLAG1: bytes in the last directory block; large format.
    60..62,
    // DS1DSORG, DS1RECFM, DS1OPTCD, DS1BLKL, DS1LRECL, DS1KEYL, DS1RKP.
    82..93,
    // DS1LSTAR and DS1TRBAL.
    98..103,
    // DS1TTTHI.
    104..105,
];

/// Changes the DSCB that is record `record` of a VTOC track to describe the content of `source`, a DSCB with its key.
///
/// Gives `None` if the track has no such DSCB.
pub(super) fn update_dscb(body: &[u8], home: [u8; 4], record: u8, source: &[u8; dscb::BYTES]) -> Option<Vec<u8>> {
    let track = Track::from_bytes(body, home).ok()?;
    let place = track.user_records().find(|found| found.count.record == record)?;
    dscb::join(place.key, place.data).ok()?;
    let start = place.offset + COUNT_BYTES;
    let mut changed = body.to_vec();
    for range in TAKEN_ALONG {
        changed[start + range.start..start + range.end].copy_from_slice(&source[range]);
    }
    Some(changed)
}

/// The DSCB that is record `record` of a VTOC track, key and data.
pub(super) fn find_dscb(body: &[u8], home: [u8; 4], record: u8) -> Option<[u8; dscb::BYTES]> {
    let track = Track::from_bytes(body, home).ok()?;
    let place = track.user_records().find(|found| found.count.record == record)?;
    dscb::join(place.key, place.data).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(home: [u8; 4], foreign: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend(home);
        for (cchh, record, data) in [(home, 0, 8_u8), (home, 1, 3), (foreign, 2, 2)] {
            bytes.extend(cchh);
            bytes.extend([record, 0, 0, data]);
            bytes.extend(vec![record; data.into()]);
        }
        bytes
    }

    #[test]
    fn addresses_of_the_track_move_along_and_others_stay() {
        let (from, to, foreign) = ([0, 1, 0, 2], [0, 9, 0, 8], [0xc1, 0, 0, 1]);
        assert_eq!(relocate_track(&track(from, foreign), from, to), Ok(track(to, foreign)));
        assert!(relocate_track(&track(from, foreign), foreign, to).is_err());
    }
}
