//! READ: a track from its home address to its end mark.

use std::sync::atomic::Ordering;

use tapegate_formats::dasd::track::{COUNT_BYTES, Step, Walk};
use tapegate_formats::wire::shared_device::{Code, Header, Reply};

use super::super::client::Client;
use super::{ClientState, describe, not_active, sense};
use crate::gate::GateError;

impl ClientState {
    /// Answers READ. An error is one that the guest sees: the client asks for sense bytes.
    pub(super) fn read(&mut self, client: &Client, header: &Header, unit: u32, reply: &mut Reply) {
        let Some(bracket) = &self.bracket else { return not_active(header, reply) };
        let Some(unit) = self.unit(unit) else {
            return reply.error(header, Code::Invalid, &format!("{} has no track {unit}", self.device));
        };
        let slot_bytes = self.device.geometry().slot_bytes() as usize;
        match bracket.access.read(unit, reply.room(slot_bytes)) {
            Ok(()) => {
                let length = track_bytes(reply.room(slot_bytes));
                reply.unit(header, length);
                client.counters.reads.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                // A view without a session is asked again and again; that is nobody's fault.
                if matches!(error, GateError::NotReady { .. }) {
                    tracing::debug!(client = self.port.client(), "{error}");
                } else {
                    tracing::error!(client = self.port.client(), "reading {}: {}", self.describe_place(unit), describe(&error));
                }
                self.unreadable.push(unit);
                self.sense = sense::of(&error);
                reply.device_error(header, sense::UNIT_CHECK);
            }
        }
    }
}

/// Bytes of a track with its end mark. Of a track that doesn't walk the whole slot is sent: a client that reads as far
/// as its records go finds what it would find on its own disk.
fn track_bytes(slot: &[u8]) -> usize {
    let mut walk = Walk::new(slot.len());
    while let Some(bytes) = slot.get(walk.offset()..).and_then(|rest| rest.first_chunk::<COUNT_BYTES>()) {
        match walk.step(*bytes) {
            Ok(Step::End(length)) => return length + COUNT_BYTES,
            Ok(Step::Record(_)) => {}
            Err(_) => break,
        }
    }
    slot.len()
}
