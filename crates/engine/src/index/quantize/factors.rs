//! What is stored with a code.

/// The numbers that go with a code; what they mean depends on how the vector is coded.
///
/// With x the transformed vector minus the centre, u its code as grid values, and D the number of dimensions:
///
/// | | 4 and 8 bits | L1, 4 and 8 bits | 32 bits |
/// |---|---|---|---|
/// | `norm_squared` | `⟨x, x⟩` | 0 | 0 |
/// | `scale` | `⟨x, x⟩ / ⟨u, x⟩` | distance of neighbouring grid values | 1 |
/// | `error` | standard deviation of `scale ⟨u, q⟩` for a unit vector q | standard deviation of a distance | 0 |
/// | `bias` | `⟨centre, x⟩` | value of code 0 | 0 |
/// | `sum` | sum of the code | sum of the code | 0 |
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C)]
pub struct Factors {
    /// The squared norm of what was coded; at most `f32::MAX`.
    pub norm_squared: f32,
    /// From grid values to the vector.
    pub scale: f32,
    /// The error to expect.
    pub error: f32,
    /// What is added.
    pub bias: f32,
    /// The sum of the codes.
    pub sum: u32,
}

impl Factors {
    /// Bytes on a page.
    pub const BYTES: usize = 20;

    /// The factors as they are on a page, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let words = [
            self.norm_squared.to_bits(),
            self.scale.to_bits(),
            self.error.to_bits(),
            self.bias.to_bits(),
            self.sum,
        ];
        for (bytes, word) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// The factors on a page. Any bytes are factors.
    #[inline]
    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let [
            a0,
            a1,
            a2,
            a3,
            b0,
            b1,
            b2,
            b3,
            c0,
            c1,
            c2,
            c3,
            d0,
            d1,
            d2,
            d3,
            e0,
            e1,
            e2,
            e3,
        ] = *bytes;
        Self {
            norm_squared: f32::from_le_bytes([a0, a1, a2, a3]),
            scale: f32::from_le_bytes([b0, b1, b2, b3]),
            error: f32::from_le_bytes([c0, c1, c2, c3]),
            bias: f32::from_le_bytes([d0, d1, d2, d3]),
            sum: u32::from_le_bytes([e0, e1, e2, e3]),
        }
    }
}

/// A code with its factors, as an estimate needs them.
#[derive(Debug, Clone, Copy)]
pub struct CodeRef<'a> {
    /// The factors.
    pub factors: Factors,
    /// The code, of [`code_bytes`](super::Quantizer::code_bytes).
    pub code: &'a [u8],
}
