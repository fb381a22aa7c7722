//! Scrambling of numbers, where something random-like but repeatable is needed.

/// The finaliser of splitmix64: each bit of the result depends on every bit of `x`.
#[inline]
#[must_use]
pub fn mix(x: u64) -> u64 {
    let mut x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
