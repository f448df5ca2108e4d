//! The stages of a session: runs of neighbouring units of one file, in tape order.

use crate::plan::{FileSpec, SizeTable};
use crate::volume::UnitIndex;

/// Neighbouring units that are read, encoded and written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StageTask {
    /// Which file, from 0.
    pub(crate) file: usize,
    /// Unit number in the file of the first unit.
    pub(crate) at: u32,
    /// The first unit on the volume.
    pub(crate) first: UnitIndex,
    /// Number of units.
    pub(crate) units: u32,
    /// Number of the first unit in the session's ledger.
    pub(crate) slot: usize,
    /// Position in the file's stream, where sizes are known; 0 otherwise.
    pub(crate) position: u64,
}

/// Cuts the units of all files into stages of at most `most` units.
pub(crate) fn stages(files: &[FileSpec], most: u32, sizes: Option<&SizeTable>) -> Vec<StageTask> {
    let mut tasks = Vec::new();
    let mut slot = 0_usize;
    for (file, spec) in files.iter().enumerate() {
        let mut position = 0;
        for run in spec.units.runs() {
            let mut done = 0;
            while done < run.units {
                let units = most.min(run.units - done);
                let first = run.first.0 + done;
                tasks.push(StageTask { file, at: run.at + done, first: UnitIndex(first), units, slot, position });
                position += sizes.map_or(0, |sizes| sizes.run_bytes(first..first + units));
                slot += units as usize;
                done += units;
            }
        }
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Extent;
    use crate::plan::{FileClass, UnitList};

    #[test]
    fn stages_cover_each_unit_once_in_tape_order() {
        let list = |extents: &[(u32, u32)]| {
            let extents: Vec<_> = extents.iter().map(|&(first, tracks)| Extent { first, tracks }).collect();
            FileSpec::tracks("F".parse().unwrap(), FileClass::DataSet, UnitList::from_extents(&extents).unwrap())
        };
        let sizes = SizeTable::from_body_bytes(vec![84; 100]);
        let tasks = stages(&[list(&[(10, 5), (0, 2)]), list(&[]), list(&[(50, 3)])], 4, Some(&sizes));
        let seen: Vec<_> =
            tasks.iter().map(|task| (task.file, task.at, task.first.0, task.units, task.slot, task.position)).collect();
        assert_eq!(seen, [(0, 0, 10, 4, 0, 0), (0, 4, 14, 1, 4, 400), (0, 5, 0, 2, 5, 500), (2, 0, 50, 3, 7, 0)]);
    }
}
