//! A buffer whose bytes lie in memory as they lie in a file: equal remainders by the page size.
//!
//! The kernel copies between page cache and buffer page by page. When both sides are aligned alike the copy runs at the
//! speed of memory, when they are not at half of it or less: on the machine where this was measured (AMD, `rep movsb`)
//! a stage that was written from an odd address took four times the processor time.

/// The page size that alignment is for; larger pages are multiples of it.
const PAGE: usize = 4096;

/// Bytes at an address that goes with a file offset.
#[derive(Debug, Default)]
pub(crate) struct AlignedBuffer {
    bytes: Vec<u8>,
    start: usize,
}

impl AlignedBuffer {
    /// Gives `length` bytes that lie in memory as they will in a file at `offset`. What they hold is left over from
    /// before.
    pub(crate) fn at_offset(&mut self, offset: u64, length: usize) -> &mut [u8] {
        if self.bytes.len() < length + PAGE {
            self.bytes.resize(length + PAGE, 0);
        }
        // A remainder by 4,096 fits any usize.
        let wanted = usize::try_from(offset % PAGE as u64).unwrap_or(0);
        let address = self.bytes.as_ptr().addr() % PAGE;
        self.start = (wanted + PAGE - address) % PAGE;
        &mut self.bytes[self.start..self.start + length]
    }

    /// The bytes from the start that was given last, and whatever lies behind.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_goes_with_the_offset() {
        let mut buffer = AlignedBuffer::default();
        for (offset, length) in [(0, 10), (1, 5000), (4095, 1), (512 + 56_832 * 7, 56_832)] {
            let bytes = buffer.at_offset(offset, length);
            assert_eq!(bytes.len(), length);
            assert_eq!(bytes.as_ptr().addr() as u64 % 4096, offset % 4096);
        }
    }
}
