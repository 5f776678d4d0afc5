//! Numbers that look random and are the same each time (splitmix64).

/// A sequence, by its seed.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next one, below a limit; 0 where the limit is 0.
    pub(crate) fn next(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below.max(1) as u64) as usize
    }
}
