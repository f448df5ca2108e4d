//! The plan itself: for each file its labels, first byte, and the place of every unit.
//!
//! | word of the design | here |
//! | --- | --- |
//! | L, first byte of the header labels | [`FilePlan::header`] |
//! | D, first byte of the data | [`FilePlan::data`] |
//! | S, size of the data on tape | [`FilePlan::data_end`] − [`FilePlan::data`] |
//! | LU(j), the place of unit j | [`TapePlan::place`] |
//! | N and O, destination block and offset | [`Destination`] |
//!
//! The [`PlanBuilder`] puts file behind file. It is fed either from a size table, whole files at once, or with lengths
//! as they are found, which a compressed source needs: its units must be expanded to be measured, and are expanded
//! only once. Both ways run the same arithmetic.

use super::block_table::BlockTable;
use super::blocked_stream::BlockedStream;
use super::error::PlanError;
use super::file_spec::{FileSpec, Form};
use super::label_kind::LabelKind;
use super::size_table::SizeTable;
use crate::volume::UnitIndex;

/// What the operator chose about the tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOptions {
    /// Labels.
    pub labels: LabelKind,
    /// Length of the tape blocks of `tracks` form.
    pub block_bytes: u16,
}

impl PlanOptions {
    /// Tape blocks of 32,760 bytes: the longest that MVS and Hercules 3.13 both read.
    pub const DEFAULT_BLOCK_BYTES: u16 = 32_760;

    /// Checks the block length.
    ///
    /// # Errors
    /// When no AWS chunk can have that length, or MVS would take the block for noise (under 18 bytes).
    pub fn new(labels: LabelKind, block_bytes: u32) -> Result<Self, PlanError> {
        match u16::try_from(block_bytes) {
            Ok(bytes) if bytes >= 18 => Ok(Self { labels, block_bytes: bytes }),
            _ => Err(PlanError::BlockBytes { bytes: block_bytes }),
        }
    }
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self { labels: LabelKind::Standard, block_bytes: Self::DEFAULT_BLOCK_BYTES }
    }
}

/// Where a file lies on tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlan {
    /// What the file is.
    pub spec: FileSpec,
    /// Number on the tape, from 1.
    pub number: u32,
    /// L: tape offset of the first byte of the header labels.
    pub header: u64,
    /// D: tape offset of the first byte of the data.
    pub data: u64,
    /// Bytes of the data without chunk headers.
    pub stream_bytes: u64,
    /// Tape blocks, as the trailer label counts them.
    pub blocks: u64,
    /// Tape offset behind the last block: the tape mark.
    pub data_end: u64,
    /// Length of the last block, 0 if there is none.
    pub last_block: u16,
    /// Length of every block but the last, in `tracks` form.
    pub block_bytes: u16,
}

impl FilePlan {
    /// The stream of a file in `tracks` form.
    #[must_use]
    pub const fn stream(&self) -> BlockedStream {
        BlockedStream { data: self.data, bytes: self.stream_bytes, block_bytes: self.block_bytes }
    }
}

/// A place on a device that is addressed by blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// N: the block.
    pub block: u64,
    /// O: the offset in it.
    pub offset: u64,
}

impl Destination {
    /// Where tape offset `place` comes to lie on a device with blocks of `block_bytes`, if the tape begins at block
    /// `first_block`; `None` past the last block number.
    #[must_use]
    pub fn of(place: u64, block_bytes: u32, first_block: u64) -> Option<Self> {
        let block_bytes = u64::from(block_bytes);
        let block = place.checked_div(block_bytes)?.checked_add(first_block)?;
        Some(Self { block, offset: place % block_bytes })
    }
}

/// A unit and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlacedUnit {
    /// E(j): the unit of the volume.
    pub unit: UnitIndex,
    /// LU(j), as [`TapePlan::place`] gives it.
    pub place: u64,
    /// Where the next unit begins, or the data end.
    pub end: u64,
}

/// Where everything lies on a tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TapePlan {
    /// The options it was made with.
    pub options: PlanOptions,
    /// The files in tape order.
    pub files: Vec<FilePlan>,
    /// Bytes of the whole tape image.
    pub bytes: u64,
}

impl TapePlan {
    /// Plans a tape from files and the size table of their volume. Pure arithmetic.
    ///
    /// # Errors
    /// When the labels can't number the files.
    pub fn new(options: PlanOptions, specs: Vec<FileSpec>, sizes: &SizeTable) -> Result<Self, PlanError> {
        let mut builder = PlanBuilder::new(options, specs.len())?;
        for spec in specs {
            let bytes = spec.fixed_bytes.unwrap_or_else(|| {
                spec.units.runs().iter().map(|run| sizes.run_bytes(run.first.0..run.first.0 + run.units)).sum()
            });
            builder.open(spec);
            builder.extend(bytes);
            builder.close();
        }
        Ok(builder.finish())
    }

    /// LU(j): tape offset of the first byte of unit `j` of `file`; for one past the last, of the first byte behind.
    ///
    /// In `tracks` form it is the first byte of the unit header, in `blocks` form the chunk header of its first block.
    #[must_use]
    pub fn place(file: &FilePlan, sizes: &SizeTable, j: u32) -> u64 {
        match &file.spec.blocks {
            Some(blocks) => file.data + blocks.place(j),
            None => file.stream().place(Self::stream_position(file, sizes, j)),
        }
    }

    /// The units of `file` in order, each where LU(j) puts it; for whoever wants them all, quicker than one by one.
    pub fn units<'a>(file: &'a FilePlan, sizes: &'a SizeTable) -> impl Iterator<Item = PlacedUnit> + use<'a> {
        let (stream, last) = (file.stream(), file.spec.units.len().saturating_sub(1));
        let (mut position, mut next) = (0, Self::place(file, sizes, 0));
        let units = file.spec.units.runs().iter().flat_map(|run| run.first.0..run.first.0 + run.units);
        units.zip(0_u32..).map(move |(unit, j)| {
            let unit = UnitIndex(unit);
            let place = next;
            next = match &file.spec.blocks {
                Some(blocks) => file.data + blocks.place(j + 1),
                None => {
                    position += u64::from(sizes.encoded_bytes(unit));
                    stream.place(position)
                }
            };
            PlacedUnit { unit, place, end: if j == last { file.data_end } else { next } }
        })
    }

    /// Position in the file's stream of the first byte of unit `j`, in `tracks` form.
    #[must_use]
    pub fn stream_position(file: &FilePlan, sizes: &SizeTable, j: u32) -> u64 {
        let runs = file.spec.units.runs();
        let whole = runs.partition_point(|run| run.at + run.units <= j);
        let before: u64 = runs[..whole].iter().map(|run| sizes.run_bytes(run.first.0..run.first.0 + run.units)).sum();
        let inside = runs.get(whole).map_or(0, |run| sizes.run_bytes(run.first.0..run.first.0 + (j - run.at)));
        before + inside
    }
}

/// Puts file behind file.
#[derive(Debug)]
pub struct PlanBuilder {
    options: PlanOptions,
    files: Vec<FilePlan>,
    at: u64,
}

impl PlanBuilder {
    /// Starts a tape of `files` files.
    ///
    /// # Errors
    /// When the labels can't number so many.
    pub fn new(options: PlanOptions, files: usize) -> Result<Self, PlanError> {
        let most = options.labels.most_files();
        if u32::try_from(files).map_or(true, |files| files > most) {
            return Err(PlanError::TooManyFiles { files, most, labels: options.labels });
        }
        let at = options.labels.volume_bytes();
        Ok(Self { options, files: Vec::with_capacity(files), at })
    }

    /// Begins the next file; the one before must have been closed.
    ///
    /// A file in `blocks` form, or of fixed length, is complete with this.
    pub fn open(&mut self, spec: FileSpec) {
        let header = self.at;
        let data = header + self.options.labels.header_bytes();
        let (stream_bytes, blocks, data_end, last_block) = match &spec.blocks {
            Some(table) => (table.bytes(), table.blocks(), data + table.place(u32::MAX), last_of(table)),
            None => (0, 0, data, 0),
        };
        // `new` bounds the number of files.
        let number = u32::try_from(self.files.len() + 1).unwrap_or(u32::MAX);
        let block_bytes = self.options.block_bytes;
        self.files.push(FilePlan { spec, number, header, data, stream_bytes, blocks, data_end, last_block, block_bytes });
    }

    /// Adds `bytes` to the stream of the open file, if it is in `tracks` form.
    pub fn extend(&mut self, bytes: u64) {
        if let Some(file) = self.files.last_mut().filter(|file| file.spec.form() == Form::Tracks) {
            file.stream_bytes += bytes;
        }
    }

    /// The file that was opened last.
    #[must_use]
    pub fn current(&self) -> Option<&FilePlan> {
        self.files.last()
    }

    /// Ends the open file: its blocks and trailer are known now.
    pub fn close(&mut self) {
        let Some(file) = self.files.last_mut() else { return };
        if file.spec.form() == Form::Tracks {
            let stream = file.stream();
            (file.blocks, file.data_end, file.last_block) = (stream.blocks(), stream.end(), stream.last_length());
        }
        self.at = file.data_end + self.options.labels.trailer_bytes();
    }

    /// Ends the tape.
    #[must_use]
    pub fn finish(self) -> TapePlan {
        let bytes = self.at + self.options.labels.end_bytes();
        TapePlan { options: self.options, files: self.files, bytes }
    }
}

fn last_of(table: &BlockTable) -> u16 {
    table.previous_length(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Extent;
    use crate::plan::block_table::UnitBlocks;
    use crate::plan::file_spec::FileClass;
    use crate::plan::unit_list::UnitList;

    fn spec(extents: &[(u32, u32)]) -> FileSpec {
        let extents: Vec<_> = extents.iter().map(|&(first, tracks)| Extent { first, tracks }).collect();
        FileSpec::tracks("A.B".parse().unwrap(), FileClass::DataSet, UnitList::from_extents(&extents).unwrap())
    }

    /// The cost formula of the sheet "Tape labels", section 1: `4*86 + 3*6 + 6n + L`, 86 for VOL1, 6 for the last mark.
    #[test]
    fn a_tape_costs_what_the_label_standard_says() {
        let sizes = SizeTable::from_body_bytes(vec![10_000; 30]);
        let plan = TapePlan::new(PlanOptions::default(), vec![spec(&[(0, 10)]), spec(&[(20, 4)])], &sizes).unwrap();
        let data = |units: u64| (units * 10_016, (units * 10_016).div_ceil(32_760));
        let expected: u64 = [data(10), data(4)].iter().map(|(bytes, blocks)| 4 * 86 + 3 * 6 + 6 * blocks + bytes).sum();
        assert_eq!(plan.bytes, 86 + expected + 6);
        assert_eq!((plan.files[0].header, plan.files[0].data), (86, 86 + 178));
    }

    #[test]
    fn units_lie_behind_each_other_in_the_order_of_the_extents() {
        let sizes = SizeTable::from_body_bytes((0..100).map(|unit| 100 + unit).collect());
        let plan = TapePlan::new(PlanOptions::new(LabelKind::None, 64).unwrap(), vec![spec(&[(50, 3), (7, 2)])], &sizes).unwrap();
        let file = &plan.files[0];
        let lengths = [166_u64, 167, 168, 123, 124];
        for j in 0..=5 {
            let position: u64 = lengths[..j].iter().sum();
            assert_eq!(TapePlan::place(file, &sizes, u32::try_from(j).unwrap()), position + 6 * (position / 64 + 1));
        }
        assert_eq!(file.stream_bytes, lengths.iter().sum::<u64>());
        let placed: Vec<_> = TapePlan::units(file, &sizes).collect();
        assert_eq!(placed.iter().map(|unit| unit.unit.0).collect::<Vec<_>>(), [50, 51, 52, 7, 8]);
        for (j, unit) in (0..).zip(&placed) {
            let next = if j == 4 { file.data_end } else { TapePlan::place(file, &sizes, j + 1) };
            assert_eq!((unit.place, unit.end), (TapePlan::place(file, &sizes, j), next));
        }
    }

    #[test]
    fn blocks_keep_their_own_lengths() {
        let blocks = BlockTable::new(vec![UnitBlocks { blocks: 2, bytes: 160, last_length: 80 }; 3]);
        let file = FileSpec { blocks: Some(blocks), ..spec(&[(0, 3)]) };
        let plan = TapePlan::new(PlanOptions::default(), vec![file], &SizeTable::from_body_bytes(vec![])).unwrap();
        let file = &plan.files[0];
        assert_eq!((file.blocks, file.stream_bytes, file.last_block), (6, 480, 80));
        assert_eq!(file.data_end - file.data, 480 + 6 * 6);
        let none = SizeTable::from_body_bytes(vec![]);
        assert_eq!(TapePlan::place(file, &none, 2), file.data + 2 * 172);
        let placed: Vec<_> = TapePlan::units(file, &none).map(|unit| (unit.place - file.data, unit.end - file.data)).collect();
        assert_eq!(placed, [(0, 172), (172, 344), (344, 516)]);
    }

    #[test]
    fn a_place_becomes_a_block_of_the_destination() {
        assert_eq!(Destination::of(1_000_000, 4096, 100), Some(Destination { block: 344, offset: 576 }));
        assert_eq!(Destination::of(1, 4096, u64::MAX), Some(Destination { block: u64::MAX, offset: 1 }));
        assert_eq!(Destination::of(4096, 4096, u64::MAX), None);
        assert_eq!(Destination::of(4096, 0, 0), None);
    }

    #[test]
    fn ansi_labels_number_9_999_files_and_no_more() {
        let options = PlanOptions { labels: LabelKind::Ansi, ..PlanOptions::default() };
        assert!(PlanBuilder::new(options.clone(), 9_999).is_ok());
        assert!(PlanBuilder::new(options, 10_000).is_err());
        assert!(PlanBuilder::new(PlanOptions::default(), 100_001).is_ok());
    }
}
