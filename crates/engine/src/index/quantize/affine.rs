//! Codes for the taxicab distance: the range of each vector's elements, divided evenly.
//!
//! The distance is a sum of absolute values and so has no inner product to estimate. Code c of a vector stands for
//! `low + step c`; each element is off by at most half a step. Where many elements are zero, zero is one of the values: else all of these would
//! be off by the same, and the error would not average out.

use super::super::Metric;
use super::{CodeBits, Factors, saturate};
use crate::kernels::code::{AffineGrid, CODE_ALIGN};

/// One in so many elements makes zeros many.
const ZEROS: usize = 8;

/// Writes the code of a vector and returns its factors.
pub(super) fn encode(vector: &[f32], bits: CodeBits, out: &mut [u8]) -> Factors {
    out.fill(0);
    let (low, high) = vector
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), x| {
            (low.min(*x), high.max(*x))
        });
    let (low, high) = if low <= high { (low, high) } else { (0.0, 0.0) };
    let top = if bits == CodeBits::Four { 15.0 } else { 255.0 };
    let zeros = vector.iter().filter(|x| **x == 0.0).count();
    let with_zero = zeros * ZEROS >= vector.len() && low < 0.0 && high > 0.0;
    let steps = if with_zero { top - 1.0 } else { top };
    let step = saturate((f64::from(high) - f64::from(low)) / steps);
    let low = if with_zero && step > 0.0 {
        -step * (-low / step).ceil()
    } else {
        low
    };
    let inverse = if step > 0.0 { 1.0 / f64::from(step) } else { 0.0 };
    let mut sum = 0;
    for (dim, x) in vector.iter().enumerate() {
        let code = ((f64::from(*x) - f64::from(low)) * inverse + 0.5).min(top) as u8;
        sum += u32::from(code);
        if bits == CodeBits::Four {
            let (unit, place) = (dim / (2 * CODE_ALIGN), dim % (2 * CODE_ALIGN));
            if let Some(byte) = out.get_mut(unit * CODE_ALIGN + place % CODE_ALIGN) {
                *byte |= if place < CODE_ALIGN { code } else { code << 4 };
            }
        } else if let Some(byte) = out.get_mut(dim) {
            *byte = code;
        }
    }
    // A rounding error is uniform within half a step and as often adds to as it takes from a difference greater than it.
    let error = f64::from(step) * (vector.len() as f64 / 12.0).sqrt();
    Factors {
        norm_squared: 0.0,
        scale: step,
        error: saturate(error),
        bias: low,
        sum,
    }
}

/// The grid that the factors of an L1 code hold.
#[inline]
pub(super) fn grid(factors: &Factors) -> AffineGrid {
    AffineGrid {
        low: factors.bias,
        step: factors.scale,
    }
}

/// Whether codes of this metric and these bits are affine ones.
pub(super) fn applies(metric: Metric, bits: CodeBits) -> bool {
    metric == Metric::L1 && bits != CodeBits::ThirtyTwo
}
