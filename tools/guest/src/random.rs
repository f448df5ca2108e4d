//! The generator of the guest: xorshift with 32 bits (Marsaglia, "Xorshift RNGs", 13/17/5).

#[derive(Debug, Clone)]
pub struct Random(u32);

impl Random {
    /// The state with which a guest of this seed begins; it is never 0.
    pub const fn start(seed: u32) -> u32 {
        let spread = seed.wrapping_mul(0x9e37_79b1) ^ 0x5bd1_e995;
        if spread == 0 { 1 } else { spread }
    }

    pub const fn new(seed: u32) -> Self {
        Self(Self::start(seed))
    }

    pub const fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0
    }

    /// A number below `bound`, which has at most 16 bits.
    pub const fn below(&mut self, bound: u32) -> u32 {
        ((self.next() >> 16) * bound) >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First number after state 1 by the shifts on paper: 1 ^ 1<<13 = 0x2001, >> 17 = 0, ^ << 5 = 0x42021.
    #[test]
    fn the_first_number_is_as_on_paper() {
        assert_eq!(Random(1).next(), 0x2001 ^ (0x2001 << 5));
        let mut random = Random::new(7);
        assert!((0..1000).all(|_| random.below(65_535) < 65_535));
    }
}
