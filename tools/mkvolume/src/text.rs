//! Data that looks like business records and compresses about as they do, made fast.
//!
//! A pool of records is made once, and blocks are put together from random stretches of it: a compressor with a window
//! of 32 KiB does not see that a stretch has occurred before.

/// Bytes of the pool.
const POOL_BYTES: usize = 8 << 20;
/// Length of a record.
const RECORD_BYTES: usize = 80;
/// Records that are taken from the pool in one go.
const STRETCH_RECORDS: usize = 48;

const WORDS: [&str; 48] = [
    "ACCOUNT",
    "AGENCY",
    "ANNUAL",
    "ARCHIVE",
    "BALANCE",
    "BRANCH",
    "CARRIER",
    "CHARGE",
    "CLAIM",
    "CREDIT",
    "DEBIT",
    "DEPOT",
    "DUTY",
    "ENTRY",
    "EXPORT",
    "FREIGHT",
    "GENERAL",
    "HARBOUR",
    "IMPORT",
    "INSURED",
    "INVOICE",
    "LEDGER",
    "LETTER",
    "MARINE",
    "MONTHLY",
    "NOTE",
    "OFFICE",
    "ORDER",
    "PARCEL",
    "PAYMENT",
    "PERIOD",
    "POLICY",
    "PREMIUM",
    "QUARTER",
    "RAIL",
    "REFUND",
    "REGION",
    "RENTAL",
    "RESERVE",
    "RETURN",
    "SALES",
    "SECTION",
    "STORAGE",
    "TARIFF",
    "TOTAL",
    "TRANSFER",
    "WAREHOUSE",
    "YEARLY",
];

/// A small generator (splitmix64): seeded, fast, and good enough for test data.
#[derive(Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    fn below(&mut self, limit: usize) -> usize {
        // The remainder is below `limit`, a usize; the fallback is never taken.
        usize::try_from(self.next() % limit as u64).unwrap_or(0)
    }
}

/// EBCDIC of the characters that records and labels here use: capitals, digits, blank, period and hyphen.
pub fn ebcdic(text: &str) -> Vec<u8> {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'I' => byte - b'A' + 0xc1,
            b'J'..=b'R' => byte - b'J' + 0xd1,
            b'S'..=b'Z' => byte - b'S' + 0xe2,
            b'0'..=b'9' => byte - b'0' + 0xf0,
            b'.' => 0x4b,
            b'-' => 0x60,
            _ => 0x40,
        })
        .collect()
}

/// The records that blocks are put together from.
#[derive(Debug)]
pub struct Pool {
    bytes: Vec<u8>,
}

impl Pool {
    pub fn new(random: &mut Random) -> Self {
        let mut bytes = Vec::with_capacity(POOL_BYTES);
        let mut number = 10_000_000 + random.next() % 1_000_000;
        while bytes.len() + RECORD_BYTES <= POOL_BYTES {
            number += 1 + random.next() % 3;
            let mut word = || WORDS[random.below(WORDS.len())];
            let text = format!("{} {} {}", word(), word(), word());
            let (account, cents) = (random.next() % 100_000, random.next() % 10_000_000);
            let record =
                format!("{number:08} {text:<30.30} 2026-{:02}-{:02} {account:05} {cents:010}", 1 + account % 12, 1 + cents % 28);
            bytes.extend(ebcdic(&format!("{record:<RECORD_BYTES$}")));
        }
        Self { bytes }
    }

    /// Fills a block with stretches of the pool.
    pub fn fill(&self, random: &mut Random, block: &mut [u8]) {
        let records = self.bytes.len() / RECORD_BYTES;
        for part in block.chunks_mut(STRETCH_RECORDS * RECORD_BYTES) {
            let begin = random.below(records - STRETCH_RECORDS) * RECORD_BYTES;
            part.copy_from_slice(&self.bytes[begin..begin + part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_ebcdic() {
        assert_eq!(ebcdic("AIJRSZ09.- "), [0xc1, 0xc9, 0xd1, 0xd9, 0xe2, 0xe9, 0xf0, 0xf9, 0x4b, 0x60, 0x40]);
    }

    #[test]
    fn a_block_of_any_size_is_filled() {
        let mut random = Random::new(7);
        let pool = Pool::new(&mut random);
        for size in [0, 1, 80, 3_841, 27_998] {
            let mut block = vec![0; size];
            pool.fill(&mut random, &mut block);
            assert!(!block.contains(&0), "{size}");
        }
    }
}
