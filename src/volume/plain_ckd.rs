//! Plain CKD images: one slot a track, in one file or several.
//!
//! The files of a volume differ in one character of their names, the one before the first dot of the last path
//! component: `vol_1.ckd`, `vol_2.ckd`, ... `vol_9.ckd`, `vol_A.ckd`, ... Each has a header of its own with its
//! sequence number and its highest cylinder, which is 0 in the last.

use std::path::{Path, PathBuf};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::device_header::{DEVICE_HEADER_BYTES, DeviceHeader};
use tapegate_formats::dasd::geometry::Geometry;

use super::error::VolumeError;
use super::image_file::ImageFile;
use super::shape::UnitIndex;
use super::slots::{self, SparseWalk};
use super::stage::Stage;

/// Bytes in front of the first slot of a file.
const DATA_OFFSET: u64 = DEVICE_HEADER_BYTES as u64;
/// Most files that a volume can have: the names end at `_9`, `_A` to `_Z` less what Hercules allows.
const MOST_FILES: u8 = 27;

/// A plain CKD volume.
#[derive(Debug)]
pub(super) struct PlainCkd {
    geometry: Geometry,
    /// In order of their tracks; never empty.
    segments: Vec<Segment>,
}

/// A file of the volume and the tracks on it.
#[derive(Debug)]
struct Segment {
    file: ImageFile,
    first_track: u32,
    tracks: u32,
}

impl PlainCkd {
    /// Opens the volume whose first file was opened and found to be a plain CKD file.
    ///
    /// The others are opened for the same as the first.
    pub(super) fn open(first: ImageFile, header: &DeviceHeader) -> Result<Self, VolumeError> {
        let device = DeviceType::from_code(header.device_code)
            .ok_or_else(|| first.corrupt(16, format!("there is no device type with the code {:02X}", header.device_code)))?;
        if header.sequence > 1 {
            return Err(VolumeError::Refused {
                path: first.path().to_owned(),
                reason: format!("this is file {} of a volume in several; give the first", header.sequence),
            });
        }
        // A trial geometry of one cylinder checks heads and slot before they are divided by.
        Geometry::new(device, 1, header.heads, header.slot_bytes).map_err(|error| first.corrupt(8, error.to_string()))?;

        let first_path = first.path().to_owned();
        let access = first.access();
        let mut opened = vec![(first, *header)];
        let mut files = Vec::new();
        let mut cylinders = 0_u32;
        while let Some((file, own)) = opened.pop() {
            let own_cylinders = own_cylinders(&file, &own, cylinders)?;
            files.push((file, cylinders, own_cylinders));
            cylinders += own_cylinders;
            if own.highest_cylinder != 0 {
                let sequence = own.sequence + 1;
                let path = nth_file(&first_path, sequence).ok_or_else(|| VolumeError::Unsupported {
                    path: first_path.clone(),
                    reason: format!("a volume has at most {MOST_FILES} files"),
                })?;
                let next = ImageFile::open(&path, access)?;
                let next_header = continuation_header(&next, header, sequence)?;
                opened.push((next, next_header));
            }
        }

        let geometry = Geometry::new(device, cylinders, header.heads, header.slot_bytes).map_err(|error| {
            let (file, ..) = &files[0];
            file.corrupt(8, error.to_string())
        })?;
        let heads = u32::from(geometry.heads());
        let segments = files
            .into_iter()
            .map(|(file, first, own)| Segment { file, first_track: first * heads, tracks: own * heads })
            .collect();
        Ok(Self { geometry, segments })
    }

    pub(super) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &ImageFile> {
        self.segments.iter().map(|segment| &segment.file)
    }

    /// Reads whole slots, one read a file, and finds the tracks in them.
    pub(super) fn read(&self, first: UnitIndex, count: u32, stage: &mut Stage) -> Result<(), VolumeError> {
        let slot = self.geometry.slot_bytes() as usize;
        let offset = self.runs(first.0, 1).next().map_or(0, |(segment, first, _)| self.offset(segment, first));
        let buffer = stage.refill_from(offset, slot * count as usize);
        let mut rest = &mut *buffer;
        for (segment, run_first, run_tracks) in self.runs(first.0, count) {
            let (run, behind) = rest.split_at_mut(slot * run_tracks as usize);
            segment.file.read_at(self.offset(segment, run_first), run)?;
            rest = behind;
        }
        slots::stage_slots(&self.geometry, first, count, stage);
        Ok(())
    }

    /// Reads one slot into `slot`, which is as long.
    pub(super) fn read_slot(&self, track: TrackIndex, slot: &mut [u8]) -> Result<(), VolumeError> {
        for (segment, run_first, _) in self.runs(track.0, 1) {
            segment.file.read_at(self.offset(segment, run_first), slot)?;
        }
        Ok(())
    }

    /// Writes bytes from `inside` of a slot on; the caller checked that they lie in it.
    pub(super) fn write_slot(&self, track: TrackIndex, inside: u32, bytes: &[u8]) -> Result<(), VolumeError> {
        for (segment, run_first, _) in self.runs(track.0, 1) {
            segment.file.write_at(self.offset(segment, run_first) + u64::from(inside), bytes)?;
        }
        Ok(())
    }

    /// Walks the count fields of each track in small reads.
    pub(super) fn measure(&self, first: UnitIndex, body_bytes: &mut [u32]) -> Result<(), VolumeError> {
        let count = u32::try_from(body_bytes.len()).unwrap_or(u32::MAX);
        let mut walk = SparseWalk::with_home_address(self.geometry.slot_bytes());
        let mut lengths = body_bytes.iter_mut();
        for (segment, run_first, run_tracks) in self.runs(first.0, count) {
            for (track, length) in (run_first..run_first + run_tracks).zip(&mut lengths) {
                let offset = self.offset(segment, track);
                let home = self.geometry.encode_cchh(self.geometry.cchh(TrackIndex(track)));
                *length = walk.measure(home, |at, buffer| segment.file.read_at(offset + at, buffer))?;
            }
        }
        Ok(())
    }

    /// Where a track's slot begins in the file of its segment.
    fn offset(&self, segment: &Segment, track: u32) -> u64 {
        DATA_OFFSET + u64::from(track - segment.first_track) * u64::from(self.geometry.slot_bytes())
    }

    /// Cuts a run of tracks at the borders of the files.
    fn runs(&self, first: u32, count: u32) -> impl Iterator<Item = (&Segment, u32, u32)> {
        let end = first + count;
        self.segments.iter().filter_map(move |segment| {
            let run_first = first.max(segment.first_track);
            let run_end = end.min(segment.first_track + segment.tracks);
            (run_first < run_end).then(|| (segment, run_first, run_end - run_first))
        })
    }
}

/// Cylinders on a file, from its size, checked against its header.
fn own_cylinders(file: &ImageFile, header: &DeviceHeader, before: u32) -> Result<u32, VolumeError> {
    let cylinder_bytes = u64::from(header.heads) * u64::from(header.slot_bytes);
    let data_bytes = file.size_bytes().saturating_sub(DATA_OFFSET);
    let whole = data_bytes / cylinder_bytes;
    if !data_bytes.is_multiple_of(cylinder_bytes) {
        return Err(file.corrupt(
            DATA_OFFSET + whole * cylinder_bytes,
            format!(
                "the file ends inside cylinder {} (of {cylinder_bytes} bytes each): truncated, or its header is wrong",
                whole + u64::from(before)
            ),
        ));
    }
    let cylinders = u32::try_from(whole).unwrap_or(u32::MAX);
    if cylinders == 0 {
        return Err(file.corrupt(DATA_OFFSET, "the file has no cylinder"));
    }
    // 65,536 cylinders are what the two bytes of a home address can name.
    let total = before.checked_add(cylinders).filter(|total| *total <= 65_536);
    let Some(total) = total else {
        return Err(file.corrupt(8, format!("{cylinders} cylinders are more than a home address can name")));
    };
    if header.highest_cylinder != 0 && u32::from(header.highest_cylinder) != total - 1 {
        return Err(file.corrupt(
            18,
            format!(
                "the header names {} as the highest cylinder where the file's size makes it {}",
                header.highest_cylinder,
                total - 1
            ),
        ));
    }
    if header.highest_cylinder != 0 && header.sequence == 0 {
        return Err(file.corrupt(17, "the header says that it is the only file and that others follow"));
    }
    Ok(cylinders)
}

/// Reads the header of a file that continues a volume and checks that it belongs to it.
fn continuation_header(file: &ImageFile, first: &DeviceHeader, sequence: u8) -> Result<DeviceHeader, VolumeError> {
    let header =
        DeviceHeader::parse(&file.read_head(DEVICE_HEADER_BYTES)?).map_err(|error| file.corrupt(0, error.to_string()))?;
    if header.eyecatcher != first.eyecatcher
        || header.heads != first.heads
        || header.slot_bytes != first.slot_bytes
        || header.device_code != first.device_code
    {
        return Err(file.corrupt(0, "type, heads or slot size are not those of the volume's first file"));
    }
    if header.sequence != sequence {
        return Err(file.corrupt(17, format!("it says that it is file {} where file {sequence} must be", header.sequence)));
    }
    Ok(header)
}

/// Name of the n-th file (from 1) of the volume whose first file is `first`.
fn nth_file(first: &Path, n: u8) -> Option<PathBuf> {
    let character = match n {
        1..=9 => char::from(b'0' + n),
        10..=MOST_FILES => char::from(b'A' + (n - 10)),
        _ => return None,
    };
    super::naming::replace_marked(first, character)
}
