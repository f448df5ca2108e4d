//! The service: what keeps volumes open, serves them to hosts, and takes snapshots of them.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`config`] | reads gateway.toml |
//! | [`protocol`] | the words of the control interface |
//! | [`calendar`], [`quantity`], [`network`] | values of the configuration |

pub mod calendar;
pub mod config;
pub mod control;
pub mod network;
pub mod policy;
pub mod protocol;
pub mod quantity;
