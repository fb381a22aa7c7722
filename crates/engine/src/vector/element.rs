//! The element types of dense vectors.

use std::fmt::Debug;

use half::f16;

use crate::kernels::KernelElement;

/// A floating point type that vectors are made of: `f32` (SQL type `vector`) or [`struct@f16`] (`halfvec`).
///
/// Every value of an element type is exactly representable in `f32`.
pub trait Element: KernelElement + PartialOrd + Debug + Send + Sync {
    /// The name of the SQL type, as error messages give it.
    const TYPE_NAME: &'static str;
    /// Bytes per element, in memory and in the binary format.
    const SIZE: usize;
    /// Zero, which is also the value of a missing element.
    const ZERO: Self;

    /// Widens to `f32`, always exactly.
    fn to_f32(self) -> f32;
    /// Rounds to the nearest element, ties to even; a value beyond the range becomes infinite.
    fn from_f32(value: f32) -> Self;
    /// Appends the big-endian bytes.
    fn write_be(self, out: &mut Vec<u8>);
    /// Reads big-endian bytes; `None` unless there are exactly [`Self::SIZE`] of them.
    fn read_be(bytes: &[u8]) -> Option<Self>;

    /// Whether the value is not a number.
    fn is_nan(self) -> bool {
        self.to_f32().is_nan()
    }
    /// Whether the value is positive or negative infinity.
    fn is_infinite(self) -> bool {
        self.to_f32().is_infinite()
    }
    /// Whether the value is zero of either sign.
    fn is_zero(self) -> bool {
        self.to_f32() == 0.0
    }
}

impl Element for f32 {
    const TYPE_NAME: &'static str = "vector";
    const SIZE: usize = size_of::<f32>();
    const ZERO: f32 = 0.0;

    fn to_f32(self) -> f32 {
        self
    }
    fn from_f32(value: f32) -> f32 {
        value
    }
    fn write_be(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
    fn read_be(bytes: &[u8]) -> Option<f32> {
        bytes.try_into().ok().map(f32::from_be_bytes)
    }
}

impl Element for f16 {
    const TYPE_NAME: &'static str = "halfvec";
    const SIZE: usize = size_of::<f16>();
    const ZERO: f16 = f16::ZERO;

    fn to_f32(self) -> f32 {
        f16::to_f32(self)
    }
    fn from_f32(value: f32) -> f16 {
        f16::from_f32(value)
    }
    fn write_be(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_be_bytes());
    }
    fn read_be(bytes: &[u8]) -> Option<f16> {
        bytes.try_into().ok().map(f16::from_be_bytes)
    }
}
