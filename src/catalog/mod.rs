//! What lies on a volume: its label, and its data sets with their extents.

mod data_set;

pub use data_set::{DataSet, DataSetKind, Extent};
