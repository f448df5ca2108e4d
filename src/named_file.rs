//! Whether an open file still has the name by which it was opened.
//!
//! Files under construction are locked after they are opened. In between, the process that had the lock may have given
//! the file its final name or taken it away; who then writes to it would write over a finished tape or volume.

use std::fs::{File, symlink_metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Whether `path` names the open file.
///
/// # Errors
/// When the file system can't tell.
pub(crate) fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    let open = file.metadata()?;
    match symlink_metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_was_renamed_replaced_or_removed_has_lost_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let [path, other] = ["path", "other"].map(|name| folder.path().join(name));
        let file = File::create(&path).unwrap();
        assert!(has_name(&file, &path).unwrap());
        fs::rename(&path, &other).unwrap();
        assert!(!has_name(&file, &path).unwrap());
        fs::write(&path, "another").unwrap();
        assert!(!has_name(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(has_name(&file, &other).unwrap());
    }
}
