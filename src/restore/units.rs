//! Reading units off a tape, stage by stage, each checked.

use tapegate_formats::tape::unit::{UNIT_HEADER_BYTES, UnitHeader, UnitKind};

use super::error::RestoreError;
use super::file_stream::FileStream;
use super::tape_volume::{TapeVolume, VolumeFile};
use crate::snapshot::UnitDigest;
use crate::volume::UnitIndex;

const HEADER_BYTES: usize = UNIT_HEADER_BYTES as usize;

/// Neighbouring units of a file and where they lie in its stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnitRun {
    /// Which of the chosen files, from 0.
    pub(crate) file: usize,
    /// Unit number in the file of the first one.
    pub(crate) at: u32,
    /// The first unit on the volume.
    pub(crate) first: UnitIndex,
    /// Number of units.
    pub(crate) units: u32,
    /// Position in the file's stream.
    pub(crate) position: u64,
    /// Bytes in the stream.
    pub(crate) bytes: u64,
}

/// A file in `tracks` form that is to be read.
#[derive(Debug)]
pub(crate) struct UnitFile<'a> {
    pub(crate) file: &'a VolumeFile,
    pub(crate) stream: FileStream<'a>,
    /// Digests of its units; `None` without a manifest.
    pub(crate) digests: Option<Vec<UnitDigest>>,
}

/// Walks the unit headers of files and cuts them into runs of at most `most` neighbouring units.
///
/// # Errors
/// When a header is damaged, or the units are not those of the description, each once and in order.
pub(crate) fn unit_runs(tape: &TapeVolume, files: &[UnitFile<'_>], most: u32) -> Result<Vec<UnitRun>, RestoreError> {
    let mut runs = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let mut position = 0;
        for extent in file.file.units.runs() {
            let mut done = 0;
            while done < extent.units {
                let first = UnitIndex(extent.first.0 + done);
                let units = most.min(extent.units - done);
                let start = position;
                for unit in first.0..first.0 + units {
                    let mut header = [0; HEADER_BYTES];
                    file.stream.read_exact_at(position, &mut header)?;
                    let header = parse(tape, file, position, header)?;
                    if header.unit != unit {
                        let (found, wanted) =
                            (tape.shape().address(UnitIndex(header.unit)), tape.shape().address(UnitIndex(unit)));
                        return Err(tape.inconsistent(format!("{} holds {found} where {wanted} must be", file.file.name)));
                    }
                    position += u64::from(UNIT_HEADER_BYTES) + u64::from(header.body_bytes);
                }
                let at = extent.at + done;
                runs.push(UnitRun { file: number, at, first, units, position: start, bytes: position - start });
                done += units;
            }
        }
        if position != file.stream.bytes() {
            // A damaged header can claim a body that passes the end.
            let (ends, bytes) = (position, file.stream.bytes());
            return Err(tape.inconsistent(format!("the units of {} end at byte {ends} of its {bytes}", file.file.name)));
        }
    }
    Ok(runs)
}

fn parse(tape: &TapeVolume, file: &UnitFile<'_>, position: u64, bytes: [u8; HEADER_BYTES]) -> Result<UnitHeader, RestoreError> {
    UnitHeader::parse(bytes).map_err(|source| unit_error(tape, file.stream.number(), position, source))
}

fn unit_error(tape: &TapeVolume, file: u32, offset: u64, defect: tapegate_formats::tape::unit::UnitError) -> RestoreError {
    RestoreError::Unit { tape: tape.image().path().to_owned(), file, offset, defect }
}

/// Reads a run of units, checks each against its checksum and digest, and gives kind and body of each.
///
/// # Errors
/// When the tape can't be read, or a unit is not what it was when it was written.
pub(crate) fn read_run<'b>(
    tape: &TapeVolume,
    files: &[UnitFile<'_>],
    run: &UnitRun,
    buffer: &'b mut Vec<u8>,
) -> Result<Vec<(UnitKind, &'b [u8])>, RestoreError> {
    let file = &files[run.file];
    // A run is a few MiB at most: `unit_runs` adds up bounded bodies.
    let bytes = usize::try_from(run.bytes).unwrap_or(usize::MAX);
    if buffer.len() < bytes {
        buffer.resize(bytes, 0);
    }
    let buffer = &mut buffer[..bytes];
    file.stream.read_exact_at(run.position, buffer)?;
    let units =
        split_units(buffer).map_err(|(at, source)| unit_error(tape, file.stream.number(), run.position + at as u64, source))?;
    if units.len() != run.units as usize {
        return Err(tape.inconsistent(format!("{} changed while it was read", file.file.name)));
    }
    let mut bodies = Vec::with_capacity(units.len());
    for ((j, number), (header, body)) in (run.at..).zip(run.first.0..).zip(units) {
        if header.unit != number {
            return Err(tape.inconsistent(format!("{} changed while it was read", file.file.name)));
        }
        let digest = file.digests.as_ref().and_then(|digests| digests.get(j as usize));
        if digest.is_some_and(|digest| *digest != UnitDigest::of(body)) {
            let address = tape.shape().address(UnitIndex(number));
            return Err(RestoreError::Digest { tape: tape.image().path().to_owned(), file: file.stream.number(), address });
        }
        bodies.push((header.kind, body));
    }
    Ok(bodies)
}

/// The units of a stretch of a stream that holds whole units, each checked against its checksum.
///
/// An error comes with its offset.
type Unit<'b> = (UnitHeader, &'b [u8]);

pub(crate) fn split_units(bytes: &[u8]) -> Result<Vec<Unit<'_>>, (usize, tapegate_formats::tape::unit::UnitError)> {
    let mut units = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let cut = tapegate_formats::tape::unit::UnitError::Magic { found: 0 };
        let (header, behind) = rest.split_first_chunk().ok_or((at, cut))?;
        let header = UnitHeader::parse(*header).map_err(|error| (at, error))?;
        let body = behind.get(..header.body_bytes as usize);
        let body = body.ok_or((at, tapegate_formats::tape::unit::UnitError::Checksum { unit: header.unit }))?;
        header.check(body).map_err(|error| (at, error))?;
        units.push((header, body));
        rest = &behind[body.len()..];
    }
    Ok(units)
}
