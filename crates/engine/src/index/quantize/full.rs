//! Vectors stored as they are, for few dimensions: keys straight from the elements.

use super::super::Metric;
use super::finish_key;

const LANES: usize = 8;

/// The elements of a code, in groups.
fn groups(code: &[u8]) -> impl Iterator<Item = [f32; LANES]> + Clone {
    code.as_chunks::<{ 4 * LANES }>().0.iter().map(|bytes| {
        let mut group = [0.0; LANES];
        for (value, bytes) in group.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        group
    })
}

/// Writes a vector; the rest of `out` becomes zero.
pub(super) fn write(vector: &[f32], out: &mut [u8]) {
    let mut values = vector.iter();
    for bytes in out.as_chunks_mut::<4>().0 {
        *bytes = values.next().copied().unwrap_or(0.0).to_le_bytes();
    }
}

/// The squared norm of a vector.
pub(super) fn norm_squared(vector: &[f32]) -> f64 {
    vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum()
}

/// The key between a query, padded with zeros to the length of the code, and a code.
pub(super) fn query_key(metric: Metric, query: &[f32], code: &[u8]) -> f32 {
    key(metric, query.as_chunks::<LANES>().0.iter().copied(), groups(code))
}

/// The key between two codes.
pub(super) fn code_key(metric: Metric, a: &[u8], b: &[u8]) -> f32 {
    key(metric, groups(a), groups(b))
}

fn key(
    metric: Metric,
    a: impl Iterator<Item = [f32; LANES]> + Clone,
    b: impl Iterator<Item = [f32; LANES]> + Clone,
) -> f32 {
    match metric {
        Metric::L2 | Metric::Cosine | Metric::Hamming | Metric::Jaccard => {
            finish_key(sum(a, b, |x, y| (x - y) * (x - y), |x, y| (x - y) * (x - y)), 0.0)
        }
        Metric::InnerProduct => finish_key(-sum(a, b, |x, y| x * y, |x, y| x * y), f64::from(f32::MIN)),
        Metric::L1 => finish_key(sum(a, b, |x, y| (x - y).abs(), |x, y| (x - y).abs()), 0.0),
    }
}

/// The sum of a term over all pairs of elements, in f32, or where that overflows in f64.
#[inline]
fn sum(
    a: impl Iterator<Item = [f32; LANES]> + Clone,
    b: impl Iterator<Item = [f32; LANES]> + Clone,
    term: impl Fn(f32, f32) -> f32,
    wide_term: impl Fn(f64, f64) -> f64,
) -> f64 {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a.clone().zip(b.clone()) {
        for (sum, (x, y)) in sums.iter_mut().zip(a.into_iter().zip(b)) {
            *sum += term(x, y);
        }
    }
    let total = sums.into_iter().map(f64::from).sum::<f64>();
    if total.is_finite() {
        return total;
    }
    let pairs = a.flatten().zip(b.flatten());
    pairs.map(|(x, y)| wide_term(f64::from(x), f64::from(y))).sum()
}
