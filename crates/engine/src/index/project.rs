//! Sparse vectors of very many dimensions as dense ones of a few hundred.
//!
//! Each dimension of the sparse vector is added, with a sign, to one of the projection; both are drawn at random by the dimension's
//! number. Inner products and squared distances keep their expectation, with a variance of at most `2 / d` of the squared norms' product for d
//! dimensions (Charikar, Chen and Farach-Colton, Finding frequent items in data streams, 2002; Weinberger et al., Feature hashing for large scale
//! multitask learning, arXiv 0902.2206, section 3). Vectors of few elements mostly do not collide, and then these are exact. A
//! taxicab distance never grows, and shrinks only by collisions.

use super::quantize::SplitMix;
use crate::vector::sparse::SparseVec;

/// Dimensions of a projection; vectors of no more than these are not projected. docs/design/hnsw.md has what was measured.
pub const DIMS: u32 = 512;

/// How the sparse vectors of one index become dense ones. A function of the seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Projection {
    seed: u64,
}

impl Projection {
    /// The projection of this seed, for vectors of so many dimensions; none if these are few.
    #[must_use]
    pub fn new(dims: u32, seed: u64) -> Option<Self> {
        (dims > DIMS).then_some(Self { seed })
    }

    /// Writes the projection of a vector to `out`, of [`DIMS`] elements. Only that of the zero vector is zero.
    pub fn apply(self, vector: SparseVec<'_>, out: &mut [f32]) {
        out.fill(0.0);
        for (index, value) in vector.indices.iter().zip(vector.values) {
            let (place, sign) = self.place(*index);
            if let Some(sum) = out.get_mut(place) {
                *sum += sign * value;
            }
        }
        // Elements that cancel each other to the last bit: what is left stands for the vector.
        if out.iter().all(|x| *x == 0.0)
            && let (Some(index), Some(value)) = (vector.indices.first(), vector.values.first())
            && let Some(sum) = out.get_mut(self.place(*index).0)
        {
            *sum = *value;
        }
    }

    /// The place and the sign of a dimension.
    fn place(self, index: i32) -> (usize, f32) {
        let random = SplitMix(self.seed ^ u64::from(index.cast_unsigned())).next();
        // The high half as a fraction of 2^32; the lowest bit is not part of it.
        let place = ((random >> 32) * u64::from(DIMS)) >> 32;
        (place as usize, if random & 1 == 0 { 1.0 } else { -1.0 })
    }
}
