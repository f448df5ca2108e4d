//! Record formats: as a DSCB has them in one byte, and as second labels have them in three characters.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// How blocks are made of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordKind {
    /// F: all records have one length.
    Fixed,
    /// V: records carry their length, blocks too.
    Variable,
    /// U: a block is a record.
    Undefined,
}

/// What the first character of each record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ControlCharacter {
    /// Data.
    #[default]
    None,
    /// An ASA (ANSI) printer control.
    Asa,
    /// A machine printer command.
    Machine,
}

/// A record format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordFormat {
    /// F, V or U.
    pub kind: RecordKind,
    /// B: several records a block.
    pub blocked: bool,
    /// S: spanned for V, standard for F.
    pub spanned: bool,
    /// A or M.
    pub control: ControlCharacter,
}

impl RecordFormat {
    /// RECFM=U, as container files have it.
    pub const UNDEFINED: Self =
        Self { kind: RecordKind::Undefined, blocked: false, spanned: false, control: ControlCharacter::None };

    /// Reads `DS1RECFM`: 80 F, 40 V, C0 U, 10 blocked, 08 spanned or standard, 04 ASA, 02 machine.
    ///
    /// `None` when the kind is missing, as in data sets that were never opened. Track overflow (20) says nothing about
    /// a tape and is left out.
    #[must_use]
    pub const fn from_ds1recfm(byte: u8) -> Option<Self> {
        let kind = match byte & 0xc0 {
            0x80 => RecordKind::Fixed,
            0x40 => RecordKind::Variable,
            0xc0 => RecordKind::Undefined,
            _ => return None,
        };
        let control = match byte & 0x06 {
            0x04 => ControlCharacter::Asa,
            0x02 => ControlCharacter::Machine,
            _ => ControlCharacter::None,
        };
        Some(Self { kind, blocked: byte & 0x10 != 0, spanned: byte & 0x08 != 0, control })
    }

    /// Position 39 of a second label: blank, `B`, `S`, or `R` for both.
    #[must_use]
    pub(super) const fn block_attribute(self) -> char {
        match (self.blocked, self.spanned) {
            (false, false) => ' ',
            (true, false) => 'B',
            (false, true) => 'S',
            (true, true) => 'R',
        }
    }

    /// Position 37 of a second label: `A`, `M` or blank.
    #[must_use]
    pub(super) const fn control_code(self) -> char {
        match self.control {
            ControlCharacter::None => ' ',
            ControlCharacter::Asa => 'A',
            ControlCharacter::Machine => 'M',
        }
    }

    /// Reads positions 5, 37 and 39 of a second label. ANSI's `D` and `S` are V and V spanned.
    #[must_use]
    pub(super) const fn from_label(format: char, control: char, attribute: char) -> Option<Self> {
        let kind = match format {
            'F' => RecordKind::Fixed,
            'V' | 'D' | 'S' => RecordKind::Variable,
            'U' => RecordKind::Undefined,
            _ => return None,
        };
        let control = match control {
            'A' => ControlCharacter::Asa,
            'M' => ControlCharacter::Machine,
            _ => ControlCharacter::None,
        };
        Some(Self {
            kind,
            blocked: matches!(attribute, 'B' | 'R'),
            spanned: matches!(attribute, 'S' | 'R') || format == 'S',
            control,
        })
    }
}

impl fmt::Display for RecordFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::from(match self.kind {
            RecordKind::Fixed => "F",
            RecordKind::Variable => "V",
            RecordKind::Undefined => "U",
        });
        if self.blocked {
            text.push('B');
        }
        if self.spanned {
            text.push('S');
        }
        if self.control != ControlCharacter::None {
            text.push(self.control_code());
        }
        f.pad(&text)
    }
}

/// Why a text is no record format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is not a record format: F, V or U, then B, S, and A or M")]
pub struct RecordFormatError {
    /// The text that was given.
    pub text: String,
}

impl FromStr for RecordFormat {
    type Err = RecordFormatError;

    fn from_str(text: &str) -> Result<Self, RecordFormatError> {
        let error = || RecordFormatError { text: text.to_owned() };
        let upper = text.to_ascii_uppercase();
        let mut letters = upper.chars();
        let kind = match letters.next() {
            Some('F') => RecordKind::Fixed,
            Some('V') => RecordKind::Variable,
            Some('U') => RecordKind::Undefined,
            _ => return Err(error()),
        };
        let mut format = Self { kind, ..Self::UNDEFINED };
        for letter in letters {
            match letter {
                'B' => format.blocked = true,
                'S' => format.spanned = true,
                'A' => format.control = ControlCharacter::Asa,
                'M' => format.control = ControlCharacter::Machine,
                _ => return Err(error()),
            }
        }
        Ok(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bits of `DS1RECFM` in *z/OS DFSMSdfp Advanced Services*, "Format-1 DSCB".
    #[test]
    fn the_dscb_byte_gives_the_letters_of_jcl() {
        for (byte, text) in [
            (0x80, "F"),
            (0x90, "FB"),
            (0x98, "FBS"),
            (0x94, "FBA"),
            (0x50, "VB"),
            (0x58, "VBS"),
            (0x5a, "VBSM"),
            (0xc0, "U"),
            (0xe0, "U"),
        ] {
            let format = RecordFormat::from_ds1recfm(byte).unwrap();
            assert_eq!(format.to_string(), text, "{byte:02X}");
            assert_eq!(text.parse(), Ok(format));
        }
        assert_eq!(RecordFormat::from_ds1recfm(0), None);
        assert!("".parse::<RecordFormat>().is_err() && "FX".parse::<RecordFormat>().is_err());
    }
}
