//! What lies on a tape: files with their labels, by position.
//!
//! Only tape marks say where a file ends. On a labelled tape every data set is three groups of blocks (header labels,
//! data, trailer labels), each ended by a tape mark, and an empty group where header labels should be is the end.
//! Blocks that look like labels in any other place are data.

use tapegate_formats::tape::label::{LabelCode, LabelKind, label_name};
use tapegate_formats::tape::label_reader::{FirstLabel, SecondLabel};

use super::error::TapeError;
use super::image::{BlockBuffer, TapeImage};
use super::structure_reader::StructureReader;
use crate::finding::Finding;

/// How the files of a tape are labelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelStyle {
    /// IBM standard labels (SL).
    Standard,
    /// ANSI labels (AL).
    Ansi,
    /// No labels (NL).
    None,
}

/// How a tape ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TapeEnd {
    /// With two tape marks in a row.
    DoubleTapeMark,
    /// The last file goes on on the next volume.
    NextVolume,
    /// It was initialised and never written to.
    Initialised,
    /// The image ends where the tape does not: what is missing can't be known.
    Open,
    /// It can't be read to its end.
    Damaged,
}

/// The labels in front of a file, or behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelGroup {
    /// HDR1, EOF1 or EOV1.
    pub first: Option<FirstLabel>,
    /// HDR2, EOF2 or EOV2.
    pub second: Option<SecondLabel>,
    /// Blocks of the group, user labels and what is no label counted too.
    pub blocks: u64,
}

/// A file of a tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeFile {
    /// From 1: the data set's place on a labelled tape; on an unlabelled one the number of tape marks in front of it,
    /// plus one.
    pub number: u32,
    /// HDR1, HDR2; empty on an unlabelled tape.
    pub header: LabelGroup,
    /// EOF1, EOF2 or EOV1, EOV2.
    pub trailer: LabelGroup,
    /// L: offset of the first header label, VOL1 aside; of the data on an unlabelled tape.
    pub offset: u64,
    /// D: offset of the first data block, or of the tape mark if there is none.
    pub data_offset: u64,
    /// Offset behind the last data block.
    pub data_end: u64,
    /// Data blocks.
    pub blocks: u64,
    /// Bytes of data, expanded.
    pub bytes: u64,
    /// Bytes of data as they are stored.
    pub stored_bytes: u64,
    /// Bytes of the shortest and the longest block.
    pub block_lengths: Option<(u32, u32)>,
    /// Whether the first block begins with an encoded unit: the file is one of ours in `tracks` form.
    pub holds_units: bool,
    /// Whether the file has its last tape mark and, on a labelled tape, its trailer labels.
    pub complete: bool,
    /// Whether it lies behind the double tape mark that ends an unlabelled tape, where most programs never come.
    pub behind_end: bool,
}

/// What lies on a tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapeStructure {
    /// How the files are labelled.
    pub labels: LabelStyle,
    /// Volume serial of VOL1.
    pub volser: Option<String>,
    /// Owner of VOL1.
    pub owner: Option<String>,
    /// The files in order.
    pub files: Vec<TapeFile>,
    /// How the tape ends.
    pub end: TapeEnd,
    /// Blocks on the tape, labels too.
    pub blocks: u64,
    /// Tape marks on the tape.
    pub tape_marks: u64,
    /// Bytes of all blocks, labels too, expanded.
    pub bytes: u64,
    /// The same as they are stored.
    pub stored_bytes: u64,
    /// Blocks that are compressed: if there are any, the image is a HET and no AWS.
    pub compressed_blocks: u64,
    /// What is odd.
    pub findings: Vec<Finding>,
}

impl TapeStructure {
    /// Whether the tape has an end, so that nothing of it can be missing.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !matches!(self.end, TapeEnd::Open | TapeEnd::Damaged)
    }

    /// Finds files by number or name: the one in the labels, or a whole name, of which labels have the rightmost 17
    /// characters. Capitals don't matter. Names need not be unique, so there may be several.
    #[must_use]
    pub fn find(&self, wanted: &str) -> Vec<&TapeFile> {
        let number: Option<u32> = wanted.parse().ok();
        if let Some(file) = self.files.iter().find(|file| Some(file.number) == number) {
            return vec![file];
        }
        let name = label_name(wanted);
        self.files.iter().filter(|file| file.name().is_some_and(|found| found.eq_ignore_ascii_case(name))).collect()
    }
}

impl TapeFile {
    /// The name in the labels, at most 17 characters.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.header.first.as_ref().or(self.trailer.first.as_ref()).map(|label| label.name.as_str())
    }

    /// The second label with the better attributes: the trailer is written when they are known.
    #[must_use]
    pub fn attributes(&self) -> Option<&SecondLabel> {
        let useful = |label: &&SecondLabel| label.block_length.is_some_and(|length| length > 0);
        let labels = || self.header.second.iter().chain(&self.trailer.second);
        labels().find(useful).or_else(|| labels().next())
    }

    /// Block count of the trailer.
    #[must_use]
    pub fn label_block_count(&self) -> Option<u64> {
        self.trailer.first.as_ref().and_then(|label| label.block_count)
    }

    /// Whether the trailer says that the file goes on on the next volume.
    #[must_use]
    pub fn continues(&self) -> bool {
        self.trailer.first.as_ref().is_some_and(|label| label.kind == LabelKind::Eov)
    }

    /// `file 3 SYS1.PARMLIB`, for findings.
    #[must_use]
    pub fn title(&self) -> String {
        match self.name() {
            Some(name) => format!("file {} {name}", self.number),
            None => format!("file {}", self.number),
        }
    }
}

impl From<LabelCode> for LabelStyle {
    fn from(code: LabelCode) -> Self {
        match code {
            LabelCode::Ebcdic => Self::Standard,
            LabelCode::Ascii => Self::Ansi,
        }
    }
}

/// Reads a tape from end to end and says what lies on it. `progress` is told the offset reached, in bytes.
///
/// A tape that is damaged or doesn't end is described as far as it can be read, with a finding that says where and why.
///
/// # Errors
/// When the medium fails.
pub fn read_structure(image: &TapeImage, mut progress: impl FnMut(u64)) -> Result<TapeStructure, TapeError> {
    let mut reader = StructureReader::new(image);
    let mut buffer = BlockBuffer::new();
    for item in image.items() {
        let taken = item.and_then(|item| reader.take(&item, &mut buffer).map(|()| item.end));
        match taken {
            Ok(offset) => progress(offset),
            Err(TapeError::Damaged { offset, defect, .. }) => {
                reader.stop(offset, &defect);
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(reader.finish())
}
