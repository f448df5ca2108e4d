//! The closed form of a data set with records of fixed length: what its tracks should measure.
//!
//! With RECFM=F every track but the last holds the same number of blocks of one length, so places could be had by
//! multiplication alone. The size table is the truth, though: where a track was written short, or holds residue, the
//! table wins and there is a finding.

use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::track::{COUNT_BYTES, HOME_ADDRESS_BYTES};
use tapegate_formats::tape::unit::UNIT_HEADER_BYTES;

use super::file_spec::FileSpec;
use super::size_table::SizeTable;
use crate::catalog::DataSetKind;
use crate::finding::Finding;

/// What the closed form says of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClosedForm {
    /// Blocks on every track but the last.
    pub blocks_per_track: u32,
    /// Blocks on the last track in use, by its length; `None` where that is no whole number of blocks.
    pub blocks_on_last_track: Option<u32>,
    /// Encoded length of a full track.
    pub track_bytes: u32,
}

/// Encoded length of a track with R0 alone.
const EMPTY_TRACK_BYTES: u32 = UNIT_HEADER_BYTES + (HOME_ADDRESS_BYTES + COUNT_BYTES + 8) as u32;

/// Computes the closed form of a sequential data set with RECFM=F or FB, and compares it with the size table.
///
/// Gives `None` for what has no closed form: other formats, no block length, nothing in use by its DSCB.
#[must_use]
pub fn check_closed_form(file: &FileSpec, device: DeviceType, sizes: &SizeTable) -> Option<(ClosedForm, Option<Finding>)> {
    let attributes = file.attributes?;
    let last_track = attributes.last_track?;
    let fixed = attributes.recfm & 0xc0 == 0x80;
    if !fixed || attributes.kind != DataSetKind::Sequential || attributes.block_length == 0 || last_track >= file.units.len() {
        return None;
    }
    let blocks_per_track = device.records_per_track(attributes.key_length, attributes.block_length);
    let block_bytes = COUNT_BYTES as u32 + u32::from(attributes.key_length) + u32::from(attributes.block_length);
    let track_bytes = EMPTY_TRACK_BYTES.checked_add(blocks_per_track.checked_mul(block_bytes)?)?;
    let length_of = |j| file.units.unit(j).map_or(0, |unit| sizes.encoded_bytes(unit));
    let differing = (0..last_track).filter(|&j| length_of(j) != track_bytes);
    let (mut count, mut first) = (0_u32, None);
    for j in differing {
        first = first.or(Some(j));
        count += 1;
    }
    let last = length_of(last_track).saturating_sub(EMPTY_TRACK_BYTES);
    // The last track may end with the end-of-file record, a count field alone.
    let blocks_on_last_track = [0, COUNT_BYTES as u32]
        .into_iter()
        .filter_map(|end_of_file| last.checked_sub(end_of_file))
        .find(|bytes| bytes % block_bytes == 0)
        .map(|bytes| bytes / block_bytes);
    let finding = first.map(|first| {
        let detail = format!(
            "{count} of {last_track} full tracks do not hold {blocks_per_track} blocks of {} bytes, the first at relative track \
             {first}; their true lengths are used",
            attributes.block_length
        );
        Finding::note("closed-form-differs", detail).of(file.name)
    });
    Some((ClosedForm { blocks_per_track, blocks_on_last_track, track_bytes }, finding))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::file_spec::{Attributes, FileClass};
    use crate::plan::unit_list::UnitList;

    fn data_set(block_length: u16) -> FileSpec {
        let attributes = Attributes {
            kind: DataSetKind::Sequential,
            dsorg: 0x4000,
            recfm: 0x90,
            key_length: 0,
            record_length: 80,
            block_length,
            created: None,
            expires: None,
            last_track: Some(2),
        };
        FileSpec {
            attributes: Some(attributes),
            ..FileSpec::tracks("FIXED".parse().unwrap(), FileClass::DataSet, UnitList::whole(3))
        }
    }

    /// 3390: eight blocks of 6,160 bytes a track (IBM's tables); a track is 5 + 16 + 8 × 6,168 bytes.
    #[test]
    fn full_tracks_measure_what_the_formula_says() {
        let sizes = SizeTable::from_body_bytes(vec![49_365, 49_365, 5 + 16 + 6_168 + 8]);
        let (form, finding) = check_closed_form(&data_set(6_160), DeviceType::Ibm3390, &sizes).unwrap();
        assert_eq!((form.blocks_per_track, form.blocks_on_last_track, finding), (8, Some(1), None));
        assert_eq!(form.track_bytes, 49_381);
    }

    #[test]
    fn a_short_track_in_the_middle_is_a_finding() {
        let sizes = SizeTable::from_body_bytes(vec![49_365, 29, 29]);
        let (_, finding) = check_closed_form(&data_set(6_160), DeviceType::Ibm3390, &sizes).unwrap();
        assert!(finding.unwrap().detail.contains("1 of 2 full tracks"));
    }
}
