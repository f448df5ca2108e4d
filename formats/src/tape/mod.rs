//! Tapes: chunks of AWS and HET images, standard labels, and the unit container of tapegate's own files.

pub mod block;
pub mod chunk;
pub mod date;
pub mod description;
pub mod label;
pub mod label_reader;
pub mod packer;
pub mod record_format;
pub mod unit;
