//! The service: what keeps volumes open, serves them to hosts, and takes snapshots of them.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`config`] | reads gateway.toml |
//! | [`daemon`], `front_ends` | front-ends and signals around a gateway, from its start to its stop |
//! | [`Gateway`] | everything that is open, and what can be asked of it |
//! | [`control`], [`protocol`], [`client`] | the control interface: sockets, words, and who calls |
//! | `policy`, [`calendar`] | what runs by itself, and when |
//! | [`library`] | the tapes that there are |
//! | [`size_file`] | lengths of units from one run to the next |
//! | [`quantity`], [`network`] | values of the configuration |

mod answers;
pub mod calendar;
pub mod client;
pub mod config;
pub mod control;
pub mod daemon;
mod freezes;
mod front_ends;
mod gateway;
pub mod library;
pub mod network;
mod opened_volume;
mod policy;
pub mod protocol;
pub mod quantity;
pub mod size_file;
mod state_folder;
mod stopping;
mod systemd;
mod upkeep;

pub use freezes::{DEFAULT_LIMIT as DEFAULT_FREEZE, MOST_LIMIT as MOST_FREEZE};
pub use gateway::Gateway;
pub use opened_volume::OpenedVolume;
pub use stopping::Stopping;
