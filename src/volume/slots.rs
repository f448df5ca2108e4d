//! Tracks in slots: found in memory, or measured by reading their count fields alone.

use tapegate_formats::dasd::address::TrackIndex;
use tapegate_formats::dasd::geometry::Geometry;
use tapegate_formats::dasd::track::{COUNT_BYTES, HOME_ADDRESS_BYTES, Step, Track, Walk};
use tapegate_formats::tape::unit::UnitKind;

use super::shape::UnitIndex;
use super::stage::Stage;

/// Bytes read at once when count fields are walked: enough for several small records, little enough not to matter
/// for large ones.
const WINDOW_BYTES: u32 = 512;

/// Declares the units of a stage whose buffer holds `count` whole slots from track `first`.
pub(super) fn stage_slots(geometry: &Geometry, first: UnitIndex, count: u32, stage: &mut Stage) {
    let slot_bytes = geometry.slot_bytes() as usize;
    for (place, track) in (first.0..first.0 + count).enumerate() {
        let start = place * slot_bytes;
        stage_slot(geometry, TrackIndex(track), start, stage);
    }
}

/// Declares the next unit of a stage: the track whose slot begins at `start` of the buffer.
pub(super) fn stage_slot(geometry: &Geometry, track: TrackIndex, start: usize, stage: &mut Stage) {
    let end = start + geometry.slot_bytes() as usize;
    let home = geometry.encode_cchh(geometry.cchh(track));
    match Track::parse(&stage.buffer()[start..end], home).map(|track| track.bytes().len()) {
        Ok(length) => stage.push(UnitKind::Track, start..start + length, None),
        Err(defect) => stage.push(UnitKind::RawSlot, start..end, Some(defect)),
    }
}

/// Length of a track up to its end mark, from reads of small windows of its slot; `None` if it doesn't walk.
///
/// `read` fills a window at an offset from the slot's start. With a `home` the slot begins with a home address, which
/// is checked; without one it begins with R0 and offsets count from a home address in front of it.
pub(super) fn walk_sparsely<E>(
    slot_bytes: u32,
    home: Option<[u8; 4]>,
    mut read: impl FnMut(u32, &mut [u8]) -> Result<(), E>,
) -> Result<Option<u32>, E> {
    let mut buffer = [0; WINDOW_BYTES as usize];
    let mut window = 0..0_u32;
    let lead = if home.is_some() { 0 } else { HOME_ADDRESS_BYTES as u32 };
    let mut walk = Walk::new(slot_bytes as usize);
    let mut home_seen = home.is_none();
    loop {
        if walk.check_room().is_err() {
            return Ok(None);
        }
        // From the home address on in the first window, from the count field in the others.
        let wanted = if home_seen { walk.offset() } else { 0 };
        let Ok(wanted) = u32::try_from(wanted) else { return Ok(None) };
        let least = if home_seen { COUNT_BYTES } else { HOME_ADDRESS_BYTES + COUNT_BYTES };
        if wanted < window.start || u64::from(wanted) + least as u64 > u64::from(window.end) {
            window = wanted..slot_bytes.min(wanted + WINDOW_BYTES);
            read(wanted - lead, &mut buffer[..window.len()])?;
        }
        if let Some(home) = home.filter(|_| !home_seen) {
            if buffer[1..HOME_ADDRESS_BYTES] != home {
                return Ok(None);
            }
            home_seen = true;
        }
        let place = walk.offset() - window.start as usize;
        let Some(bytes) = buffer.get(place..).and_then(|rest| rest.first_chunk::<COUNT_BYTES>()) else { return Ok(None) };
        match walk.step(*bytes) {
            Ok(Step::Record(_)) => {}
            Ok(Step::End(length)) => return Ok(u32::try_from(length).ok()),
            Err(_) => return Ok(None),
        }
    }
}
