//! An address domain: the units of a volume that a session watches, and the data set that each belongs to.
//!
//! It is resolved once, from the VTOC as it is when the session starts: a data set that is made or extended later is not
//! in it. The units are a bit each, for the test that every access makes; the data sets are an inverted list, runs of
//! units in order, that is searched by halves, and only inside of the domain.

use bitvec::vec::BitVec;

use crate::catalog::Catalog;
use crate::live::sessions::StartError;
use crate::live::status::UnitRange;
use crate::plan::pattern::{Pattern, Selection};
use crate::volume::{Shape, UnitIndex, UnitSource};

/// What a unit belongs to that no data set has.
pub(super) const REST: &str = "(rest)";

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) selection: Selection,
    pub(super) ranges: Vec<UnitRange>,
}

/// The units of one volume that a session watches.
#[derive(Debug)]
pub(super) struct Domain {
    /// The volume's name in the configuration.
    pub(super) volume: String,
    pub(super) shape: Shape,
    units: BitVec,
    /// In the order of their units, none of which two have.
    runs: Vec<FileRun>,
    /// Names of data sets; the last is [`REST`].
    files: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
struct FileRun {
    first: u32,
    end: u32,
    file: usize,
}

impl Domain {
    /// Resolves what is wanted on a volume; gives the patterns that fit none of its data sets, too.
    pub(super) fn resolve(volume: &str, source: &dyn UnitSource, wanted: &Wanted) -> Result<(Self, Vec<Pattern>), StartError> {
        let refused = |reason: String| StartError::Refused(reason);
        let catalog = Catalog::of_volume(source).map_err(|error| refused(error.to_string()))?;
        let shape = *source.shape();
        let units = shape.units() as usize;
        let mut domain =
            Self { volume: volume.to_owned(), shape, units: BitVec::repeat(false, units), runs: Vec::new(), files: Vec::new() };
        domain.files.extend(catalog.data_sets.iter().map(|data_set| data_set.name.to_string()));
        domain.files.push(REST.to_owned());
        let mut runs = Vec::new();
        for (file, data_set) in catalog.data_sets.iter().enumerate() {
            runs.extend(data_set.all_extents().map(|extent| FileRun { first: extent.first, end: extent.last() + 1, file }));
        }
        domain.runs = disjoint(runs);
        let ranges: Vec<_> = wanted.ranges.iter().filter(|range| range.volume == volume).collect();
        let mut unmatched = Vec::new();
        if wanted.selection.is_everything() {
            if wanted.ranges.is_empty() {
                domain.units.fill(true);
            }
        } else {
            let selected = wanted.selection.select(catalog.data_sets.iter().map(|data_set| &data_set.name));
            unmatched = selected.unmatched.into_iter().cloned().collect();
            let mut chosen = vec![wanted.selection.include.is_empty(); domain.files.len()];
            chosen[..catalog.data_sets.len()].fill(false);
            selected.chosen.into_iter().for_each(|file| chosen[file] = true);
            domain.choose(&chosen);
        }
        for range in ranges {
            domain.add(range).map_err(refused)?;
        }
        Ok((domain, unmatched))
    }

    /// Takes the units of chosen files in; the last of `chosen` stands for what no file has.
    fn choose(&mut self, chosen: &[bool]) {
        self.units.fill(chosen.last().copied().unwrap_or(false));
        for run in &self.runs {
            self.units[run.first as usize..run.end as usize].fill(chosen[run.file]);
        }
    }

    fn add(&mut self, range: &UnitRange) -> Result<(), String> {
        let unit_blocks = match &self.shape {
            Shape::Ckd(_) => 1,
            Shape::FixedBlock(shape) => u64::from(shape.unit_blocks),
        };
        let all = match &self.shape {
            Shape::Ckd(geometry) => u64::from(geometry.tracks()),
            Shape::FixedBlock(shape) => shape.blocks,
        };
        let end = range.first.checked_add(range.count).filter(|&end| end <= all && range.count > 0);
        let Some(end) = end else {
            return Err(format!(
                "{}: {} from {} on are not on the volume, which has {all}",
                self.volume, range.count, range.first
            ));
        };
        // Both are inside the volume, whose units a u32 counts.
        let unit = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let (first, end) = (unit(range.first / unit_blocks), unit(end.div_ceil(unit_blocks)));
        self.units[first..end.min(self.shape.units() as usize)].fill(true);
        Ok(())
    }

    /// Whether a unit is in the domain.
    pub(super) fn has(&self, unit: UnitIndex) -> bool {
        self.units.get(unit.0 as usize).is_some_and(|bit| *bit)
    }

    /// Units of the domain.
    pub(super) fn len(&self) -> u64 {
        self.units.count_ones() as u64
    }

    /// Number of the data set that has a unit, or of the rest.
    pub(super) fn file(&self, unit: UnitIndex) -> usize {
        let behind = self.runs.partition_point(|run| run.first <= unit.0);
        let run = behind.checked_sub(1).map(|at| &self.runs[at]).filter(|run| unit.0 < run.end);
        run.map_or(self.files.len() - 1, |run| run.file)
    }

    /// Names of data sets by their numbers; the rest is the last.
    pub(super) fn files(&self) -> &[String] {
        &self.files
    }
}

/// Puts runs in order; where damaged extents overlap, a unit belongs to the one that begins first.
fn disjoint(mut runs: Vec<FileRun>) -> Vec<FileRun> {
    runs.sort_by_key(|run| (run.first, run.end));
    let mut at = 0;
    runs.retain_mut(|run| {
        run.first = run.first.max(at);
        at = at.max(run.end);
        run.first < run.end
    });
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_belongs_to_one_data_set_also_where_extents_overlap() {
        let run = |first, end, file| FileRun { first, end, file };
        let runs = disjoint(vec![run(10, 20, 0), run(5, 12, 1), run(11, 12, 2), run(30, 31, 3)]);
        let found: Vec<_> = runs.iter().map(|run| (run.first, run.end, run.file)).collect();
        assert_eq!(found, [(5, 12, 1), (12, 20, 0), (30, 31, 3)]);
    }
}
