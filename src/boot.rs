//! Which start of the machine this is.
//!
//! What was written and not synced is there after kill -9, since the kernel has it, and perhaps not after the machine
//! went down. The kernel's boot id tells the two apart.

use std::io;
use std::path::Path;

/// Where Linux tells it: a UUID made at each start (`random(4)`).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// One start of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BootId(pub(crate) [u8; 16]);

impl BootId {
    /// The present one.
    ///
    /// # Errors
    /// When the kernel does not tell it.
    pub(crate) fn current() -> io::Result<Self> {
        let text = std::fs::read_to_string(BOOT_ID)?;
        Self::parse(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is no UUID"))
    }

    /// Where it is read, for messages.
    pub(crate) fn path() -> &'static Path {
        Path::new(BOOT_ID)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits: String = text.trim_end().chars().filter(|&digit| digit != '-').collect();
        let is_uuid = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_uuid.then(|| u128::from_str_radix(&digits, 16).ok()).flatten().map(|id| Self(id.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_id_is_a_uuid() {
        let id = BootId::parse("0c2a1f6e-5b7d-4e0f-9a3c-0123456789ab\n").unwrap();
        assert_eq!(id.0[..4], [0x0c, 0x2a, 0x1f, 0x6e]);
        assert_eq!(id.0[15], 0xab);
        for text in ["", "0c2a1f6e", "+c2a1f6e-5b7d-4e0f-9a3c-0123456789ab", "0c2a1f6e-5b7d-4e0f-9a3c-0123456789abcd"] {
            assert_eq!(BootId::parse(text), None, "{text}");
        }
    }
}
