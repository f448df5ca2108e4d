//! Writes compressed images: CKD and fixed-block, with 32- and 64-bit offsets.
//!
//! The file only grows: each call compresses its units in its own thread, takes the room for them at the end of the
//! file, and writes them at once; the tables come last. So there are no free spaces, and used size and file size are
//! the same.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::compressed_header::{COMPRESSED_HEADER_OFFSET, CompressedHeader};
use tapegate_formats::dasd::device_header::{DeviceHeader, DiskClass, Eyecatcher, FileRole, OffsetWidth};
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::lookup_table::{L1_OFFSET, L1Entry, L2_ENTRIES, L2Entry, TableLayout};
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::dasd::track_image::{Compression, GROUP_BYTES, IMAGE_HEADER_BYTES};
use tapegate_formats::tape::unit::UnitKind;

use super::partial_file::PartialFile;
use crate::volume::compressed_file::images;
use crate::volume::error::VolumeError;
use crate::volume::fixed_block::{UNIT_BYTES, unit_bytes};
use crate::volume::packing::{BLOCK_NULL, Made, Packers};
use crate::volume::shape::{BlockShape, Shape, UnitAddress, UnitIndex};

/// Null format of units that are not stored: for tracks home address and R0 alone, for blocks zeros.
const TRACK_NULL: L2Entry = L2Entry::Null(1);
/// Units of a block group.
const GROUP_UNITS: u32 = (GROUP_BYTES / UNIT_BYTES) as u32;

/// Puts units into a compressed image.
pub(super) struct CompressedWriter {
    shape: Shape,
    width: OffsetWidth,
    compression: Compression,
    /// Where the next image goes.
    end: AtomicU64,
    /// Where no image may end, so that there is room for tables behind it.
    limit: u64,
    /// Where each image is. The locks here are held for no I/O, and never two at once.
    entries: Mutex<Vec<L2Entry>>,
    /// Block groups of which some units have come.
    groups: Mutex<HashMap<u32, Group>>,
    benches: Mutex<Vec<Bench>>,
}

/// What a thread needs to make images.
struct Bench {
    packers: Packers,
    images: Vec<u8>,
}

/// A block group in the making, with the five bytes in front of it.
struct Group {
    bytes: Vec<u8>,
    /// A bit for each unit that has come.
    come: u16,
}

impl fmt::Debug for CompressedWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompressedWriter").field("shape", &self.shape).field("end", &self.end).finish_non_exhaustive()
    }
}

impl CompressedWriter {
    /// Begins an image; nothing is written yet.
    pub(super) fn begin(
        file: &PartialFile,
        shape: &Shape,
        width: OffsetWidth,
        compression: Compression,
    ) -> Result<Self, VolumeError> {
        Packers::new(compression).map_err(|error| file.unsupported(error.to_string()))?;
        if matches!(shape, Shape::FixedBlock(blocks) if u32::try_from(blocks.blocks).is_err()) {
            return Err(file.unsupported("a compressed image counts its sectors in 32 bits; use the format fba"));
        }
        let header = CompressedHeader { options: 0, ..CompressedHeader::default() };
        let layout = TableLayout::of(width, &header);
        let groups = u64::from(images(shape)).div_ceil(L2_ENTRIES as u64);
        let end = L1_OFFSET + groups * layout.l1_entry_bytes() as u64;
        let limit = match width {
            OffsetWidth::Bits32 => u64::from(u32::MAX).saturating_sub(groups * layout.l2_table_bytes() as u64),
            OffsetWidth::Bits64 => u64::MAX,
        };
        let null = if matches!(shape, Shape::Ckd(_)) { TRACK_NULL } else { BLOCK_NULL };
        Ok(Self {
            shape: *shape,
            width,
            compression,
            end: AtomicU64::new(end),
            limit,
            entries: Mutex::new(vec![null; images(shape) as usize]),
            groups: Mutex::new(HashMap::new()),
            benches: Mutex::new(Vec::new()),
        })
    }

    /// Compresses and writes units.
    pub(super) fn write(&self, file: &PartialFile, first: UnitIndex, units: &[(UnitKind, &[u8])]) -> Result<(), VolumeError> {
        let mut bench = self.bench(file)?;
        let made = match &self.shape {
            Shape::Ckd(geometry) => self.pack_tracks(geometry, first, units, &mut bench),
            Shape::FixedBlock(blocks) => self.pack_blocks(blocks, first, units, &mut bench),
        };
        self.store(file, &made, &bench.images)?;
        lock(&self.benches).push(bench);
        Ok(())
    }

    /// Writes block groups that are still in the making, tables and headers.
    pub(super) fn finish(&self, file: &PartialFile) -> Result<(), VolumeError> {
        let left: Vec<(u32, Group)> = lock(&self.groups).drain().collect();
        let mut bench = self.bench(file)?;
        for (group, content) in left {
            bench.images.clear();
            let made = (group, bench.packers.pack_group(&content.bytes, &mut bench.images));
            self.store(file, &[made], &bench.images)?;
        }
        let (cylinders, null_format) = match &self.shape {
            Shape::Ckd(geometry) => (geometry.cylinders(), NullFormat::Empty.number()),
            Shape::FixedBlock(blocks) => (u32::try_from(blocks.blocks).unwrap_or(u32::MAX), 0),
        };
        let mut header = CompressedHeader {
            l2_entries: L2_ENTRIES as u32,
            cylinders,
            null_format,
            compression: self.compression.number(),
            parameter: -1,
            ..CompressedHeader::default()
        };
        let layout = TableLayout::of(self.width, &header);
        let tables_offset = self.end.load(Ordering::Acquire);
        let (l1, l2) = {
            let entries = lock(&self.entries);
            tables(&entries, null_format, layout, tables_offset).ok_or_else(|| self.too_large(file))?
        };
        file.write_at(tables_offset, &l2)?;
        file.write_at(L1_OFFSET, &l1)?;
        header.l1_entries = u32::try_from(l1.len() / layout.l1_entry_bytes()).unwrap_or(u32::MAX);
        header.size_bytes = tables_offset + l2.len() as u64;
        header.used_bytes = header.size_bytes;
        let bytes = header.to_bytes(self.width).ok_or_else(|| self.too_large(file))?;
        file.write_at(COMPRESSED_HEADER_OFFSET, &bytes)?;
        file.write_at(0, &self.device_header().to_bytes())
    }

    /// The images of tracks, and the entries that null tracks get instead.
    fn pack_tracks(
        &self,
        geometry: &Geometry,
        first: UnitIndex,
        units: &[(UnitKind, &[u8])],
        bench: &mut Bench,
    ) -> Vec<(u32, Made)> {
        bench.images.clear();
        let pack = |(track, (_, body)): (u32, &(UnitKind, &[u8]))| {
            let home = geometry.encode_cchh(geometry.cchh(TrackIndex(track)));
            (track, bench.packers.pack_track(home, body, NullFormat::Empty, &mut bench.images))
        };
        (first.0..).zip(units).map(pack).collect()
    }

    /// Puts units into their block groups, and makes images of those that are complete.
    fn pack_blocks(
        &self,
        blocks: &BlockShape,
        first: UnitIndex,
        units: &[(UnitKind, &[u8])],
        bench: &mut Bench,
    ) -> Vec<(u32, Made)> {
        let all = self.shape.units();
        let mut complete = Vec::new();
        {
            let mut groups = lock(&self.groups);
            for (unit, (_, body)) in (first.0..).zip(units) {
                let number = unit / GROUP_UNITS;
                let group = groups.entry(number).or_insert_with(|| Group::new(number));
                let place = IMAGE_HEADER_BYTES + (unit % GROUP_UNITS) as usize * UNIT_BYTES;
                group.bytes[place..place + unit_bytes(blocks, unit)].copy_from_slice(body);
                group.come |= 1 << (unit % GROUP_UNITS);
                let units_in_group = GROUP_UNITS.min(all - number * GROUP_UNITS);
                if group.come.count_ones() == units_in_group {
                    complete.extend(groups.remove(&number).map(|group| (number, group)));
                }
            }
        }
        bench.images.clear();
        complete.into_iter().map(|(number, group)| (number, bench.packers.pack_group(&group.bytes, &mut bench.images))).collect()
    }

    /// Writes images at the end of the file and enters where they are.
    fn store(&self, file: &PartialFile, made: &[(u32, Made)], images: &[u8]) -> Result<(), VolumeError> {
        let mut offset = self.end.fetch_add(images.len() as u64, Ordering::AcqRel);
        if offset + images.len() as u64 > self.limit {
            return Err(self.too_large(file));
        }
        file.write_at(offset, images)?;
        let mut entries = lock(&self.entries);
        for (image, made) in made {
            entries[*image as usize] = match made {
                Made::Null(entry) => *entry,
                Made::Image(bytes) => {
                    let length = u16::try_from(*bytes).map_err(|_| self.too_long(file, *image, *bytes))?;
                    let entry = L2Entry::Image { offset, length, size: length };
                    offset += u64::from(length);
                    entry
                }
            };
        }
        Ok(())
    }

    fn device_header(&self) -> DeviceHeader {
        let (class, heads, slot_bytes, device_code) = match &self.shape {
            Shape::Ckd(geometry) => {
                (DiskClass::Ckd, u32::from(geometry.heads()), geometry.slot_bytes(), geometry.device().code())
            }
            // No fixed-block device is named. Hyperion has the number of sectors and their size where tracks have theirs.
            Shape::FixedBlock(blocks) => match self.width {
                OffsetWidth::Bits32 => (DiskClass::FixedBlock, 0, 0, 0),
                OffsetWidth::Bits64 => (DiskClass::FixedBlock, u32::try_from(blocks.blocks).unwrap_or(0), blocks.block_bytes, 0),
            },
        };
        DeviceHeader {
            eyecatcher: Eyecatcher { class, role: FileRole::Compressed, width: self.width },
            heads,
            slot_bytes,
            device_code,
            sequence: 0,
            highest_cylinder: 0,
            serial: [0; 12],
        }
    }

    fn bench(&self, file: &PartialFile) -> Result<Bench, VolumeError> {
        if let Some(bench) = lock(&self.benches).pop() {
            return Ok(bench);
        }
        let packers = Packers::new(self.compression).map_err(|error| file.unsupported(error.to_string()))?;
        Ok(Bench { packers, images: Vec::new() })
    }

    fn too_large(&self, file: &PartialFile) -> VolumeError {
        file.unsupported(match &self.shape {
            Shape::Ckd(_) => "the image passes the 4 GiB that its format can have; use the format cckd64",
            Shape::FixedBlock(_) => "the image passes the 4 GiB that its format can have; use the format cfba64",
        })
    }

    fn too_long(&self, file: &PartialFile, image: u32, bytes: usize) -> VolumeError {
        let address: UnitAddress = self.shape.address(UnitIndex(image));
        file.unsupported(format!("{address}: an image of {bytes} bytes is longer than a table entry can say"))
    }
}

impl Group {
    fn new(number: u32) -> Self {
        let mut bytes = vec![0; IMAGE_HEADER_BYTES + GROUP_BYTES];
        bytes[1..IMAGE_HEADER_BYTES].copy_from_slice(&number.to_be_bytes());
        Self { bytes, come: 0 }
    }
}

/// Both levels of tables; the second-level ones go to `offset`. `None` if an offset has no room in an entry.
fn tables(entries: &[L2Entry], null_format: u8, layout: TableLayout, mut offset: u64) -> Option<(Vec<u8>, Vec<u8>)> {
    let null = L2Entry::Null(u16::from(null_format));
    let mut l1 = Vec::new();
    let mut l2 = Vec::new();
    for group in entries.chunks(L2_ENTRIES) {
        if group.iter().all(|entry| *entry == null) {
            layout.write_l1(L1Entry::Null, &mut l1)?;
            continue;
        }
        layout.write_l1(L1Entry::Table(offset), &mut l1)?;
        let padding = std::iter::repeat_n(&null, L2_ENTRIES - group.len());
        for entry in group.iter().chain(padding) {
            layout.write_l2(*entry, &mut l2)?;
        }
        offset += layout.l2_table_bytes() as u64;
    }
    Some((l1, l2))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
