//! The distances of sparse vectors, behind the operators `<->`, `<#>`, `<=>` and `<+>`.
//!
//! Both vectors are walked once, side by side. Which of them is ahead cannot be predicted, so the walk has no branch on it: it
//! looks at the lower of two indices, takes 0 for the vector that does not have it, and moves on in those that do. Sums are in
//! double precision, in which no square or product of elements overflows.

use super::{SparseVec, TYPE_NAME};
use crate::vector::VectorError;

fn check(a: SparseVec<'_>, b: SparseVec<'_>) -> Result<(), VectorError> {
    if a.dims == b.dims {
        return Ok(());
    }
    Err(VectorError::DimensionMismatch {
        type_name: TYPE_NAME,
        left: a.dimensions(),
        right: b.dimensions(),
    })
}

/// Visits the elements of both vectors up to where one of them ends, in the order of their indices, and returns what is left of
/// the values of either.
#[inline(always)]
fn walk<'a>(a: SparseVec<'a>, b: SparseVec<'a>, mut visit: impl FnMut(f64, f64)) -> (&'a [f32], &'a [f32]) {
    let (mut i, mut j) = (0, 0);
    while let (Some(&at), Some(&bt), Some(&x), Some(&y)) = (
        a.indices.get(i),
        b.indices.get(j),
        a.values.get(i),
        b.values.get(j),
    ) {
        visit(
            if at <= bt { f64::from(x) } else { 0.0 },
            if bt <= at { f64::from(y) } else { 0.0 },
        );
        i += usize::from(at <= bt);
        j += usize::from(bt <= at);
    }
    (
        a.values.get(i..).unwrap_or_default(),
        b.values.get(j..).unwrap_or_default(),
    )
}

/// Visits all elements of both vectors in the order of their indices.
#[inline(always)]
fn walk_all(a: SparseVec<'_>, b: SparseVec<'_>, mut visit: impl FnMut(f64, f64)) {
    let (rest_of_a, rest_of_b) = walk(a, b, &mut visit);
    rest_of_a.iter().for_each(|x| visit(f64::from(*x), 0.0));
    rest_of_b.iter().for_each(|y| visit(0.0, f64::from(*y)));
}

/// The Euclidean distance.
///
/// # Errors
/// `DimensionMismatch`.
pub fn l2(a: SparseVec<'_>, b: SparseVec<'_>) -> Result<f64, VectorError> {
    l2_squared(a, b).map(f64::sqrt)
}

/// The square of the Euclidean distance, which orders vectors the same.
///
/// # Errors
/// `DimensionMismatch`.
pub fn l2_squared(a: SparseVec<'_>, b: SparseVec<'_>) -> Result<f64, VectorError> {
    check(a, b)?;
    let mut sum = 0.0;
    walk_all(a, b, |x, y| sum += (x - y) * (x - y));
    Ok(sum)
}

/// The inner product.
///
/// # Errors
/// `DimensionMismatch`.
pub fn inner_product(a: SparseVec<'_>, b: SparseVec<'_>) -> Result<f64, VectorError> {
    check(a, b)?;
    let mut sum = 0.0;
    walk(a, b, |x, y| sum += x * y);
    Ok(sum)
}

/// The inner product with its sign turned, so that the most similar vector comes first in ascending order.
///
/// # Errors
/// `DimensionMismatch`.
pub fn negative_inner_product(a: SparseVec<'_>, b: SparseVec<'_>) -> Result<f64, VectorError> {
    inner_product(a, b).map(|product| -product)
}

/// The cosine distance, 1 - cos(a, b), between 0 and 2; NaN if a vector is zero.
///
/// # Errors
/// `DimensionMismatch`.
pub fn cosine(a: SparseVec<'_>, b: SparseVec<'_>) -> Result<f64, VectorError> {
    check(a, b)?;
    let (mut product, mut square_of_a, mut square_of_b) = (0.0, 0.0, 0.0);
    walk_all(a, b, |x, y| {
        product += x * y;
        square_of_a += x * x;
        square_of_b += y * y;
    });
    Ok(1.0 - (product / (square_of_a * square_of_b).sqrt()).clamp(-1.0, 1.0))
}

/// The taxicab distance: the sum of the elements' absolute differences.
///
/// # Errors
/// `DimensionMismatch`.
pub fn l1(a: SparseVec<'_>, b: SparseVec<'_>) -> Result<f64, VectorError> {
    check(a, b)?;
    let mut sum = 0.0;
    walk_all(a, b, |x, y| sum += (x - y).abs());
    Ok(sum)
}

/// The Euclidean length of a vector.
#[must_use]
pub fn norm(vector: SparseVec<'_>) -> f64 {
    crate::vector::distance::norm(vector.values)
}
