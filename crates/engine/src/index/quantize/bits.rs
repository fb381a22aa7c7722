//! Bits, which are their own code: keys are exact.

use super::super::Metric;
use super::{Factors, finish_key};
use crate::vector::bits::hamming;

/// Writes the bits of a vector of zeros and ones, the first as the highest of the first byte; the rest of `out` becomes zero.
pub(super) fn write(vector: &[f32], out: &mut [u8]) -> Factors {
    out.fill(0);
    let mut sum = 0;
    for (byte, octet) in out.iter_mut().zip(vector.chunks(8)) {
        for (place, x) in octet.iter().enumerate() {
            let bit = u8::from(*x > 0.0);
            *byte |= bit << (7 - place);
            sum += u32::from(bit);
        }
    }
    Factors {
        norm_squared: sum as f32,
        scale: 1.0,
        sum,
        ..Factors::default()
    }
}

/// The key between bits, of which `a_sum` and `b_sum` are set.
#[inline]
pub(super) fn key(metric: Metric, (a, a_sum): (&[u8], u32), (b, b_sum): (&[u8], u32)) -> f32 {
    let apart = hamming(a, b) as f64;
    if metric != Metric::Jaccard {
        return finish_key(apart, 0.0);
    }
    // The bits that differ are as many as those set in either less those set in both, the sums as many as both together.
    let either_and_both = f64::from(a_sum) + f64::from(b_sum);
    if either_and_both == 0.0 {
        return 1.0;
    }
    finish_key((2.0 * apart / (either_and_both + apart)).min(1.0), 0.0)
}
