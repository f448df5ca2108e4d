//! The stream of the first file of a tape: the volume, the files, label and VTOC.

use tapegate_formats::ebcdic;
use tapegate_formats::tape::description::{DESCRIPTION_VERSION, DescribedExtent, Description, DescriptionHeader, FileEntry};
use tapegate_formats::tape::unit::unit_header;

use super::error::SnapshotError;
use super::options::SnapshotOptions;
use crate::catalog::{Catalog, DataSetKind, Extent};
use crate::plan::{FileClass, FileSpec, Form};
use crate::volume::{Shape, Stage, UnitIndex, UnitSource, VolumeError};

/// Describes a volume and the files that follow the description.
///
/// # Errors
/// When label or VTOC can't be read.
pub(super) fn describe(
    volume: &dyn UnitSource,
    catalog: &Catalog,
    options: &SnapshotOptions,
    files: &[FileSpec],
) -> Result<Vec<u8>, SnapshotError> {
    let (units, unit_bytes) = label_and_vtoc(volume, catalog)?;
    let mut header = DescriptionHeader {
        version: DESCRIPTION_VERSION,
        shape: 1,
        used_only: options.used.into(),
        device: 0,
        heads: 0,
        cylinders: 0,
        slot_bytes: 0,
        blocks: 0,
        block_bytes: 0,
        unit_blocks: 0,
        volser: catalog.label.volser().map_or([ebcdic::BLANK; 6], |volser| *volser.as_ebcdic()),
        tape_block_bytes: options.plan.block_bytes,
        t0: options.t0,
        entries: 0,
        units,
        entry_bytes: 0,
        reserved: [0; 52],
        crc: 0,
    };
    match volume.shape() {
        Shape::Ckd(geometry) => {
            header.device = geometry.device().number();
            header.heads = geometry.heads();
            header.cylinders = geometry.cylinders();
            header.slot_bytes = geometry.slot_bytes();
        }
        Shape::FixedBlock(shape) => {
            header.shape = 2;
            header.blocks = shape.blocks;
            header.block_bytes = shape.block_bytes;
            header.unit_blocks = shape.unit_blocks;
        }
    }
    // The description is file 1.
    let files = files.iter().zip(2..).map(|(file, number)| entry(file, number)).collect();
    let mut stream = Description { header, files }.to_bytes();
    stream.extend(unit_bytes);
    Ok(stream)
}

fn entry(file: &FileSpec, number: u32) -> FileEntry {
    let attributes = file.attributes;
    FileEntry {
        name: *file.name.as_ebcdic(),
        class: match file.class {
            FileClass::Description => 0,
            FileClass::DataSet => 1,
            FileClass::Rest => 2,
            FileClass::Whole => 3,
        },
        form: match file.form() {
            Form::Tracks => 1,
            Form::Blocks => 2,
        },
        dsorg: attributes.map_or(0, |attributes| attributes.dsorg),
        recfm: attributes.map_or(0, |attributes| attributes.recfm),
        key_length: attributes.map_or(0, |attributes| attributes.key_length),
        record_length: attributes.map_or(0, |attributes| attributes.record_length),
        block_length: attributes.map_or(0, |attributes| attributes.block_length),
        special: match attributes.map(|attributes| attributes.kind) {
            Some(DataSetKind::Vsam) => 1,
            Some(DataSetKind::PartitionedExtended) => 2,
            Some(DataSetKind::Extended) => 3,
            Some(DataSetKind::Hfs) => 4,
            _ => 0,
        },
        reserved: 0,
        number,
        units: file.units.len(),
        reserved2: 0,
        extents: file.allocated.runs().iter().map(|run| DescribedExtent { first: run.first.0, units: run.units }).collect(),
    }
}

/// The units that hold label and VTOC, encoded; how many they are, and their bytes.
fn label_and_vtoc(volume: &dyn UnitSource, catalog: &Catalog) -> Result<(u32, Vec<u8>), VolumeError> {
    let label = Extent { first: 0, tracks: 1 };
    let vtoc = catalog.vtoc.as_ref().map(|vtoc| vtoc.extent);
    let units =
        vtoc.into_iter().flat_map(|extent| extent.first..extent.first.saturating_add(extent.tracks)).filter(|unit| *unit != 0);
    let units = (label.first..label.first + label.tracks).chain(units);
    let (mut count, mut bytes, mut stage) = (0, Vec::new(), Stage::new());
    for unit in units.take_while(|unit| *unit < volume.shape().units()) {
        volume.read_units(UnitIndex(unit), 1, &mut stage)?;
        for staged in stage.units() {
            bytes.extend(unit_header(unit, staged.kind, staged.body));
            bytes.extend(staged.body);
            count += 1;
        }
    }
    Ok((count, bytes))
}
