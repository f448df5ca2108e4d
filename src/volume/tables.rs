//! The tables of a compressed file in memory: where each unit's image is.

use tapegate_formats::dasd::lookup_table::{L1Entry, L2_ENTRIES, L2Entry};

/// Both levels of tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    /// By unit / 256.
    groups: Vec<Group>,
    /// Second-level tables one behind the other, in the order in which they came.
    entries: Vec<L2Entry>,
}

/// What the first-level table says of 256 units.
#[derive(Debug, Clone, Copy)]
enum Group {
    Null,
    Below,
    At {
        /// Where its table is in the file.
        offset: u64,
        /// Where the table is going to be: changes are made there too.
        next: Option<u64>,
        /// Index of its first entry.
        first: usize,
    },
}

/// Where the entry of a unit is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryPlace {
    /// Offset of its table.
    pub(super) table: u64,
    /// Offset of the place to which the table is being moved.
    pub(super) next: Option<u64>,
    /// Number of the entry in the table.
    pub(super) number: usize,
}

/// What the tables say of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    /// Its group has no table: the unit is null in the format that the header names.
    NullGroup,
    /// Its group has no table: the unit is in a lower file.
    BelowGroup,
    /// Its own entry.
    Entry(L2Entry),
}

impl Tables {
    /// Adds the next 256 units; `table` are their entries if they have a table.
    pub(super) fn push(&mut self, entry: L1Entry, table: impl Iterator<Item = L2Entry>) {
        self.groups.push(match entry {
            L1Entry::Null => Group::Null,
            L1Entry::Below => Group::Below,
            L1Entry::Table(offset) => {
                let first = self.entries.len();
                self.entries.extend(table);
                Group::At { offset, next: None, first }
            }
        });
    }

    /// What is entered for a unit; units behind the last group are null.
    pub(super) fn get(&self, unit: u32) -> Entered {
        let (group, place) = split(unit);
        match self.groups.get(group) {
            None | Some(Group::Null) => Entered::NullGroup,
            Some(Group::Below) => Entered::BelowGroup,
            Some(Group::At { first, .. }) => Entered::Entry(self.entries[first + place]),
        }
    }

    /// Where the entry of a unit is in the file, if its group has a table.
    pub(super) fn place(&self, unit: u32) -> Option<EntryPlace> {
        let (group, number) = split(unit);
        match self.groups.get(group) {
            Some(Group::At { offset, next, .. }) => Some(EntryPlace { table: *offset, next: *next, number }),
            _ => None,
        }
    }

    /// Where a group's table is, and where it is going to be.
    pub(super) fn table_place(&self, group: usize) -> Option<(u64, Option<u64>)> {
        match self.groups.get(group) {
            Some(Group::At { offset, next, .. }) => Some((*offset, *next)),
            _ => None,
        }
    }

    /// Changes the entry of a unit whose group has a table, and gives the one before.
    pub(super) fn set(&mut self, unit: u32, entry: L2Entry) -> Option<L2Entry> {
        let (group, place) = split(unit);
        match self.groups.get(group) {
            Some(Group::At { first, .. }) => Some(std::mem::replace(&mut self.entries[first + place], entry)),
            _ => None,
        }
    }

    /// The groups from one on that have no table, each with what it says of its units; a unit null in it has `null`.
    pub(super) fn without_table(&self, from: usize, null: L2Entry) -> impl Iterator<Item = (usize, L2Entry)> {
        self.groups.iter().enumerate().skip(from).filter_map(move |(group, at)| match at {
            Group::Null => Some((group, null)),
            Group::Below => Some((group, L2Entry::Below)),
            Group::At { .. } => None,
        })
    }

    /// Gives a group that has none a table of equal entries.
    pub(super) fn add_table(&mut self, group: usize, offset: u64, fill: L2Entry) {
        if let Some(slot) = self.groups.get_mut(group) {
            *slot = Group::At { offset, next: None, first: self.entries.len() };
            self.entries.extend(std::iter::repeat_n(fill, L2_ENTRIES));
        }
    }

    /// Notes where a group's table is going to be.
    pub(super) fn begin_move(&mut self, group: usize, to: u64) {
        if let Some(Group::At { next, .. }) = self.groups.get_mut(group) {
            *next = Some(to);
        }
    }

    /// Ends the move of a group's table: it is in the new place, or stays in the old one.
    pub(super) fn end_move(&mut self, group: usize, moved: bool) {
        if let Some(Group::At { offset, next, .. }) = self.groups.get_mut(group)
            && let Some(to) = next.take()
            && moved
        {
            *offset = to;
        }
    }

    /// The groups that have tables, with offset and entries.
    pub(super) fn tables(&self) -> impl Iterator<Item = (usize, u64, &[L2Entry])> {
        self.groups.iter().enumerate().filter_map(|(group, at)| match at {
            Group::At { offset, first, .. } => Some((group, *offset, &self.entries[*first..first + L2_ENTRIES])),
            Group::Null | Group::Below => None,
        })
    }

    /// All entries of second-level tables.
    pub(super) fn entries(&self) -> &[L2Entry] {
        &self.entries
    }
}

/// A unit's group, and its place in it.
pub(super) fn split(unit: u32) -> (usize, usize) {
    let unit = usize::try_from(unit).unwrap_or(usize::MAX);
    (unit / L2_ENTRIES, unit % L2_ENTRIES)
}
