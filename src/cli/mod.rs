//! The command line: one file a subcommand, which parses, calls and prints.

pub mod dump;
pub mod ls;
mod ls_document;
pub mod track;
pub mod volume_args;
