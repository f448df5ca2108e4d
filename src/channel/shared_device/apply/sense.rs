//! Unit status and sense bytes of errors that a guest is to see.
//!
//! Bytes as in IBM's storage control reference manuals, "Sense bytes": byte 0 and 1 in the format of all count-key-data
//! devices.

use tapegate_formats::wire::shared_device::SENSE_BYTES;

use crate::gate::GateError;
use crate::volume::VolumeError;

/// Channel end, device end.
pub(super) const GOOD_STATUS: u8 = 0x0c;
/// Channel end, device end, unit check.
pub(super) const UNIT_CHECK: u8 = 0x0e;

/// Byte 0: command reject.
const COMMAND_REJECT: u8 = 0x80;
/// Byte 0: intervention required.
const INTERVENTION_REQUIRED: u8 = 0x40;
/// Byte 0: equipment check.
const EQUIPMENT_CHECK: u8 = 0x10;
/// Byte 0: data check.
const DATA_CHECK: u8 = 0x08;
/// Byte 1: write inhibited.
const WRITE_INHIBITED: u8 = 0x02;

/// The sense bytes that tell an error.
pub(super) const fn of(error: &GateError) -> [u8; SENSE_BYTES] {
    let (byte_0, byte_1) = match error {
        GateError::NotReady { .. } | GateError::Revoked { .. } => (INTERVENTION_REQUIRED, 0),
        GateError::ReadOnly { .. } | GateError::Protected { .. } => (COMMAND_REJECT, WRITE_INHIBITED),
        GateError::OutOfRange { .. } => (COMMAND_REJECT, 0),
        GateError::Disk(VolumeError::Corrupt { .. } | VolumeError::Unit { .. }) => (DATA_CHECK, 0),
        GateError::Disk(_) => (EQUIPMENT_CHECK, 0),
    };
    let mut sense = [0; SENSE_BYTES];
    sense[0] = byte_0;
    sense[1] = byte_1;
    sense
}

/// The sense bytes of a write to a device that may only be read.
pub(super) const fn write_inhibited() -> [u8; SENSE_BYTES] {
    let mut sense = [0; SENSE_BYTES];
    sense[0] = COMMAND_REJECT;
    sense[1] = WRITE_INHIBITED;
    sense
}
