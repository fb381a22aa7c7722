//! A random rotation of any number of dimensions in O(D log D), without padding.
//!
//! It is a product of random signs, fast Walsh-Hadamard transforms and Kac's pairwise rotations. A Hadamard matrix with random
//! signs, repeated, spreads any vector as evenly as a random rotation would for practical purposes (Ailon and Chazelle 2009;
//! Andoni et al., arXiv 1509.02897). Where the dimensions are no power of two, the transform covers a window at the front and
//! one at the back, and after both each element of the first half is turned by 45 degrees with its partner in the second, so that
//! all elements mix; and all that once more.

use super::super::IndexError;
use crate::kernels::code::{CodeKernels, Round};

/// Below this many dimensions there is nothing to spread.
const LEAST_DIMS: usize = 16;
/// Rounds where one window covers everything.
const FULL_ROUNDS: usize = 3;
/// Rounds where windows alternate.
const WINDOW_ROUNDS: usize = 4;

/// An orthogonal map of `f32` vectors, a function of the dimensions and a seed.
#[derive(Debug)]
pub(super) struct Rotation {
    dims: usize,
    /// The greatest power of two within the dimensions, or 0 for the identity.
    window: usize,
    /// Per round and element the sign, times the normalisation of the transform for elements in the window.
    signs: Vec<f32>,
}

impl Rotation {
    /// The map that changes nothing.
    pub(super) fn identity(dims: usize) -> Self {
        Self {
            dims,
            window: 0,
            signs: Vec::new(),
        }
    }

    /// The rotation for a seed; the identity for fewer than 16 dimensions.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub(super) fn new(dims: usize, seed: u64) -> Result<Self, IndexError> {
        if dims < LEAST_DIMS {
            return Ok(Self::identity(dims));
        }
        let window = 1 << dims.ilog2();
        let rounds = if window == dims {
            FULL_ROUNDS
        } else {
            WINDOW_ROUNDS
        };
        let mut signs = Vec::new();
        signs
            .try_reserve_exact(rounds * dims)
            .map_err(|_| IndexError::OutOfMemory {
                what: "rotation",
                bytes: rounds * dims * size_of::<f32>(),
            })?;
        let normalisation = (1.0 / (window as f64).sqrt()) as f32;
        let mut random = SplitMix(seed);
        for round in 0..rounds {
            let start = window_start(round, dims, window);
            let mut bits = 0;
            for i in 0..dims {
                if i % 64 == 0 {
                    bits = random.next();
                }
                let magnitude = if (start..start + window).contains(&i) {
                    normalisation
                } else {
                    1.0
                };
                signs.push(if bits >> (i % 64) & 1 == 0 {
                    magnitude
                } else {
                    -magnitude
                });
            }
        }
        Ok(Self { dims, window, signs })
    }

    /// Rotates in place. The elements may grow to the norm of the vector, and on the way to √`dims` times the largest element.
    pub(super) fn apply(&self, kernels: &CodeKernels, vector: &mut [f32]) {
        if self.window == 0 {
            return;
        }
        for (round, signs) in self.signs.chunks_exact(self.dims).enumerate() {
            let round = Round {
                start: window_start(round, self.dims, self.window),
                length: self.window,
                turn_halves: self.window < self.dims && round % 2 == 1,
            };
            kernels.rotate_round(vector, signs, round);
        }
    }

    /// Whether the map changes nothing.
    pub(super) fn is_identity(&self) -> bool {
        self.window == 0
    }
}

/// Where the window of a round begins: at the front, at the back, in turn.
fn window_start(round: usize, dims: usize, window: usize) -> usize {
    if round.is_multiple_of(2) { 0 } else { dims - window }
}

/// The generator splitmix64 (Steele, Lea, Flood 2014).
#[derive(Debug)]
pub(in crate::index) struct SplitMix(pub(in crate::index) u64);

impl SplitMix {
    pub(in crate::index) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::kernels::code::code_kernels;

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    fn columns(dims: usize, seed: u64) -> Vec<Vec<f32>> {
        let rotation = Rotation::new(dims, seed).unwrap();
        (0..dims)
            .map(|i| {
                let mut unit = vec![0.0; dims];
                unit[i] = 1.0;
                rotation.apply(code_kernels(), &mut unit);
                unit
            })
            .collect()
    }

    #[test]
    fn rotations_are_orthogonal() {
        for dims in [1, 2, 15, 16, 17, 31, 33, 63, 64, 100, 127, 129, 255, 384] {
            let columns = columns(dims, 7);
            for (i, a) in columns.iter().enumerate() {
                for (j, b) in columns.iter().enumerate() {
                    let expected = if i == j { 1.0 } else { 0.0 };
                    assert!(
                        (dot(a, b) - expected).abs() < 1e-5,
                        "{dims} dimensions: columns {i} and {j}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_unit_vector_is_spread_over_all_dimensions() {
        // 255 and 511 leave the least overlap between the two windows.
        for dims in [64, 100, 255, 384, 511, 768, 1000] {
            let mut largest = 0.0_f32;
            let mut halves = 0.0_f64;
            for column in columns(dims, 3) {
                largest = column.iter().fold(largest, |largest, x| largest.max(x.abs()));
                let first = dot(&column[..dims / 2], &column[..dims / 2]);
                halves = halves.max((first - 0.5).abs());
            }
            // Among D² Gaussian elements of variance 1/D the largest is expected at √(2 ln D² / D).
            let expected = (4.0 * (dims as f32).ln() / dims as f32).sqrt();
            assert!(
                largest < 1.6 * expected,
                "{dims} dimensions: {largest}, expected {expected}"
            );
            assert!(
                halves < 0.35,
                "{dims} dimensions: a half has {halves} more or less than half"
            );
        }
    }

    #[test]
    fn a_rotation_depends_on_the_seed_alone() {
        assert_eq!(columns(100, 5), columns(100, 5));
        assert_ne!(columns(100, 5), columns(100, 6));
        // The values themselves are part of the format: an index outlives the code that wrote it.
        let mut random = SplitMix(0);
        assert_eq!(random.next(), 0xe220_a839_7b1d_cdaf);
    }
}
