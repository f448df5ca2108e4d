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
    /// Offset of its table in the file, and index of its first entry.
    At(u64, usize),
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
                Group::At(offset, first)
            }
        });
    }

    /// What is entered for a unit; units behind the last group are null.
    pub(super) fn get(&self, unit: u32) -> Entered {
        let (group, place) = split(unit);
        match self.groups.get(group) {
            None | Some(Group::Null) => Entered::NullGroup,
            Some(Group::Below) => Entered::BelowGroup,
            Some(Group::At(_, first)) => Entered::Entry(self.entries[first + place]),
        }
    }

    /// Where the entry of a unit is in the file: its table's offset, and its number in the table.
    pub(super) fn place(&self, unit: u32) -> Option<(u64, usize)> {
        let (group, place) = split(unit);
        match self.groups.get(group) {
            Some(Group::At(offset, _)) => Some((*offset, place)),
            _ => None,
        }
    }

    /// Changes the entry of a unit whose group has a table, and gives the one before.
    pub(super) fn set(&mut self, unit: u32, entry: L2Entry) -> Option<L2Entry> {
        let (group, place) = split(unit);
        match self.groups.get(group) {
            Some(Group::At(_, first)) => Some(std::mem::replace(&mut self.entries[first + place], entry)),
            _ => None,
        }
    }

    /// Gives a group that has none a table of equal entries.
    pub(super) fn add_table(&mut self, group: usize, offset: u64, fill: L2Entry) {
        if let Some(slot) = self.groups.get_mut(group) {
            *slot = Group::At(offset, self.entries.len());
            self.entries.extend(std::iter::repeat_n(fill, L2_ENTRIES));
        }
    }

    /// Notes that a group's table is elsewhere now.
    pub(super) fn move_table(&mut self, group: usize, to: u64) {
        if let Some(Group::At(offset, _)) = self.groups.get_mut(group) {
            *offset = to;
        }
    }

    /// The groups that have tables, with offset and entries.
    pub(super) fn tables(&self) -> impl Iterator<Item = (usize, u64, &[L2Entry])> {
        self.groups.iter().enumerate().filter_map(|(group, at)| match at {
            Group::At(offset, first) => Some((group, *offset, &self.entries[*first..first + L2_ENTRIES])),
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
