//! Lengths of units from one run of the service to the next.
//!
//! Without them every start would walk whole volumes. They are true only for the very content that was measured, so the
//! file names the image's identity, and it exists only while nobody has written:
//!
//! - A clean stop writes it as the last thing, with identity, size, mtime and ctime of the image as they are then, while the
//!   image is still locked.
//! - The first write to the volume waits until the file is gone, also from stable storage ([`CleanMark`]): a crash of
//!   the machine could otherwise bring it back beside data that is newer.
//! - A file that does not fit is not used, and everything is measured again.
//!
//! Block devices keep no time of the last write, so for them there is no file.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::gate::{LiveSizes, Refusal, SharedSizes, Watcher};
use crate::volume::{Fingerprint, UnitIndex};

const MAGIC: &[u8; 16] = b"tapegate-sizes 1";
/// A unit whose length is not known; no body is as long.
const UNKNOWN: u32 = u32::MAX;
/// More than a description ever takes: a volume of a few files.
const MOST_HEAD_BYTES: u32 = 64 << 10;

/// What stands before the lengths.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    image: Fingerprint,
    units: u32,
    /// Digest of the lengths, in hexadecimal.
    digest: String,
}

/// The file of a volume, in the folder of the service's state.
#[must_use]
pub fn path_of(state: &Path, volume: &str) -> PathBuf {
    state.join("sizes").join(format!("{volume}.sizes"))
}

/// Whether an image with this identity can be known again.
fn can_be_known(image: &Fingerprint) -> bool {
    image.files.iter().all(|file| file.mtime_ns != 0)
}

/// Reads the lengths of a volume's units; `None` if there is no file, or it is not about this content.
///
/// # Errors
/// When a file that is there can't be read.
pub fn load(path: &Path, image: &Fingerprint, units: u32) -> io::Result<Option<LiveSizes>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut start = [0; MAGIC.len() + 4];
    // What is too short is no such file, whatever the reason.
    if file.read_exact(&mut start).is_err() || !start.starts_with(MAGIC) {
        return Ok(None);
    }
    let [.., a, b, c, d] = start;
    let head_bytes = u32::from_le_bytes([a, b, c, d]);
    if head_bytes > MOST_HEAD_BYTES {
        return Ok(None);
    }
    let mut head = vec![0; head_bytes as usize];
    if file.read_exact(&mut head).is_err() {
        return Ok(None);
    }
    let Ok(head) = serde_json::from_slice::<Head>(&head) else { return Ok(None) };
    if head.image != *image || head.units != units || !can_be_known(image) {
        return Ok(None);
    }
    let mut lengths = Vec::new();
    file.take(u64::from(units) * 4 + 1).read_to_end(&mut lengths)?;
    if lengths.len() as u64 != u64::from(units) * 4 || blake3::hash(&lengths).to_hex().as_str() != head.digest {
        return Ok(None);
    }
    let sizes = LiveSizes::unknown(units);
    for (unit, length) in (0..).zip(lengths.as_chunks::<4>().0) {
        let length = u32::from_le_bytes(*length);
        if length != UNKNOWN {
            sizes.note(UnitIndex(unit), length);
        }
    }
    Ok(Some(sizes))
}

/// Writes the lengths of a volume that nobody writes to any more.
///
/// # Errors
/// When the medium fails; then there is no file.
pub fn save(path: &Path, image: &Fingerprint, units: u32, sizes: &SharedSizes) -> io::Result<()> {
    if !can_be_known(image) {
        return Ok(());
    }
    let lengths: Vec<u8> =
        (0..units).flat_map(|unit| sizes.body_bytes(UnitIndex(unit)).unwrap_or(UNKNOWN).to_le_bytes()).collect();
    let digest = blake3::hash(&lengths).to_hex().to_string();
    let head = serde_json::to_vec(&Head { image: image.clone(), units, digest })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&u32::try_from(head.len()).map_err(io::Error::other)?.to_le_bytes())?;
    file.write_all(&head)?;
    file.write_all(&lengths)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    File::open(folder)?.sync_all()
}

/// Takes the file away for good; it is no error if there is none.
///
/// # Errors
/// When the medium fails.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Takes the file of a volume away before the first write; stands behind the volume's gate until then.
#[derive(Debug)]
pub struct CleanMark {
    path: PathBuf,
    gone: AtomicBool,
    going: Mutex<()>,
}

impl CleanMark {
    /// The mark is the file at `path`.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, gone: AtomicBool::new(false), going: Mutex::new(()) }
    }

    /// Whether nobody has written.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        !self.gone.load(Ordering::Acquire)
    }
}

impl Watcher for CleanMark {
    fn lets_pass(&self, _unit: UnitIndex) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn before_write(&self, _unit: UnitIndex, _writer: &str) -> Result<(), Refusal> {
        // A second writer waits here until the first has taken the file away.
        let _going = self.going.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_clean() {
            if let Err(error) = remove(&self.path) {
                // The host's write goes on: the image's times will tell that the file is old.
                tracing::error!("{}: removing it before the first write failed: {error}", self.path.display());
            }
            self.gone.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        !self.is_clean()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::FileIdentity;

    fn image(mtime_ns: i128) -> Fingerprint {
        let identity = FileIdentity { dev: 1, ino: 2, size_bytes: 3, mtime_ns, ctime_ns: 1_700_000_000_000_000_001 };
        Fingerprint { files: vec![identity] }
    }

    fn sizes() -> LiveSizes {
        let sizes = LiveSizes::unknown(5000);
        sizes.note(UnitIndex(0), 29);
        sizes.note(UnitIndex(4999), 56_664);
        sizes
    }

    #[test]
    fn lengths_come_back_for_the_very_same_image_and_for_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(folder.path(), "prod01");
        assert!(load(&path, &image(7), 5000).unwrap().is_none());
        save(&path, &image(7), 5000, &sizes().share()).unwrap();
        let again = load(&path, &image(7), 5000).unwrap().unwrap().share();
        assert_eq!(again.body_bytes(UnitIndex(0)), Some(29));
        assert_eq!(again.body_bytes(UnitIndex(4999)), Some(56_664));
        assert_eq!(again.body_bytes(UnitIndex(1)), None);
        assert!(load(&path, &image(8), 5000).unwrap().is_none());
        assert!(load(&path, &image(7), 5001).unwrap().is_none());
    }

    #[test]
    fn a_flipped_bit_or_a_cut_file_is_no_size_table() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(folder.path(), "prod01");
        save(&path, &image(7), 5000, &sizes().share()).unwrap();
        let whole = fs::read(&path).unwrap();
        for place in [0, 15, 16, 19, 40, whole.len() - 20_000, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[place] ^= 0x40;
            fs::write(&path, damaged).unwrap();
            assert!(load(&path, &image(7), 5000).unwrap().is_none(), "byte {place}");
        }
        for length in [0, 10, 19, 30, whole.len() - 1] {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(load(&path, &image(7), 5000).unwrap().is_none(), "{length} bytes");
        }
        fs::write(&path, [whole.as_slice(), &[0]].concat()).unwrap();
        assert!(load(&path, &image(7), 5000).unwrap().is_none());
    }

    #[test]
    fn a_block_device_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(folder.path(), "prod01");
        save(&path, &image(0), 5000, &sizes().share()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn the_mark_goes_before_the_first_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = path_of(folder.path(), "prod01");
        save(&path, &image(7), 5000, &sizes().share()).unwrap();
        let mark = CleanMark::new(path.clone());
        assert!(!mark.lets_pass(UnitIndex(3)) && !mark.is_over() && mark.is_clean());
        mark.before_write(UnitIndex(3), "host").unwrap();
        assert!(!path.exists());
        assert!(mark.lets_pass(UnitIndex(3)) && mark.is_over());
        mark.before_write(UnitIndex(3), "host").unwrap();
    }
}
