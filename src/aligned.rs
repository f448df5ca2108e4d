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

/// Bytes that are put together before they are written, between borders of as many bytes in the file, so that the kernel
/// takes them in few large folios. Measured from 64 KiB to 1 MiB: smaller ones cost more, and larger ones leave the cache;
/// with 256 KiB even `dd` takes three times as long as with 128 KiB (2.8 s and 1.1 s for 2.8 GB, 512 KiB of L2 cache).
const PIECE_BYTES: usize = 128 << 10;

/// Writes slices one behind the other from `offset` on, by `write`, which is given an offset and bytes that go there.
///
/// The slices are put together in `scratch`, piece by piece, and written from there: one copy more, which pays because
/// the pieces fit the processor's cache and are aligned as the file is. Gives the offset behind the last byte.
pub(crate) fn write_gathered<'a, E>(
    offset: u64,
    slices: impl IntoIterator<Item = &'a [u8]>,
    scratch: &mut AlignedBuffer,
    mut write: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let mut at = offset;
    // The first piece ends at a border; a remainder by the length of a piece fits any usize.
    let mut room = PIECE_BYTES - usize::try_from(at % PIECE_BYTES as u64).unwrap_or(0);
    let mut piece = scratch.at_offset(at, room);
    let mut filled = 0;
    for mut slice in slices {
        while !slice.is_empty() {
            let (now, later) = slice.split_at(slice.len().min(room - filled));
            piece[filled..filled + now.len()].copy_from_slice(now);
            filled += now.len();
            slice = later;
            if filled == room {
                write(at, piece)?;
                at += room as u64;
                room = PIECE_BYTES;
                piece = scratch.at_offset(at, room);
                filled = 0;
            }
        }
    }
    write(at, &piece[..filled])?;
    Ok(at + filled as u64)
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

    #[test]
    fn slices_come_to_lie_one_behind_the_other() {
        let parts: Vec<Vec<u8>> = (0..40_u8).map(|byte| vec![byte; usize::from(byte) * 777]).collect();
        for offset in [0, 1, PIECE_BYTES as u64 - 3] {
            let mut file = vec![0; 1 << 20];
            let end = write_gathered(offset, parts.iter().map(Vec::as_slice), &mut AlignedBuffer::default(), |at, bytes| {
                let at = usize::try_from(at).unwrap();
                file[at..at + bytes.len()].copy_from_slice(bytes);
                Ok::<(), ()>(())
            });
            let (start, end) = (usize::try_from(offset).unwrap(), usize::try_from(end.unwrap()).unwrap());
            assert_eq!(&file[start..end], parts.concat());
        }
    }
}
