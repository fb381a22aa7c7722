//! Elementwise operators, comparison, slicing and conversion of vectors.
//!
//! The SQL operators and functions of the same names call these. Arithmetic is done in `f32` and rounded once
//! to the element type; a result that leaves its range is an error, never an infinite element.

use std::cmp::Ordering;

use super::{Element, VectorError};

pub(super) use super::convert::check_modifier;
pub use super::convert::{
    check_dimensions, check_finite, check_length, check_type_modifier, convert, element_from_f32,
    element_from_numeric, from_f32_slice, from_f64_slice, from_i32_slice,
};

fn check_same_length<T: Element>(a: &[T], b: &[T]) -> Result<(), VectorError> {
    if a.len() == b.len() {
        Ok(())
    } else {
        Err(VectorError::mismatch(a, b))
    }
}

/// Applies an operation to each pair of elements, and `check` to the two operands and the result.
fn combine<T: Element>(
    a: &[T],
    b: &[T],
    operation: impl Fn(f32, f32) -> f32,
    check: impl Fn(T, T, T) -> Result<(), VectorError>,
) -> Result<Vec<T>, VectorError> {
    check_same_length(a, b)?;
    a.iter()
        .zip(b)
        .map(|(x, y)| {
            let element = T::from_f32(operation(x.to_f32(), y.to_f32()));
            check(*x, *y, element).map(|()| element)
        })
        .collect()
}

fn check_overflow<T: Element>(_: T, _: T, result: T) -> Result<(), VectorError> {
    if result.is_infinite() {
        Err(VectorError::Overflow)
    } else {
        Ok(())
    }
}

fn check_product<T: Element>(x: T, y: T, product: T) -> Result<(), VectorError> {
    if product.is_zero() && !x.is_zero() && !y.is_zero() {
        return Err(VectorError::Underflow);
    }
    check_overflow(x, y, product)
}

/// The elementwise sum.
///
/// # Errors
/// `DimensionMismatch`, `Overflow`.
pub fn add<T: Element>(a: &[T], b: &[T]) -> Result<Vec<T>, VectorError> {
    combine(a, b, |x, y| x + y, check_overflow)
}

/// The elementwise difference.
///
/// # Errors
/// `DimensionMismatch`, `Overflow`.
pub fn sub<T: Element>(a: &[T], b: &[T]) -> Result<Vec<T>, VectorError> {
    combine(a, b, |x, y| x - y, check_overflow)
}

/// The elementwise product.
///
/// # Errors `DimensionMismatch`, `Overflow`, and `Underflow` where two non-zero elements have a product that
/// rounds to zero.
pub fn mul<T: Element>(a: &[T], b: &[T]) -> Result<Vec<T>, VectorError> {
    combine(a, b, |x, y| x * y, check_product)
}

/// The elements of `a` followed by those of `b`.
///
/// # Errors
/// `TooManyDimensions`.
pub fn concat<T: Element>(a: &[T], b: &[T]) -> Result<Vec<T>, VectorError> {
    check_length::<T>(a.len().saturating_add(b.len()))?;
    Ok([a, b].concat())
}

/// The vector scaled to Euclidean length 1; a zero vector stays zero (and loses its negative zeros).
///
/// # Errors
/// `Overflow`, should an element of the result leave the range of its type.
pub fn l2_normalize<T: Element>(vector: &[T]) -> Result<Vec<T>, VectorError> {
    let norm = super::distance::norm(vector);
    if norm == 0.0 {
        return Ok(vec![T::ZERO; vector.len()]);
    }
    vector
        .iter()
        .map(|element| {
            let scaled = T::from_f32((f64::from(element.to_f32()) / norm) as f32);
            if scaled.is_infinite() {
                Err(VectorError::Overflow)
            } else {
                Ok(scaled)
            }
        })
        .collect()
}

/// The `count` elements from position `start`, counted from 1, as far as the vector has them.
///
/// As with SQL's `substring`, positions before 1 count but hold no elements: start -1 and count 3 is the
/// first element.
///
/// # Errors
/// `NoDimensions` if no element is left.
pub fn subvector<T: Element>(vector: &[T], start: i32, count: i32) -> Result<Vec<T>, VectorError> {
    let start = i64::from(start) - 1;
    let end = start
        .saturating_add(i64::from(count))
        .clamp(0, vector.len() as i64) as usize;
    let start = start.max(0) as usize;
    match vector.get(start..end) {
        Some(elements) if !elements.is_empty() => Ok(elements.to_vec()),
        _ => Err(VectorError::no_dimensions::<T>()),
    }
}

/// One bit per element, set where the element is above zero, laid out as PostgreSQL's `bit varying`: the
/// first element is the most significant bit of the first byte, and the last byte is filled up with zero
/// bits.
pub fn binary_quantize<T: Element>(vector: &[T]) -> Vec<u8> {
    vector
        .chunks(8)
        .map(|octet| {
            octet
                .iter()
                .zip([0x80_u8, 0x40, 0x20, 0x10, 8, 4, 2, 1])
                .fold(
                    0,
                    |byte, (element, bit)| {
                        if *element > T::ZERO { byte | bit } else { byte }
                    },
                )
        })
        .collect()
}

/// Orders vectors by their first different element, then by length; this is the order of the B-tree
/// operators.
///
/// -0 equals 0.
pub fn compare<T: Element>(a: &[T], b: &[T]) -> Ordering {
    a.iter()
        .zip(b)
        .map(|(x, y)| x.partial_cmp(y).unwrap_or(Ordering::Equal))
        .find(|ordering| ordering.is_ne())
        .unwrap_or_else(|| a.len().cmp(&b.len()))
}
