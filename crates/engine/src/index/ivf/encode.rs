//! Codes of one bit per dimension, and what is estimated from them: RaBitQ (Gao and Long, arXiv 2405.12497).
//!
//! A row x of a list with centroid c is coded as the signs u (+-1) of r = x - c. For a query q, the inner product of r and q - c is
//! estimated without bias as `scale (<u, q> - <u, c>)` with `scale = <r, r> / <u, r>`, so that `<u, q>`, whose tables are made once per
//! query, serves all lists: what depends on c is part of the addend (as in the authors' RaBitQ-Library).
//!
//! | metric | key | addend | shift of a list | weight |
//! |---|---|---|---|---|
//! | L2, cosine | squared distance | `<r, r> + 2 scale <u, c>` | `<q - c, q - c>` | 2 |
//! | inner product | `-<x, q>` | `scale <u, c> - <r, c>` | `-<c, q>` | 1 |
//!
//! The key is `shift + addend - weight scale <u, q>`. Its standard deviation is `weight |q - c| |r| tan(a) / sqrt(D - 1)`, where a is the
//! angle between r and u. After a random rotation cos(a)^2 is close to 2 / pi, and so the deviation is `weight scale |q - c|` times
//! [`ERROR_SHARE`], which needs no third factor.

use crate::index::Metric;
use crate::kernels::scan::{ScanKernels, Tables};

/// The root of 1 - 2 / pi.
const ERROR_SHARE: f32 = 0.602_8;

/// The code of a row, or of the centroid of a list.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coded {
    /// A bit for each dimension, from the lowest of the first byte.
    pub bits: Vec<u8>,
    /// From signs to the vector.
    pub scale: f32,
    /// What is added.
    pub addend: f32,
}

/// Codes `vector` relative to `center`; both are in the rotated space.
pub(super) fn encode(kernels: &ScanKernels, metric: Metric, vector: &[f32], center: &[f32], out: &mut Coded) {
    out.bits.clear();
    out.bits.resize(vector.len().div_ceil(8), 0);
    let sums = kernels.sign_code(vector, center, &mut out.bits);
    let (absolute, norm_squared) = (sums.absolute, sums.norm_squared);
    let scale = if absolute > 0.0 {
        norm_squared / absolute
    } else {
        0.0
    };
    let code_center = sums.code_center;
    let addend = match metric {
        Metric::InnerProduct => scale * code_center - sums.center_product,
        _ => norm_squared + 2.0 * scale * code_center,
    };
    (out.scale, out.addend) = (scale as f32, addend as f32);
}

/// The vector that a code stands for, approximately: the centroid and `scale u`, which has the length of the projection of the vector on
/// the direction of its code. For rows whose vector cannot be had from the table any more.
pub(super) fn decode(code: &Coded, center: &[f32], out: &mut [f32]) {
    // scale is |r| / (cos(a) sqrt(D)); the projection of r on u is |r| cos(a) / sqrt(D) in each dimension.
    let length = code.scale * (1.0 - ERROR_SHARE * ERROR_SHARE);
    for (dim, (out, center)) in out.iter_mut().zip(center).enumerate() {
        let byte = code.bits.get(dim / 8).copied().unwrap_or(0);
        let sign = if byte >> (dim % 8) & 1 == 1 {
            length
        } else {
            -length
        };
        *out = center + sign;
    }
}

/// How the keys of a list's rows come from its codes, see [`ScanKernels::keys`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimator {
    /// What all keys of the list have in common.
    pub shift: f32,
    /// What a scale is multiplied by.
    pub a: f32,
    /// What a scale is multiplied by for each unit of the sum of table entries.
    pub b: f32,
}

impl Estimator {
    /// For a list whose centroid is `distance` from the query, in L2. The keys come out lower by `epsilon` standard deviations.
    pub fn new(metric: Metric, tables: &Tables, shift: f32, distance: f32, epsilon: f32) -> Self {
        let weight = match metric {
            Metric::InnerProduct => 1.0,
            _ => 2.0,
        };
        let deviation = ERROR_SHARE * distance;
        let error = (deviation * deviation + tables.error() * tables.error()).sqrt();
        Self {
            shift,
            a: weight * (tables.base() + epsilon * error),
            b: weight * tables.step(),
        }
    }
}
