//! The unit list E(j) of a file: which unit of the volume is unit j of the file.
//!
//! It is kept as runs of neighbouring units in the file's order, never unit by unit: a data set of a 3390-54 has
//! hundreds of thousands of tracks, and seldom more than 16 runs.

use crate::catalog::Extent;
use crate::volume::UnitIndex;

/// A run of neighbouring units and where it lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Unit number in the file of the run's first unit.
    pub at: u32,
    /// The run's first unit on the volume.
    pub first: UnitIndex,
    /// Units in the run, at least 1.
    pub units: u32,
}

/// The units of a file in the file's order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitList {
    runs: Vec<Run>,
    units: u32,
}

impl UnitList {
    /// Makes the list of all units of `extents`, in their order.
    ///
    /// Gives `None` if they are more units than a volume can have.
    #[must_use]
    pub fn from_extents(extents: &[Extent]) -> Option<Self> {
        let mut list = Self::default();
        for extent in extents {
            extent.first.checked_add(extent.tracks)?;
            list.push(UnitIndex(extent.first), extent.tracks)?;
        }
        Some(list)
    }

    /// Adds a run at the end; `None` if the list would pass 2^32 - 1 units.
    fn push(&mut self, first: UnitIndex, units: u32) -> Option<()> {
        let total = self.units.checked_add(units)?;
        match self.runs.last_mut() {
            _ if units == 0 => {}
            Some(last) if last.first.0 + last.units == first.0 => last.units += units,
            _ => self.runs.push(Run { at: self.units, first, units }),
        }
        self.units = total;
        Some(())
    }

    /// All units of a volume.
    #[must_use]
    pub fn whole(units: u32) -> Self {
        let runs = if units == 0 { Vec::new() } else { vec![Run { at: 0, first: UnitIndex(0), units }] };
        Self { runs, units }
    }

    /// The units of a volume of `units` that none of `lists` has, in volume order.
    #[must_use]
    pub fn complement<'a>(lists: impl IntoIterator<Item = &'a Self>, units: u32) -> Self {
        let mut taken: Vec<(u32, u32)> = lists
            .into_iter()
            .flat_map(|list| &list.runs)
            .map(|run| (run.first.0, run.first.0.saturating_add(run.units)))
            .collect();
        taken.sort_unstable();
        let mut rest = Self::default();
        let mut at = 0;
        for (first, end) in taken.into_iter().chain([(units, units)]) {
            if first > at {
                // Runs below `units`, each once: they can't pass the 32 bits that the volume's own number fits.
                let _fits = rest.push(UnitIndex(at), first.min(units) - at);
            }
            at = at.max(end).min(units);
        }
        rest
    }

    /// Only the first `units` units of the list.
    #[must_use]
    pub fn truncated(&self, units: u32) -> Self {
        let runs = self
            .runs
            .iter()
            .take_while(|run| run.at < units)
            .map(|run| Run { units: run.units.min(units - run.at), ..*run })
            .collect();
        Self { runs, units: self.units.min(units) }
    }

    /// Number of units.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.units
    }

    /// Whether the file has no unit.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// The runs in order.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// E(j): the volume's unit that is unit `j` of the file.
    #[must_use]
    pub fn unit(&self, j: u32) -> Option<UnitIndex> {
        let run = self.run_of(j)?;
        Some(UnitIndex(run.first.0 + (j - run.at)))
    }

    /// The run that holds unit `j` of the file.
    #[must_use]
    pub fn run_of(&self, j: u32) -> Option<&Run> {
        if j >= self.units {
            return None;
        }
        self.runs.get(self.runs.partition_point(|run| run.at <= j).checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(first: u32, tracks: u32) -> Extent {
        Extent { first, tracks }
    }

    #[test]
    fn units_follow_the_extents_in_their_order() {
        let list = UnitList::from_extents(&[extent(100, 2), extent(10, 3)]).unwrap();
        let units: Vec<_> = (0..6).map(|j| list.unit(j).map(|unit| unit.0)).collect();
        assert_eq!(units, [Some(100), Some(101), Some(10), Some(11), Some(12), None]);
    }

    #[test]
    fn neighbouring_extents_become_one_run() {
        let list = UnitList::from_extents(&[extent(10, 2), extent(12, 3)]).unwrap();
        assert_eq!(list.runs(), [Run { at: 0, first: UnitIndex(10), units: 5 }]);
    }

    #[test]
    fn the_rest_of_a_volume_is_what_no_file_has() {
        let a = UnitList::from_extents(&[extent(5, 5), extent(0, 1)]).unwrap();
        let b = UnitList::from_extents(&[extent(8, 4), extent(20, 10)]).unwrap();
        let rest = UnitList::complement([&a, &b], 25);
        let runs: Vec<_> = rest.runs().iter().map(|run| (run.first.0, run.units)).collect();
        assert_eq!(runs, [(1, 4), (12, 8)]);
        assert_eq!(UnitList::complement([], 3), UnitList::whole(3));
    }

    #[test]
    fn a_shortened_list_ends_inside_a_run() {
        let list = UnitList::from_extents(&[extent(100, 4), extent(10, 3)]).unwrap();
        assert_eq!(list.truncated(5).unit(4), Some(UnitIndex(10)));
        assert_eq!(list.truncated(5).unit(5), None);
        assert_eq!(list.truncated(9), list);
        assert_eq!(list.truncated(0), UnitList::default());
    }

    #[test]
    fn more_units_than_32_bits_hold_are_refused() {
        assert_eq!(UnitList::from_extents(&[extent(u32::MAX, 1)]), None);
        assert_eq!(UnitList::from_extents(&[extent(0, u32::MAX), extent(0, 1)]), None);
    }
}
