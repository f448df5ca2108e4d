//! Which bytes of a compressed file are free, and when they may be used again.
//!
//! The list that the file itself carries is not believed: what no table entry leads to is free, whatever the list says.
//! An image that was replaced is *retired*: its bytes become free only when the entry that no longer leads to it is on
//! stable storage and nobody reads it any more. Who keeps this book calls [`release`](Space::release) then.

use std::collections::{BTreeMap, BTreeSet};

/// A rest that is shorter than this stays with the image before it: few units are so short, and many such rests would
/// make the list of free spaces long.
pub(super) const LEAST_REST_BYTES: u64 = 96;

/// Some bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) length: u64,
}

impl Extent {
    /// The offset behind the last byte; extents that come from a file were checked not to pass 2^64.
    pub(super) const fn end(self) -> u64 {
        self.offset + self.length
    }
}

/// The book of a file's free bytes.
#[derive(Debug)]
pub(super) struct Space {
    /// Length by offset; no two touch.
    free: BTreeMap<u64, u64>,
    /// The same, by length and offset.
    by_length: BTreeSet<(u64, u64)>,
    free_bytes: u64,
    retired: Vec<Extent>,
    retired_bytes: u64,
    /// Behind the last byte in use or retired.
    end: u64,
    /// Where no extent may end.
    limit: u64,
}

impl Space {
    /// Makes the book of a file whose headers and first-level table end at `start`; `used` are the other extents in use.
    ///
    /// Gives the offset where two of them overlap, if they do.
    pub(super) fn new(start: u64, mut used: Vec<Extent>, limit: u64) -> Result<Self, u64> {
        used.sort_unstable();
        let mut space = Self {
            free: BTreeMap::new(),
            by_length: BTreeSet::new(),
            free_bytes: 0,
            retired: Vec::new(),
            retired_bytes: 0,
            end: start,
            limit,
        };
        for extent in used {
            if extent.offset < space.end {
                return Err(extent.offset);
            }
            if extent.offset > space.end {
                space.insert(Extent { offset: space.end, length: extent.offset - space.end });
            }
            space.end = extent.end();
        }
        Ok(space)
    }

    /// Behind the last byte in use or retired.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Where no extent may end.
    pub(super) const fn limit(&self) -> u64 {
        self.limit
    }

    /// Makes a limit that a test can reach.
    #[cfg(test)]
    pub(super) const fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
    }

    /// Bytes before the end that can be taken.
    pub(super) const fn free_bytes(&self) -> u64 {
        self.free_bytes
    }

    /// Bytes that will be free when they are released.
    pub(super) const fn retired_bytes(&self) -> u64 {
        self.retired_bytes
    }

    /// The free extents by offset; none reaches the end.
    pub(super) fn free_extents(&self) -> impl Iterator<Item = Extent> {
        self.free.iter().map(|(offset, length)| Extent { offset: *offset, length: *length })
    }

    /// Takes at least `length` bytes, of a free extent that fits best or at the end. A rest of up to `slack` bytes that
    /// is not worth keeping comes with it.
    pub(super) fn take(&mut self, length: u64, slack: u64) -> Option<Extent> {
        if let Some((found, offset)) = self.by_length.range((length, 0)..).next().copied() {
            return Some(self.cut(Extent { offset, length: found }, length, slack));
        }
        let end = self.end.checked_add(length).filter(|end| *end <= self.limit)?;
        let extent = Extent { offset: self.end, length };
        self.end = end;
        Some(extent)
    }

    /// As [`take`](Self::take), but only from a free extent that ends at `below` or before it.
    pub(super) fn take_below(&mut self, length: u64, slack: u64, below: u64) -> Option<Extent> {
        let fits = |(found, offset): &&(u64, u64)| offset + found <= below;
        let (found, offset) = self.by_length.range((length, 0)..).find(fits).copied()?;
        Some(self.cut(Extent { offset, length: found }, length, slack))
    }

    /// Gives back bytes that no entry ever led to.
    pub(super) fn give_back(&mut self, extent: Extent) {
        self.insert(extent);
    }

    /// Notes that no entry leads to these bytes any more.
    pub(super) fn retire(&mut self, extent: Extent) {
        self.retired_bytes += extent.length;
        self.retired.push(extent);
    }

    /// What was retired since the last call, to be released, or retired again.
    pub(super) fn take_retired(&mut self) -> Vec<Extent> {
        std::mem::take(&mut self.retired)
    }

    /// Makes what [`take_retired`](Self::take_retired) gave free.
    pub(super) fn release(&mut self, retired: Vec<Extent>) {
        for extent in retired {
            self.retired_bytes -= extent.length;
            self.insert(extent);
        }
    }

    /// Undoes [`take_retired`](Self::take_retired).
    pub(super) fn keep_retired(&mut self, mut retired: Vec<Extent>) {
        self.retired.append(&mut retired);
    }

    /// Takes the first `length` bytes of a free extent.
    fn cut(&mut self, found: Extent, length: u64, slack: u64) -> Extent {
        self.remove(found);
        let rest = found.length - length;
        if rest < LEAST_REST_BYTES && rest <= slack {
            return found;
        }
        let taken = Extent { offset: found.offset, length };
        if rest > 0 {
            self.add(Extent { offset: taken.end(), length: rest });
        }
        taken
    }

    /// Makes an extent free, joined with its neighbours; one at the end makes the end come nearer.
    fn insert(&mut self, mut extent: Extent) {
        if extent.length == 0 {
            return;
        }
        if let Some((offset, length)) = self.free.range(..extent.offset).next_back().map(|(offset, length)| (*offset, *length)) {
            let before = Extent { offset, length };
            if before.end() == extent.offset {
                self.remove(before);
                extent = Extent { offset, length: length + extent.length };
            }
        }
        if let Some(length) = self.free.get(&extent.end()).copied() {
            self.remove(Extent { offset: extent.end(), length });
            extent.length += length;
        }
        if extent.end() == self.end {
            self.end = extent.offset;
        } else {
            self.add(extent);
        }
    }

    fn add(&mut self, extent: Extent) {
        self.free.insert(extent.offset, extent.length);
        self.by_length.insert((extent.length, extent.offset));
        self.free_bytes += extent.length;
    }

    fn remove(&mut self, extent: Extent) {
        self.free.remove(&extent.offset);
        self.by_length.remove(&(extent.length, extent.offset));
        self.free_bytes -= extent.length;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn extent(offset: u64, length: u64) -> Extent {
        Extent { offset, length }
    }

    #[test]
    fn gaps_are_free_and_overlaps_are_told() {
        let space = Space::new(100, vec![extent(300, 50), extent(120, 30)], 1000).unwrap();
        assert_eq!(space.free_extents().collect::<Vec<_>>(), [extent(100, 20), extent(150, 150)]);
        assert_eq!((space.end(), space.free_bytes()), (350, 170));
        assert_eq!(Space::new(100, vec![extent(120, 30), extent(149, 5)], 1000).unwrap_err(), 149);
        assert_eq!(Space::new(100, vec![extent(99, 5)], 1000).unwrap_err(), 99);
    }

    #[test]
    fn the_best_fit_is_taken_and_a_short_rest_comes_with_it() {
        let mut space = Space::new(0, vec![extent(1000, 10), extent(1200, 10)], 2000).unwrap();
        assert_eq!(space.take(150, 0), Some(extent(1010, 150)));
        assert_eq!(space.take(30, 95), Some(extent(1160, 40)));
        assert_eq!(space.take(900, 95), Some(extent(0, 900)));
        assert_eq!(space.take(700, 95), Some(extent(1210, 700)));
        assert_eq!(space.take(91, 95), Some(extent(900, 100)));
        assert_eq!(space.take(91, 95), None);
        assert_eq!(space.take(90, 95), Some(extent(1910, 90)));
    }

    #[test]
    fn what_is_retired_is_not_taken_before_it_is_released() {
        let mut space = Space::new(0, vec![extent(0, 500)], 600).unwrap();
        space.retire(extent(0, 300));
        assert_eq!(space.take(200, 0), None);
        let retired = space.take_retired();
        space.retire(extent(300, 200));
        space.release(retired);
        assert_eq!(space.take(200, 0), Some(extent(0, 200)));
        assert_eq!(space.retired_bytes(), 200);
    }

    #[test]
    fn only_what_lies_below_is_taken_below() {
        let mut space = Space::new(0, vec![extent(100, 10), extent(150, 10)], 600).unwrap();
        assert_eq!(space.take_below(40, 0, 120), Some(extent(0, 40)));
        assert_eq!(space.take_below(61, 0, 120), None);
    }

    proptest! {
        /// The book against an array of bytes, each free, used or retired.
        #[test]
        fn no_byte_is_given_twice_and_none_is_lost(steps in prop::collection::vec((0..6_u8, 1..250_u64), 1..80)) {
            const LIMIT: usize = 1500;
            let mut bytes = vec![b'.'; LIMIT];
            let mut space = Space::new(0, Vec::new(), LIMIT as u64).unwrap();
            let mut used: Vec<Extent> = Vec::new();
            let mut batch: Vec<Extent> = Vec::new();
            let fill = |bytes: &mut Vec<u8>, extent: Extent, from: &[u8], to: u8| {
                for place in extent.offset..extent.end() {
                    let byte = &mut bytes[usize::try_from(place).unwrap()];
                    assert!(from.contains(byte), "byte {place} is {}", *byte as char);
                    *byte = to;
                }
            };
            for (step, number) in steps {
                match step {
                    0 | 1 => match space.take(number, LEAST_REST_BYTES - 1) {
                        Some(taken) => {
                            prop_assert!(taken.length >= number && taken.length < number + LEAST_REST_BYTES);
                            fill(&mut bytes, taken, b".", b'u');
                            used.push(taken);
                        }
                        None => {
                            let longest = bytes.split(|byte| *byte != b'.').map(<[u8]>::len).max().unwrap();
                            prop_assert!((longest as u64) < number);
                        }
                    },
                    2 | 3 if !used.is_empty() => {
                        let gone = used.swap_remove(usize::try_from(number).unwrap() % used.len());
                        fill(&mut bytes, gone, b"u", if step == 2 { b'r' } else { b'.' });
                        if step == 2 { space.retire(gone) } else { space.give_back(gone) }
                    }
                    4 => {
                        space.keep_retired(std::mem::take(&mut batch));
                        batch = space.take_retired();
                    }
                    _ => {
                        for extent in &batch {
                            fill(&mut bytes, *extent, b"r", b'.');
                        }
                        space.release(std::mem::take(&mut batch));
                    }
                }
                let end = bytes.iter().rposition(|byte| *byte != b'.').map_or(0, |last| last + 1);
                prop_assert_eq!(space.end(), end as u64);
                let free = bytes[..end].iter().filter(|byte| **byte == b'.').count();
                prop_assert_eq!(space.free_bytes(), free as u64);
                prop_assert_eq!(space.free_extents().map(|extent| extent.length).sum::<u64>(), free as u64);
                prop_assert_eq!(space.retired_bytes(), bytes.iter().filter(|byte| **byte == b'r').count() as u64);
            }
        }
    }
}
