//! Tapes: images under way and finished ones, what lies on them, and taking files off.

mod compression;
mod data_blocks;
mod described;
mod error;
mod extract;
mod file_check;
mod image;
pub mod in_order;
mod in_order_file;
mod looks;
mod packed_part;
pub mod partial;
mod read_back;
mod records;
mod structure;
mod structure_reader;
#[cfg(test)]
pub(crate) mod test_faults;
pub mod writeback;

pub use compression::TapeCompression;
pub use data_blocks::{DataBlocks, UnitReader};
pub use described::{TapeDescription, described_name, read_description};
pub use error::{TapeDefect, TapeError};
pub use extract::{ContentEnd, ExtractForm, Extracted, extract};
pub use image::{BlockBuffer, ItemKind, Items, TapeImage, TapeItem};
pub use in_order_file::InOrderFile;
pub(crate) use packed_part::PackedPart;
pub use read_back::GroupSum;
pub(crate) use read_back::{ReadBack, read_group_back};
pub use records::{Deblocker, RecordError};
pub use structure::{LabelGroup, LabelStyle, TapeEnd, TapeFile, TapeStructure, read_structure};
