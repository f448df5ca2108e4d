//! Before the copy: what is on the volume, which files go on tape, and how long their units are.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::track::Track;
use tapegate_formats::tape::label::MOST_FILES_OF_ZOS;
use tapegate_formats::volume::name::{DsName, Volser};

use super::describe::describe;
use super::encode::measure_blocks;
use super::error::SnapshotError;
use super::monitor::Monitor;
use super::options::SnapshotOptions;
use super::source::CopySource;
use crate::catalog::{Catalog, DataSet, DataSetKind, TrackSource, UsedEnd, VolumeTracks, used_tracks};
use crate::finding::Finding;
use crate::parallel::run_in_order;
use crate::plan::{
    Attributes, BlockTable, ClosedForm, FileClass, FileSpec, Form, LabelKind, PlanOptions, SizeTable, TapePlan, UnitList,
    check_closed_form,
};
use crate::volume::{Shape, UnitIndex, UnitSource, VolumeError};

/// Units that a thread measures at once.
const MEASURE_UNITS: usize = 512;

/// Everything that must be known before the copy.
#[derive(Debug)]
pub struct Preparation {
    /// The files in tape order, the description first.
    pub files: Vec<FileSpec>,
    /// The stream of the description.
    pub description: Vec<u8>,
    /// Length of every unit that goes on tape; not there for a source whose units must be expanded to be measured.
    pub sizes: Option<SizeTable>,
    /// Closed forms of the data sets that have one, by name; known where the sizes are.
    pub closed_forms: ClosedForms,
    /// Serial of the volume.
    pub volume_volser: Option<Volser>,
    /// Serial of the tape.
    pub tape_volser: Volser,
    /// What was odd so far.
    pub findings: Vec<Finding>,
    /// Options of the plan.
    pub options: PlanOptions,
}

impl Preparation {
    /// Looks at the volume and chooses.
    ///
    /// With `measure` the size table is made even where every unit must be expanded for it, as `plan` needs it.
    ///
    /// # Errors
    /// When the volume can't be read, or nothing is selected.
    pub fn new(
        volume: &dyn CopySource,
        options: &SnapshotOptions,
        measure: bool,
        monitor: &dyn Monitor,
    ) -> Result<Self, SnapshotError> {
        let mut findings = volume.findings();
        let tracks = VolumeTracks::new(volume);
        let catalog = Catalog::of_volume(volume)?;
        findings.extend(catalog.findings.iter().cloned());
        let mut chooser = Chooser { volume, tracks, options, findings: Vec::new() };
        let mut files = chooser.choose(&catalog)?;
        findings.append(&mut chooser.findings);
        if options.plan.labels == LabelKind::None {
            drop_empty_files(&mut files, &mut findings);
        }
        let description = describe(volume, &catalog, options, &files)?;
        tracing::info!(volume = %volume.name().display(), files = files.len(), measured = measure || volume.measures_sparsely(), "chosen");
        let mut first = FileSpec::tracks(name("TAPEGATE.VOLUME")?, FileClass::Description, UnitList::default());
        first.fixed_bytes = Some(description.len() as u64);
        files.insert(0, first);
        findings.extend(many_files(options.plan.labels, files.len()));
        let sizes = (measure || volume.measures_sparsely()).then(|| measure_files(volume, &files, options.threads, monitor));
        let sizes = sizes.transpose()?;
        let (closed_forms, differing) = match &sizes {
            Some(sizes) => closed_forms(volume, &files, sizes),
            None => Default::default(),
        };
        findings.extend(differing);
        let volume_volser = catalog.label.volser();
        let tape_volser = match options.tape_volser {
            Some(volser) => volser,
            None => default_tape_volser(volume_volser)?,
        };
        Ok(Self { files, description, sizes, closed_forms, volume_volser, tape_volser, findings, options: options.plan.clone() })
    }

    /// The plan; `None` where the sizes are not known yet.
    ///
    /// # Errors
    /// When the labels can't number the files.
    pub fn plan(&self) -> Result<Option<TapePlan>, SnapshotError> {
        let plan = |sizes| TapePlan::new(self.options.clone(), self.files.clone(), sizes);
        Ok(self.sizes.as_ref().map(plan).transpose()?)
    }
}

fn name(text: &str) -> Result<DsName, SnapshotError> {
    Ok(text.parse().map_err(crate::plan::PlanError::Name)?)
}

/// `T` (or `V`) and the last five characters of the volume's serial: near enough to be recognised, and not the disk's own,
/// which a system must not see twice.
fn default_tape_volser(volume: Option<Volser>) -> Result<Volser, SnapshotError> {
    let serial = volume.map(|volser| volser.to_string()).unwrap_or_default();
    let tail: String = serial.chars().skip(serial.chars().count().saturating_sub(5)).collect();
    let first = if serial.starts_with('T') && serial.chars().count() == 6 { 'V' } else { 'T' };
    let wanted = if tail.is_empty() { "TAPE01".to_owned() } else { format!("{first}{tail}") };
    Ok(wanted.parse().or_else(|_| "TAPE01".parse()).map_err(crate::plan::PlanError::Name)?)
}

/// A file without a block can't lie on an unlabelled tape: its tape mark would end the tape.
fn drop_empty_files(files: &mut Vec<FileSpec>, findings: &mut Vec<Finding>) {
    files.retain(|file| {
        let empty = file.units.is_empty() || file.blocks.as_ref().is_some_and(|table| table.blocks() == 0);
        if empty {
            let detail = "it is empty, and an unlabelled tape has no place for an empty file; the description names it";
            findings.push(Finding::note("empty-file-left-out", detail).of(file.name));
        }
        !empty
    });
}

/// Tells that a tape has more files than z/OS finds by their numbers.
fn many_files(labels: LabelKind, files: usize) -> Option<Finding> {
    let first = MOST_FILES_OF_ZOS as usize + 1;
    (labels == LabelKind::Standard && files >= first).then(|| {
        let detail = format!(
            "the tape has {files} files; z/OS reads file sequence numbers up to {MOST_FILES_OF_ZOS}, tapegate restores all"
        );
        Finding::note("many-files", detail).at(format_args!("files {first} to {files}"))
    })
}

/// Chooses files and their units.
struct Chooser<'a> {
    volume: &'a dyn UnitSource,
    /// Its tracks, if it is count-key-data.
    tracks: Option<VolumeTracks<'a>>,
    options: &'a SnapshotOptions,
    findings: Vec<Finding>,
}

impl Chooser<'_> {
    fn choose(&mut self, catalog: &Catalog) -> Result<Vec<FileSpec>, SnapshotError> {
        let units = self.volume.shape().units();
        let whole = || Ok(vec![FileSpec::tracks(name("TAPEGATE.WHOLE")?, FileClass::Whole, UnitList::whole(units))]);
        let selective = !self.options.selection.is_everything();
        if self.options.whole && selective {
            return Err(SnapshotError::Refused("--whole takes the volume as one file, so it takes no patterns".to_owned()));
        }
        if catalog.vtoc.is_none() || self.options.whole {
            if selective {
                let reason = format!("{}: the volume has no VTOC, so no data set can be chosen", self.volume.name().display());
                return Err(SnapshotError::Refused(reason));
            }
            return whole();
        }
        let selected = self.options.selection.select(catalog.data_sets.iter().map(|data_set| &data_set.name));
        if let Some(pattern) = selected.unmatched.first() {
            let reason = format!("{}: no data set is called {pattern}; see `tapegate ls`", self.volume.name().display());
            return Err(SnapshotError::Refused(reason));
        }
        let mut files = Vec::with_capacity(selected.chosen.len() + 1);
        for place in selected.chosen {
            files.push(self.file(&catalog.data_sets[place])?);
        }
        if files.is_empty() && selective {
            let reason = format!("{}: every data set that was chosen is excluded too", self.volume.name().display());
            return Err(SnapshotError::Refused(reason));
        }
        // In the order in which they lie, so that the disk is read from one end to the other.
        files.sort_by_key(|file: &FileSpec| file.allocated.runs().first().map(|run| run.first));
        if !selective && !self.options.no_free && !self.options.used {
            let rest = UnitList::complement(files.iter().map(|file| &file.allocated), units);
            files.push(FileSpec::tracks(name("TAPEGATE.REST")?, FileClass::Rest, rest));
        }
        Ok(files)
    }

    fn file(&mut self, data_set: &DataSet) -> Result<FileSpec, SnapshotError> {
        let others = data_set.other_extents.iter().map(|other| other.extent);
        let extents: Vec<_> = data_set.extents.iter().copied().chain(others).collect();
        let Some(allocated) = UnitList::from_extents(&extents) else {
            return Err(SnapshotError::Refused(format!("{}: its extents are more than a volume has", data_set.name)));
        };
        let mut file = FileSpec::tracks(data_set.name, FileClass::DataSet, allocated);
        file.attributes = Some(Attributes {
            kind: data_set.kind,
            dsorg: data_set.dsorg,
            recfm: data_set.recfm,
            key_length: data_set.key_length,
            record_length: data_set.record_length,
            block_length: data_set.block_length,
            created: data_set.created,
            expires: data_set.expires,
            last_track: data_set.last_used.filter(|used| *used != (0, 0)).map(|(track, _)| track),
        });
        let blocks = self.options.form == Form::Blocks;
        if !data_set.other_extents.is_empty() || !(self.options.used || blocks) {
            if blocks {
                self.not_blocks(data_set, "it has extents besides its data");
            }
            return Ok(file);
        }
        let Some(tracks) = &self.tracks else { return Ok(file) };
        let (used, mut findings) = used_tracks(tracks, data_set)?;
        self.findings.append(&mut findings);
        file.blocks = if blocks { self.blocks(data_set, &file, used.tracks, used.end)? } else { None };
        if self.options.used || file.blocks.is_some() {
            file.units = file.units.truncated(used.tracks);
        }
        Ok(file)
    }

    fn not_blocks(&mut self, data_set: &DataSet, reason: &str) {
        let detail = format!("it goes on tape in tracks form, because {reason}");
        self.findings.push(Finding::note("not-as-blocks", detail).of(data_set.name));
    }

    /// Whether DS1LSTAR names the very last record of the last track: such a data set has no room for an end-of-file
    /// record, and the systems that fill it so take the end of its extents for the end of the file.
    fn is_full(&self, data_set: &DataSet) -> Result<bool, SnapshotError> {
        let Some((last_track, last_record)) = data_set.last_used.filter(|used| *used != (0, 0)) else { return Ok(false) };
        let (Some(tracks), true) = (&self.tracks, last_track + 1 == data_set.tracks()) else { return Ok(false) };
        let Some(track) = data_set.track(last_track) else { return Ok(false) };
        let geometry = tracks.geometry();
        let mut bytes = Vec::new();
        tracks.read_track(track, &mut bytes)?;
        let walked = Track::from_bytes(&bytes, geometry.encode_cchh(geometry.cchh(track)));
        Ok(walked.is_ok_and(|track| track.user_records().last().is_some_and(|record| record.count.record == last_record)))
    }

    /// The block table of a data set that can go as blocks; `None`, and a finding, if it can't.
    fn blocks(
        &mut self,
        data_set: &DataSet,
        file: &FileSpec,
        used: u32,
        end: UsedEnd,
    ) -> Result<Option<BlockTable>, SnapshotError> {
        let variable = data_set.recfm & 0xc0 == 0x40;
        let reason = if data_set.kind != DataSetKind::Sequential {
            Some("only sequential data sets are files of blocks")
        } else if data_set.key_length > 0 {
            Some("its records have keys, which a tape block can't carry")
        } else if data_set.recfm & 0xc0 == 0 || data_set.block_length == 0 {
            Some("its DSCB has no record format or block length")
        } else if data_set.recfm & 0x20 != 0 {
            Some("its records overflow from track to track")
        } else if variable && self.options.plan.labels == LabelKind::Ansi {
            Some("ANSI tapes have variable records in another form")
        } else if data_set.defective {
            Some("its DSCBs make no sense")
        } else if !data_set.last_volume || !(matches!(end, UsedEnd::FoundEof { .. }) || self.is_full(data_set)?) {
            Some("it has no end-of-file record on this volume")
        } else {
            None
        };
        if let Some(reason) = reason {
            self.not_blocks(data_set, reason);
            return Ok(None);
        }
        let Some(tracks) = &self.tracks else { return Ok(None) };
        let geometry = tracks.geometry();
        let mut units = Vec::with_capacity(used as usize);
        let mut bytes = Vec::new();
        for j in 0..used {
            let Some(unit) = file.units.unit(j) else { break };
            let track = TrackIndex(unit.0);
            tracks.read_track(track, &mut bytes)?;
            let home = geometry.encode_cchh(geometry.cchh(track));
            let measured = Track::from_bytes(&bytes, home).ok().and_then(measure_blocks);
            let Some(measured) = measured else {
                self.not_blocks(data_set, &format!("{} holds records that are no blocks", geometry.cchh(track)));
                return Ok(None);
            };
            units.push(measured);
        }
        Ok(Some(BlockTable::new(units)))
    }
}

/// Closed forms by the names of their data sets.
pub type ClosedForms = HashMap<DsName, ClosedForm>;

/// The closed forms of the files that have one, and findings about those whose tracks measure something else.
pub(super) fn closed_forms(volume: &dyn UnitSource, files: &[FileSpec], sizes: &SizeTable) -> (ClosedForms, Vec<Finding>) {
    let Shape::Ckd(geometry) = volume.shape() else { return Default::default() };
    let (mut forms, mut findings) = (HashMap::new(), Vec::new());
    // In `blocks` form the block table says what lies where.
    for file in files.iter().filter(|file| file.blocks.is_none()) {
        if let Some((form, finding)) = check_closed_form(file, geometry.device(), sizes) {
            forms.insert(file.name, form);
            findings.extend(finding);
        }
    }
    (forms, findings)
}

/// Measures the units of all files, each once, in several threads.
fn measure_files(
    volume: &dyn UnitSource,
    files: &[FileSpec],
    threads: usize,
    monitor: &dyn Monitor,
) -> Result<SizeTable, SnapshotError> {
    let total = volume.shape().units();
    let rest = UnitList::complement(files.iter().filter(|file| file.blocks.is_none()).map(|file| &file.units), total);
    let wanted = UnitList::complement([&rest], total);
    let mut lengths = vec![0_u32; total as usize];
    let mut jobs = Vec::new();
    let (mut left, mut at) = (&mut lengths[..], 0);
    for run in wanted.runs() {
        let (_, behind) = left.split_at_mut((run.first.0 - at) as usize);
        let (mine, behind) = behind.split_at_mut(run.units as usize);
        for (slice, first) in mine.chunks_mut(MEASURE_UNITS).zip((run.first.0..).step_by(MEASURE_UNITS)) {
            jobs.push(Mutex::new((UnitIndex(first), slice)));
        }
        (left, at) = (behind, run.first.0 + run.units);
    }
    monitor.begin("measuring", wanted.len().into());
    let work = |_, job: &Mutex<(UnitIndex, &mut [u32])>, (): &mut ()| -> Result<(), VolumeError> {
        let mut job = job.lock().unwrap_or_else(PoisonError::into_inner);
        let (first, slice) = &mut *job;
        volume.measure_units(*first, slice)?;
        monitor.advance(slice.len() as u64);
        Ok(())
    };
    run_in_order(threads, &jobs, &AtomicBool::new(false), || (), work, || {})?;
    drop(jobs);
    Ok(SizeTable::from_body_bytes(lengths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_files_than_zos_numbers_are_told() {
        assert_eq!(many_files(LabelKind::Standard, 65_535), None);
        assert_eq!(many_files(LabelKind::None, 100_002), None);
        let finding = many_files(LabelKind::Standard, 100_002).unwrap();
        assert_eq!((finding.code, finding.grade), ("many-files", crate::finding::Grade::Note));
        assert!(finding.to_string().starts_with("files 65536 to 100002: the tape has 100002 files"), "{finding}");
    }
}
