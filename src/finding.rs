//! Findings: what is odd about a volume or a tape and does not stop the work, told and counted.

use std::fmt;

use serde::Serialize;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Good to know; nothing is missing or doubtful.
    Note,
    /// Content is damaged, missing or can't be trusted: the command ends with exit code 3.
    Damage,
}

/// Something odd, where it is, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How much it matters.
    pub grade: Grade,
    /// A stable word for programs, such as `lstar-disagrees`.
    pub code: &'static str,
    /// The data set or file that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Address on the volume, or offset on the tape, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What was found, in a sentence without its end mark.
    pub detail: String,
}

impl Finding {
    /// A finding that loses nothing.
    #[must_use]
    pub fn note(code: &'static str, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Note, code, file: None, address: None, detail: detail.into() }
    }

    /// A finding about content that is damaged, missing or doubtful.
    #[must_use]
    pub fn damage(code: &'static str, detail: impl Into<String>) -> Self {
        Self { grade: Grade::Damage, ..Self::note(code, detail) }
    }

    /// Says which data set or file it is about.
    #[must_use]
    pub fn of(mut self, file: impl fmt::Display) -> Self {
        self.file = Some(file.to_string());
        self
    }

    /// Says where it is.
    #[must_use]
    pub fn at(mut self, address: impl fmt::Display) -> Self {
        self.address = Some(address.to_string());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in self.file.iter().chain(&self.address) {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.detail)
    }
}
