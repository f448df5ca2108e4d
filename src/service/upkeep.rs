//! What the service does beside: lengths of units are measured, writes are brought to stable storage, images that grow are
//! looked after.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::config::SyncRule;
use super::gateway::Gateway;
use super::opened_volume::OpenedVolume;

/// Time between two looks at units whose length a write has made uncertain.
const MEASURE_PAUSE: Duration = Duration::from_secs(5);
/// Units measured in one such look, so that a volume under steady writes costs little.
const MEASURED_AT_ONCE: u32 = 2048;
/// Where no rule is configured: freed space of a compressed image is used again only behind a sync.
const SYNC_PAUSE: Duration = Duration::from_secs(5);
/// Below this room an image that grows is made more compact, and its operator is told.
const LITTLE_ROOM_BYTES: u64 = 512 << 20;
/// Bytes moved at once to make room.
const COMPACTED_AT_ONCE: u64 = 8 << 20;

/// Starts the threads of the upkeep.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn start(gateway: &Arc<Gateway>) -> anyhow::Result<()> {
    gateway.spawn("measure", |gateway| measure(gateway))?;
    let pause = match gateway.config().shared_device.as_ref().map(|server| server.sync) {
        Some(SyncRule::Never) => return Ok(()),
        Some(SyncRule::Interval(interval)) => interval,
        Some(SyncRule::Bracket) | None => SYNC_PAUSE,
    };
    gateway.spawn("sync", move |gateway| sync(gateway, pause))
}

/// Measures all volumes once as fast as hosts allow, then now and then what writes have made uncertain.
fn measure(gateway: &Gateway) {
    let stopping = &gateway.stopping;
    let mut failed = vec![false; gateway.volumes().len()];
    let mut most = u32::MAX;
    while !stopping.is_stopping() {
        for (volume, failed) in gateway.volumes().iter().zip(&mut failed).filter(|(_, failed)| !**failed) {
            match volume.measure(most, &|| stopping.is_stopping()) {
                Ok(0) => {}
                Ok(units) => tracing::debug!(volume = volume.config().name, units, "measured"),
                Err(error) => {
                    // Sessions measure what they need themselves, and then say what is wrong with it.
                    tracing::warn!("{error:#}; its units are not measured ahead of sessions");
                    *failed = true;
                }
            }
        }
        most = MEASURED_AT_ONCE;
        if stopping.sleep(MEASURE_PAUSE) {
            return;
        }
    }
}

/// Brings writes to stable storage again and again.
fn sync(gateway: &Gateway, pause: Duration) {
    let mut told = HashMap::new();
    while !gateway.stopping.sleep(pause) {
        for volume in gateway.volumes().iter().filter(|volume| !volume.config().read_only) {
            volume.sync();
            make_room(volume, &mut told);
        }
    }
}

/// Moves images to the front where the end of a format's room is near, and tells it each time that half of it is gone.
fn make_room(volume: &OpenedVolume, told: &mut HashMap<String, u64>) {
    let Some(room) = volume.volume().room() else { return };
    let name = &volume.config().name;
    let left = room.left_bytes();
    if left >= LITTLE_ROOM_BYTES {
        told.remove(name);
        return;
    }
    if told.get(name).is_none_or(|told| left <= told / 2) {
        tracing::warn!(
            volume = name,
            left_bytes = left,
            limit_bytes = room.limit_bytes,
            "the image is nearly as long as its format allows; copy it to cckd64"
        );
        told.insert(name.clone(), left);
    }
    volume.gate().note_image_write();
    let compacted = volume.volume().compact(COMPACTED_AT_ONCE);
    volume.gate().note_image_write();
    if let Err(error) = compacted {
        tracing::error!(volume = name, "making room failed: {error}");
    }
}
