//! The volume label: what kind of volume this is, before anything else is read.

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::volume::label::{Label, StandardLabel};
use tapegate_formats::volume::name::Volser;
use tapegate_formats::volume::pointer::Pointer;

use super::source::{TrackSource, read_walked};
use crate::finding::Finding;
use crate::volume::VolumeError;

/// The record of cylinder 0 head 0 that holds the label.
const LABEL_RECORD: u8 = 3;
/// Key length of a standard label.
const LABEL_KEY_BYTES: usize = 4;

/// What the label says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VolumeLabel {
    /// `VOL1` on a CKD volume: there should be a VTOC.
    Os {
        /// Volume serial.
        volser: Volser,
        /// Where the format-4 DSCB should be.
        vtoc: Pointer,
        /// Whether CP of VM formatted the volume: its space is CP's, whatever the VTOC says.
        cp: bool,
    },
    /// `LNX1`: Linux, without a VTOC.
    Ldl {
        /// Volume serial.
        volser: Volser,
        /// Blocks that Linux formatted.
        blocks: u64,
    },
    /// `CMS1`: a CMS minidisk.
    Cms {
        /// Volume name.
        volser: Volser,
        /// Bytes of a block.
        block_bytes: u32,
        /// Blocks of the file system.
        blocks: u32,
    },
    /// `VOL1` on a fixed-block volume.
    FixedBlock {
        /// Volume serial.
        volser: Volser,
    },
    /// No label that is known.
    Unlabelled,
}

impl VolumeLabel {
    /// Volume serial, where there is one.
    #[must_use]
    pub const fn volser(&self) -> Option<Volser> {
        match self {
            Self::Os { volser, .. } | Self::Ldl { volser, .. } | Self::Cms { volser, .. } | Self::FixedBlock { volser } => {
                Some(*volser)
            }
            Self::Unlabelled => None,
        }
    }

    /// The kind of label as it is called.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Os { cp: false, .. } => "VOL1",
            Self::Os { cp: true, .. } => "VOL1 (CP)",
            Self::Ldl { .. } => "LNX1 (Linux LDL)",
            Self::Cms { .. } => "CMS1 (CMS minidisk)",
            Self::FixedBlock { .. } => "VOL1 (fixed-block)",
            Self::Unlabelled => "none",
        }
    }

    /// Reads the label of a fixed-block volume from its block 1 (bytes 512 on, where blocks have 512 bytes).
    #[must_use]
    pub fn of_fixed_block(block_1: &[u8]) -> Self {
        match Label::find(block_1) {
            Some(Label::Standard(label)) => Self::FixedBlock { volser: Volser::from_ebcdic(label.volser) },
            Some(Label::Cms(label)) => {
                Self::Cms { volser: Volser::from_ebcdic(label.volser), block_bytes: label.block_bytes, blocks: label.blocks }
            }
            Some(Label::Linux(label)) => Self::Ldl { volser: Volser::from_ebcdic(label.volser), blocks: label.formatted_blocks },
            None => Self::Unlabelled,
        }
    }

    /// Reads the label of a CKD volume.
    pub(super) fn read(source: &impl TrackSource, findings: &mut Vec<Finding>) -> Result<Self, VolumeError> {
        let mut bytes = Vec::new();
        let Some(track) = read_walked(source, TrackIndex(0), &mut bytes, findings)? else {
            return Ok(Self::Unlabelled);
        };
        let Some(record) = track.user_records().find(|record| record.count.record == LABEL_RECORD) else {
            return Ok(Self::Unlabelled);
        };
        Ok(match Label::find(record.data) {
            Some(Label::Standard(label)) => {
                if (record.key.len(), record.data.len()) != (LABEL_KEY_BYTES, StandardLabel::BYTES) {
                    let detail = format!(
                        "the volume label has key length {} and data length {}, not 4 and 80",
                        record.key.len(),
                        record.data.len()
                    );
                    findings.push(Finding::note("label-lengths", detail));
                }
                Self::Os { volser: Volser::from_ebcdic(label.volser), vtoc: label.vtoc, cp: label.is_cp() }
            }
            Some(Label::Linux(label)) => Self::Ldl { volser: Volser::from_ebcdic(label.volser), blocks: label.formatted_blocks },
            Some(Label::Cms(label)) => {
                Self::Cms { volser: Volser::from_ebcdic(label.volser), block_bytes: label.block_bytes, blocks: label.blocks }
            }
            None => Self::Unlabelled,
        })
    }
}
