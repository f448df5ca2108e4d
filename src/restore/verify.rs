//! The check of a tape: every unit against its checksum, the manifest's digests, and a volume.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::Track;

use super::error::RestoreError;
use super::new_image::open_files;
use super::tape_volume::{TapeVolume, VolumeFile};
use super::units::{UnitRun, read_run, unit_runs};
use crate::finding::Finding;
use crate::parallel::run_in_order;
use crate::plan::Form;
use crate::snapshot::{Manifest, ManifestFile, Monitor, UnitDigest, track_blocks};
use crate::tape::{BlockBuffer, ItemKind};
use crate::volume::{Shape, Stage, UnitIndex, Volume};

/// Differences that are told one by one; the others are only counted.
const MOST_FINDINGS: usize = 50;

/// The code of findings about units that a volume and a tape have different.
pub const DIFFERS: &str = "differs";

/// What a check found.
#[derive(Debug)]
pub struct Verified {
    /// Units that were read and whose checksums are right.
    pub units: u64,
    /// Units that were compared with the manifest.
    pub digests: u64,
    /// Units that were compared with the volume.
    pub compared: u64,
    /// Units that differ from the volume.
    pub differences: u64,
    /// What is damaged or differs.
    pub findings: Vec<Finding>,
}

#[derive(Default)]
struct Tally {
    units: AtomicU64,
    digests: AtomicU64,
    compared: AtomicU64,
    differences: AtomicU64,
    findings: Mutex<Vec<Finding>>,
}

impl Tally {
    fn tell(&self, finding: Finding) {
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        if findings.len() < MOST_FINDINGS {
            findings.push(finding);
        }
    }

    fn differs(&self, finding: Finding) {
        self.differences.fetch_add(1, Ordering::Relaxed);
        self.tell(finding);
    }
}

/// Checks every unit on a tape.
///
/// # Errors
/// When the tape or the volume can't be read, or the volume has another shape.
pub fn verify(
    tape: &TapeVolume,
    manifest: Option<&Manifest>,
    against: Option<&Volume>,
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<Verified, RestoreError> {
    if let Some(volume) = against.filter(|volume| !same_units(volume.shape(), tape.shape())) {
        let (volume, tape) = (volume.path().display(), tape.image().path().display());
        return Err(RestoreError::Refused(format!("{volume} has another geometry than the volume on {tape}")));
    }
    let tally = Tally::default();
    let chosen: Vec<_> = tape.files().iter().filter(|file| file.form == Form::Tracks).collect();
    let files = open_files(tape, manifest, &chosen)?;
    let runs = unit_runs(tape, &files, tape.shape().stage_units())?;
    monitor.begin("verifying", runs.iter().map(|run| run.bytes).sum());
    let work = |_, run: &UnitRun, (buffer, stage): &mut (Vec<u8>, Stage)| -> Result<(), RestoreError> {
        let name = files[run.file].file.name;
        match read_run(tape, &files, run, buffer) {
            Ok(units) => {
                tally.units.fetch_add(units.len() as u64, Ordering::Relaxed);
                if files[run.file].digests.is_some() {
                    tally.digests.fetch_add(units.len() as u64, Ordering::Relaxed);
                }
                if let Some(volume) = against {
                    volume.read_units(run.first, run.units, stage)?;
                    for (number, (there, (kind, body))) in (run.first.0..).zip(stage.units().zip(&units)) {
                        tally.compared.fetch_add(1, Ordering::Relaxed);
                        if (there.kind, there.body) != (*kind, *body) {
                            let detail = "the volume holds something else than the tape";
                            tally.differs(Finding::damage(DIFFERS, detail).of(name).at(tape.shape().address(UnitIndex(number))));
                        }
                    }
                }
            }
            Err(error @ (RestoreError::Unit { .. } | RestoreError::Digest { .. })) => {
                tally.tell(Finding::damage("unit-damaged", error.to_string()).of(name));
            }
            Err(error) => return Err(error),
        }
        monitor.advance(run.bytes);
        Ok(())
    };
    run_in_order(threads, &runs, &AtomicBool::new(false), Default::default, work, || {})?;
    for file in tape.files().iter().filter(|file| file.form == Form::Blocks) {
        verify_blocks(tape, manifest, against, file, &tally)?;
    }
    Ok(Verified {
        units: tally.units.into_inner(),
        digests: tally.digests.into_inner(),
        compared: tally.compared.into_inner(),
        differences: tally.differences.into_inner(),
        findings: tally.findings.into_inner().unwrap_or_else(PoisonError::into_inner),
    })
}

/// Whether units of one shape can be compared with those of another: slot sizes may differ between image formats.
pub(super) fn same_units(a: &Shape, b: &Shape) -> bool {
    match (a, b) {
        (Shape::Ckd(a), Shape::Ckd(b)) => (a.device(), a.cylinders(), a.heads()) == (b.device(), b.cylinders(), b.heads()),
        (a, b) => a == b,
    }
}

/// Checks a file in `blocks` form: block by block against the manifest's digests and the volume's tracks.
fn verify_blocks(
    tape: &TapeVolume,
    manifest: Option<&Manifest>,
    against: Option<&Volume>,
    file: &VolumeFile,
    tally: &Tally,
) -> Result<(), RestoreError> {
    let Some(on_tape) = tape.structure().files.iter().find(|on_tape| Some(on_tape.number) == file.number) else { return Ok(()) };
    let listed = manifest.and_then(|manifest| manifest.files.iter().find(|listed| Some(listed.number) == file.number));
    let digests = listed.and_then(ManifestFile::parse_unit_digests).unwrap_or_default();
    let unit_blocks = listed.map(|listed| &listed.unit_blocks[..]).unwrap_or_default();
    let mut items = tape.image().items_from(on_tape.data_offset);
    let mut buffer = BlockBuffer::new();
    let mut stage = Stage::new();
    for j in 0..file.units.len() {
        let Some(unit) = file.units.unit(j) else { break };
        let address = tape.shape().address(unit);
        let expected = match against {
            Some(volume) => {
                volume.read_units(unit, 1, &mut stage)?;
                blocks_of(volume, unit, stage.body(0))
            }
            None => None,
        };
        let blocks = unit_blocks.get(j as usize).copied().map(|blocks| blocks as usize).or(expected.as_ref().map(Vec::len));
        // Without manifest and volume nothing says which blocks are of which track.
        let Some(blocks) = blocks else { break };
        let (mut hasher, mut same) = (blake3::Hasher::new(), true);
        for block in 0..blocks {
            let Some(item) = items.next().transpose()?.filter(|item| item.kind != ItemKind::TapeMark) else {
                tally.tell(Finding::damage("blocks-missing", "the tape ends before its blocks").of(file.name).at(address));
                return Ok(());
            };
            let data = tape.image().read_block(&item, &mut buffer)?;
            hasher.update(data);
            same &= expected.as_ref().is_none_or(|expected| expected.get(block).is_some_and(|expected| expected == data));
        }
        tally.units.fetch_add(1, Ordering::Relaxed);
        if let Some(digest) = digests.get(j as usize) {
            tally.digests.fetch_add(1, Ordering::Relaxed);
            if *digest != UnitDigest::from_hash(&hasher.finalize()) {
                let detail = "the blocks do not have the digest that the manifest gives";
                tally.tell(Finding::damage("unit-damaged", detail).of(file.name).at(address));
            }
        }
        if against.is_some() {
            tally.compared.fetch_add(1, Ordering::Relaxed);
            if !same || expected.is_none_or(|expected| expected.len() != blocks) {
                let detail = "the volume holds other blocks than the tape";
                tally.differs(Finding::damage(DIFFERS, detail).of(file.name).at(address));
            }
        }
    }
    Ok(())
}

/// The blocks of a track; `None` if it does not walk.
fn blocks_of(volume: &Volume, unit: UnitIndex, body: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Shape::Ckd(geometry) = volume.shape() else { return None };
    let track = Track::from_bytes(body, geometry.encode_cchh(geometry.cchh(TrackIndex(unit.0)))).ok()?;
    Some(track_blocks(track).map(|record| record.data.to_vec()).collect())
}
