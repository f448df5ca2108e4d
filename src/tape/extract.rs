//! Taking a file off a tape.
//!
//! A file is its blocks one behind the other, unless it is one of ours in `tracks` form: then it holds units, and what
//! the data set holds is the data of its records.

use std::io;

use tapegate_formats::dasd::track::Track;
use tapegate_formats::ebcdic;
use tapegate_formats::tape::record_format::RecordFormat;
use tapegate_formats::tape::unit::{UnitHeader, UnitKind};

use super::data_blocks::{DataBlocks, UnitReader};
use super::error::{TapeDefect, TapeError};
use super::image::TapeImage;
use super::records::Deblocker;
use super::structure::TapeFile;
use crate::finding::Finding;

/// Where the content of a data set in units ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentEnd {
    /// Behind its last record; end-of-file records on the way are passed.
    #[default]
    LastRecord,
    /// At its first end-of-file record, as a program sees a sequential data set.
    EndOfFile,
}

/// What to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtractForm {
    /// The blocks' bytes as they are on tape.
    Raw,
    /// What the data set holds: the blocks' bytes, or the data of the records in units.
    Content(ContentEnd),
    /// The same as lines of text, a record a line.
    Text {
        /// Where the content in units ends.
        end: ContentEnd,
        /// How the blocks are made of records.
        format: RecordFormat,
        /// Length of fixed records.
        record_length: u32,
        /// Whether the text is EBCDIC, to be made UTF-8; otherwise it stays as it is.
        ebcdic: bool,
    },
}

/// What was written.
#[derive(Debug, Default)]
pub struct Extracted {
    /// Blocks that were taken: those of the tape, or the records in units.
    pub blocks: u64,
    /// Units that were read.
    pub units: u64,
    /// Bytes that were written.
    pub bytes: u64,
    /// What is odd about the content.
    pub findings: Vec<Finding>,
}

/// Writes a file of a tape to `out`.
///
/// # Errors
/// When a block or unit is damaged, a block has no records of the format, or reading or writing fails.
pub fn extract(image: &TapeImage, file: &TapeFile, form: ExtractForm, out: &mut dyn io::Write) -> Result<Extracted, TapeError> {
    let mut writer = Writer { image, out, deblocker: None, ebcdic: false, line: Vec::new(), done: Extracted::default() };
    if let ExtractForm::Text { format, record_length, ebcdic, .. } = form {
        writer.deblocker = Some(Deblocker::new(format, record_length));
        writer.ebcdic = ebcdic;
    }
    match form {
        ExtractForm::Content(end) | ExtractForm::Text { end, .. } if file.holds_units => writer.units(file, end)?,
        _ => {
            let mut blocks = DataBlocks::new(image, file);
            while let Some((offset, block)) = blocks.next_block()? {
                writer.block(offset, block)?;
            }
        }
    }
    if writer.deblocker.as_ref().is_some_and(Deblocker::in_record) {
        writer.done.findings.push(Finding::damage("open-record", "the data ends inside a spanned record").of(file.title()));
    }
    Ok(writer.done)
}

/// Writes blocks, in lines if there is a deblocker.
struct Writer<'a> {
    image: &'a TapeImage,
    out: &'a mut dyn io::Write,
    deblocker: Option<Deblocker>,
    ebcdic: bool,
    line: Vec<u8>,
    done: Extracted,
}

impl Writer<'_> {
    fn units(&mut self, file: &TapeFile, end: ContentEnd) -> Result<(), TapeError> {
        let mut reader = UnitReader::new(self.image, file);
        loop {
            let offset = reader.offset();
            let Some((header, body)) = reader.next_unit()? else { break };
            self.done.units += 1;
            match header.kind {
                UnitKind::Blocks => self.block(offset, body)?,
                UnitKind::RawSlot => self.done.findings.push(
                    Finding::damage("raw-slot", "the track's records don't walk: it is left out; --raw has its bytes")
                        .of(file.title())
                        .at(format_args!("unit {}", header.unit)),
                ),
                UnitKind::Track => {
                    if self.track(offset, &header, body, end)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes the records of a track and says whether the content ended on it.
    fn track(&mut self, offset: u64, header: &UnitHeader, body: &[u8], end: ContentEnd) -> Result<bool, TapeError> {
        // A body says itself which track it is; that it is the one of its unit number is for a restore to check.
        let home = body.get(1..5).and_then(|home| home.first_chunk()).copied().unwrap_or_default();
        let track = Track::from_bytes(body, home)
            .map_err(|defect| self.image.damaged(offset, TapeDefect::Track { unit: header.unit, defect }))?;
        for record in track.user_records() {
            if !record.count.is_end_of_file() {
                self.block(offset, record.data)?;
            } else if end == ContentEnd::EndOfFile {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn block(&mut self, offset: u64, block: &[u8]) -> Result<(), TapeError> {
        self.done.blocks += 1;
        let Self { deblocker, out, line, done, ebcdic, .. } = self;
        let written = match deblocker {
            None => {
                done.bytes += block.len() as u64;
                out.write_all(block)
            }
            Some(deblocker) => deblocker
                .block(block, |record| {
                    line.clear();
                    if *ebcdic {
                        line.extend(ebcdic::to_string(record).as_bytes());
                    } else {
                        line.extend_from_slice(record);
                    }
                    line.push(b'\n');
                    done.bytes += line.len() as u64;
                    out.write_all(line)
                })
                .map_err(|defect| self.image.damaged(offset, defect))?,
        };
        written.map_err(|source| TapeError::Write { source })
    }
}
