//! Quantisation: vectors as short codes with which distances can be estimated without bias.
//!
//! A vector is [transformed](Quantizer::transform) (normalised under cosine, rotated at random), [encoded](Quantizer::encode)
//! to 4 or 8 bits per dimension plus [`Factors`], and a [`Query`] then estimates keys (see [`super`]) from codes alone. The
//! estimator is the one of RaBitQ (Gao and Long, arXiv 2405.12497) in its form for several bits (Gao et al., arXiv 2409.09913);
//! L1 and vectors of few dimensions are treated simpler. README.md has the formulas and what was measured.
//!
//! Codes and factors come from pages that may be torn while they are read, so nothing here trusts them: any bytes give some
//! estimate or `f32::INFINITY`.

#![deny(clippy::indexing_slicing)]

mod affine;
mod bits;
mod center;
mod encode;
mod factors;
mod full;
mod quantizer;
mod query;
mod rotation;

#[cfg(test)]
mod accuracy_tests;
#[cfg(test)]
mod robustness_tests;

pub use center::CenterBuilder;
pub use factors::{CodeRef, Factors};
pub use quantizer::Quantizer;
pub use query::Query;
pub(in crate::index) use rotation::SplitMix;

use super::Metric;
use crate::vector::Element;

/// Up to this many dimensions vectors are stored as they are: the code of a low-dimensional vector has no dimensions over which
/// its rounding errors could average out, and the vector is hardly longer than what else is stored per element.
const FULL_DIMS: usize = 32;
/// Up to this many dimensions codes have 8 bits per dimension.
const EIGHT_BIT_DIMS: usize = 128;

/// Bits per dimension of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum CodeBits {
    /// The bits themselves, for the metrics of bits.
    One = 1,
    /// 16 values per dimension.
    Four = 4,
    /// 256 values per dimension.
    Eight = 8,
    /// No quantisation: `f32` as they are, neither rotated nor centred.
    ThirtyTwo = 32,
}

impl CodeBits {
    /// What serves vectors of this many dimensions best.
    #[must_use]
    pub fn default_for(metric: Metric, dims: usize) -> Self {
        if matches!(metric, Metric::Hamming | Metric::Jaccard) {
            Self::One
        } else if dims <= FULL_DIMS {
            Self::ThirtyTwo
        } else if metric == Metric::L1 || dims <= EIGHT_BIT_DIMS {
            Self::Eight
        } else {
            Self::Four
        }
    }

    /// The bits that [`CodeBits::to_u8`] wrote.
    #[must_use]
    pub fn from_u8(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::One),
            4 => Some(Self::Four),
            8 => Some(Self::Eight),
            32 => Some(Self::ThirtyTwo),
            _ => None,
        }
    }

    /// The number that stands for the bits on disk.
    #[must_use]
    pub fn to_u8(self) -> u8 {
        self as u8
    }
}

/// Whether a vector has a place in the order of distances.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rankable {
    /// It has.
    Yes,
    /// It has not: the zero vector has no cosine with anything.
    No,
}

/// The exact key between two original vectors of the same length. NaN for the cosine with a zero vector and for a metric of bits.
#[must_use]
pub fn exact_key<T: Element>(metric: Metric, a: &[T], b: &[T]) -> f64 {
    let kernels = crate::kernels::kernels::<T>();
    match metric {
        Metric::L2 => kernels.l2_squared(a, b),
        Metric::InnerProduct => -kernels.inner_product(a, b),
        Metric::Cosine => {
            let parts = kernels.cosine_parts(a, b);
            let norms = (parts.norm_a_squared * parts.norm_b_squared).sqrt();
            2.0 * (1.0 - (parts.inner_product / norms).clamp(-1.0, 1.0))
        }
        Metric::L1 => kernels.l1(a, b),
        Metric::Hamming | Metric::Jaccard => f64::NAN,
    }
}

/// A computed key as it is given out: within `lowest..=f32::MAX`, and what is not a number infinitely far.
#[inline]
fn finish_key(key: f64, lowest: f64) -> f32 {
    if key.is_nan() {
        return f32::INFINITY;
    }
    key.clamp(lowest, f64::from(f32::MAX)) as f32
}

/// A computed factor as `f32`, within its finite range.
fn saturate(value: f64) -> f32 {
    value.clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}
