//! The frame of a tape: volume label, header and trailer labels, tape marks.

use tapegate_formats::tape::chunk::ChunkHeader;
use tapegate_formats::tape::date::LabelDate;
use tapegate_formats::tape::label::{DataSetLabel, LabelCode, LabelError, LabelKind as Position, hdr1, hdr2, vol1};
use tapegate_formats::tape::record_format::RecordFormat;
use zerocopy::IntoBytes;

use super::error::SnapshotError;
use crate::plan::{FilePlan, Form, LabelKind};

/// What the labels of all files of a tape have in common.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub(crate) kind: LabelKind,
    pub(crate) volser: String,
    pub(crate) created: Option<LabelDate>,
}

/// Who wrote the tape, in the labels' field for the system.
const SYSTEM_CODE: &str = "TAPEGATE";
const LABEL_BYTES: u16 = 80;

impl Labels {
    fn code(&self) -> Option<LabelCode> {
        match self.kind {
            LabelKind::Standard => Some(LabelCode::Ebcdic),
            LabelKind::Ansi => Some(LabelCode::Ascii),
            LabelKind::None => None,
        }
    }

    /// The blocks in front of the first file.
    pub(crate) fn volume(&self) -> Result<Vec<[u8; 80]>, SnapshotError> {
        let label = |source| SnapshotError::Label { file: 0, source };
        self.code().map(|code| vol1(&self.volser, SYSTEM_CODE, code).map_err(label)).into_iter().collect()
    }

    /// The blocks in front of a file's data; a tape mark follows them, if there are any.
    pub(crate) fn header(&self, file: &FilePlan) -> Result<Vec<[u8; 80]>, SnapshotError> {
        self.group(file, Position::Hdr)
    }

    /// The blocks behind the tape mark that ends a file's data; a tape mark follows them, if there are any.
    pub(crate) fn trailer(&self, file: &FilePlan) -> Result<Vec<[u8; 80]>, SnapshotError> {
        self.group(file, Position::Eof)
    }

    fn group(&self, file: &FilePlan, position: Position) -> Result<Vec<[u8; 80]>, SnapshotError> {
        let Some(code) = self.code() else { return Ok(Vec::new()) };
        let label = self.label(file);
        let both = || -> Result<_, LabelError> { Ok(vec![hdr1(position, &label, code)?, hdr2(position, &label, code)?]) };
        both().map_err(|source| SnapshotError::Label { file: file.number, source })
    }

    fn label(&self, file: &FilePlan) -> DataSetLabel {
        let attributes = file.spec.attributes.filter(|_| file.spec.form() == Form::Blocks);
        let (record_format, block_length, record_length) = match attributes {
            Some(attributes) => {
                let format = RecordFormat::from_ds1recfm(attributes.recfm).unwrap_or(RecordFormat::UNDEFINED);
                // LRECL=X is X'8000' in a DSCB and 99999 in a label.
                let record_length = if attributes.record_length == 0x8000 { 99_999 } else { attributes.record_length.into() };
                (format, u32::from(attributes.block_length), record_length)
            }
            None => (RecordFormat::UNDEFINED, u32::from(file.block_bytes), 0),
        };
        DataSetLabel {
            name: file.spec.name.to_string(),
            set_serial: self.volser.clone(),
            volume_sequence: 1,
            file_sequence: file.number,
            created: self.created,
            expires: None,
            block_count: file.blocks,
            system_code: SYSTEM_CODE.to_owned(),
            job: SYSTEM_CODE.to_owned(),
            step: "SNAPSHOT".to_owned(),
            record_format,
            block_length,
            record_length,
        }
    }
}

/// Bytes of an AWS image being put one behind the other.
#[derive(Debug, Default)]
pub(crate) struct ChunkWriter {
    pub(crate) bytes: Vec<u8>,
    previous: u16,
}

impl ChunkWriter {
    /// Begins behind a chunk of `previous` bytes; 0 at the beginning of the tape and behind a tape mark.
    pub(crate) fn behind(previous: u16) -> Self {
        Self { bytes: Vec::new(), previous }
    }

    pub(crate) fn label(&mut self, block: &[u8; 80]) {
        self.bytes.extend(ChunkHeader::block(LABEL_BYTES, self.previous).as_bytes());
        self.bytes.extend(block);
        self.previous = LABEL_BYTES;
    }

    pub(crate) fn tape_mark(&mut self) {
        self.bytes.extend(ChunkHeader::tape_mark(self.previous).as_bytes());
        self.previous = 0;
    }
}
