//! Taking blocks apart into records, by record format.
//!
//! F: records of one length. V: a block descriptor of four bytes (length in the first two), then records behind a
//! descriptor of the same form; byte 2 of a record's descriptor says whether it is whole (0), or the first (1), last
//! (2) or a middle segment (3) of a spanned one. U: a block is a record. Lengths count the descriptors themselves.
//! Source: *z/OS DFSMS Using Data Sets*, "Selecting record formats for non-VSAM data sets".

use tapegate_formats::tape::record_format::{RecordFormat, RecordKind};
use thiserror::Error;

const DESCRIPTOR_BYTES: usize = 4;
/// Longest record that is put together from segments; what a hostile tape could ask for has no other end.
const LONGEST_SPANNED_RECORD_BYTES: usize = 64 << 20;

/// Why a block has no records of the format that its labels name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The block descriptor does not give the block's length.
    #[error("the block descriptor says {said} bytes, the block has {length}")]
    Block {
        /// Length in the descriptor.
        said: usize,
        /// Length of the block.
        length: usize,
    },
    /// A record descriptor is too short, or its record passes the end of the block.
    #[error("the record descriptor at {at} says {said} bytes where {left} are left")]
    Record {
        /// Offset in the block.
        at: usize,
        /// Length in the descriptor.
        said: usize,
        /// Bytes left in the block.
        left: usize,
    },
    /// A segment that follows none, or a record that follows an unfinished one.
    #[error("the record at {at} is segment {code} of a spanned record, which does not follow")]
    Segment {
        /// Offset in the block.
        at: usize,
        /// Segment code.
        code: u8,
    },
    /// A spanned record without end.
    #[error("a spanned record of more than {LONGEST_SPANNED_RECORD_BYTES} bytes")]
    TooLong,
}

/// Takes blocks apart, one after the other.
#[derive(Debug)]
pub struct Deblocker {
    format: RecordFormat,
    record_length: usize,
    /// A spanned record so far.
    spanned: Option<Vec<u8>>,
}

impl Deblocker {
    /// Makes one for a record format; `record_length` counts for F only, where 0 makes each block a record.
    #[must_use]
    pub const fn new(format: RecordFormat, record_length: u32) -> Self {
        Self { format, record_length: record_length as usize, spanned: None }
    }

    /// Gives the records of a block to `take`, in order. What `take` fails with ends the work.
    ///
    /// # Errors
    /// When the descriptors do not fit the block.
    pub fn block<E>(&mut self, block: &[u8], mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<Result<(), E>, RecordError> {
        match self.format.kind {
            RecordKind::Undefined => Ok(take(block)),
            RecordKind::Fixed if self.record_length == 0 => Ok(take(block)),
            RecordKind::Fixed => Ok(block.chunks(self.record_length).try_for_each(take)),
            RecordKind::Variable => self.variable(block, &mut take),
        }
    }

    /// Whether a spanned record has begun and not ended.
    #[must_use]
    pub const fn in_record(&self) -> bool {
        self.spanned.is_some()
    }

    fn variable<E>(&mut self, block: &[u8], take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<Result<(), E>, RecordError> {
        let said = descriptor(block).map_or(0, |(said, _)| said);
        // A writer may have filled the block up behind its last record.
        let records = block.get(..said).filter(|_| said >= DESCRIPTOR_BYTES);
        let Some(records) = records else { return Err(RecordError::Block { said, length: block.len() }) };
        let mut at = DESCRIPTOR_BYTES;
        while at < records.len() {
            let left = records.len() - at;
            let (said, code) = descriptor(&records[at..]).unwrap_or((0, 0));
            let Some(record) = records.get(at + DESCRIPTOR_BYTES..at + said).filter(|_| said >= DESCRIPTOR_BYTES) else {
                return Err(RecordError::Record { at, said, left });
            };
            let code = if self.format.spanned { code & 3 } else { 0 };
            let told = match (code, &mut self.spanned) {
                (0, None) => take(record),
                (1, spanned @ None) => {
                    *spanned = Some(record.to_vec());
                    Ok(())
                }
                (2 | 3, Some(spanned)) => {
                    if spanned.len() + record.len() > LONGEST_SPANNED_RECORD_BYTES {
                        return Err(RecordError::TooLong);
                    }
                    spanned.extend_from_slice(record);
                    if code == 2 { take(&self.spanned.take().unwrap_or_default()) } else { Ok(()) }
                }
                _ => return Err(RecordError::Segment { at, code }),
            };
            if told.is_err() {
                return Ok(told);
            }
            at += said;
        }
        Ok(Ok(()))
    }
}

/// Length and third byte of a descriptor.
fn descriptor(bytes: &[u8]) -> Option<(usize, u8)> {
    let [high, low, code, _] = *bytes.first_chunk::<DESCRIPTOR_BYTES>()?;
    Some((usize::from(u16::from_be_bytes([high, low])), code))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn records(deblocker: &mut Deblocker, block: &[u8]) -> Result<Vec<Vec<u8>>, RecordError> {
        let mut records = Vec::new();
        let told = deblocker.block(block, |record| {
            records.push(record.to_vec());
            Ok::<(), Infallible>(())
        })?;
        assert_eq!(told, Ok(()));
        Ok(records)
    }

    fn format(text: &str) -> RecordFormat {
        text.parse().unwrap()
    }

    #[test]
    fn fixed_records_have_their_length_and_undefined_ones_the_blocks() {
        assert_eq!(records(&mut Deblocker::new(format("FB"), 2), b"AABBC").unwrap(), [&b"AA"[..], b"BB", b"C"]);
        assert_eq!(records(&mut Deblocker::new(format("U"), 0), b"AABBC").unwrap(), [b"AABBC"]);
    }

    #[test]
    fn variable_records_lose_their_descriptors() {
        let block = [0, 15, 0, 0, 0, 6, 0, 0, b'A', b'B', 0, 5, 0, 0, b'C'];
        assert_eq!(records(&mut Deblocker::new(format("VB"), 0), &block).unwrap(), [&b"AB"[..], b"C"]);
    }

    #[test]
    fn segments_are_put_together_over_blocks() {
        let mut deblocker = Deblocker::new(format("VBS"), 0);
        let first = [0, 14, 0, 0, 0, 5, 0, 0, b'A', 0, 5, 1, 0, b'B'];
        assert_eq!(records(&mut deblocker, &first).unwrap(), [b"A"]);
        assert!(deblocker.in_record());
        assert_eq!(records(&mut deblocker, &[0, 9, 0, 0, 0, 5, 3, 0, b'C']).unwrap(), Vec::<Vec<u8>>::new());
        assert_eq!(records(&mut deblocker, &[0, 9, 0, 0, 0, 5, 2, 0, b'D']).unwrap(), [b"BCD"]);
        let stray = records(&mut deblocker, &[0, 9, 0, 0, 0, 5, 2, 0, b'D']);
        assert_eq!(stray, Err(RecordError::Segment { at: 4, code: 2 }));
    }

    #[test]
    fn descriptors_that_pass_the_block_are_refused() {
        let mut deblocker = Deblocker::new(format("VB"), 0);
        assert_eq!(records(&mut deblocker, &[0, 9, 0, 0]), Err(RecordError::Block { said: 9, length: 4 }));
        assert_eq!(records(&mut deblocker, &[0, 3, 0]), Err(RecordError::Block { said: 0, length: 3 }));
        assert_eq!(records(&mut deblocker, &[0, 9, 0, 0, 0, 6, 0, 0, 1]), Err(RecordError::Record { at: 4, said: 6, left: 5 }));
        assert_eq!(records(&mut deblocker, &[0, 9, 0, 0, 0, 0, 0, 0, 1]), Err(RecordError::Record { at: 4, said: 0, left: 5 }));
    }

    proptest::proptest! {
        #[test]
        fn any_block_gives_records_or_an_error(block in proptest::collection::vec(0_u8..20, 0..200), spanned in proptest::bool::ANY) {
            let mut deblocker = Deblocker::new(format(if spanned { "VBS" } else { "VB" }), 0);
            if let Ok(records) = records(&mut deblocker, &block) {
                proptest::prop_assert!(records.iter().map(Vec::len).sum::<usize>() <= block.len());
            }
        }
    }
}
