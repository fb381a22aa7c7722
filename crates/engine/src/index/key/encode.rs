//! How values become 8 bytes. All of this is on disk: it never changes.

/// A number that orders as the integers do.
#[must_use]
#[inline]
pub fn ordered_i64(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

/// A number that orders as the unsigned integers do: themselves.
#[must_use]
#[inline]
pub fn ordered_u64(value: u64) -> u64 {
    value
}

/// A number that orders as PostgreSQL orders floats: not a number is equal to itself and the greatest, the zeros are equal.
#[must_use]
pub fn ordered_f64(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = if value == 0.0 { 0 } else { value.to_bits() };
    if bits >> 63 == 0 { bits | (1 << 63) } else { !bits }
}

/// A hash of some bytes, of which all bits are good.
#[must_use]
pub fn hash_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(rest) {
        *to = *from;
    }
    // The length tells apart what ends in zeros.
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let start = mix(length ^ 0x6361_7374_6d61_7463);
    let hash = words
        .iter()
        .fold(start, |hash, word| mix(hash ^ u64::from_le_bytes(*word)));
    mix(hash.rotate_left(32) ^ u64::from_le_bytes(last))
}

/// The finaliser of splitmix64, a bijection.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// Which elements an array has, roughly: a Bloom filter of 64 bits, two for each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signature(u64);

impl Signature {
    /// The signature of no elements.
    #[must_use]
    pub fn new() -> Self {
        Self(0)
    }

    /// The bits of one element, given by its hash.
    #[must_use]
    pub fn mask(hash: u64) -> u64 {
        (1 << (hash & 63)) | (1 << ((hash >> 6) & 63))
    }

    /// Adds an element, given by its hash.
    pub fn add(&mut self, hash: u64) {
        self.0 |= Self::mask(hash);
    }

    /// The signature as it stands in a slot.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }
}
