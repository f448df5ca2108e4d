//! WRITE: never failed for a reason that passes, since the client tells its guest that it was done.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tapegate_formats::wire::shared_device::{Code, Header, Reply};

use super::super::client::Client;
use super::{ClientState, MustWait, Patience, Right, WritePlace, describe, is_passing, not_active, sense};
use crate::gate::GateError;
use crate::volume::UnitIndex;

impl ClientState {
    /// Answers WRITE.
    pub(super) fn write(
        &mut self,
        client: &Client,
        header: &Header,
        place: WritePlace,
        bytes: &[u8],
        reply: &mut Reply,
        patience: Patience<'_>,
    ) -> Result<(), MustWait> {
        let Some(unit) = self.unit(place.unit) else {
            reply.error(header, Code::Invalid, &format!("{} has no track {}", self.device, place.unit));
            return Ok(());
        };
        if bytes.is_empty() {
            self.resent_write(header, place, unit, reply);
            return Ok(());
        }
        if self.bracket.is_none() {
            not_active(header, reply);
            return Ok(());
        }
        if client.right != Right::ReadWrite || !self.device.gate().disk().is_writable() {
            self.refuse_write(client, header, reply);
            return Ok(());
        }
        match self.put(client, unit, place.offset, bytes, patience)? {
            Ok(()) => {
                client.counters.writes.fetch_add(1, Ordering::Relaxed);
                self.forget_return();
                self.last_write = Some(place);
                reply.done(header, &[]);
            }
            Err(error) => {
                client.counters.failed_writes.fetch_add(1, Ordering::Relaxed);
                self.failed_write(header, unit, &error, reply);
                self.forget_return();
            }
        }
        Ok(())
    }

    /// Writes through the gate; a write that meets what may pass is held.
    fn put(
        &mut self,
        client: &Client,
        unit: UnitIndex,
        offset: u16,
        bytes: &[u8],
        patience: Patience<'_>,
    ) -> Result<Result<(), GateError>, MustWait> {
        let Some(bracket) = &mut self.bracket else { return Err(MustWait) };
        if !bracket.access.passes(unit) {
            if matches!(patience, Patience::None) {
                return Err(MustWait);
            }
            client.counters.held_writes.fetch_add(1, Ordering::Relaxed);
        }
        bracket.wrote = true;
        let first = bracket.access.write(unit, offset.into(), bytes);
        let Err(error) = first else { return Ok(Ok(())) };
        if !is_passing(&error) {
            return Ok(Err(error));
        }
        match patience {
            Patience::None => Err(MustWait),
            Patience::Until(..) => Ok(self.hold(client, unit, offset, bytes, patience, error)),
        }
    }

    /// Tries a write again and again, with the client waiting for its answer.
    fn hold(
        &mut self,
        client: &Client,
        unit: UnitIndex,
        offset: u16,
        bytes: &[u8],
        patience: Patience<'_>,
        mut error: GateError,
    ) -> Result<(), GateError> {
        let (Some(bracket), Patience::Until(signals, limits)) = (&self.bracket, patience) else { return Err(error) };
        let place = self.describe_place(unit);
        tracing::error!(
            client = self.port.client(),
            "a write to {place} is held, and with it the guest, until the disk takes it: {}",
            describe(&error)
        );
        client.counters.held_writes.fetch_add(1, Ordering::Relaxed);
        client.counters.holding.store(true, Ordering::Relaxed);
        let since = Instant::now();
        let outcome = loop {
            if !is_passing(&error) || since.elapsed() >= limits.hold || signals.abandon.load(Ordering::Relaxed) {
                break Err(error);
            }
            std::thread::sleep(limits.retry);
            match bracket.access.write(unit, offset.into(), bytes) {
                Ok(()) => {
                    tracing::warn!(client = self.port.client(), "the write to {place} was done after {:?}", since.elapsed());
                    break Ok(());
                }
                Err(again) => error = again,
            }
        };
        client.counters.holding.store(false, Ordering::Relaxed);
        outcome
    }

    /// A write that can't be done now or later. The client drops its cache, and its guest believes that it was done.
    fn failed_write(&mut self, header: &Header, unit: UnitIndex, error: &GateError, reply: &mut Reply) {
        let place = self.describe_place(unit);
        self.sense = sense::of(error);
        self.port.distrust_cache();
        match error {
            // Asked for by an operator, who knows what the guest will make of it.
            GateError::Protected { .. } | GateError::ReadOnly { .. } | GateError::NotReady { .. } => {
                tracing::warn!(client = self.port.client(), "a write to {place} was refused: {}", describe(error));
                reply.device_error(header, sense::UNIT_CHECK);
            }
            GateError::OutOfRange { .. } => {
                tracing::warn!(client = self.port.client(), "a write was refused: {}", describe(error));
                reply.error(header, Code::Invalid, "the bytes pass the end of the track");
            }
            GateError::Revoked { .. } => {
                self.device.mark_suspect(format!("a write of {} to {place} came too late: {error}", self.port.client()));
                reply.error(header, Code::NotActive, "the channel program was ended, since its client was gone");
            }
            GateError::Disk(_) => {
                self.device.mark_suspect(format!("a write of {} to {place} failed: {}", self.port.client(), describe(error)));
                reply.device_error(header, sense::UNIT_CHECK);
            }
        }
    }

    /// A write without bytes: its client lost the connection, and has forgotten them.
    fn resent_write(&mut self, header: &Header, place: WritePlace, unit: UnitIndex, reply: &mut Reply) {
        let done = self.unanswered == Some(place);
        self.port.distrust_cache();
        self.forget_return();
        if done {
            tracing::info!(
                client = self.port.client(),
                "a write to {} outlived its connection, and the client has its answer now",
                self.describe_place(unit)
            );
            reply.done(header, &[]);
            return;
        }
        self.device.mark_suspect(format!(
            "{} lost its connection while it wrote to {} at offset {}, and sent the write again without its bytes",
            self.port.client(),
            self.describe_place(unit),
            place.offset
        ));
        // An error makes the client say so on its console; its guest goes on in either case.
        reply.error(header, Code::Invalid, "a write was lost with the connection: check the volume");
    }

    fn refuse_write(&mut self, client: &Client, header: &Header, reply: &mut Reply) {
        client.counters.failed_writes.fetch_add(1, Ordering::Relaxed);
        if !self.told_read_only {
            self.told_read_only = true;
            tracing::warn!(
                client = self.port.client(),
                "{} is read-only for this client, which hides the error of its write from its guest: configure it with `ro`",
                self.device
            );
        }
        self.sense = sense::write_inhibited();
        self.port.distrust_cache();
        self.forget_return();
        reply.device_error(header, sense::UNIT_CHECK);
    }
}
