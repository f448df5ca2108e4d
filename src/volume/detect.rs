//! Finding out what an image is by its content, never by its name.
//!
//! Image files of emulators begin with an eyecatcher. Raw tracks of Linux on Z and plain fixed blocks begin with
//! nothing of the kind: an image of whole raw cylinders whose tracks begin with their own R0 is the former, one of
//! which none does is the latter, and between the two only the operator can tell.

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::device_header::{DEVICE_HEADER_BYTES, DeviceHeader};
use tapegate_formats::dasd::raw_track::{self, RAW_CYLINDER_BYTES, RAW_TRACK_BYTES};
use tapegate_formats::dasd::track::COUNT_BYTES;

use super::error::VolumeError;
use super::image_file::ImageFile;

/// What an image's content tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// A header of an emulator's image.
    Header(DeviceHeader),
    /// Raw tracks.
    RawTracks,
    /// Fixed blocks.
    Blocks,
}

/// Looks at an opened file.
pub(super) fn content(file: &ImageFile) -> Result<Content, VolumeError> {
    let size = file.size_bytes();
    if size == 0 {
        return Err(file.corrupt(0, "the file is empty"));
    }
    let head = file.read_head(DEVICE_HEADER_BYTES)?;
    match DeviceHeader::parse(&head) {
        Ok(header) => return Ok(Content::Header(header)),
        Err(error) if head.starts_with(b"CKD_") || head.starts_with(b"FBA_") => {
            return Err(if head.len() < DEVICE_HEADER_BYTES {
                file.corrupt(0, error.to_string())
            } else {
                file.unsupported(format!("an image of the kind {:?} is not known", String::from_utf8_lossy(&head[..8])))
            });
        }
        Err(_) => {}
    }
    if size.is_multiple_of(RAW_CYLINDER_BYTES) {
        match raw_tracks(file)? {
            (0, _) => {}
            (like, all) if like == all => return Ok(Content::RawTracks),
            (like, all) => {
                return Err(VolumeError::Refused {
                    path: file.path().to_owned(),
                    reason: format!(
                        "{like} of {all} tracks looked at begin as raw tracks do, so this may be raw tracks or fixed \
                         blocks; say which with --type raw-track or --type fba"
                    ),
                });
            }
        }
    }
    if size.is_multiple_of(512) {
        return Ok(Content::Blocks);
    }
    Err(VolumeError::Unsupported {
        path: file.path().to_owned(),
        reason: format!("no disk image that is known: no eyecatcher, and {size} bytes are no whole number of 512-byte blocks"),
    })
}

/// Of some tracks spread over the file, how many begin with their own R0, and how many were looked at.
fn raw_tracks(file: &ImageFile) -> Result<(usize, usize), VolumeError> {
    let Ok(geometry) = raw_track::geometry(file.size_bytes()) else { return Ok((0, 0)) };
    let last = geometry.tracks() - 1;
    let mut looked_at = vec![0, 1, 2, 14, 15, 16, last / 4, last / 2, last / 4 * 3, last];
    looked_at.retain(|track| *track <= last);
    looked_at.sort_unstable();
    looked_at.dedup();
    let mut like = 0;
    for track in &looked_at {
        let mut count = [0; COUNT_BYTES];
        file.read_at(u64::from(*track) * u64::from(RAW_TRACK_BYTES), &mut count)?;
        like += usize::from(raw_track::is_r0_of(&geometry, TrackIndex(*track), count));
    }
    Ok((like, looked_at.len()))
}
