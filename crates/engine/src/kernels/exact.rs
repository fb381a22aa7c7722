//! The kernels in double precision, for sums that f32 lanes cannot hold.
//!
//! No product of two elements overflows or underflows an f64, so only the additions round.

use super::CosineParts;

/// Sums that are added up side by side, for the compiler to use vector instructions.
const LANES: usize = 8;

fn sum<T: Copy + Into<f64>>(a: &[T], b: &[T], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut sums = [0.0; LANES];
    let mut add = |a: &[T], b: &[T]| {
        for (sum, (x, y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += term((*x).into(), (*y).into());
        }
    };
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    a_chunks.iter().zip(b_chunks).for_each(|(a, b)| add(a, b));
    add(a_tail, b_tail);
    sums.iter().sum()
}

/// The sum of `(a_i - b_i)²`.
pub(super) fn l2_squared<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> f64 {
    sum(a, b, |x, y| (x - y) * (x - y))
}

/// The sum of `a_i * b_i`.
pub(super) fn inner_product<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> f64 {
    sum(a, b, |x, y| x * y)
}

/// The inner product and both squared norms.
pub(super) fn cosine_parts<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> CosineParts {
    CosineParts {
        inner_product: inner_product(a, b),
        norm_a_squared: inner_product(a, a),
        norm_b_squared: inner_product(b, b),
    }
}

/// The sum of `|a_i - b_i|`.
pub(super) fn l1<T: Copy + Into<f64>>(a: &[T], b: &[T]) -> f64 {
    sum(a, b, |x, y| (x - y).abs())
}
