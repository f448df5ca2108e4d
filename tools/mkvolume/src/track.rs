//! Slots of a CKD_P370 image of a 3390, and how many records fit onto a track.
//!
//! Source: the headers and slots that Hercules `dasdinit` writes, and IBM's capacity formula of the 3390.

/// Tracks in a cylinder.
pub const HEADS: u32 = 15;
/// Bytes that the image reserves for a track.
pub const SLOT_BYTES: usize = 56_832;
/// Track length of the capacity formula.
pub const TRACK_LENGTH: u32 = 58_786;

/// The 512 bytes in front of the tracks: eyecatcher, heads, slot size, device type, the only file of its volume.
pub fn device_header() -> [u8; 512] {
    let mut header = [0; 512];
    header[..8].copy_from_slice(b"CKD_P370");
    header[8..12].copy_from_slice(&15_u32.to_le_bytes());
    header[12..16].copy_from_slice(&56_832_u32.to_le_bytes());
    header[16] = 0x90;
    header
}

/// Space that a record takes on the track, in the formula's bytes.
pub fn record_space(key: u8, data: u16) -> u32 {
    let part = |overhead: u32, bytes: u32| (overhead + bytes + 6 + 6 * (bytes + 6).div_ceil(232)).next_multiple_of(34);
    let keyed = if key > 0 { part(306, u32::from(key)) } else { 0 };
    part(646, u32::from(data)) + keyed
}

/// How many such records a track holds.
pub fn records_per_track(key: u8, data: u16) -> u32 {
    TRACK_LENGTH / record_space(key, data)
}

/// Cylinder and head of a track in four bytes; cylinders have 16 bits here.
pub fn cchh(track: u32) -> [u8; 4] {
    let [_, _, c0, c1] = (track / HEADS).to_be_bytes();
    let [_, _, h0, h1] = (track % HEADS).to_be_bytes();
    [c0, c1, h0, h1]
}

/// A slot that is filled record by record.
#[derive(Debug)]
pub struct Slot {
    bytes: Box<[u8]>,
    at: usize,
    track: u32,
    next_record: u8,
}

impl Slot {
    pub fn new() -> Self {
        Self { bytes: vec![0; SLOT_BYTES].into(), at: 0, track: 0, next_record: 0 }
    }

    /// Begins a track: home address and R0.
    pub fn begin(&mut self, track: u32) {
        (self.track, self.at, self.next_record) = (track, 5, 0);
        self.bytes[0] = 0;
        self.bytes[1..5].copy_from_slice(&cchh(track));
        self.record(0, 8).fill(0);
    }

    /// Adds a record; the caller fills the key and data that are given back.
    pub fn record(&mut self, key: u8, data: u16) -> &mut [u8] {
        let [d0, d1] = data.to_be_bytes();
        let [c0, c1, h0, h1] = cchh(self.track);
        self.put([c0, c1, h0, h1, self.next_record, key, d0, d1]);
        self.next_record += 1;
        let begin = self.at;
        self.at += usize::from(key) + usize::from(data);
        &mut self.bytes[begin..self.at]
    }

    /// Ends the track; behind the end mark the slot is zero.
    pub fn finish(&mut self) -> &[u8] {
        self.put([0xff; 8]);
        self.bytes[self.at..].fill(0);
        &self.bytes
    }

    fn put(&mut self, bytes: [u8; 8]) {
        self.bytes[self.at..self.at + 8].copy_from_slice(&bytes);
        self.at += 8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// IBM's reference table of the 3390.
    #[test]
    fn as_many_records_fit_as_the_reference_says() {
        let rows =
            [(0, 27_998, 2), (0, 27_999, 1), (0, 4_096, 12), (0, 6_160, 8), (0, 80, 78), (44, 96, 50), (8, 256, 45), (0, 0, 86)];
        for (key, data, records) in rows {
            assert_eq!(records_per_track(key, data), records, "key {key} data {data}");
        }
    }

    #[test]
    fn a_slot_is_home_address_records_and_end_mark() {
        let mut slot = Slot::new();
        slot.begin(33);
        slot.record(0, 2).copy_from_slice(&[0xc1, 0xc2]);
        let expected = [
            [0, 0, 2, 0, 3].as_slice(),
            &[0, 2, 0, 3, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0, 2, 0, 3, 1, 0, 0, 2, 0xc1, 0xc2],
            &[0xff; 8],
            &[0; 8],
        ];
        assert!(slot.finish().starts_with(&expected.concat()));
    }
}
