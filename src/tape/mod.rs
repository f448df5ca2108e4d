//! Tapes: images under way and finished ones, what lies on them, and taking files off.

mod error;
mod file_check;
mod image;
mod looks;
pub mod partial;
pub mod pipe;
mod structure;
mod structure_reader;
mod writeback;

pub use error::{TapeDefect, TapeError};
pub use image::{BlockBuffer, ItemKind, Items, TapeImage, TapeItem};
pub use structure::{LabelGroup, LabelStyle, TapeEnd, TapeFile, TapeStructure, read_structure};
