//! Digests: a short one for each unit, and one for each file over them.
//!
//! A unit's digest is the first 16 bytes of the blake3 of what it holds: its body in `tracks` form, the data of its
//! blocks one after the other in `blocks` form. It does not depend on where the unit lies, so it is exact in any order
//! of copying, names the unit that is bad, and compares two volumes without a tape. A file's digest is the blake3 of
//! its units' digests in order.

use std::fmt;

/// The digest of a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct UnitDigest(pub [u8; UnitDigest::BYTES]);

impl UnitDigest {
    /// Length of a unit's digest.
    pub const BYTES: usize = 16;

    /// The digest of a unit's body.
    #[must_use]
    pub fn of(body: &[u8]) -> Self {
        Self::from_hash(&blake3::hash(body))
    }

    /// The digest of a unit that is hashed piece by piece.
    #[must_use]
    pub fn from_hash(hash: &blake3::Hash) -> Self {
        let mut short = [0; Self::BYTES];
        short.copy_from_slice(&hash.as_bytes()[..Self::BYTES]);
        Self(short)
    }
}

impl fmt::Display for UnitDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The digest of a file: over its units' digests in order.
#[must_use]
pub fn file_digest(units: &[UnitDigest]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for unit in units {
        hasher.update(&unit.0);
    }
    hasher.finalize()
}
