//! Names of the files that make up a volume.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Replaces the character that tells a volume's files apart: the one before the first dot of the last path component,
/// or its last one if it has no dot.
pub(super) fn replace_marked(path: &Path, character: char) -> Option<PathBuf> {
    let name = path.file_name()?.as_bytes();
    let stem = name.iter().position(|byte| *byte == b'.').unwrap_or(name.len());
    let place = stem.checked_sub(1)?;
    let mut changed = name.to_vec();
    *changed.get_mut(place)? = u8::try_from(character).ok()?;
    Some(path.with_file_name(OsString::from_vec(changed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_character_before_the_first_dot_is_replaced() {
        let replaced = |path: &str| replace_marked(Path::new(path), '2').map(|path| path.display().to_string());
        assert_eq!(replaced("a.b/vol_1.ckd.img").as_deref(), Some("a.b/vol_2.ckd.img"));
        assert_eq!(replaced("volume1").as_deref(), Some("volume2"));
        assert_eq!(replaced(".ckd"), None);
        assert_eq!(replaced("/"), None);
    }
}
