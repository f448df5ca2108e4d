//! Data sets from a tape back over those of the same name on an existing volume.
//!
//! It is all or nothing: the volume is copied aside with the data sets exchanged, and the copy takes the volume's name
//! when it is complete. The volume is locked exclusively from the first look to the last rename, so nobody writes to
//! what is about to be replaced.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use tapegate_formats::dasd::address::{Cchhr, TrackIndex};
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::tape::unit::UnitKind;
use tapegate_formats::volume::name::DsName;

use super::Restored;
use super::described::DescribedTracks;
use super::error::RestoreError;
use super::new_image::{choose, open_files};
use super::relocate::{find_dscb, relocate_track, update_dscb};
use super::tape_volume::{FileClassOnTape, TapeVolume, VolumeFile};
use super::units::{UnitRun, read_run, unit_runs};
use crate::catalog::{Catalog, DataSet, DataSetKind, VolumeTracks};
use crate::finding::{Finding, Grade};
use crate::parallel::run_in_order;
use crate::plan::UnitList;
use crate::plan::pattern::Selection;
use crate::snapshot::{Manifest, Monitor, UpdateStatus};
use crate::tape::partial::{beside, sync_directory};
use crate::volume::create::{CreateOptions, NewImage};
use crate::volume::{OpenOptions, Shape, Stage, UnitIndex, Volume, VolumeError};

/// What is to be put back, and where.
#[derive(Debug)]
pub struct ExistingOptions<'a> {
    /// The image.
    pub image: PathBuf,
    /// How to open it.
    pub open: OpenOptions,
    /// Which data sets.
    pub selection: &'a Selection,
    /// Put back VSAM components and the like although the volume's VVDS does not name them.
    pub force: bool,
    /// Threads.
    pub threads: usize,
    /// Bring it to stable storage before it takes the volume's name.
    pub sync: bool,
}

/// A data set on its way from its old tracks to its new ones.
struct Move<'a> {
    file: &'a VolumeFile,
    /// The tracks of the data set on the volume, in its order.
    target: UnitList,
    dscb: Cchhr,
    /// The DSCB that the data set had when it was copied.
    source_dscb: [u8; 140],
}

/// Puts data sets back; on an error the volume is as it was.
///
/// # Errors
/// When the tape is damaged, the volume can't be replaced, or a data set does not fit the one of its name.
pub fn restore_into(
    tape: &TapeVolume,
    manifest: Option<&Manifest>,
    options: &ExistingOptions<'_>,
    stop: &AtomicBool,
    monitor: &dyn Monitor,
) -> Result<Restored, RestoreError> {
    let volume = Volume::open(&options.image, &options.open)?;
    volume.lock_exclusively()?;
    let refuse = |reason: &str| RestoreError::Refused(format!("{}: {reason}", options.image.display()));
    // What a link leads to is replaced, not the link.
    let target = std::fs::canonicalize(&options.image).map_err(|source| replacing_failed(&options.image, source))?;
    if !target.is_file() {
        return Err(refuse("it is a device, which can't be replaced whole; copy it into an image first"));
    }
    if volume.fingerprint().files.len() > 1 {
        return Err(refuse("the volume is more than one file; copy it into one image first (snapshot it, restore --new)"));
    }
    if volume.findings().iter().any(|finding| finding.grade == Grade::Damage) {
        return Err(refuse("the image was not closed cleanly or is damaged; have it checked first"));
    }
    let (&Shape::Ckd(geometry), &Shape::Ckd(tape_geometry)) = (volume.shape(), tape.shape()) else {
        return Err(refuse("data sets are put back from count-key-data tapes onto count-key-data volumes only"));
    };
    if geometry.device() != tape_geometry.device() || geometry.heads() != tape_geometry.heads() {
        let (there, here) = (geometry.device(), tape_geometry.device());
        return Err(refuse(&format!(
            "it is a {there} and the tape holds tracks of a {here}; only the same device type takes them"
        )));
    }
    let tracks = VolumeTracks::new(&volume).ok_or_else(|| refuse("it has no tracks"))?;
    let catalog = Catalog::read(&tracks)?;
    let mut findings = tape.findings().to_vec();
    let mut chosen = choose(tape, options.selection, &mut findings)?;
    chosen.retain(|file| file.class == FileClassOnTape::DataSet);
    let described = DescribedTracks::new(tape)?;
    let on_tape = described.tracks().map(|tracks| Catalog::read(&tracks)).transpose()?;
    let on_tape = on_tape.ok_or_else(|| refuse("the tape does not describe a VTOC"))?;
    let mut planner =
        Planner { volume: &volume, catalog: &catalog, described: &described, on_tape: &on_tape, force: options.force, findings };
    let moves = chosen.iter().map(|file| planner.plan(file)).collect::<Result<Vec<_>, _>>()?;
    let findings = planner.findings;
    let made = beside(&target, ".restoring");
    // A leftover of a run that was killed: the lock says that nobody else is at work here.
    let _leftover = std::fs::remove_file(&made);
    let units = exchange(tape, manifest, &volume, &moves, &made, options, stop, monitor)?;
    volume.check_unchanged()?;
    replace(&target, &made, options.sync)?;
    Ok(Restored { files: chosen.iter().map(|file| file.name.to_string()).collect(), units, findings })
}

/// Decides whether data sets can go where the volume has those of their names.
struct Planner<'a> {
    volume: &'a Volume,
    catalog: &'a Catalog,
    described: &'a DescribedTracks,
    /// The catalog of the volume on the tape.
    on_tape: &'a Catalog,
    force: bool,
    findings: Vec<Finding>,
}

impl Planner<'_> {
    fn plan<'f>(&mut self, file: &'f VolumeFile) -> Result<Move<'f>, RestoreError> {
        let name = file.name;
        let refuse = |reason: String| RestoreError::Refused(format!("{name} can't be put back: {reason}"));
        let source = self.on_tape.find(&name).ok_or_else(|| refuse("the VTOC on the tape does not describe it".to_owned()))?;
        let source_dscb = source.dscb.and_then(|address| self.described.dscb(address));
        let source_dscb = source_dscb.ok_or_else(|| refuse("its DSCB is not on the tape".to_owned()))?;
        let target = self.catalog.find(&name);
        let target = target.ok_or_else(|| refuse("the volume has no data set of that name; allocate it first".to_owned()))?;
        if target.defective {
            return Err(refuse("the volume's VTOC describes it with extents that make no sense".to_owned()));
        }
        // A data set that was allocated and never opened takes any organisation.
        if target.kind != source.kind && target.kind != DataSetKind::Unknown {
            return Err(refuse(format!("it was {} and the volume's is {}", source.kind, target.kind)));
        }
        let dscb = target.dscb.ok_or_else(|| refuse("its DSCB was not found".to_owned()))?;
        let list = target_units(target).ok_or_else(|| refuse("its extents are more than a volume has".to_owned()))?;
        let (needed, there) = (file.units.len(), list.len());
        let exact = source.last_used.is_none() || !source.other_extents.is_empty() || !target.other_extents.is_empty();
        if exact && (needed != file.allocated.len() || needed != there) {
            let had = file.allocated.len();
            return Err(refuse(format!(
                "nothing says where its data end, so it must have the {had} tracks that it had, and it has {there}"
            )));
        }
        if there < needed {
            return Err(refuse(format!("it needs {needed} tracks and has {there}; allocate it larger")));
        }
        if let Some(special) = file.special {
            let note = check_special(self.volume, self.catalog, name, special, self.force)?;
            self.findings.push(note);
        }
        Ok(Move { file, target: list, dscb, source_dscb })
    }
}

fn target_units(data_set: &DataSet) -> Option<UnitList> {
    let others = data_set.other_extents.iter().map(|other| other.extent);
    let extents: Vec<_> = data_set.extents.iter().copied().chain(others).collect();
    UnitList::from_extents(&extents)
}

/// A VSAM component, PDSE, extended or HFS data set means nothing without catalog and VVDS: says what they need.
fn check_special(
    volume: &Volume,
    catalog: &Catalog,
    name: DsName,
    special: &'static str,
    force: bool,
) -> Result<Finding, RestoreError> {
    let needs = "the VVDS record and the catalog entry must be those of this content (IDCAMS DIAGNOSE compares them, DEFINE RECATALOG \
                 makes the entry anew)";
    if named_in_vvds(volume, catalog, name)? || force {
        let detail = format!("it is {special}: {needs}");
        return Ok(Finding::note("catalog-needed", detail).of(name));
    }
    Err(RestoreError::Refused(format!(
        "{name} is {special}, and no VVDS on the volume names it: {needs}; --force puts it back all the same"
    )))
}

/// Whether the name stands anywhere in the volume's VVDS.
fn named_in_vvds(volume: &Volume, catalog: &Catalog, name: DsName) -> Result<bool, RestoreError> {
    let blank = tapegate_formats::ebcdic::BLANK;
    let bytes = name.as_ebcdic();
    let length = bytes.iter().rposition(|byte| *byte != blank).map_or(0, |last| last + 1);
    let mut stage = Stage::new();
    for vvds in catalog.data_sets.iter().filter(|data_set| data_set.name.to_string().starts_with("SYS1.VVDS.V")) {
        for unit in vvds.extents.iter().flat_map(|extent| extent.first..extent.first + extent.tracks) {
            volume.read_units(UnitIndex(unit), 1, &mut stage)?;
            let track = stage.body(0);
            let goes_on = |byte: Option<&u8>| byte.is_some_and(|byte| is_name_byte(*byte));
            let names = |at: usize| {
                let before = at.checked_sub(1).and_then(|before| track.get(before));
                // Records of a VVDS have a name's length in front of it. A.B stands in A.B.C too, and is another name there.
                let whole = before.is_some_and(|byte| usize::from(*byte) == length)
                    || !goes_on(before) && !goes_on(track.get(at + length));
                track[at..].starts_with(&bytes[..length]) && whole
            };
            if length > 0 && (0..track.len()).any(names) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether an EBCDIC byte can be part of a data set name.
fn is_name_byte(byte: u8) -> bool {
    let character = tapegate_formats::ebcdic::to_char(byte);
    character.is_ascii_uppercase() || character.is_ascii_digit() || "@#$-.".contains(character)
}

/// Writes the volume with the data sets exchanged to `made`; gives the number of tracks put back.
#[allow(clippy::too_many_arguments, reason = "what goes in comes from as many places")]
fn exchange(
    tape: &TapeVolume,
    manifest: Option<&Manifest>,
    volume: &Volume,
    moves: &[Move<'_>],
    made: &Path,
    options: &ExistingOptions<'_>,
    stop: &AtomicBool,
    monitor: &dyn Monitor,
) -> Result<u64, RestoreError> {
    let (&Shape::Ckd(geometry), &Shape::Ckd(tape_geometry)) = (volume.shape(), tape.shape()) else { return Ok(0) };
    let shape = volume.shape();
    let written = UpdateStatus::new(shape.units());
    let image = NewImage::create(made, shape, &CreateOptions::new(volume.format()))?;

    // DSCBs first: several may share a track, which is written once.
    let mut dscb_tracks: HashMap<u32, Vec<u8>> = HashMap::new();
    for one in moves {
        let track = geometry.track_index(one.dscb.track).map_or(0, |track| track.0);
        let home = geometry.encode_cchh(one.dscb.track);
        let body = match dscb_tracks.remove(&track) {
            Some(body) => body,
            None => read_track(volume, track)?,
        };
        let changed = update_dscb(&body, home, one.dscb.record, &one.source_dscb);
        let changed =
            changed.ok_or_else(|| RestoreError::Refused(format!("the DSCB of {} is not at {}", one.file.name, one.dscb)))?;
        dscb_tracks.insert(track, changed);
    }
    for (track, body) in &dscb_tracks {
        image.write_units(UnitIndex(*track), &[(UnitKind::Track, body)])?;
        written.claim(*track..*track + 1).secure();
    }

    let files: Vec<_> = moves.iter().map(|one| one.file).collect();
    let files = open_files(tape, manifest, &files)?;
    let runs = unit_runs(tape, &files, shape.stage_units())?;
    monitor.begin("restoring", runs.iter().map(|run| run.bytes).sum());
    let work = |_, run: &UnitRun, buffer: &mut Vec<u8>| -> Result<(), RestoreError> {
        let one = moves.iter().find(|one| std::ptr::eq(one.file, files[run.file].file));
        let one = one.unwrap_or_else(|| unreachable!("the files are those of the moves"));
        for ((j, number), (kind, body)) in (run.at..).zip(run.first.0..).zip(read_run(tape, &files, run, buffer)?) {
            let Some(target) = one.target.unit(j) else { break };
            let address = |geometry: &Geometry, unit| geometry.encode_cchh(geometry.cchh(TrackIndex(unit)));
            let moved = (kind == UnitKind::Track)
                .then(|| relocate_track(body, address(&tape_geometry, number), address(&geometry, target.0)).ok())
                .flatten();
            let moved = moved.ok_or_else(|| {
                let address = tape.shape().address(UnitIndex(number));
                RestoreError::Refused(format!("{}: {address} on the tape does not walk and can't be moved", one.file.name))
            })?;
            let claim = written.claim(target.0..target.0 + 1);
            if claim.units() == 0 {
                let address = shape.address(target);
                return Err(RestoreError::Refused(format!("{}: {address} belongs to something else too", one.file.name)));
            }
            image.write_units(target, &[(UnitKind::Track, &moved)])?;
            claim.secure();
        }
        monitor.advance(run.bytes);
        Ok(())
    };
    let stopped = || RestoreError::Refused("stopped before the volume was complete; it is as it was".to_owned());
    if !run_in_order(options.threads, &runs, stop, Vec::new, work, || {})? {
        return Err(stopped());
    }

    // Everything else as it is.
    let stages: Vec<u32> = (0..shape.units()).step_by(shape.stage_units() as usize).collect();
    let work = |_, first: &u32, stage: &mut Stage| -> Result<(), RestoreError> {
        let count = shape.stage_units().min(shape.units() - first);
        volume.read_units(UnitIndex(*first), count, stage)?;
        let units: Vec<_> = stage.units().map(|unit| (unit.kind, unit.body)).collect();
        let claim = written.claim(*first..first + count);
        let mut at = 0;
        while at < units.len() {
            let free = |at: usize| u32::try_from(at).is_ok_and(|at| claim.has(first + at));
            let end = (at..units.len()).find(|at| !free(*at)).unwrap_or(units.len());
            let first = UnitIndex(first + u32::try_from(at).unwrap_or(0));
            image.write_units(first, &units[at..end])?;
            at = end + 1;
        }
        claim.secure();
        Ok(())
    };
    if !run_in_order(options.threads, &stages, stop, Stage::new, work, || {})? {
        return Err(stopped());
    }
    image.finish(options.sync)?;
    Ok(runs.iter().map(|run| u64::from(run.units)).sum())
}

fn read_track(volume: &Volume, track: u32) -> Result<Vec<u8>, RestoreError> {
    let mut stage = Stage::new();
    volume.read_units(UnitIndex(track), 1, &mut stage)?;
    Ok(stage.body(0).to_vec())
}

/// Gives the finished copy the volume's permissions and name.
fn replace(image: &Path, made: &Path, sync: bool) -> Result<(), RestoreError> {
    let permissions = std::fs::metadata(image).map(|metadata| metadata.permissions());
    let renamed = permissions.and_then(|permissions| {
        std::fs::set_permissions(made, permissions)?;
        std::fs::rename(made, image)
    });
    if let Err(source) = renamed {
        // The volume is as it was; the copy is of no use to anyone.
        let _best_effort = std::fs::remove_file(made);
        return Err(replacing_failed(image, source));
    }
    if sync { Ok(sync_directory(image)?) } else { Ok(()) }
}

fn replacing_failed(image: &Path, source: std::io::Error) -> RestoreError {
    VolumeError::Io { path: image.to_owned(), action: "replacing the volume".to_owned(), source }.into()
}

impl DescribedTracks {
    /// The DSCB at an address of the VTOC.
    fn dscb(&self, address: Cchhr) -> Option<[u8; 140]> {
        let (home, body) = self.track(address.track)?;
        find_dscb(body, home, address.record)
    }
}
