//! A file, or a block device, that holds bodies in granules.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::CacheError;
use super::granules::{FreeGranules, GRANULE_BYTES, Run};
use super::medium::Medium;

/// Bodies in granules. The lock is held to take and to give space, never while bytes move.
#[derive(Debug)]
pub(super) struct BodyFile {
    path: PathBuf,
    medium: Box<dyn Medium>,
    free: Mutex<FreeGranules>,
}

/// Space of one body in a file; none for a body of no bytes. It is given back when this is dropped, which whoever reads the body puts off.
#[derive(Debug)]
pub(super) struct Placement {
    file: Arc<BodyFile>,
    runs: Vec<Run>,
}

/// Granules that a body needs.
pub(super) fn granules_of(bytes: u32) -> u64 {
    u64::from(bytes).div_ceil(GRANULE_BYTES)
}

impl BodyFile {
    pub(super) fn new(path: PathBuf, medium: impl Medium + 'static, free: FreeGranules) -> Self {
        Self { path, medium: Box::new(medium), free: Mutex::new(free) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn medium(&self) -> &dyn Medium {
        &*self.medium
    }

    pub(super) fn free(&self) -> MutexGuard<'_, FreeGranules> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Space inside the file, in several places if need be. `None` when there is not so much.
    pub(super) fn place_inside(self: &Arc<Self>, granules: u64) -> Option<Placement> {
        let runs = if granules > 0 { self.free().take_scattered(granules)? } else { Vec::new() };
        Some(Placement { file: Arc::clone(self), runs })
    }

    /// Space in one place, behind the end if need be.
    pub(super) fn place_growing(self: &Arc<Self>, granules: u64) -> Placement {
        let runs = if granules > 0 { vec![self.free().take_or_grow(granules)] } else { Vec::new() };
        Placement { file: Arc::clone(self), runs }
    }

    /// Space that an earlier process took, and that the list of free granules leaves out already.
    pub(super) fn placed(self: &Arc<Self>, run: Run) -> Placement {
        let runs = if run.granules > 0 { vec![run] } else { Vec::new() };
        Placement { file: Arc::clone(self), runs }
    }
}

impl Placement {
    /// Number of the first granule.
    pub(super) fn first_granule(&self) -> u64 {
        self.runs.first().map_or(0, |run| run.first)
    }

    pub(super) fn offset(&self) -> u64 {
        self.first_granule() * GRANULE_BYTES
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Leaves the space as it is: nobody has it, and nobody gets it.
    pub(super) fn abandon(mut self) {
        self.runs.clear();
    }

    /// Writes a body of the length that the space was taken for, with zeros up to the end of its last granule.
    ///
    /// # Errors
    /// When the medium fails or is full.
    pub(super) fn write(&self, body: &[u8]) -> Result<(), CacheError> {
        for (offset, begin, end) in self.pieces(body.len()) {
            let zeros = (end - begin).next_multiple_of(GRANULE_BYTES as usize) - (end - begin);
            let written = self.file.medium.write(&body[begin..end], zeros, offset);
            written.map_err(|source| CacheError::io_at(&self.file.path, "writing a unit", offset, source))?;
        }
        Ok(())
    }

    /// Reads a body of the length that was written.
    ///
    /// # Errors
    /// When the medium fails or the file ends before.
    pub(super) fn read(&self, body: &mut [u8]) -> Result<(), CacheError> {
        for (offset, begin, end) in self.pieces(body.len()) {
            let read = self.file.medium.read(&mut body[begin..end], offset);
            read.map_err(|source| CacheError::io_at(&self.file.path, "reading a unit", offset, source))?;
        }
        Ok(())
    }

    /// Offset in the file, and begin and end in the body, of what lies in each run.
    fn pieces(&self, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
        let mut begin = 0;
        self.runs.iter().map(move |run| {
            let room = usize::try_from(run.granules * GRANULE_BYTES).unwrap_or(usize::MAX);
            let end = length.min(begin + room);
            let piece = (run.first * GRANULE_BYTES, begin, end);
            begin = end;
            piece
        })
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        let mut free = self.file.free();
        for &run in &self.runs {
            free.give(run);
        }
    }
}
