//! Order, normalisation and conversions of sparse vectors, and their type modifier.

use std::cmp::Ordering;

use super::{MAX_DIMENSIONS, SparseVec, SparseVector, TYPE_NAME, check_value, distance};
use crate::vector::ops::{check_length, check_modifier, element_from_f32};
use crate::vector::{Element, VectorError};

/// Checks the type modifiers of a declaration such as `sparsevec(1000)` and returns the dimensions declared.
///
/// # Errors
/// `InvalidModifier` unless there is exactly one, `ModifierTooSmall`, `ModifierTooLarge`.
pub fn check_type_modifier(modifiers: &[i32]) -> Result<i32, VectorError> {
    check_modifier(modifiers, TYPE_NAME, MAX_DIMENSIONS)
}

/// Orders sparse vectors as the dense vectors that they stand for: by their first different element, then by dimensions.
#[must_use]
pub fn compare(a: SparseVec<'_>, b: SparseVec<'_>) -> Ordering {
    let shared = a.elements().zip(b.elements());
    for ((at, x), (bt, y)) in shared {
        // The vector that has not the lower index has a zero there.
        let ordering = match at.cmp(&bt) {
            Ordering::Less => to_zero(x),
            Ordering::Equal => x.partial_cmp(&y).unwrap_or(Ordering::Equal),
            Ordering::Greater => to_zero(y).reverse(),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    // One of them has no elements left: its next ones are zeros, as far as it has dimensions.
    let count = a.non_zero().min(b.non_zero());
    let next = |vector: SparseVec<'_>, other: SparseVec<'_>| {
        vector
            .elements()
            .nth(count)
            .filter(|(index, _)| *index < other.dims)
            .map(|(_, value)| to_zero(value))
    };
    next(a, b)
        .or_else(|| next(b, a).map(Ordering::reverse))
        .unwrap_or_else(|| a.dims.cmp(&b.dims))
}

/// How a value compares with zero; it is not zero itself.
fn to_zero(value: f32) -> Ordering {
    if value < 0.0 {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

/// The vector scaled to Euclidean length 1, without elements that become zero; a vector without elements stays as it is.
///
/// # Errors
/// `Overflow`, should an element of the result leave the range of its type.
pub fn l2_normalize(vector: SparseVec<'_>) -> Result<SparseVector, VectorError> {
    let norm = distance::norm(vector);
    if norm == 0.0 {
        return Ok(vector.to_vector());
    }
    let (mut indices, mut values) = (
        Vec::with_capacity(vector.non_zero()),
        Vec::with_capacity(vector.non_zero()),
    );
    for (index, value) in vector.elements() {
        let scaled = (f64::from(value) / norm) as f32;
        if scaled.is_infinite() {
            return Err(VectorError::Overflow);
        }
        if scaled != 0.0 {
            indices.push(index);
            values.push(scaled);
        }
    }
    Ok(SparseVector {
        dims: vector.dims,
        indices,
        values,
    })
}

/// The elements of a dense vector, or of an array, that are not zero.
///
/// # Errors
/// `NoDimensions`, `TooManyDimensions`, `TooManyNonZero`, `NotANumber`, `Infinite`.
pub fn from_dense<T: Element>(elements: &[T]) -> Result<SparseVector, VectorError> {
    let dims = i32::try_from(elements.len()).unwrap_or(i32::MAX);
    super::check_dimensions(dims)?;
    super::check_non_zero(elements.iter().filter(|element| !element.is_zero()).count())?;
    let (mut indices, mut values) = (Vec::new(), Vec::new());
    for (index, element) in (0..dims).zip(elements) {
        if !element.is_zero() {
            check_value(element.to_f32())?;
            indices.push(index);
            values.push(element.to_f32());
        }
    }
    Ok(SparseVector {
        dims,
        indices,
        values,
    })
}

/// The dense vector with these elements and zeros between them.
///
/// # Errors
/// `TooManyDimensions`, and `OutOfRange` naming the first element that the type cannot hold.
pub fn to_dense<T: Element>(vector: SparseVec<'_>) -> Result<Vec<T>, VectorError> {
    let length = vector.dimensions();
    check_length::<T>(length)?;
    let mut dense = vec![T::ZERO; length];
    for (index, value) in vector.elements() {
        if let Some(element) = usize::try_from(index).ok().and_then(|index| dense.get_mut(index)) {
            *element = element_from_f32(value)?;
        }
    }
    Ok(dense)
}
