//! Rounding a vector to the symmetric grid of 16 or 256 values per dimension.
//!
//! The grid values are c - (2^b - 1)/2 for the codes c. Where the grid ends in relation to the largest element is chosen among a
//! few candidates so that the rounded vector points as nearly as possible in the direction of the vector; that direction and one
//! factor are all that the estimator uses (arXiv 2409.09913, section 3.2, which searches all candidates).

use super::{CodeBits, Factors, saturate};
use crate::kernels::code::{CodeKernels, GridFit, SymmetricGrid};

/// Where the 4-bit grid may end, as parts of the largest element, for the first pass and then around the best of it.
const COARSE_CLIPS: [f32; 5] = [1.0, 0.9, 0.8, 0.7, 0.6];
const FINE_CLIPS: [f32; 4] = [0.05, 0.025, -0.025, -0.05];
/// The same for the 8-bit grid, which is so fine that hardly anything is gained by cutting off large elements.
const EIGHT_BIT_CLIPS: [f32; 2] = [1.0, 0.96];

/// A largest element below this is taken for zero, since its inverse would overflow.
pub(super) const SMALLEST: f32 = 1e-36;

/// Codes `vector - center` and returns the factors. `out` has the bytes of a code.
pub(super) fn encode(
    kernels: &CodeKernels,
    bits: CodeBits,
    vector: &[f32],
    center: &[f32],
    out: &mut [u8],
) -> Factors {
    let top = if bits == CodeBits::Four { 15.0 } else { 255.0 };
    let largest = kernels.largest(vector, center);
    let is_zero = largest < SMALLEST;
    let grid = if is_zero {
        SymmetricGrid {
            inverse_step: 0.0,
            top,
        }
    } else {
        best_grid(
            kernels,
            vector,
            center,
            SymmetricGrid {
                inverse_step: (top + 1.0) / 2.0 / largest,
                top,
            },
        )
    };
    let sum = match bits {
        CodeBits::Four => kernels.write_u4(vector, center, grid, out),
        _ => kernels.write_u8(vector, center, grid, out),
    };
    let sums = kernels.center_sums(vector, center);
    let bias = saturate(sums.center_product);
    if is_zero {
        return Factors {
            bias,
            sum,
            ..Factors::default()
        };
    }
    let fit = kernels.fit(vector, center, grid);
    let inverse_step = f64::from(grid.inverse_step);
    // <u, x>, and the tangent of the angle between u and x, squared.
    let product = fit.product / inverse_step;
    let tangent_squared = (fit.square * sums.norm_squared / (product * product) - 1.0).max(0.0);
    let other_dims = vector.len().saturating_sub(1).max(1) as f64;
    Factors {
        norm_squared: saturate(sums.norm_squared),
        scale: saturate(sums.norm_squared / product),
        error: saturate((sums.norm_squared * tangent_squared / other_dims).sqrt()),
        bias,
        sum,
    }
}

/// The grid with the best direction; `widest` ends at the largest element.
fn best_grid(kernels: &CodeKernels, vector: &[f32], center: &[f32], widest: SymmetricGrid) -> SymmetricGrid {
    let mut best = (1.0, f64::NEG_INFINITY);
    let try_clip = |best: &mut (f32, f64), clip: f32| {
        let grid = clipped(widest, clip);
        let score = score(kernels.fit(vector, center, grid), grid);
        if score > best.1 {
            *best = (clip, score);
        }
    };
    if widest.top > 15.0 {
        EIGHT_BIT_CLIPS.iter().for_each(|clip| try_clip(&mut best, *clip));
    } else {
        COARSE_CLIPS.iter().for_each(|clip| try_clip(&mut best, *clip));
        let coarse = best.0;
        FINE_CLIPS
            .iter()
            .for_each(|shift| try_clip(&mut best, coarse + shift));
    }
    clipped(widest, best.0)
}

fn clipped(widest: SymmetricGrid, clip: f32) -> SymmetricGrid {
    SymmetricGrid {
        inverse_step: widest.inverse_step / clip,
        ..widest
    }
}

/// The squared cosine between the rounded vector and the vector, times the squared norm of the latter.
fn score(fit: GridFit, grid: SymmetricGrid) -> f64 {
    let product = fit.product / f64::from(grid.inverse_step);
    product * product / fit.square
}
