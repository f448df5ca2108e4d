//! The plain image of a disk as bytes: where each byte of the file lies on the disk.
//!
//! | disk | file |
//! | --- | --- |
//! | count-key-data | device header of 512 bytes, then the slot of each track in order |
//! | fixed blocks | the blocks |
//!
//! A large disk is one large file, as `dasdinit -lfs` makes it. The header is not stored anywhere: it follows from the
//! geometry, whatever the format of the image behind, and so nobody can write it.

use std::ops::Range;

use tapegate_formats::dasd::device_header::{DEVICE_HEADER_BYTES, DeviceHeader, DiskClass, Eyecatcher, FileRole, OffsetWidth};
use tapegate_formats::dasd::geometry::Geometry;

use crate::volume::{Shape, UnitIndex};

/// The bytes of a plain image, and what they are.
#[derive(Debug, Clone)]
pub struct ImageLayout {
    header: Option<Box<[u8; DEVICE_HEADER_BYTES]>>,
    /// Bytes of every unit but perhaps the last.
    unit_bytes: u64,
    size_bytes: u64,
    /// Bytes of what a program without cache reads and writes whole.
    block_bytes: u32,
}

/// What a piece of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The device header, from this byte on.
    Header(usize),
    /// A unit of the disk, from this byte of it on.
    Unit(UnitIndex, u32),
}

/// Neighbouring bytes of a file that lie in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where they lie.
    pub place: Place,
    /// Which bytes of the range that was cut they are.
    pub range: Range<usize>,
}

impl ImageLayout {
    /// The layout of a disk.
    #[must_use]
    pub fn of(shape: &Shape) -> Self {
        let (header, unit_bytes, data_bytes, block_bytes) = match shape {
            Shape::Ckd(geometry) => {
                let slot = u64::from(geometry.slot_bytes());
                (Some(Box::new(header_of(geometry))), slot, slot * u64::from(geometry.tracks()), 1)
            }
            Shape::FixedBlock(blocks) => {
                let unit = u64::from(blocks.block_bytes) * u64::from(blocks.unit_blocks);
                (None, unit, blocks.blocks.saturating_mul(blocks.block_bytes.into()), blocks.block_bytes.max(1))
            }
        };
        let header_bytes = header.as_ref().map_or(0, |header| header.len() as u64);
        Self { header, unit_bytes: unit_bytes.max(1), size_bytes: header_bytes.saturating_add(data_bytes), block_bytes }
    }

    /// Bytes of the file.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Last part of the file's name: `ckd` or `fba`.
    #[must_use]
    pub const fn extension(&self) -> &'static str {
        if self.header.is_some() { "ckd" } else { "fba" }
    }

    /// The device header; empty for fixed blocks, which have none.
    #[must_use]
    pub fn header(&self) -> &[u8] {
        self.header.as_deref().map_or(&[], |header| &header[..])
    }

    /// Whether a request keeps to whole blocks, as a disk of fixed blocks has it. Tracks have none that a file shows.
    #[must_use]
    pub const fn is_aligned(&self, offset: u64, length: usize) -> bool {
        let block = self.block_bytes as u64;
        offset.is_multiple_of(block) && (length as u64).is_multiple_of(block)
    }

    /// Where a unit begins in the file.
    #[must_use]
    pub fn offset_of(&self, unit: UnitIndex) -> u64 {
        (self.header().len() as u64).saturating_add(self.unit_bytes.saturating_mul(unit.0.into()))
    }

    /// The part of a range that the file has.
    #[must_use]
    pub fn clip(&self, offset: u64, length: usize) -> Range<u64> {
        let start = offset.min(self.size_bytes);
        start..start.saturating_add(length as u64).min(self.size_bytes)
    }

    /// The smallest range of whole units, and the whole header, that covers a range of the file.
    #[must_use]
    pub fn whole(&self, range: &Range<u64>) -> Range<u64> {
        if range.is_empty() {
            return range.clone();
        }
        let header = self.header().len() as u64;
        let floor = |at: u64| at.checked_sub(header).map_or(0, |data| header + data / self.unit_bytes * self.unit_bytes);
        let end = match range.end.checked_sub(header) {
            Some(data) => header.saturating_add(data.div_ceil(self.unit_bytes).saturating_mul(self.unit_bytes)),
            None => header,
        };
        floor(range.start)..end.min(self.size_bytes)
    }

    /// Cuts a range of the file into pieces, in order. What lies behind the end of the file is left out.
    pub fn pieces(&self, range: Range<u64>) -> impl Iterator<Item = Piece> {
        let header = self.header().len() as u64;
        let end = range.end.min(self.size_bytes);
        let mut at = range.start;
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let (place, border) = match at.checked_sub(header) {
                None => (Place::Header(usize::try_from(at).ok()?), header),
                Some(data) => {
                    let (unit, offset) = (data / self.unit_bytes, data % self.unit_bytes);
                    // A disk has fewer than 2^32 units, and a unit fewer bytes.
                    let place = Place::Unit(UnitIndex(u32::try_from(unit).ok()?), u32::try_from(offset).ok()?);
                    (place, at.saturating_add(self.unit_bytes - offset))
                }
            };
            let next = border.min(end);
            let first = usize::try_from(at - range.start).ok()?;
            let piece = Piece { place, range: first..first + usize::try_from(next - at).ok()? };
            at = next;
            Some(piece)
        })
    }
}

/// The header that `dasdinit` writes for a volume in one file.
fn header_of(geometry: &Geometry) -> [u8; DEVICE_HEADER_BYTES] {
    DeviceHeader {
        eyecatcher: Eyecatcher { class: DiskClass::Ckd, role: FileRole::Plain, width: OffsetWidth::Bits32 },
        heads: u32::from(geometry.heads()),
        slot_bytes: geometry.slot_bytes(),
        device_code: geometry.device().code(),
        sequence: 0,
        highest_cylinder: 0,
        serial: [0; 12],
    }
    .to_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tapegate_formats::dasd::device::DeviceType;

    use super::*;
    use crate::volume::BlockShape;

    fn ckd() -> Shape {
        Shape::Ckd(Geometry::new(DeviceType::Ibm3390, 3, 2, 1024).unwrap())
    }

    fn fixed() -> Shape {
        Shape::FixedBlock(BlockShape { blocks: 21, block_bytes: 512, unit_blocks: 8 })
    }

    /// Every byte of the file, told one by one: the simplest model there is.
    fn model(shape: &Shape) -> Vec<Place> {
        let header = if matches!(shape, Shape::Ckd(_)) { 512 } else { 0 };
        let units = (0..shape.units()).map(UnitIndex);
        let data = units.flat_map(|unit| (0..shape.unit_bytes(unit)).map(move |offset| Place::Unit(unit, offset)));
        (0..header).map(Place::Header).chain(data).collect()
    }

    fn advanced(place: Place, by: usize) -> Place {
        match place {
            Place::Header(offset) => Place::Header(offset + by),
            Place::Unit(unit, offset) => Place::Unit(unit, offset + u32::try_from(by).unwrap()),
        }
    }

    proptest! {
        #[test]
        fn any_range_is_cut_into_the_places_of_its_bytes(
            shape in prop_oneof![Just(ckd()), Just(fixed())],
            offset in 0_u64..12_000,
            length in 0_usize..12_000,
        ) {
            let (layout, model) = (ImageLayout::of(&shape), model(&shape));
            prop_assert_eq!(layout.size_bytes(), model.len() as u64);
            let range = layout.clip(offset, length);
            let pieces: Vec<_> = layout.pieces(range.clone()).collect();
            let places: Vec<_> = pieces
                .iter()
                .flat_map(|piece| (0..piece.range.len()).map(|by| advanced(piece.place, by)))
                .collect();
            let start = (offset as usize).min(model.len());
            prop_assert_eq!(&places[..], &model[start..(start + length).min(model.len())]);
            // The pieces follow each other without a gap, and none crosses a border.
            let mut next = 0;
            for piece in &pieces {
                prop_assert_eq!(piece.range.start, next);
                prop_assert!(!piece.range.is_empty());
                next = piece.range.end;
            }
            let whole = layout.whole(&range);
            if !range.is_empty() {
                prop_assert!(whole.start <= range.start && range.end <= whole.end);
                for piece in layout.pieces(whole) {
                    match piece.place {
                        Place::Header(from) => prop_assert_eq!((from, piece.range.len()), (0, 512)),
                        Place::Unit(unit, from) => {
                            prop_assert_eq!((from, piece.range.len()), (0, shape.unit_bytes(unit) as usize));
                            // It belongs to the cover because it has a byte of the range.
                            prop_assert!(places.iter().any(|place| matches!(place, Place::Unit(own, _) if *own == unit)));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_largest_disk_has_an_end() {
        let shape = Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 262_668).unwrap());
        let layout = ImageLayout::of(&shape);
        let size = 512 + 262_668 * 15 * 56_832_u64;
        assert_eq!(layout.size_bytes(), size);
        let last: Vec<_> = layout.pieces(layout.clip(size - 1, 100)).collect();
        assert_eq!(last, [Piece { place: Place::Unit(UnitIndex(262_668 * 15 - 1), 56_831), range: 0..1 }]);
        assert_eq!(layout.pieces(layout.clip(u64::MAX, usize::MAX)).count(), 0);
    }

    /// Bytes that `dasdinit` 3.13 wrote for a 3390, and that a file of fixed blocks has none.
    #[test]
    fn the_header_is_that_of_dasdinit() {
        let layout = ImageLayout::of(&Shape::Ckd(Geometry::standard(DeviceType::Ibm3390, 1114).unwrap()));
        let mut expected = b"CKD_P370".to_vec();
        expected.extend([0x0f, 0, 0, 0, 0x00, 0xde, 0, 0, 0x90, 0, 0, 0]);
        expected.resize(512, 0);
        assert_eq!((layout.header(), layout.extension()), (&expected[..], "ckd"));
        // The size of the file that `dasdinit -a 3390-1` wrote.
        assert_eq!(layout.size_bytes(), 949_663_232);
        let blocks = ImageLayout::of(&fixed());
        assert_eq!((blocks.header(), blocks.extension(), blocks.size_bytes()), (&[][..], "fba", 21 * 512));
    }
}
