//! Tape images made chunk by chunk.

use std::io::Write;

use tapegate::tape::{TapeImage, TapeStructure, read_structure};
use tapegate_formats::tape::label::{DataSetLabel, LabelCode, LabelKind, hdr1, hdr2, vol1};
use tapegate_formats::tape::record_format::RecordFormat;
use tempfile::NamedTempFile;

/// An image in the making.
#[derive(Clone, Default)]
pub struct Image {
    pub bytes: Vec<u8>,
    previous: u16,
}

impl Image {
    /// These bytes, whatever they are.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), previous: 0 }
    }

    /// A chunk with these flags.
    pub fn chunk(mut self, flags: u8, data: &[u8]) -> Self {
        let length = u16::try_from(data.len()).unwrap();
        self.bytes.extend(length.to_le_bytes());
        self.bytes.extend(self.previous.to_le_bytes());
        self.bytes.extend([flags, 0]);
        self.bytes.extend(data);
        self.previous = length;
        self
    }

    /// A plain block in one chunk.
    pub fn block(self, data: &[u8]) -> Self {
        self.chunk(0xa0, data)
    }

    /// A block in chunks of at most `size` bytes, compressed as the low bits of `method` say.
    pub fn packed(mut self, data: &[u8], method: u8, size: usize) -> Self {
        let data = pack(data, method);
        let count = data.len().div_ceil(size);
        for (number, part) in data.chunks(size).enumerate() {
            let first = if number == 0 { 0x80 } else { 0 };
            let last = if number + 1 == count { 0x20 } else { 0 };
            self = self.chunk(first | last | method, part);
        }
        self
    }

    /// A tape mark.
    pub fn mark(mut self) -> Self {
        self.bytes.extend([0, 0]);
        self.bytes.extend(self.previous.to_le_bytes());
        self.bytes.extend([0x40, 0]);
        self.previous = 0;
        self
    }

    /// VOL1.
    pub fn volume(self, code: LabelCode) -> Self {
        self.block(&vol1("TAPE01", "", code).unwrap())
    }

    /// Both labels of a kind.
    pub fn labels(self, kind: LabelKind, label: &DataSetLabel, code: LabelCode) -> Self {
        self.block(&hdr1(kind, label, code).unwrap()).block(&hdr2(kind, label, code).unwrap())
    }

    /// A whole data set: labels, marks, blocks.
    pub fn data_set(self, label: &DataSetLabel, blocks: &[&[u8]]) -> Self {
        let label = DataSetLabel { block_count: blocks.len() as u64, ..label.clone() };
        let image = self.labels(LabelKind::Hdr, &label, LabelCode::Ebcdic).mark();
        let image = blocks.iter().fold(image, |image, block| image.block(block)).mark();
        image.labels(LabelKind::Eof, &label, LabelCode::Ebcdic).mark()
    }

    /// Writes the image to a file.
    pub fn file(&self) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&self.bytes).unwrap();
        file
    }

    /// Reads what lies on it.
    pub fn read(&self) -> TapeStructure {
        read_structure(&TapeImage::open(self.file().path()).unwrap(), |_| {}).unwrap()
    }
}

/// Compresses a block: 0 not, 1 zlib, 2 bzip2.
fn pack(data: &[u8], method: u8) -> Vec<u8> {
    match method {
        0 => data.to_vec(),
        1 => {
            let mut compressor = libdeflater::Compressor::default();
            let mut packed = vec![0; compressor.zlib_compress_bound(data.len())];
            let length = compressor.zlib_compress(data, &mut packed).unwrap();
            packed.truncate(length);
            packed
        }
        _ => panic!("no such method"),
    }
}

/// Labels of the data set `number`, FB with records of 80 bytes.
pub fn label(name: &str, number: u32) -> DataSetLabel {
    DataSetLabel {
        name: name.to_owned(),
        set_serial: "TAPE01".to_owned(),
        volume_sequence: 1,
        file_sequence: number,
        created: None,
        expires: None,
        block_count: 0,
        system_code: "TAPEGATE".to_owned(),
        job: String::new(),
        step: String::new(),
        record_format: RecordFormat::from_ds1recfm(0x90).unwrap(),
        block_length: 800,
        record_length: 80,
    }
}

/// The codes of a tape's findings.
pub fn codes(tape: &TapeStructure) -> Vec<&'static str> {
    tape.findings.iter().map(|finding| finding.code).collect()
}
