//! A stage: the neighbouring units that are read at once, in one buffer that is used again and again.

use std::ops::Range;

use tapegate_formats::dasd::track::TrackError;
use tapegate_formats::tape::unit::UnitKind;

use crate::aligned::AlignedBuffer;

/// Units read together.
#[derive(Debug, Default)]
pub struct Stage {
    buffer: AlignedBuffer,
    units: Vec<Slice>,
    /// Bodies that came from elsewhere than the read.
    replaced: Vec<u8>,
}

#[derive(Debug, Clone)]
struct Slice {
    kind: UnitKind,
    range: Range<usize>,
    /// Whether the range is one of the replaced bodies.
    replaced: bool,
    defect: Option<TrackError>,
}

/// One unit of a stage.
#[derive(Debug, Clone, Copy)]
pub struct StagedUnit<'a> {
    /// What the body is.
    pub kind: UnitKind,
    /// The bytes: a track from home address to last record, a whole slot, or fixed blocks.
    pub body: &'a [u8],
    /// Why the track is a raw slot, if it is one.
    pub defect: Option<TrackError>,
}

impl Stage {
    /// Makes an empty stage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Units in the stage.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether nothing was read yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The units in order.
    pub fn units(&self) -> impl ExactSizeIterator<Item = StagedUnit<'_>> {
        self.units.iter().map(|slice| StagedUnit { kind: slice.kind, body: self.slice(slice), defect: slice.defect })
    }

    /// The body of one unit.
    ///
    /// # Panics
    /// When the stage has no such unit.
    #[must_use]
    pub fn body(&self, unit: usize) -> &[u8] {
        self.slice(&self.units[unit])
    }

    fn slice(&self, slice: &Slice) -> &[u8] {
        let bytes = if slice.replaced { &self.replaced } else { self.buffer() };
        &bytes[slice.range.clone()]
    }

    /// Puts another body in the place of unit `unit`: its original, kept when it was about to change.
    ///
    /// # Panics
    /// When the stage has no such unit.
    pub(crate) fn replace(&mut self, unit: usize, kind: UnitKind, body: &[u8], defect: Option<TrackError>) {
        let start = self.replaced.len();
        self.replaced.extend_from_slice(body);
        self.units[unit] = Slice { kind, range: start..self.replaced.len(), replaced: true, defect };
    }

    /// Empties the stage and gives its buffer, `bytes` long, to be filled; units are then declared by
    /// [`push`](Self::push).
    pub(crate) fn refill(&mut self, bytes: usize) -> &mut [u8] {
        self.refill_from(0, bytes)
    }

    /// As [`refill`](Self::refill), for bytes that are read at once from `offset` of a file.
    pub(crate) fn refill_from(&mut self, offset: u64, bytes: usize) -> &mut [u8] {
        self.units.clear();
        self.replaced.clear();
        self.buffer.at_offset(offset, bytes)
    }

    /// The bytes filled in since [`refill`](Self::refill).
    pub(crate) fn buffer(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// Declares the next unit to be `range` of the buffer.
    pub(crate) fn push(&mut self, kind: UnitKind, range: Range<usize>, defect: Option<TrackError>) {
        debug_assert!(range.end <= self.buffer().len());
        self.units.push(Slice { kind, range, replaced: false, defect });
    }
}
