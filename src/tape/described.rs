//! The description on a tape of ours: what its files are, with their whole names and attributes.

use std::collections::HashMap;

use tapegate_formats::ebcdic;
use tapegate_formats::tape::description::{DESCRIPTION_HEADER_BYTES, Description, DescriptionError, FileEntry};

use super::data_blocks::DataBlocks;
use super::error::TapeError;
use super::image::TapeImage;
use super::structure::{TapeFile, TapeStructure};

/// More bytes of entries than any tape has: those of the largest volume, fragmented as far as can be, take a tenth.
const MOST_ENTRY_BYTES: u64 = 256 << 20;
/// Where the header says how many bytes of entries there are.
const ENTRY_BYTES_AT: usize = 64;

/// The description of a tape, ready to be asked about its files.
#[derive(Debug, Clone)]
pub struct TapeDescription {
    /// As it lies on the tape.
    pub description: Description,
    /// Places in the description by file number.
    by_number: HashMap<u32, usize>,
}

impl TapeDescription {
    fn new(description: Description) -> Self {
        let by_number = description.files.iter().map(|entry| entry.number).zip(0..).collect();
        Self { description, by_number }
    }

    /// What is said about a file of the tape.
    #[must_use]
    pub fn entry(&self, file: &TapeFile) -> Option<&FileEntry> {
        self.description.files.get(*self.by_number.get(&file.number)?)
    }

    /// The entry of a whole name; capitals don't matter.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&FileEntry> {
        self.description.files.iter().find(|entry| described_name(entry).eq_ignore_ascii_case(name))
    }
}

/// Reads the description from the first file of a tape; `None` if tapegate did not write the tape.
///
/// # Errors
/// When the first file begins as a description and is damaged or of a later version, or can't be read.
pub fn read_description(image: &TapeImage, tape: &TapeStructure) -> Result<Option<TapeDescription>, TapeError> {
    let Some(file) = tape.files.first() else { return Ok(None) };
    let mut blocks = DataBlocks::new(image, file);
    let mut stream = Vec::new();
    // The header's length until the header is there, then that of the entries too.
    let mut wanted = DESCRIPTION_HEADER_BYTES as u64;
    while (stream.len() as u64) < wanted {
        let Some((_, block)) = blocks.next_block()? else { break };
        stream.extend_from_slice(block);
        if !Description::begins(&stream) {
            return Ok(None);
        }
        if let Some(field) = stream.get(ENTRY_BYTES_AT..).and_then(|rest| rest.first_chunk()) {
            let entry_bytes = u64::from_be_bytes(*field);
            if entry_bytes > MOST_ENTRY_BYTES {
                let defect = DescriptionError::Damaged { reason: format!("it claims {entry_bytes} bytes of entries") };
                return Err(image.damaged(file.data_offset, defect));
            }
            wanted = DESCRIPTION_HEADER_BYTES as u64 + entry_bytes;
        }
    }
    match Description::parse(&stream) {
        Ok((description, _)) => Ok(Some(TapeDescription::new(description))),
        Err(DescriptionError::Magic) => Ok(None),
        Err(defect) => Err(image.damaged(file.data_offset, defect)),
    }
}

/// The whole name of a described file.
#[must_use]
pub fn described_name(entry: &FileEntry) -> String {
    let text = ebcdic::to_string(&entry.name);
    text.trim_end().chars().map(|character| if character.is_control() { '.' } else { character }).collect()
}
