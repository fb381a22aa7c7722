//! The distance functions behind the operators `<->`, `<#>`, `<=>` and `<+>`.
//!
//! They check the dimensions and leave the arithmetic to [`crate::kernels`], whose results are within 1e-6 of
//! what double precision gives, whatever the size of the elements.

use crate::kernels::{KernelSet, kernels};

use super::{Element, VectorError};

fn checked<T: Element>(a: &[T], b: &[T]) -> Result<&'static KernelSet<T>, VectorError> {
    if a.len() == b.len() {
        Ok(kernels())
    } else {
        Err(VectorError::mismatch(a, b))
    }
}

/// The Euclidean distance.
///
/// # Errors
/// `DimensionMismatch`.
pub fn l2<T: Element>(a: &[T], b: &[T]) -> Result<f64, VectorError> {
    l2_squared(a, b).map(f64::sqrt)
}

/// The square of the Euclidean distance, which orders vectors the same.
///
/// # Errors
/// `DimensionMismatch`.
pub fn l2_squared<T: Element>(a: &[T], b: &[T]) -> Result<f64, VectorError> {
    Ok(checked(a, b)?.l2_squared(a, b))
}

/// The inner product.
///
/// # Errors
/// `DimensionMismatch`.
pub fn inner_product<T: Element>(a: &[T], b: &[T]) -> Result<f64, VectorError> {
    Ok(checked(a, b)?.inner_product(a, b))
}

/// The inner product with its sign turned, so that the most similar vector comes first in ascending order.
///
/// # Errors
/// `DimensionMismatch`.
pub fn negative_inner_product<T: Element>(a: &[T], b: &[T]) -> Result<f64, VectorError> {
    inner_product(a, b).map(|product| -product)
}

/// The cosine distance, 1 - cos(a, b), between 0 and 2; NaN if a vector is zero.
///
/// # Errors
/// `DimensionMismatch`.
pub fn cosine<T: Element>(a: &[T], b: &[T]) -> Result<f64, VectorError> {
    let parts = checked(a, b)?.cosine_parts(a, b);
    Ok(1.0 - (parts.inner_product / (parts.norm_a_squared * parts.norm_b_squared).sqrt()).clamp(-1.0, 1.0))
}

/// The angle between two vectors of length 1 as a part of the half circle, between 0 and 1.
///
/// # Errors
/// `DimensionMismatch`.
pub fn spherical<T: Element>(a: &[T], b: &[T]) -> Result<f64, VectorError> {
    Ok(inner_product(a, b)?.clamp(-1.0, 1.0).acos() / std::f64::consts::PI)
}

/// The taxicab distance: the sum of the elements' absolute differences.
///
/// # Errors
/// `DimensionMismatch`.
pub fn l1<T: Element>(a: &[T], b: &[T]) -> Result<f64, VectorError> {
    Ok(checked(a, b)?.l1(a, b))
}

/// The Euclidean length of a vector.
pub fn norm<T: Element>(vector: &[T]) -> f64 {
    // In double precision throughout: it is computed once per vector, not once per pair, and what is divided
    // by it should not inherit an error.
    vector
        .iter()
        .map(|element| f64::from(element.to_f32()).powi(2))
        // Not `sum`, which is -0 where there are no elements, as a sparse vector may have none.
        .fold(0.0, |sum, square| sum + square)
        .sqrt()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use half::f16;

    fn halves(values: &[f32]) -> Vec<f16> {
        values.iter().map(|value| f16::from_f32(*value)).collect()
    }

    #[test]
    fn distances_are_those_of_pgvector() {
        assert_eq!(l2(&[0.0_f32, 0.0], &[3.0, 4.0]), Ok(5.0));
        assert_eq!(l2_squared(&[1.0_f32], &[3.0]), Ok(4.0));
        assert_eq!(
            negative_inner_product(&[1.0_f32, 2.0, 3.0], &[4.0, 5.0, 6.0]),
            Ok(-32.0)
        );
        assert_eq!(l1(&[1.0_f32, 2.0], &[3.0, -4.0]), Ok(8.0));
        assert_eq!(cosine(&[1.0_f32, 2.0], &[-1.0, -2.0]), Ok(2.0));
        assert!((cosine(&[1.0_f32, 1.0], &[1.0, 2.0]).unwrap() - 0.051_316_701_949_486_23).abs() < 1e-15);
        assert_eq!(spherical(&[1.0_f32, 0.0], &[0.0, 1.0]), Ok(0.5));
        assert_eq!(spherical(&[2.0_f32, 0.0], &[2.0, 1.0]), Ok(0.0));
        assert_eq!(spherical(&[-2.0_f32, 0.0], &[2.0, 1.0]), Ok(1.0));
        assert_eq!(l2(&halves(&[0.0, 0.0]), &halves(&[3.0, 4.0])), Ok(5.0));
        assert_eq!(cosine(&halves(&[1.0, 2.0]), &halves(&[2.0, 4.0])), Ok(0.0));
    }

    #[test]
    fn the_cosine_distance_to_a_zero_vector_is_nan() {
        assert!(cosine(&[1.0_f32, 2.0], &[0.0, 0.0]).unwrap().is_nan());
        assert!(cosine(&halves(&[0.0]), &halves(&[0.0])).unwrap().is_nan());
    }

    #[test]
    fn the_cosine_does_not_depend_on_the_length_of_vectors() {
        for scale in [1e-44_f32, 1e-30, 1e-15, 1.0, 1e15, 1e38] {
            assert!(
                cosine(&[scale, scale], &[scale, 0.0]).unwrap() - (1.0 - 0.5_f64.sqrt()) < 1e-6,
                "{scale}"
            );
            assert_eq!(cosine(&[scale], &[-scale]), Ok(2.0));
        }
    }

    #[test]
    fn different_dimensions_are_refused() {
        let error = l2(&[1.0_f32, 2.0], &[1.0]).unwrap_err();
        assert_eq!(error.to_string(), "different vector dimensions 2 and 1");
        let error = cosine(&halves(&[1.0]), &halves(&[1.0, 2.0])).unwrap_err();
        assert_eq!(error.to_string(), "different halfvec dimensions 1 and 2");
        assert!(inner_product(&[1.0_f32], &[]).is_err());
        assert!(l1(&[1.0_f32], &[]).is_err());
    }

    #[test]
    fn the_norm_neither_overflows_nor_underflows() {
        assert_eq!(norm(&[3.0_f32, 4.0]), 5.0);
        assert_eq!(norm(&[f32::MAX]), f64::from(f32::MAX));
        assert_eq!(norm(&[f32::from_bits(1)]), f64::from(f32::from_bits(1)));
        assert_eq!(norm(&halves(&[0.0, -0.0])), 0.0);
    }
}
