//! Tracks that no data set has: label, VTOC, and free space.

use super::data_set::Extent;
use super::{Catalog, DataSet};

impl Catalog {
    /// Runs of tracks, among the first `tracks` of the volume, that are in no extent of `data_sets`.
    ///
    /// With the tracks of the data sets they make up the whole volume, each track once, if no extents overlap.
    #[must_use]
    pub fn outside<'d>(data_sets: impl IntoIterator<Item = &'d DataSet>, tracks: u32) -> Vec<Extent> {
        let mut claims: Vec<Extent> = data_sets.into_iter().flat_map(DataSet::all_extents).collect();
        claims.sort_by_key(|extent| extent.first);
        let mut runs = Vec::new();
        let mut next = 0;
        for claim in claims {
            if claim.first >= tracks {
                break;
            }
            if claim.first > next {
                runs.push(Extent { first: next, tracks: claim.first - next });
            }
            next = next.max(claim.last().saturating_add(1));
        }
        if next < tracks {
            runs.push(Extent { first: next, tracks: tracks - next });
        }
        runs
    }

    /// Tracks that are free, of `tracks` that the volume has: in no data set, in the VTOC neither, and not the label's.
    ///
    /// It is reckoned from the extents, not read from the free-space DSCBs, which need not be true.
    #[must_use]
    pub fn free_tracks(&self, tracks: u32) -> u32 {
        let Some(vtoc) = &self.vtoc else { return 0 };
        let outside = Self::outside(&self.data_sets, tracks);
        let reserved = |track: u32| track == 0 || vtoc.extent.contains(track);
        outside.iter().flat_map(Extent::numbers).filter(|track| !reserved(*track)).count().try_into().unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::DataSetKind;
    use proptest::prelude::*;

    fn data_set(extents: Vec<Extent>) -> DataSet {
        DataSet::bare("A".parse().unwrap(), DataSetKind::Sequential, extents)
    }

    proptest! {
        #[test]
        fn every_track_is_in_a_data_set_or_outside_and_never_both(
            extents in proptest::collection::vec((0_u32..60, 1_u32..9), 0..8),
            tracks in 1_u32..60,
        ) {
            let extents: Vec<_> = extents.into_iter().map(|(first, tracks)| Extent { first, tracks }).collect();
            let outside = Catalog::outside([&data_set(extents.clone())], tracks);
            for track in 0..70 {
                let claimed = extents.iter().any(|extent| extent.contains(track));
                let runs = outside.iter().filter(|run| run.contains(track)).count();
                prop_assert_eq!(runs, usize::from(!claimed && track < tracks));
            }
        }
    }
}
