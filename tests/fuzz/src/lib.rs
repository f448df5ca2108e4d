//! What several fuzz targets need.

use std::path::{Path, PathBuf};

/// Writes `bytes` to a scratch file of this process, for parsers that take a path.
///
/// The same name is written over each time; `tools/fuzz` removes the folder.
///
/// # Panics
/// When the folder for temporary files is not writable.
pub fn scratch_file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tapegate-fuzz-{}", std::process::id()));
    let path = folder.join(name);
    if std::fs::write(&path, bytes).is_err() {
        std::fs::create_dir_all(&folder).expect("a folder for scratch files can be made");
        std::fs::write(&path, bytes).expect("a scratch file can be written");
    }
    path
}

/// An error of a parser that was given a file names that file and gives a reason.
///
/// # Panics
/// When it does not.
pub fn check_error(error: &dyn std::error::Error, path: &Path) {
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "no file in: {text}");
    assert!(text.len() > path.as_os_str().len() + 8, "no reason in: {text}");
}
