//! How a HET tape is compressed, and which tapes are.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tapegate_formats::tape::packer::BlockPacker;

/// The compression of a HET tape.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TapeCompression {
    /// Fast, and what Hercules itself writes unless told otherwise.
    #[default]
    Zlib,
    /// Smaller, and many times slower.
    Bzip2,
}

impl TapeCompression {
    /// The compression of a tape image called `path`, if `asked` was asked for: an ending of `.het` says that it has one,
    /// which is zlib unless something else is asked for.
    ///
    /// # Errors
    /// A sentence, when compression is asked for and the name is not that of a HET tape.
    pub fn of(path: &Path, asked: Option<Self>) -> Result<Option<Self>, String> {
        let is_het = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("het"));
        match (is_het, asked) {
            (true, asked) => Ok(Some(asked.unwrap_or_default())),
            (false, None) => Ok(None),
            (false, Some(asked)) => {
                let path = path.display();
                Err(format!("{path}: only a HET tape can be compressed with {asked}; give it a name that ends in .het"))
            }
        }
    }

    /// A packer of its blocks.
    #[must_use]
    pub fn packer(self) -> BlockPacker {
        match self {
            Self::Zlib => BlockPacker::zlib(),
            Self::Bzip2 => BlockPacker::bzip2(),
        }
    }
}

impl fmt::Display for TapeCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zlib => "zlib",
            Self::Bzip2 => "bzip2",
        })
    }
}

impl FromStr for TapeCompression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "zlib" => Ok(Self::Zlib),
            "bzip2" => Ok(Self::Bzip2),
            _ => Err("it is zlib or bzip2".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_says_whether_a_tape_is_compressed() {
        let of = |path: &str, asked| TapeCompression::of(Path::new(path), asked);
        assert_eq!(of("x.aws", None), Ok(None));
        assert_eq!(of("het", None), Ok(None));
        assert_eq!(of("x.het", None), Ok(Some(TapeCompression::Zlib)));
        assert_eq!(of("x.HET", Some(TapeCompression::Bzip2)), Ok(Some(TapeCompression::Bzip2)));
        assert!(of("x.aws", Some(TapeCompression::Zlib)).unwrap_err().contains("ends in .het"));
    }
}
