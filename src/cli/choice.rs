//! What goes on tape, and how: the arguments that `plan` and `snapshot` share.

use anyhow::Context;
use clap::Args;
use tapegate_formats::volume::name::Volser;

use super::volume_args::VolumeArgs;
use crate::parallel::default_threads;
use crate::plan::pattern::{Pattern, Selection};
use crate::plan::{Form, LabelKind, PlanOptions};
use crate::snapshot::SnapshotOptions;

/// What goes on tape, and how.
#[derive(Debug, Clone, Args)]
pub struct ChoiceArgs {
    #[command(flatten)]
    pub volume: VolumeArgs,

    /// Data sets to copy: `*` within a qualifier, `**` for any number of qualifiers, `%` for one character. Without a
    /// pattern the whole volume is copied, free space included.
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<Pattern>,

    /// Data sets to leave out.
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<Pattern>,

    /// Form of the data sets on tape: tracks (restorable to the bit) or blocks (sequential data sets as any system
    /// reads them; others stay tracks).
    #[arg(long = "as", value_name = "FORM", default_value = "tracks")]
    pub form: Form,

    /// Copy what is in use, not all that is allocated.
    #[arg(long)]
    pub used: bool,

    /// Copy the volume as one file.
    #[arg(long)]
    pub whole: bool,

    /// Leave out the tracks that no data set has.
    #[arg(long)]
    pub no_free: bool,

    /// Labels: sl (IBM standard), al (ANSI) or nl (none).
    #[arg(long, value_name = "KIND", default_value = "sl")]
    pub labels: LabelKind,

    /// Serial of the tape [default: T and the last five characters of the volume's].
    #[arg(long, value_name = "VOLSER")]
    pub volser: Option<Volser>,

    /// Length of the tape blocks of tracks form.
    #[arg(long, value_name = "BYTES", default_value_t = u32::from(PlanOptions::DEFAULT_BLOCK_BYTES))]
    pub tape_block: u32,

    /// Block length of the device that the tape image is laid on, for destination blocks.
    #[arg(long, value_name = "BYTES", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..))]
    pub block_size: u32,

    /// Destination block at which the tape begins.
    #[arg(long, value_name = "BLOCK", default_value_t = 0)]
    pub first_block: u64,

    /// Threads that read and copy [default: the processors, at most 4].
    #[arg(short, long, value_name = "THREADS", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
}

impl ChoiceArgs {
    /// The options of a session with the given T0.
    ///
    /// # Errors
    /// When the tape blocks can't have the length that is asked for.
    pub fn options(&self, t0: i64) -> anyhow::Result<SnapshotOptions> {
        Ok(SnapshotOptions {
            plan: PlanOptions::new(self.labels, self.tape_block)?,
            tape_volser: self.volser,
            selection: Selection { include: self.patterns.clone(), exclude: self.exclude.clone() },
            form: self.form,
            used: self.used,
            whole: self.whole,
            no_free: self.no_free,
            threads: self.jobs.map_or_else(default_threads, usize::from),
            t0,
            consistency: None,
        })
    }
}

/// T0 of a plain copy: now, or `SOURCE_DATE_EPOCH` for tapes that are to be equal to the byte.
///
/// # Errors
/// When that variable is no number.
pub fn now() -> anyhow::Result<i64> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.parse().with_context(|| format!("SOURCE_DATE_EPOCH is '{text}' and not a number of seconds")),
        Err(_) => Ok(jiff::Timestamp::now().as_second()),
    }
}
