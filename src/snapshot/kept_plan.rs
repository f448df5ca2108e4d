//! The plan of a live session's tape, kept beside it: what a later process can't find out again.
//!
//! A plain copy that was interrupted reads the catalog and measures the units again, since its volume stood still. The
//! volume of a live session has changed, so files, description and serials as of T0 are kept in `.NAME.plan`; the
//! lengths of all units are in the journal. The file is written when every original that the cache had is on the
//! tape: a session that has one can be resumed from tape and journal alone.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tapegate_formats::volume::name::{DsName, Volser};

use super::error::SnapshotError;
use super::ledger::Ledger;
use super::prepare::Preparation;
use crate::catalog::Extent;
use crate::finding::{Finding, Grade};
use crate::plan::{Attributes, BlockTable, FileClass, FileSpec, PlanOptions, UnitBlocks, UnitList};
use crate::tape::partial::beside;

/// Version of the file that is written and read.
const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptPlan {
    format: u32,
    /// EBCDIC, as numbers: a serial can hold anything.
    volume_volser: Option<Vec<u8>>,
    tape_volser: Vec<u8>,
    description: Vec<u8>,
    files: Vec<KeptFile>,
    findings: Vec<(bool, String)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptFile {
    name: Vec<u8>,
    class: FileClass,
    /// First unit and number of each run.
    units: Vec<(u32, u32)>,
    allocated: Vec<(u32, u32)>,
    blocks: Option<Vec<UnitBlocks>>,
    attributes: Option<Attributes>,
    fixed_bytes: Option<u64>,
}

/// Where the plan of a tape under way lies.
pub(super) fn plan_path(tape: &Path) -> PathBuf {
    beside(tape, ".plan")
}

/// Keeps the plan; whole or not at all.
pub(super) fn keep(tape: &Path, preparation: &Preparation) -> Result<(), SnapshotError> {
    let kept = KeptPlan {
        format: FORMAT,
        volume_volser: preparation.volume_volser.map(|volser| volser.as_ebcdic().to_vec()),
        tape_volser: preparation.tape_volser.as_ebcdic().to_vec(),
        description: preparation.description.clone(),
        files: preparation.files.iter().map(KeptFile::of).collect(),
        findings: preparation.findings.iter().map(|found| (found.grade == Grade::Damage, found.to_string())).collect(),
    };
    let path = plan_path(tape);
    let failed = |source| SnapshotError::Io { path: path.clone(), action: "keeping the plan", source };
    let bytes = serde_json::to_vec(&kept).map_err(|error| failed(error.into()))?;
    let new = beside(tape, ".plan.new");
    std::fs::write(&new, bytes).and_then(|()| std::fs::rename(&new, &path)).map_err(failed)
}

/// Reads the plan that an interrupted session kept, with the lengths that its journal has.
pub(super) fn read(
    tape: &Path,
    plan: PlanOptions,
    ledger: impl FnOnce(u64) -> Result<Ledger, SnapshotError>,
    volume_units: u32,
) -> Result<(Preparation, Ledger), SnapshotError> {
    let path = plan_path(tape);
    let refuse = |reason: &str| SnapshotError::Journal { path: path.clone(), reason: reason.to_owned() };
    let bytes = std::fs::read(&path).map_err(|_| refuse("the session ended before its tape was planned"))?;
    let kept: KeptPlan = serde_json::from_slice(&bytes).map_err(|_| refuse("the plan that was kept does not read"))?;
    let damaged = || refuse("the plan that was kept makes no sense");
    if kept.format != FORMAT {
        return Err(refuse("the plan was kept by another version of this program"));
    }
    let files = kept.files.into_iter().map(|file| file.into_spec(volume_units));
    let files = files.collect::<Option<Vec<_>>>().ok_or_else(damaged)?;
    let ledger = ledger(files.iter().map(|file| u64::from(file.units.len())).sum())?;
    let sizes = ledger.size_table(&files, volume_units);
    let volser = |bytes: Vec<u8>| <[u8; 6]>::try_from(bytes).ok().map(Volser::from_ebcdic);
    let findings = kept.findings.into_iter().map(|(damage, text)| {
        let code = "told-before-restart";
        if damage { Finding::damage(code, text) } else { Finding::note(code, text) }
    });
    let preparation = Preparation {
        files,
        description: kept.description,
        sizes: Some(sizes),
        closed_forms: Default::default(),
        volume_volser: kept.volume_volser.map(|bytes| volser(bytes).ok_or_else(damaged)).transpose()?,
        tape_volser: volser(kept.tape_volser).ok_or_else(damaged)?,
        findings: findings.collect(),
        options: plan,
    };
    Ok((preparation, ledger))
}

impl KeptFile {
    fn of(file: &FileSpec) -> Self {
        let runs = |list: &UnitList| list.runs().iter().map(|run| (run.first.0, run.units)).collect();
        Self {
            name: file.name.as_ebcdic().to_vec(),
            class: file.class,
            units: runs(&file.units),
            allocated: runs(&file.allocated),
            blocks: file.blocks.as_ref().map(|table| table.units().to_vec()),
            attributes: file.attributes,
            fixed_bytes: file.fixed_bytes,
        }
    }

    /// `None` if it names units that the volume has not, or makes no sense otherwise.
    fn into_spec(self, volume_units: u32) -> Option<FileSpec> {
        let list = |runs: Vec<(u32, u32)>| {
            let inside = runs.iter().all(|&(first, units)| first.checked_add(units).is_some_and(|end| end <= volume_units));
            let extents: Vec<_> = runs.into_iter().map(|(first, tracks)| Extent { first, tracks }).collect();
            inside.then(|| UnitList::from_extents(&extents)).flatten()
        };
        let units = list(self.units)?;
        if self.blocks.as_ref().is_some_and(|blocks| blocks.len() != units.len() as usize) {
            return None;
        }
        Some(FileSpec {
            name: DsName::from_ebcdic(self.name.try_into().ok()?),
            class: self.class,
            units,
            allocated: list(self.allocated)?,
            blocks: self.blocks.map(BlockTable::new),
            attributes: self.attributes,
            fixed_bytes: self.fixed_bytes,
        })
    }
}
