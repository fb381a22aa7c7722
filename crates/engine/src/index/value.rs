//! The values of an indexed column, whatever their type.

use super::Metric;
use super::project::Projection;
use crate::vector::sparse::{self, SparseVec};
use crate::vector::{Element, bits};

/// A value that an index codes.
pub trait Value {
    /// Its dimensions; of bits, their number.
    fn dims(&self) -> usize;

    /// Writes its elements to `out`, which has as many as are coded of it: those of the projection, if there is one.
    fn widen(&self, projection: Option<Projection>, out: &mut [f32]);
}

impl<T: Element> Value for [T] {
    fn dims(&self) -> usize {
        self.len()
    }

    fn widen(&self, _: Option<Projection>, out: &mut [f32]) {
        for (out, x) in out.iter_mut().zip(self) {
            *out = x.to_f32();
        }
    }
}

/// Bits, the first of which is the highest of the first byte; those after the last are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bits<'a> {
    /// Number of bits.
    pub count: usize,
    /// The bits.
    pub bytes: &'a [u8],
}

impl Value for Bits<'_> {
    fn dims(&self) -> usize {
        self.count
    }

    fn widen(&self, _: Option<Projection>, out: &mut [f32]) {
        for (octet, byte) in out.chunks_mut(8).zip(self.bytes) {
            for (place, out) in octet.iter_mut().enumerate() {
                *out = f32::from(byte >> (7 - place) & 1);
            }
        }
    }
}

impl Value for SparseVec<'_> {
    fn dims(&self) -> usize {
        usize::try_from(self.dims).unwrap_or(0)
    }

    fn widen(&self, projection: Option<Projection>, out: &mut [f32]) {
        if let Some(projection) = projection {
            return projection.apply(*self, out);
        }
        out.fill(0.0);
        for (index, value) in self.indices.iter().zip(self.values) {
            if let Some(out) = usize::try_from(*index).ok().and_then(|index| out.get_mut(index)) {
                *out = *value;
            }
        }
    }
}

/// The exact key between bits, as many in one as in the other. NaN for a metric of vectors.
#[must_use]
pub fn bits_key(metric: Metric, a: Bits<'_>, b: Bits<'_>) -> f64 {
    match metric {
        Metric::Hamming => bits::hamming(a.bytes, b.bytes) as f64,
        Metric::Jaccard => bits::jaccard(a.bytes, b.bytes),
        Metric::L2 | Metric::InnerProduct | Metric::Cosine | Metric::L1 => f64::NAN,
    }
}

/// The exact key between sparse vectors of as many dimensions. NaN for the cosine with a zero vector and for a metric of bits.
#[must_use]
pub fn sparse_key(metric: Metric, a: SparseVec<'_>, b: SparseVec<'_>) -> f64 {
    let distance = match metric {
        Metric::L2 => sparse::distance::l2_squared(a, b),
        Metric::InnerProduct => sparse::distance::inner_product(a, b).map(|product| -product),
        Metric::Cosine => sparse::distance::cosine(a, b).map(|distance| 2.0 * distance),
        Metric::L1 => sparse::distance::l1(a, b),
        Metric::Hamming | Metric::Jaccard => Ok(f64::NAN),
    };
    distance.unwrap_or(f64::NAN)
}
