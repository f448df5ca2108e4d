//! A volume of the configuration, open behind its gate.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;

use super::config::VolumeConfig;
use super::size_file::{self, CleanMark};
use crate::gate::{LiveSizes, Still, StillLimits, VolumeGate, Watcher};
use crate::live::LiveVolume;
use crate::volume::{Fingerprint, UnitIndex, Volume};

/// A served volume.
#[derive(Debug)]
pub struct OpenedVolume {
    config: VolumeConfig,
    gate: Arc<VolumeGate>,
    volume: Arc<Volume>,
    mark: Arc<CleanMark>,
    /// Writes that the last sync has seen.
    synced_writes: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl OpenedVolume {
    /// Opens the image, for update unless it is read-only, and looks for its size table.
    ///
    /// # Errors
    /// When another program has the image, or it can't be read.
    pub fn open(config: &VolumeConfig, state: &Path) -> anyhow::Result<Self> {
        let open = if config.read_only { Volume::open } else { Volume::open_for_update };
        let volume = open(&config.image, &config.open).with_context(|| config.name.clone())?;
        for finding in volume.findings() {
            tracing::warn!(volume = config.name, "{finding}");
        }
        let path = size_file::path_of(state, &config.name);
        let units = volume.shape().units();
        let sizes = match size_file::load(&path, volume.fingerprint(), units) {
            Ok(sizes) => sizes,
            Err(error) => {
                tracing::warn!(volume = config.name, "{}: reading the size table failed: {error}", path.display());
                None
            }
        };
        if sizes.is_none() {
            size_file::remove(&path).with_context(|| format!("{}: removing an old size table failed", path.display()))?;
        }
        let volume = Arc::new(volume);
        let sizes = sizes.unwrap_or_else(|| LiveSizes::unknown(units));
        let gate = VolumeGate::with_sizes(&config.name, Arc::clone(&volume) as _, sizes);
        let mark = Arc::new(CleanMark::new(path));
        let still = Still::of(std::slice::from_ref(&gate), StillLimits::default())?;
        still.add_watcher(&gate, Arc::clone(&mark) as Arc<dyn Watcher>);
        drop(still);
        Ok(Self { config: config.clone(), gate, volume, mark, synced_writes: AtomicU64::new(0), failure: Mutex::default() })
    }

    /// Its configuration.
    #[must_use]
    pub const fn config(&self) -> &VolumeConfig {
        &self.config
    }

    /// Its gate.
    #[must_use]
    pub const fn gate(&self) -> &Arc<VolumeGate> {
        &self.gate
    }

    /// The image, for what the gate does not tell.
    #[must_use]
    pub const fn volume(&self) -> &Arc<Volume> {
        &self.volume
    }

    /// As sessions know it.
    #[must_use]
    pub fn live(&self) -> LiveVolume {
        LiveVolume {
            gate: Arc::clone(&self.gate),
            image: self.config.image.clone(),
            fingerprint: self.volume.fingerprint().clone(),
            findings: self.volume.findings().to_vec(),
        }
    }

    /// Why it can't be trusted to hold what was written, if so.
    #[must_use]
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Brings what was written since the last time to stable storage.
    pub fn sync(&self) {
        let writes = self.gate.activity().writes;
        if self.synced_writes.load(Ordering::Acquire) == writes {
            return;
        }
        match self.volume.sync() {
            Ok(()) => self.synced_writes.store(writes, Ordering::Release),
            Err(error) => {
                let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
                if failure.is_none() {
                    tracing::error!(volume = self.config.name, "{error}; what hosts wrote since the last sync may be lost");
                }
                *failure = Some(error.to_string());
            }
        }
    }

    /// Measures stale units until all are known, `most` are done or `stop` says so; gives how many it did.
    ///
    /// # Errors
    /// When a unit can't be read.
    pub fn measure(&self, most: u32, stop: &dyn Fn() -> bool) -> anyhow::Result<u32> {
        let (sizes, units) = (self.gate.sizes(), self.gate.sizes().units());
        let (mut unit, mut done) = (0, 0);
        while unit < units && done < most && !stop() {
            if !sizes.is_stale(UnitIndex(unit)) {
                unit += 1;
                continue;
            }
            let run = (unit..units).take(VolumeGate::MOST_MEASURED as usize).take_while(|&unit| sizes.is_stale(UnitIndex(unit)));
            let count = u32::try_from(run.count()).unwrap_or(1);
            let measured = self.gate.measure(UnitIndex(unit), count).with_context(|| self.config.name.clone())?;
            unit += measured;
            done += measured;
        }
        Ok(done)
    }

    /// Closes the image after its front-ends are gone: everything is on stable storage then, and its size table is kept.
    /// Gives the identity that it was left with.
    ///
    /// # Errors
    /// When something could not be written.
    pub fn close(&self, state: &Path) -> anyhow::Result<Fingerprint> {
        // Nobody comes in any more; who hangs in a channel program has been told that it ends.
        let limits = StillLimits { attempt: Duration::from_secs(1), limit: Duration::from_secs(5), ..StillLimits::default() };
        let still = match Still::of(std::slice::from_ref(&self.gate), limits) {
            Ok(still) => Some(still),
            Err(held) => {
                tracing::warn!(volume = self.config.name, "closed although {held}");
                None
            }
        };
        let sizes = self.gate.sizes().share();
        self.volume.close().with_context(|| self.config.name.clone())?;
        let image = self.volume.current_fingerprint().with_context(|| self.config.name.clone())?;
        if still.is_none() {
            return Ok(image);
        }
        let path = size_file::path_of(state, &self.config.name);
        if self.mark.is_clean() && self.gate.sizes().stale_units() == self.volume.shape().units() {
            return Ok(image);
        }
        size_file::save(&path, &image, self.volume.shape().units(), &sizes)
            .with_context(|| format!("{}: writing the size table failed", path.display()))?;
        Ok(image)
    }
}
