//! How a command ends.

use std::process::ExitCode;

use crate::finding::{Finding, Grade};

/// What the exit codes mean, a line each.
pub const EXIT_CODES: &str = "0  done
1  failed; nothing half-made is left under a final name
2  wrong usage
3  done, but with findings about damaged, missing or doubtful content
4  a comparison found differences";

/// The documented ways to end; an error is the fourth, with code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// Done, with findings about damaged, missing or doubtful content.
    Findings,
    /// A comparison found differences.
    Differences,
}

impl Exit {
    /// What findings make of a command that is done.
    #[must_use]
    pub fn after(findings: &[Finding]) -> Self {
        if findings.iter().any(|finding| finding.grade == Grade::Damage) { Self::Findings } else { Self::Done }
    }

    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> ExitCode {
        match self {
            Self::Done => ExitCode::SUCCESS,
            Self::Findings => ExitCode::from(3),
            Self::Differences => ExitCode::from(4),
        }
    }
}

/// Tells findings to the operator on standard error, those that matter first.
pub fn report(findings: &[Finding]) {
    let (damage, notes): (Vec<_>, Vec<_>) = findings.iter().partition(|finding| finding.grade == Grade::Damage);
    for finding in damage {
        eprintln!("warning: {finding}");
    }
    for finding in notes {
        eprintln!("note: {finding}");
    }
}
