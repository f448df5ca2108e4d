//! Tapes: images under way and finished ones, what lies on them, and taking files off.

mod data_blocks;
mod described;
mod error;
mod extract;
mod file_check;
mod image;
mod looks;
pub mod partial;
pub mod pipe;
mod records;
mod structure;
mod structure_reader;
#[cfg(test)]
pub(crate) mod test_faults;
pub mod writeback;

pub use data_blocks::{DataBlocks, UnitReader};
pub use described::{TapeDescription, described_name, read_description};
pub use error::{TapeDefect, TapeError};
pub use extract::{ContentEnd, ExtractForm, Extracted, extract};
pub use image::{BlockBuffer, ItemKind, Items, TapeImage, TapeItem};
pub use records::{Deblocker, RecordError};
pub use structure::{LabelGroup, LabelStyle, TapeEnd, TapeFile, TapeStructure, read_structure};
