//! A host whose volume is a CKD_P370 image file.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Host;

/// Bytes of the device header in front of the tracks.
const DEVICE_HEADER_BYTES: u64 = 512;
/// Bytes of a track's slot on a 3390.
const SLOT_BYTES: u64 = 56_832;

/// A file that is open for writing.
pub struct FileHost(File);

impl FileHost {
    /// Opens an image.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::options().read(true).write(true).open(path);
        Ok(Self(file.with_context(|| format!("opening {}", path.display()))?))
    }
}

impl Host for FileHost {
    fn write(&mut self, track: u32, offset: u16, bytes: &[u8]) -> Result<()> {
        Ok(self.0.write_all_at(bytes, DEVICE_HEADER_BYTES + u64::from(track) * SLOT_BYTES + u64::from(offset))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_lands_in_its_track() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        std::fs::write(&path, vec![0; 512 + 3 * 56_832]).unwrap();
        FileHost::open(&path).unwrap().write(2, 29, b"host").unwrap();
        let image = std::fs::read(&path).unwrap();
        assert_eq!(&image[512 + 2 * 56_832 + 29..][..4], b"host");
        assert_eq!(image.iter().filter(|byte| **byte != 0).count(), 4);
    }
}
