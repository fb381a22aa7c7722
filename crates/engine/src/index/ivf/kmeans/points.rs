//! The points, and how far they are from each other.

use crate::index::IndexError;
use crate::index::hnsw::queue::reserve;
use crate::kernels::kernels;
use crate::kernels::scan::scan_kernels;

/// What to cluster: vectors of `dims` numbers one behind the other.
#[derive(Debug, Clone, Copy)]
pub struct Points<'a> {
    /// All vectors' numbers. They are finite.
    pub values: &'a [f32],
    /// How many numbers a vector has.
    pub dims: usize,
}

impl<'a> Points<'a> {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.values.len().checked_div(self.dims).unwrap_or(0)
    }

    /// One of them.
    #[inline]
    pub(super) fn get(&self, point: u32) -> &'a [f32] {
        let start = point as usize * self.dims;
        self.values.get(start..start + self.dims).unwrap_or_default()
    }
}

/// The squared distance of two vectors.
#[inline]
pub(super) fn distance(a: &[f32], b: &[f32]) -> f64 {
    kernels::<f32>().l2_squared(a, b)
}

/// Which of several vectors, one behind the other, is nearest to `x`, the first such one, and its squared distance, which is infinite
/// where it is more than an `f32` holds.
#[inline]
pub(super) fn nearest_row(x: &[f32], rows: &[f32], dims: usize) -> (usize, f32) {
    scan_kernels().nearest_row(x, rows, dims)
}

/// An empty vector with room for so many.
pub(super) fn room<T>(count: usize) -> Result<Vec<T>, IndexError> {
    let mut vector = Vec::new();
    reserve(&mut vector, count, WHAT)?;
    Ok(vector)
}

/// A vector of so many.
pub(super) fn filled<T: Clone>(count: usize, value: T) -> Result<Vec<T>, IndexError> {
    let mut vector = room(count)?;
    vector.resize(count, value);
    Ok(vector)
}

/// What the memory is for.
pub(super) const WHAT: &str = "clustering of an index build";
