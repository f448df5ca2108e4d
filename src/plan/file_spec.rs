//! A file that is to go on tape: which units, in which form, under which name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tapegate_formats::volume::name::DsName;

use super::block_table::BlockTable;
use super::unit_list::UnitList;
use crate::catalog::DataSetKind;

/// What a tape file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileClass {
    /// The first file of each tape: geometry, volume label, VTOC, and what the other files are.
    Description,
    /// A data set.
    DataSet,
    /// The tracks that no data set has: label track, VTOC, free space.
    Rest,
    /// All units of the volume in one file.
    Whole,
}

/// How a data set's units become tape blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Each unit whole, behind a unit header, in blocks of one length.
    #[default]
    Tracks,
    /// The data blocks of a sequential data set, as they are.
    Blocks,
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "tracks" => Ok(Self::Tracks),
            "blocks" => Ok(Self::Blocks),
            _ => Err("the forms are tracks and blocks".to_owned()),
        }
    }
}

impl fmt::Display for FileClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Description => "description",
            Self::DataSet => "data set",
            Self::Rest => "rest",
            Self::Whole => "whole",
        })
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Tracks => "tracks",
            Self::Blocks => "blocks",
        })
    }
}

/// Attributes of the data set behind a file, as its DSCB has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// What the data set is.
    pub kind: DataSetKind,
    /// `DS1DSORG`.
    pub dsorg: u16,
    /// `DS1RECFM`.
    pub recfm: u8,
    /// `DS1KEYL`.
    pub key_length: u8,
    /// `DS1LRECL`.
    pub record_length: u16,
    /// `DS1BLKL`.
    pub block_length: u16,
    /// Creation year and day of the year.
    pub created: Option<(u16, u16)>,
    /// Expiry likewise.
    pub expires: Option<(u16, u16)>,
    /// Relative number of the last track in use by `DS1LSTAR`, where it says one.
    pub last_track: Option<u32>,
}

/// A file that is to go on tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// Its name; made-up names for what is no data set.
    pub name: DsName,
    /// What it is.
    pub class: FileClass,
    /// The units that go on tape, in order.
    pub units: UnitList,
    /// All units that the file has on the volume; more than `units` where only those in use are copied.
    pub allocated: UnitList,
    /// The blocks of each unit in `blocks` form; none in `tracks` form.
    pub blocks: Option<BlockTable>,
    /// Attributes of the data set, if it is one.
    pub attributes: Option<Attributes>,
    /// Length of the stream where it is not a stream of units: the description's.
    pub fixed_bytes: Option<u64>,
}

impl FileSpec {
    /// A file of whole units.
    #[must_use]
    pub fn tracks(name: DsName, class: FileClass, units: UnitList) -> Self {
        Self { name, class, allocated: units.clone(), units, blocks: None, attributes: None, fixed_bytes: None }
    }

    /// How its units become tape blocks.
    #[must_use]
    pub const fn form(&self) -> Form {
        if self.blocks.is_some() { Form::Blocks } else { Form::Tracks }
    }
}
