//! Policies: what is copied when, onto which tape, and how long it is kept.

/// What a tape's name may hold beside plain text.
pub(super) const PLACEHOLDERS: [&str; 5] = ["{policy}", "{volume}", "{volser}", "{date}", "{time}"];
