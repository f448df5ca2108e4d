//! The manifest: a JSON document beside the tape that says what is on it, where, and with which digests.
//!
//! The tape alone is enough to restore; the manifest repeats what its description says and adds the place and digests
//! of every file, so that a tape can be checked unit by unit, and a volume be compared without the tape.

use std::fs::File;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::digest::{UnitDigest, file_digest};
use super::error::SnapshotError;
use super::ledger::Ledger;
use super::route::FilePlaces;
use crate::finding::Finding;
use crate::plan::{BlockTable, Destination, FileClass, Form, LabelKind, TapePlan};
use crate::tape::TapeCompression;
use crate::tape::partial::{beside, sync_directory};
use crate::volume::Shape;

/// What a manifest calls itself.
const FORMAT: &str = "tapegate-manifest";
/// The version that this program writes and reads.
const VERSION: u32 = 1;

/// What is on a tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// `tapegate-manifest`.
    pub format: String,
    /// Version of this document.
    pub version: u32,
    /// T0: the instant that the tape preserves, RFC 3339.
    pub t0: String,
    /// Which instant that was, of a volume that hosts wrote to: `now`, `quiet`, `not-quiet` or `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<String>,
    /// The volume.
    pub volume: ManifestVolume,
    /// The tape.
    pub tape: ManifestTape,
    /// The files in tape order.
    pub files: Vec<ManifestFile>,
    /// What was odd; kept as the document had it.
    pub findings: Vec<serde_json::Value>,
}

/// The volume that was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestVolume {
    /// Path of the image when it was copied, as text.
    pub path: String,
    /// Volume serial, if it has one.
    pub volser: Option<String>,
    /// `ckd` or `fixed-block`.
    pub shape: String,
    /// Device type such as `3390`, of count-key-data.
    pub device: Option<String>,
    /// Cylinders, of count-key-data.
    pub cylinders: Option<u32>,
    /// Tracks a cylinder, of count-key-data.
    pub heads: Option<u16>,
    /// Blocks, of fixed-block.
    pub blocks: Option<u64>,
}

/// The tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestTape {
    /// Length of the image in bytes.
    pub bytes: u64,
    /// Volume serial; absent on an unlabelled tape.
    pub volser: Option<String>,
    /// `sl`, `al` or `nl`.
    pub labels: LabelKind,
    /// Length of the tape blocks of `tracks` form.
    pub block_bytes: u16,
    /// How the blocks of a HET tape are packed; absent where they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<TapeCompression>,
}

/// A file of the tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Number on the tape, from 1.
    pub number: u32,
    /// Full name.
    pub name: String,
    /// What it is.
    pub class: FileClass,
    /// How its units lie on tape.
    pub form: Form,
    /// First unit and number of units of each extent, as far as it is on the tape.
    pub extents: Vec<[u32; 2]>,
    /// L: offset of the first header label.
    pub header_offset: u64,
    /// D: offset of the first data block.
    pub data_offset: u64,
    /// Offset behind the last data block.
    pub data_end_offset: u64,
    /// Data bytes, chunk headers not counted.
    pub stream_bytes: u64,
    /// Tape blocks.
    pub blocks: u64,
    /// Place of the first data byte as a block of the destination; absent on a HET tape, whose places nothing foretells.
    pub destination_block: Option<u64>,
    /// Offset in that block.
    pub destination_offset: Option<u64>,
    /// Tape blocks of each unit, in `blocks` form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unit_blocks: Vec<u32>,
    /// Digest of the file: blake3 over its units' digests, or over its bytes for the description.
    pub digest: String,
    /// Digests of its units, 16 bytes each, in hexadecimal without anything between.
    pub unit_digests: String,
}

impl ManifestFile {
    /// The digests of the units.
    ///
    /// `None` if the text is not made of digests.
    #[must_use]
    pub fn parse_unit_digests(&self) -> Option<Vec<UnitDigest>> {
        let (digests, rest) = self.unit_digests.as_bytes().as_chunks::<{ 2 * UnitDigest::BYTES }>();
        if !rest.is_empty() {
            return None;
        }
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        let parse = |text: &[u8; 2 * UnitDigest::BYTES]| {
            let mut digest = UnitDigest::default();
            for (byte, [high, low]) in digest.0.iter_mut().zip(text.as_chunks::<2>().0) {
                *byte = nibble(*high)? << 4 | nibble(*low)?;
            }
            Some(digest)
        };
        digests.iter().map(parse).collect()
    }
}

/// What only the session knows and the manifest tells.
pub(crate) struct ManifestFacts<'a> {
    pub(crate) t0: String,
    pub(crate) consistency: Option<String>,
    pub(crate) volume: &'a Path,
    pub(crate) shape: &'a Shape,
    pub(crate) volume_volser: Option<String>,
    pub(crate) tape_volser: Option<String>,
    pub(crate) description: &'a [u8],
    pub(crate) findings: &'a [Finding],
    pub(crate) destination: (u32, u64),
    pub(crate) packed: Option<&'a PackedPlaces>,
}

/// Where the files of a packed tape lie, which differs from its plan.
#[derive(Debug)]
pub(crate) struct PackedPlaces {
    pub(crate) compression: TapeCompression,
    /// Length of the image.
    pub(crate) bytes: u64,
    /// By file, in tape order.
    pub(crate) files: Vec<FilePlaces>,
}

impl Manifest {
    pub(crate) fn new(facts: &ManifestFacts<'_>, plan: &TapePlan, ledger: &Ledger) -> Self {
        let mut slot = 0;
        let files = plan.files.iter().enumerate().map(|(at, file)| {
            let units = file.spec.units.len() as usize;
            let digests = ledger.digests(slot..slot + units);
            slot += units;
            let digest = match file.spec.class {
                FileClass::Description => blake3::hash(facts.description),
                _ => file_digest(&digests),
            };
            let packed = facts.packed.map(|packed| packed.files.get(at).copied().unwrap_or_default());
            let destination = match packed {
                None => Destination::of(file.data, facts.destination.0, facts.destination.1),
                Some(_) => None,
            };
            let FilePlaces { header, data, data_end } =
                packed.unwrap_or(FilePlaces { header: file.header, data: file.data, data_end: file.data_end });
            ManifestFile {
                number: file.number,
                name: file.spec.name.to_string(),
                class: file.spec.class,
                form: file.spec.form(),
                extents: file.spec.units.runs().iter().map(|run| [run.first.0, run.units]).collect(),
                header_offset: header,
                data_offset: data,
                data_end_offset: data_end,
                stream_bytes: file.stream_bytes,
                blocks: file.blocks,
                destination_block: destination.map(|destination| destination.block),
                destination_offset: destination.map(|destination| destination.offset),
                unit_blocks: file.spec.blocks.iter().flat_map(BlockTable::units).map(|unit| unit.blocks).collect(),
                digest: digest.to_hex().to_string(),
                unit_digests: digests.iter().map(ToString::to_string).collect(),
            }
        });
        let files = files.collect();
        let (device, cylinders, heads, blocks) = match facts.shape {
            Shape::Ckd(geometry) => {
                (Some(geometry.device().to_string()), Some(geometry.cylinders()), Some(geometry.heads()), None)
            }
            Shape::FixedBlock(shape) => (None, None, None, Some(shape.blocks)),
        };
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            t0: facts.t0.clone(),
            consistency: facts.consistency.clone(),
            volume: ManifestVolume {
                path: facts.volume.display().to_string(),
                volser: facts.volume_volser.clone(),
                shape: if blocks.is_some() { "fixed-block" } else { "ckd" }.to_owned(),
                device,
                cylinders,
                heads,
                blocks,
            },
            tape: ManifestTape {
                bytes: facts.packed.map_or(plan.bytes, |packed| packed.bytes),
                volser: facts.tape_volser.clone(),
                labels: plan.options.labels,
                block_bytes: plan.options.block_bytes,
                compression: facts.packed.map(|packed| packed.compression),
            },
            files,
            findings: facts.findings.iter().filter_map(|finding| serde_json::to_value(finding).ok()).collect(),
        }
    }

    /// Where the manifest of a tape lies unless the operator said otherwise: beside it.
    #[must_use]
    pub fn path_of(tape: &Path) -> PathBuf {
        let mut path = tape.as_os_str().to_owned();
        path.push(".manifest.json");
        path.into()
    }

    /// Writes the manifest whole or not at all.
    ///
    /// # Errors
    /// When the medium fails.
    pub fn write(&self, path: &Path, sync: bool) -> Result<(), SnapshotError> {
        let failed = |action| move |source| SnapshotError::Io { path: path.to_owned(), action, source };
        let partial = beside(path, ".partial");
        let mut file = File::create(&partial).map_err(failed("creating the manifest"))?;
        let text = serde_json::to_vec(self).map_err(|error| failed("encoding the manifest")(error.into()))?;
        let written = file.write_all(&text).and_then(|()| file.write_all(b"\n"));
        let synced = written.and_then(|()| if sync { file.sync_data() } else { Ok(()) });
        synced.and_then(|()| std::fs::rename(&partial, path)).map_err(|error| {
            // The write failed, and that is the error to report.
            let _best_effort = std::fs::remove_file(&partial);
            failed("writing the manifest")(error)
        })?;
        if sync { Ok(sync_directory(path)?) } else { Ok(()) }
    }

    /// Reads a manifest; `None` if there is none at `path`.
    ///
    /// # Errors
    /// When the file can't be read or is no manifest of a version that this program knows.
    pub fn read(path: &Path) -> Result<Option<Self>, SnapshotError> {
        let failed = |source| SnapshotError::Io { path: path.to_owned(), action: "reading the manifest", source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let manifest: Self = serde_json::from_reader(BufReader::new(file)).map_err(|error| failed(error.into()))?;
        if manifest.format != FORMAT || manifest.version != VERSION {
            let reason = format!("it is '{}' version {}, not {FORMAT} version {VERSION}", manifest.format, manifest.version);
            return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, reason)));
        }
        Ok(Some(manifest))
    }
}
