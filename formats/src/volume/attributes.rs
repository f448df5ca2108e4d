//! Record format and organisation as people write them: `FB`, `VBS`, `PO`, `PSU`.

use std::fmt;

/// `DS1RECFM`, the record format byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Recfm(pub u8);

impl Recfm {
    /// Whether records are of fixed length.
    #[must_use]
    pub const fn is_fixed(self) -> bool {
        self.0 & 0xc0 == 0x80
    }

    /// Whether records are of variable length.
    #[must_use]
    pub const fn is_variable(self) -> bool {
        self.0 & 0xc0 == 0x40
    }

    /// Whether the format is undefined: every block is a record.
    #[must_use]
    pub const fn is_undefined(self) -> bool {
        self.0 & 0xc0 == 0xc0
    }

    /// Whether blocks hold several records.
    #[must_use]
    pub const fn is_blocked(self) -> bool {
        self.0 & 0x10 != 0
    }
}

impl fmt::Display for Recfm {
    /// Type, then `T` for track overflow, `B`, `S`, and `A` or `M` for control characters; empty for zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        match self.0 & 0xc0 {
            0x80 => text.push('F'),
            0x40 => text.push('V'),
            0xc0 => text.push('U'),
            _ => {}
        }
        for (bit, letter) in [(0x20, 'T'), (0x10, 'B'), (0x08, 'S'), (0x04, 'A'), (0x02, 'M')] {
            if self.0 & bit != 0 {
                text.push(letter);
            }
        }
        f.pad(&text)
    }
}

/// `DS1DSORG`, both bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dsorg(pub u16);

impl Dsorg {
    /// Indexed sequential.
    pub const IS: u16 = 0x8000;
    /// Physical sequential.
    pub const PS: u16 = 0x4000;
    /// Direct.
    pub const DA: u16 = 0x2000;
    /// Partitioned.
    pub const PO: u16 = 0x0200;
    /// Holds addresses that tie it to its place.
    pub const UNMOVABLE: u16 = 0x0100;
    /// VSAM.
    pub const VS: u16 = 0x0008;

    /// Whether a bit is on.
    #[must_use]
    pub const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }
}

impl fmt::Display for Dsorg {
    /// The organisation, with `U` where it is unmovable; empty for zero.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = [
            (Self::IS, "IS"),
            (Self::PS, "PS"),
            (Self::DA, "DA"),
            (0x1000, "CX"),
            (0x0400, "MQ"),
            (Self::PO, "PO"),
            (0x0080, "GS"),
            (0x0040, "TX"),
            (0x0020, "TQ"),
            (Self::VS, "VS"),
            (0x0004, "TR"),
        ]
        .into_iter()
        .find_map(|(bit, name)| self.has(bit).then_some(name));
        match (name, self.has(Self::UNMOVABLE)) {
            (Some(name), true) => f.pad(&format!("{name}U")),
            (Some(name), false) => f.pad(name),
            (None, _) => f.pad(""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs as `dasdls` prints them for real volumes, and from the table of `DS1RECFM`.
    #[test]
    fn record_formats_read_as_people_write_them() {
        for (byte, text) in
            [(0x90, "FB"), (0x50, "VB"), (0xc0, "U"), (0x88, "FS"), (0x58, "VBS"), (0x94, "FBA"), (0x42, "VM"), (0, "")]
        {
            assert_eq!(Recfm(byte).to_string(), text);
        }
    }

    #[test]
    fn organisations_read_as_people_write_them() {
        for (word, text) in
            [(0x4000, "PS"), (0x0200, "PO"), (0x0300, "POU"), (0x2000, "DA"), (0x8000, "IS"), (0x0008, "VS"), (0, "")]
        {
            assert_eq!(Dsorg(word).to_string(), text);
        }
    }
}
