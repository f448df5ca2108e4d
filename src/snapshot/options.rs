//! What the operator asked for.

use tapegate_formats::volume::name::Volser;

use crate::plan::pattern::Selection;
use crate::plan::{Form, PlanOptions};

/// What the operator asked for.
#[derive(Debug, Clone)]
pub struct SnapshotOptions {
    /// Labels and block length.
    pub plan: PlanOptions,
    /// Serial of the tape; made from the volume's if none is given.
    pub tape_volser: Option<Volser>,
    /// Which data sets; all, and what is in none of them, if no pattern is given.
    pub selection: Selection,
    /// How data sets go on tape.
    pub form: Form,
    /// Only what is in use.
    pub used: bool,
    /// The volume as one file.
    pub whole: bool,
    /// Leave out the tracks that no data set has.
    pub no_free: bool,
    /// Threads that read and copy.
    pub threads: usize,
    /// T0, in seconds since 1970 UTC.
    pub t0: i64,
    /// Which instant T0 is of a volume that hosts write to, as the manifest says it; none of one that stands still.
    pub consistency: Option<String>,
}
