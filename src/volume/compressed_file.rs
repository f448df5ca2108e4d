//! One file of a compressed image: its headers and tables, checked against the file.
//!
//! All tables are read when the file is opened; a 3390-54 full of data has 16 MiB of them in memory. Those of a file that
//! is written change there after they changed in the file. A table that
//! lies outside the file, or over another, is an error of the image. An entry that does so is an error of its unit
//! alone, told when the unit is read, so that the rest of a damaged volume can still be had.

use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tapegate_formats::dasd::compressed_header::{
    COMPRESSED_HEADER_BYTES, COMPRESSED_HEADER_OFFSET, CompressedHeader, OPTION_OPENED,
};
use tapegate_formats::dasd::device::DeviceType;
use tapegate_formats::dasd::device_header::{DeviceHeader, DiskClass, OffsetWidth};
use tapegate_formats::dasd::free_space::free_spaces;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::lookup_table::{L1_OFFSET, L1Entry, L2_ENTRIES, L2Entry, TableLayout};
use tapegate_formats::dasd::null_track::NullFormat;
use tapegate_formats::dasd::track_image::{GROUP_SECTORS, IMAGE_HEADER_BYTES};

use super::editor::Editor;
use super::error::VolumeError;
use super::fixed_block;
use super::image_file::ImageFile;

use super::shape::Shape;
use super::tables::{Entered, Tables};
use crate::finding::Finding;

/// What the two bytes of a home address can name.
const MOST_CYLINDERS: u32 = 65_536;

/// A compressed base or shadow file.
#[derive(Debug)]
pub(super) struct CompressedFile {
    file: ImageFile,
    width: OffsetWidth,
    header: CompressedHeader,
    null_format: NullFormat,
    /// First byte behind the first-level table: no image lies before it.
    tables_end: u64,
    shape: Shape,
    /// Held for no I/O.
    tables: RwLock<Tables>,
    /// Held shared by who reads an image, from finding it to the end of reading. Space is used again only after it was
    /// held alone, so that nobody reads it for what it was.
    reading: RwLock<()>,
    /// What writing needs, if the file was opened for it.
    editor: Option<Editor>,
}

/// Where a unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Nowhere: it is null.
    Null(NullFormat),
    /// In a lower file.
    Below,
    /// In this file.
    Image { offset: u64, length: u16 },
}

/// Why a unit's entry is wrong, and where the entry leads.
#[derive(Debug)]
pub(super) struct BadEntry {
    pub(super) offset: u64,
    pub(super) reason: String,
}

impl CompressedFile {
    /// Reads headers and tables of a file whose device header says that it is compressed.
    pub(super) fn open(file: ImageFile, device: &DeviceHeader) -> Result<Self, VolumeError> {
        let mut bytes = [0; COMPRESSED_HEADER_BYTES];
        file.read_at(COMPRESSED_HEADER_OFFSET, &mut bytes)?;
        let width = device.eyecatcher.width;
        let header =
            CompressedHeader::parse(&bytes, width).map_err(|error| file.corrupt(COMPRESSED_HEADER_OFFSET, error.to_string()))?;
        let null_format = NullFormat::from_number(u16::from(header.null_format))
            .ok_or_else(|| file.corrupt(COMPRESSED_HEADER_OFFSET, format!("there is no null format {}", header.null_format)))?;
        let layout = TableLayout::of(width, &header);
        let shape = shape_of(&file, device, &header)?;

        let needed = images(&shape).div_ceil(L2_ENTRIES as u32);
        let tables_end = L1_OFFSET + u64::from(header.l1_entries) * layout.l1_entry_bytes() as u64;
        if header.l1_entries < needed || tables_end > file.size_bytes() {
            let reason = format!(
                "a first-level table of {} entries does not fit the file of {} bytes, or the volume, which needs {needed}",
                header.l1_entries,
                file.size_bytes()
            );
            return Err(file.corrupt(COMPRESSED_HEADER_OFFSET + 4, reason));
        }
        // Entries behind those that the volume needs lead to nothing.
        let l1 = read_vec(&file, L1_OFFSET, u64::from(needed) * layout.l1_entry_bytes() as u64)?;
        let l1: Vec<L1Entry> = layout.parse_l1(&l1).collect();
        check_tables(&file, &l1, layout, tables_end)?;

        let mut tables = Tables::default();
        for entry in l1 {
            let table = match entry {
                L1Entry::Table(offset) => read_vec(&file, offset, layout.l2_table_bytes() as u64)?,
                L1Entry::Null | L1Entry::Below => Vec::new(),
            };
            tables.push(entry, layout.parse_l2(&table));
        }
        let editor = file.is_writable().then(|| Editor::new(&file, &tables, layout, tables_end)).transpose()?;
        let (tables, reading) = (RwLock::new(tables), RwLock::new(()));
        Ok(Self { file, width, header, null_format, tables_end, shape, tables, reading, editor })
    }

    pub(super) const fn file(&self) -> &ImageFile {
        &self.file
    }

    /// The volume's shape as the headers give it.
    pub(super) const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The null format that the header names.
    pub(super) const fn null_format(&self) -> NullFormat {
        self.null_format
    }

    /// The units that have table entries of their own in this file.
    pub(super) fn entered(&self) -> Vec<u32> {
        let images = images(&self.shape);
        let group = |(group, ..): (usize, _, _)| {
            let start = u32::try_from(group * L2_ENTRIES).unwrap_or(u32::MAX);
            start..images.min(start.saturating_add(L2_ENTRIES as u32))
        };
        self.tables().tables().flat_map(group).collect()
    }

    pub(super) const fn width(&self) -> OffsetWidth {
        self.width
    }

    /// The header as it was when the file was opened.
    pub(super) const fn header(&self) -> &CompressedHeader {
        &self.header
    }

    /// What writing needs; `None` if the file was opened for reading.
    pub(super) const fn editor(&self) -> Option<&Editor> {
        self.editor.as_ref()
    }

    /// Keeps the space of images from being used again while it is held.
    pub(super) fn hold(&self) -> RwLockReadGuard<'_, ()> {
        self.reading.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns when everybody who held the space has let go of it.
    pub(super) fn wait_for_readers(&self) {
        drop(self.reading.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn tables(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tables_mut(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is odd about the file as a whole.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let name = self.file.path().display();
        let mut findings = Vec::new();
        if self.header.options & OPTION_OPENED != 0 {
            findings.push(Finding::damage(
                "image-not-closed",
                format!("{name} is in use by an emulator or was not closed: its tables may be older than its tracks"),
            ));
        }
        if self.header.size_bytes > self.file.size_bytes() {
            findings.push(Finding::damage(
                "image-truncated",
                format!("{name} has {} bytes of the {} that its header names", self.file.size_bytes(), self.header.size_bytes),
            ));
        }
        let read = |offset, buffer: &mut [u8]| self.file.read_at(offset, buffer).is_ok();
        if let Err(error) = free_spaces(&self.header, self.width, read) {
            findings.push(Finding::note("free-space-chain", format!("{name}: {error}; no track is affected")));
        }
        let null_sized = |entry: &&L2Entry| matches!(entry, L2Entry::Image { length: 29 | 37, .. });
        let stored_nulls = self.tables().entries().iter().filter(null_sized).count();
        if stored_nulls > 0 && matches!(self.shape, Shape::Ckd(_)) {
            findings.push(Finding::note(
                "null-track-stored",
                format!(
                    "{name} keeps images of tracks without records ({stored_nulls}), as some initialisers do; cckdcdsk \
                     complains of them, and nothing is wrong"
                ),
            ));
        }
        findings
    }

    /// Where a unit is, with the image inside the file.
    pub(super) fn find(&self, unit: u32) -> Result<Place, BadEntry> {
        let entered = self.tables().get(unit);
        let entry = match entered {
            Entered::NullGroup => return Ok(Place::Null(self.null_format)),
            Entered::BelowGroup => return Ok(Place::Below),
            Entered::Entry(entry) => entry,
        };
        match entry {
            L2Entry::Below => Ok(Place::Below),
            // Old tools write zeros for the tracks of Linux volumes, whose header tells the format.
            L2Entry::Null(0) if self.null_format == NullFormat::Linux => Ok(Place::Null(NullFormat::Linux)),
            L2Entry::Null(number) => NullFormat::from_number(number).map(Place::Null).ok_or_else(|| BadEntry {
                offset: 0,
                reason: format!("its table entry names the null format {number}, and there is none such"),
            }),
            L2Entry::Image { offset, length, .. } => {
                let bad = |reason| Err(BadEntry { offset, reason });
                if usize::from(length) <= IMAGE_HEADER_BYTES {
                    return bad(format!("its table entry gives it a length of {length} bytes"));
                }
                if offset < self.tables_end {
                    return bad("its table entry leads into the headers and tables".to_owned());
                }
                match offset.checked_add(u64::from(length)) {
                    Some(end) if end <= self.file.size_bytes() => Ok(Place::Image { offset, length }),
                    _ => bad(format!(
                        "its table entry leads out of the file: {length} bytes at this offset, and the file has {}",
                        self.file.size_bytes()
                    )),
                }
            }
        }
    }
}

/// A file that was not closed is closed as well as can be, without waiting for the storage.
impl Drop for CompressedFile {
    fn drop(&mut self) {
        if let Some(editor) = &self.editor
            && !editor.unsure.load(Ordering::Acquire)
            && !std::thread::panicking()
        {
            // What fails leaves the mark, by which whoever opens the file next knows.
            let _ = self.finish(editor, false);
        }
    }
}

/// The shape of the volume that a file's two headers give.
fn shape_of(file: &ImageFile, device: &DeviceHeader, header: &CompressedHeader) -> Result<Shape, VolumeError> {
    match device.eyecatcher.class {
        DiskClass::Ckd => {
            let kind = DeviceType::from_code(device.device_code)
                .ok_or_else(|| file.corrupt(16, format!("there is no device type with the code {:02X}", device.device_code)))?;
            if device.slot_bytes > u32::from(u16::MAX) {
                return Err(file.corrupt(12, format!("a compressed image has no slots of {} bytes", device.slot_bytes)));
            }
            if header.cylinders > MOST_CYLINDERS {
                let reason = format!("{} cylinders are more than a home address can name", header.cylinders);
                return Err(file.corrupt(COMPRESSED_HEADER_OFFSET, reason));
            }
            Geometry::new(kind, header.cylinders, device.heads, device.slot_bytes)
                .map(Shape::Ckd)
                .map_err(|error| file.corrupt(8, error.to_string()))
        }
        DiskClass::FixedBlock => fixed_block::shape(u64::from(header.cylinders))
            .map(Shape::FixedBlock)
            .ok_or_else(|| file.corrupt(COMPRESSED_HEADER_OFFSET, "a volume of no sectors")),
    }
}

/// Stored images that a volume can have: one a track, or one for each 120 sectors.
pub(super) fn images(shape: &Shape) -> u32 {
    match shape {
        Shape::Ckd(geometry) => geometry.tracks(),
        // The header counts sectors in 32 bits.
        Shape::FixedBlock(blocks) => u32::try_from(blocks.blocks.div_ceil(u64::from(GROUP_SECTORS))).unwrap_or(u32::MAX),
    }
}

/// Checks that second-level tables lie in the file, behind the first-level table and side by side; so they are no more
/// than fit the file.
fn check_tables(file: &ImageFile, l1: &[L1Entry], layout: TableLayout, tables_end: u64) -> Result<(), VolumeError> {
    let table_bytes = layout.l2_table_bytes() as u64;
    let mut offsets: Vec<(u64, u64)> = (0..)
        .zip(l1)
        .filter_map(|(index, entry)| if let L1Entry::Table(offset) = entry { Some((*offset, index)) } else { None })
        .collect();
    offsets.sort_unstable();
    let mut free = tables_end;
    for (offset, index) in offsets {
        let place = L1_OFFSET + index * layout.l1_entry_bytes() as u64;
        let Some(end) = offset.checked_add(table_bytes).filter(|end| *end <= file.size_bytes()) else {
            return Err(file.corrupt(
                place,
                format!("entry {index} of the first-level table leads to offset {offset}, where no table fits into the file"),
            ));
        };
        if offset < free {
            return Err(file.corrupt(
                place,
                format!(
                    "entry {index} of the first-level table leads to offset {offset}, which another table or a header covers"
                ),
            ));
        }
        free = end;
    }
    Ok(())
}

/// Reads bytes that were checked to be in the file.
fn read_vec(file: &ImageFile, offset: u64, bytes: u64) -> Result<Vec<u8>, VolumeError> {
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
    file.read_at(offset, &mut buffer)?;
    Ok(buffer)
}
