//! Why there can be no plan.

use thiserror::Error;

use super::label_kind::LabelKind;

/// A tape that can't be planned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// More files than the labels can number.
    #[error("{files} files are more than the {most} that {labels} labels can number; choose fewer, or --labels nl, or --whole")]
    TooManyFiles {
        /// Files asked for.
        files: usize,
        /// Most files of such a tape.
        most: u32,
        /// The labels.
        labels: LabelKind,
    },
    /// A block length that no tape has.
    #[error("a tape block of {bytes} bytes is not between 18 and 65,535")]
    BlockBytes {
        /// Length asked for.
        bytes: u32,
    },
    /// A data set name that no label holds.
    #[error("no file can be called so: {0}")]
    Name(#[from] tapegate_formats::volume::name::NameError),
}
