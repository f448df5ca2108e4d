//! What the guest writes into a key, a record or a block.

const GOLDEN: u32 = 0x9e37_79b9;
const HASH_1: u32 = 0x9e37_79b1;
const HASH_2: u32 = 0x85eb_ca6b;

/// Bytes that operation `operation` writes to the place `identity`: both numbers, then a Weyl sequence.
pub fn content(seed: u32, operation: u32, identity: u32, length: usize) -> Vec<u8> {
    let mut word = (operation.wrapping_mul(HASH_1) ^ identity).wrapping_mul(HASH_2).wrapping_add(seed);
    let mut bytes = Vec::with_capacity(length + 8);
    bytes.extend(operation.to_be_bytes());
    bytes.extend(identity.to_be_bytes());
    while bytes.len() < length {
        bytes.extend(word.to_be_bytes());
        word = word.wrapping_add(GOLDEN);
    }
    bytes.truncate(length);
    bytes
}
