//! The control interface: connections, lines, the token. What is done with a request is the gateway's.

mod connection;
mod server;
mod token;

pub use server::{ControlServer, Listeners};
pub use token::Token;

use super::protocol::{Reply, Request};

/// Who answers requests.
pub trait Answer: Send + Sync + 'static {
    /// Answers one request; it may take its time. `send` gives false when nobody wants more.
    fn answer(&self, request: Request, send: &mut dyn FnMut(Reply) -> bool);
}
