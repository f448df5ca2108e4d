//! Volume serials and data set names.
//!
//! Both are kept as the EBCDIC bytes that lie on the disk, blank padded, and become text when someone prints them:
//! two names are equal when their bytes are.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::ebcdic;

/// Why a text is no volume serial or data set name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("'{text}' is not a {what}: 1 to {most} characters A-Z, 0-9, @, #, $, - or .")]
pub struct NameError {
    /// The text that was given.
    pub text: String,
    /// What it should have been.
    pub what: &'static str,
    /// Most characters that such a name has.
    pub most: usize,
}

fn parse<const N: usize>(text: &str, what: &'static str, allowed: fn(char) -> bool) -> Result<[u8; N], NameError> {
    let error = || NameError { text: text.to_owned(), what, most: N };
    let upper = text.to_uppercase();
    if upper.is_empty() || upper.len() > N || !upper.chars().all(allowed) {
        return Err(error());
    }
    let mut bytes = [ebcdic::BLANK; N];
    for (byte, character) in bytes.iter_mut().zip(upper.chars()) {
        *byte = ebcdic::from_char(character).ok_or_else(error)?;
    }
    Ok(bytes)
}

/// Characters that names have on real systems, lower case aside.
fn is_name_character(character: char) -> bool {
    character.is_ascii_uppercase() || character.is_ascii_digit() || "@#$-.".contains(character)
}

/// Writes EBCDIC text without its trailing blanks; what can't be printed becomes a dot.
fn print(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let text = ebcdic::to_string(bytes);
    let printable: String = text.trim_end_matches([' ', '\0']).chars().map(|c| if c.is_control() { '.' } else { c }).collect();
    f.pad(&printable)
}

/// A volume serial: six EBCDIC characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Volser([u8; 6]);

impl Volser {
    /// Takes the bytes of a label as they are, whatever they are.
    #[must_use]
    pub const fn from_ebcdic(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The EBCDIC bytes.
    #[must_use]
    pub const fn as_ebcdic(&self) -> &[u8; 6] {
        &self.0
    }
}

impl FromStr for Volser {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse(text, "volume serial", |character| character != '.' && is_name_character(character)).map(Self)
    }
}

impl fmt::Display for Volser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(&self.0, f)
    }
}

/// A data set name: up to 44 EBCDIC characters, blank padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DsName([u8; 44]);

impl DsName {
    /// Takes the key of a DSCB as it is, whatever it holds.
    #[must_use]
    pub const fn from_ebcdic(bytes: [u8; 44]) -> Self {
        Self(bytes)
    }

    /// The EBCDIC bytes, blank padded.
    #[must_use]
    pub const fn as_ebcdic(&self) -> &[u8; 44] {
        &self.0
    }
}

impl FromStr for DsName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse(text, "data set name", is_name_character).map(Self)
    }
}

impl fmt::Display for DsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_folded_padded_and_printed_without_blanks() {
        let volser: Volser = "tape1".parse().unwrap();
        assert_eq!(volser.as_ebcdic(), &[0xe3, 0xc1, 0xd7, 0xc5, 0xf1, 0x40]);
        assert_eq!(volser.to_string(), "TAPE1");
        assert_eq!("SYS1.MACLIB".parse::<DsName>().unwrap().to_string(), "SYS1.MACLIB");
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_rule() {
        assert_eq!(
            "TOOLONG7".parse::<Volser>().unwrap_err().to_string(),
            "'TOOLONG7' is not a volume serial: 1 to 6 characters A-Z, 0-9, @, #, $, - or ."
        );
        assert!("A B".parse::<DsName>().is_err());
        assert!("".parse::<Volser>().is_err());
    }
}
