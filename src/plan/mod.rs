//! The tape plan: where every byte of every file will lie on tape, known before the first byte moves.
//!
//! A plan is a value. It is made from a list of files ([`FileSpec`]) and the encoded length of every unit
//! ([`SizeTable`]), without any I/O, so it can be tested, printed and saved.

mod block_table;
mod blocked_stream;
mod closed_form;
mod error;
mod file_spec;
mod label_kind;
pub mod pattern;
mod size_table;
mod tape_plan;
mod unit_list;

pub use block_table::{BlockTable, UnitBlocks};
pub use blocked_stream::BlockedStream;
pub use closed_form::{ClosedForm, check_closed_form};
pub use error::PlanError;
pub use file_spec::{Attributes, FileClass, FileSpec, Form};
pub use label_kind::LabelKind;
pub use size_table::SizeTable;
pub use tape_plan::{Destination, FilePlan, PlacedUnit, PlanBuilder, PlanOptions, TapePlan};
pub use unit_list::{Run, UnitList};
