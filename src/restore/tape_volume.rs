//! A tape that tapegate wrote, opened to be restored or checked: its description, and which tape file is which.

use std::path::Path;

use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::tape::description::{Description, DescriptionHeader, FileEntry};
use tapegate_formats::volume::name::{DsName, Volser};

use super::error::RestoreError;
use super::file_stream::FileStream;
use crate::catalog::Extent;
use crate::finding::Finding;
use crate::plan::{Form, UnitList};
use crate::tape::{TapeImage, TapeStructure, read_structure};
use crate::volume::{BlockShape, Shape};

/// Most bytes of a description that are read: 100,000 data sets and the largest VTOC take a tenth of it.
const LONGEST_DESCRIPTION_BYTES: u64 = 1 << 30;

/// A tape of ours.
#[derive(Debug)]
pub struct TapeVolume {
    image: TapeImage,
    structure: TapeStructure,
    header: DescriptionHeader,
    shape: Shape,
    files: Vec<VolumeFile>,
    /// Encoded units of label and VTOC.
    label_units: Vec<u8>,
}

/// What a file of the tape is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileClassOnTape {
    /// A data set.
    DataSet,
    /// The tracks that no data set has.
    Rest,
    /// The whole volume.
    Whole,
}

/// A file of the volume, as the description has it.
#[derive(Debug, Clone)]
pub struct VolumeFile {
    /// Full name.
    pub name: DsName,
    /// What it is.
    pub class: FileClassOnTape,
    /// How it lies on tape.
    pub form: Form,
    /// The units that are on the tape.
    pub units: UnitList,
    /// All units that it had on the volume.
    pub allocated: UnitList,
    /// What it is, if its content alone is not enough: VSAM, PDSE, extended format, HFS.
    pub special: Option<&'static str>,
    /// Number on the tape; `None` for an empty file that an unlabelled tape does not hold.
    pub number: Option<u32>,
}

impl TapeVolume {
    /// Opens a tape and reads its description.
    ///
    /// `progress` is told how far into the image the reading is.
    ///
    /// # Errors
    /// When the image is no tape, none of ours, does not end, or its description is damaged or contradicts the tape.
    pub fn open(path: &Path, progress: impl FnMut(u64)) -> Result<Self, RestoreError> {
        let image = TapeImage::open(path)?;
        let structure = read_structure(&image, progress)?;
        Self::from_image(image, structure)
    }

    /// Reads the description of a tape whose structure is known.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_image(image: TapeImage, structure: TapeStructure) -> Result<Self, RestoreError> {
        let inconsistent = |reason: String| RestoreError::Inconsistent { tape: image.path().to_owned(), reason };
        if !structure.is_whole() {
            return Err(inconsistent("the tape does not end with two tape marks; it may be cut short".to_owned()));
        }
        let first = structure.files.first().ok_or_else(|| inconsistent("there is no file on the tape".to_owned()))?;
        if first.bytes > LONGEST_DESCRIPTION_BYTES {
            return Err(inconsistent(format!("the first file has {} bytes, more than any description", first.bytes)));
        }
        let longest = first.block_lengths.map_or(0, |(_, longest)| longest);
        let stream = FileStream::open(&image, first, u16::try_from(longest).unwrap_or(u16::MAX))?;
        let mut bytes = vec![0; usize::try_from(first.bytes).unwrap_or(0)];
        stream.read_exact_at(0, &mut bytes)?;
        let description = Description::parse(&bytes);
        let (description, units) =
            description.map_err(|defect| RestoreError::Description { tape: image.path().to_owned(), defect })?;
        let label_units = units.to_vec();
        let Description { header, files } = description;
        let shape = shape(&header).ok_or_else(|| inconsistent("the description names a volume that can't be".to_owned()))?;
        let files =
            files.iter().map(|entry| volume_file(entry, &shape, &structure)).collect::<Result<_, _>>().map_err(inconsistent)?;
        Ok(Self { image, structure, header, shape, files, label_units })
    }

    /// The tape image.
    #[must_use]
    pub const fn image(&self) -> &TapeImage {
        &self.image
    }

    /// What lies on the tape by position.
    #[must_use]
    pub const fn structure(&self) -> &TapeStructure {
        &self.structure
    }

    /// The volume's shape.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The volume's serial.
    #[must_use]
    pub const fn volser(&self) -> Volser {
        Volser::from_ebcdic(self.header.volser)
    }

    /// Whether only what was in use was copied.
    #[must_use]
    pub const fn used_only(&self) -> bool {
        self.header.used_only != 0
    }

    /// The files of the volume.
    #[must_use]
    pub fn files(&self) -> &[VolumeFile] {
        &self.files
    }

    /// Encoded units of label and VTOC.
    pub(crate) fn label_units(&self) -> &[u8] {
        &self.label_units
    }

    /// The stream of a file in `tracks` form.
    pub(crate) fn stream(&self, number: u32) -> Result<FileStream<'_>, RestoreError> {
        let file = self.structure.files.iter().find(|file| file.number == number);
        let file = file.ok_or_else(|| self.inconsistent(format!("file {number} is not on the tape")))?;
        FileStream::open(&self.image, file, self.header.tape_block_bytes)
    }

    pub(crate) fn inconsistent(&self, reason: String) -> RestoreError {
        RestoreError::Inconsistent { tape: self.image.path().to_owned(), reason }
    }

    /// What the tape itself is suspected of; a restore tells it along.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        &self.structure.findings
    }
}

fn shape(header: &DescriptionHeader) -> Option<Shape> {
    match header.shape {
        1 => {
            let device = DeviceType::from_number(header.device)?;
            Geometry::new(device, header.cylinders, header.heads.into(), header.slot_bytes).ok().map(Shape::Ckd)
        }
        2 => {
            let shape = BlockShape { blocks: header.blocks, block_bytes: header.block_bytes, unit_blocks: header.unit_blocks };
            let unit_bytes = shape.block_bytes.checked_mul(shape.unit_blocks)?;
            let possible = shape.blocks > 0
                && (1..=65_536).contains(&unit_bytes)
                && shape.blocks.div_ceil(u64::from(shape.unit_blocks)) <= u64::from(u32::MAX);
            possible.then_some(Shape::FixedBlock(shape))
        }
        _ => None,
    }
}

fn volume_file(entry: &FileEntry, shape: &Shape, structure: &TapeStructure) -> Result<VolumeFile, String> {
    let name = DsName::from_ebcdic(entry.name);
    let class = match entry.class {
        1 => FileClassOnTape::DataSet,
        2 => FileClassOnTape::Rest,
        3 => FileClassOnTape::Whole,
        other => return Err(format!("the description gives {name} the unknown class {other}")),
    };
    let form = match entry.form {
        1 => Form::Tracks,
        2 => Form::Blocks,
        other => return Err(format!("the description gives {name} the unknown form {other}")),
    };
    let extents: Vec<_> = entry.extents.iter().map(|extent| Extent { first: extent.first, tracks: extent.units }).collect();
    let outside = extents.iter().any(|extent| extent.first.checked_add(extent.tracks).is_none_or(|end| end > shape.units()));
    let allocated = UnitList::from_extents(&extents).filter(|list| !outside && entry.units <= list.len());
    let allocated = allocated.ok_or_else(|| format!("the description gives {name} units that the volume does not have"))?;
    let number = (entry.number != 0).then_some(entry.number);
    if let Some(number) = number
        && !structure.files.iter().any(|file| file.number == number)
    {
        return Err(format!("{name} should be file {number}, which is not on the tape"));
    }
    Ok(VolumeFile {
        name,
        class,
        form,
        units: allocated.truncated(entry.units),
        allocated,
        special: match entry.special {
            1 => Some("VSAM"),
            2 => Some("PDSE"),
            3 => Some("extended format"),
            4 => Some("HFS"),
            _ => None,
        },
        number,
    })
}
