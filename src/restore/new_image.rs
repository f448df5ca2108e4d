//! A tape back to a new disk image.

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use super::Restored;
use super::described::DescribedTracks;
use super::error::RestoreError;
use super::tape_volume::{FileClassOnTape, TapeVolume, VolumeFile};
use super::units::{UnitFile, read_run, unit_runs};
use crate::finding::Finding;
use crate::parallel::run_in_order;
use crate::plan::Form;
use crate::plan::pattern::Selection;
use crate::snapshot::{Manifest, ManifestFile, Monitor, UpdateStatus};
use crate::volume::UnitIndex;
use crate::volume::create::{CreateOptions, NewImage};

/// What is to be made.
#[derive(Debug)]
pub struct NewImageOptions<'a> {
    /// The new image.
    pub image: PathBuf,
    /// Its format.
    pub create: CreateOptions,
    /// Which data sets; all, and what is in none of them, if no pattern is given.
    pub selection: &'a Selection,
    /// Threads.
    pub threads: usize,
    /// Bring it to stable storage before it gets its name.
    pub sync: bool,
}

/// Builds a new image from a tape; on an error there is none.
///
/// Tracks that are not on the tape are empty: home address, R0, end mark.
///
/// # Errors
/// When the tape is damaged, nothing is selected, or the image can't be made.
pub fn restore_new(
    tape: &TapeVolume,
    manifest: Option<&Manifest>,
    options: &NewImageOptions<'_>,
    stop: &AtomicBool,
    monitor: &dyn Monitor,
) -> Result<Restored, RestoreError> {
    let mut findings = tape.findings().to_vec();
    let chosen = choose(tape, options.selection, &mut findings)?;
    let files = open_files(tape, manifest, &chosen)?;
    let image = NewImage::create(&options.image, tape.shape(), &options.create)?;
    let runs = unit_runs(tape, &files, tape.shape().stage_units())?;
    monitor.begin("restoring", runs.iter().map(|run| run.bytes).sum());
    // Data sets can share tracks; each is written once.
    let written = UpdateStatus::new(tape.shape().units());
    let work = |_, run: &super::units::UnitRun, buffer: &mut Vec<u8>| -> Result<(), RestoreError> {
        let units = read_run(tape, &files, run, buffer)?;
        let claim = written.claim(run.first.0..run.first.0 + run.units);
        if claim.units() == run.units {
            image.write_units(run.first, &units)?;
        } else {
            for (unit, number) in units.iter().zip(run.first.0..).filter(|(_, number)| claim.has(*number)) {
                image.write_units(UnitIndex(number), std::slice::from_ref(unit))?;
            }
        }
        claim.secure();
        monitor.advance(run.bytes);
        Ok(())
    };
    if !run_in_order(options.threads, &runs, stop, Vec::new, work, || {})? {
        return Err(RestoreError::Refused("stopped before the image was complete; nothing is left of it".to_owned()));
    }
    for (unit, kind, body) in DescribedTracks::new(tape)?.units() {
        let claim = written.claim(unit.0..unit.0 + 1);
        if claim.units() == 1 {
            image.write_units(unit, &[(kind, body)])?;
            claim.secure();
        }
    }
    let units = written.secured().into();
    tracing::info!(image = %options.image.display(), units, "all units are written");
    image.finish(options.sync)?;
    Ok(Restored { files: chosen.iter().map(|file| file.name.to_string()).collect(), units, findings })
}

/// The files that a selection names; all, and the rest of the volume, without a pattern.
pub(super) fn choose<'a>(
    tape: &'a TapeVolume,
    selection: &Selection,
    findings: &mut Vec<Finding>,
) -> Result<Vec<&'a VolumeFile>, RestoreError> {
    let everything = selection.is_everything();
    let data_sets: Vec<_> = tape.files().iter().filter(|file| file.class == FileClassOnTape::DataSet).collect();
    let selected = selection.select(data_sets.iter().map(|file| &file.name));
    if let Some(pattern) = selected.unmatched.first() {
        let path = tape.image().path().display();
        return Err(RestoreError::Refused(format!(
            "{path}: no data set on the tape is called {pattern}; see `tapegate tape map`"
        )));
    }
    let mut chosen: Vec<_> = selected.chosen.into_iter().map(|place| data_sets[place]).collect();
    if everything {
        chosen.extend(tape.files().iter().filter(|file| file.class != FileClassOnTape::DataSet));
    }
    chosen.retain(|file| {
        let blocks = file.form == Form::Blocks;
        if blocks {
            let detail = "it is on the tape in blocks form, without the layout of its tracks, and was not restored; take it with \
                          `tapegate tape extract`, or load the tape with the system's own utility";
            findings.push(Finding::damage("blocks-not-restored", detail).of(file.name));
        }
        !blocks
    });
    Ok(chosen)
}

/// Opens the streams of files, with their digests where there is a manifest.
pub(super) fn open_files<'a>(
    tape: &'a TapeVolume,
    manifest: Option<&Manifest>,
    chosen: &[&'a VolumeFile],
) -> Result<Vec<UnitFile<'a>>, RestoreError> {
    let mut files = Vec::with_capacity(chosen.len());
    for file in chosen {
        let Some(number) = file.number else { continue };
        let digests = match manifest {
            Some(manifest) => Some(digests_of(tape, manifest, file, number)?),
            None => None,
        };
        files.push(UnitFile { file, stream: tape.stream(number)?, digests });
    }
    Ok(files)
}

fn digests_of(
    tape: &TapeVolume,
    manifest: &Manifest,
    file: &VolumeFile,
    number: u32,
) -> Result<Vec<crate::snapshot::UnitDigest>, RestoreError> {
    let listed = manifest.files.iter().find(|listed| listed.number == number && listed.name == file.name.to_string());
    let digests = listed.and_then(ManifestFile::parse_unit_digests).filter(|digests| digests.len() == file.units.len() as usize);
    digests.ok_or_else(|| {
        tape.inconsistent(format!("the manifest is of another tape: it does not have {} as file {number}", file.name))
    })
}
