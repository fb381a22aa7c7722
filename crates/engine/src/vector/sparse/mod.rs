//! Sparse vectors, `sparsevec(n)`: the indices and values of the elements that are not zero.
//!
//! A [`SparseVec`] borrows them, as the glue does from a datum; a [`SparseVector`] owns them. Indices count from 0 here and in the
//! binary format, from 1 in the text format. These hold for every sparse vector that a function here returns: 1 to
//! [`MAX_DIMENSIONS`] dimensions, at most [`MAX_NON_ZERO`] elements, indices ascending without duplicates and below the
//! dimensions, values finite and not zero. Functions that are given others return a wrong number at worst.

pub mod binary;
pub mod distance;
mod error;
pub mod ops;
pub mod text;

#[cfg(test)]
mod ops_tests;
#[cfg(test)]
mod properties;

pub use error::{IndexFault, SparseError};

use super::VectorError;

/// The name of the SQL type, as error messages give it.
pub const TYPE_NAME: &str = "sparsevec";

/// The most dimensions a sparse vector can have.
pub const MAX_DIMENSIONS: i32 = 1_000_000_000;

/// The most elements that are not zero a sparse vector can have.
pub const MAX_NON_ZERO: usize = 16_000;

/// A sparse vector, borrowed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SparseVec<'a> {
    /// The number of dimensions.
    pub dims: i32,
    /// Where the elements that are not zero stand, from 0, strictly ascending.
    pub indices: &'a [i32],
    /// Their values, as many as there are indices.
    pub values: &'a [f32],
}

/// A sparse vector with memory of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseVector {
    dims: i32,
    indices: Vec<i32>,
    values: Vec<f32>,
}

impl<'a> SparseVec<'a> {
    /// A vector of these parts. The values are not looked at, because only input can bring in wrong ones, nor is the number of elements
    /// limited: pgvector makes vectors of more than [`MAX_NON_ZERO`] out of arrays, and tables of its may hold them.
    ///
    /// # Errors
    /// `NoDimensions`, `TooManyDimensions`, and of [`SparseError`] what is wrong with an index.
    pub fn new(dims: i32, indices: &'a [i32], values: &'a [f32]) -> Result<Self, VectorError> {
        check_dimensions(dims)?;
        if indices.len() != values.len() {
            return Err(SparseError::UnequalParts {
                indices: indices.len(),
                values: values.len(),
            }
            .into());
        }
        check_indices(indices, dims)?;
        Ok(Self {
            dims,
            indices,
            values,
        })
    }

    /// How many elements are not zero.
    #[must_use]
    pub fn non_zero(&self) -> usize {
        self.indices.len()
    }

    /// The dimensions as the size of a dense vector; 0 for a number that is none.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        usize::try_from(self.dims).unwrap_or(0)
    }

    /// The elements that are not zero: index and value.
    pub fn elements(&self) -> impl Iterator<Item = (i32, f32)> + 'a {
        self.indices.iter().copied().zip(self.values.iter().copied())
    }

    /// A copy with memory of its own.
    #[must_use]
    pub fn to_vector(self) -> SparseVector {
        SparseVector {
            dims: self.dims,
            indices: self.indices.to_vec(),
            values: self.values.to_vec(),
        }
    }
}

impl SparseVector {
    /// A vector of elements in any order, of which those that are zero are left out.
    ///
    /// # Errors
    /// As [`SparseVec::new`], `TooManyNonZero`, and `NotANumber` or `Infinite` for a value.
    pub fn from_elements(dims: i32, mut elements: Vec<(i32, f32)>) -> Result<Self, VectorError> {
        check_dimensions(dims)?;
        for (_, value) in &elements {
            check_value(*value)?;
        }
        elements.retain(|(_, value)| *value != 0.0);
        check_non_zero(elements.len())?;
        elements.sort_unstable_by_key(|(index, _)| *index);
        let (indices, values): (Vec<i32>, Vec<f32>) = elements.into_iter().unzip();
        SparseVec::new(dims, &indices, &values)?;
        Ok(Self {
            dims,
            indices,
            values,
        })
    }

    /// The vector as functions take it.
    #[must_use]
    pub fn view(&self) -> SparseVec<'_> {
        SparseVec {
            dims: self.dims,
            indices: &self.indices,
            values: &self.values,
        }
    }
}

/// Checks a number of dimensions.
fn check_dimensions(dims: i32) -> Result<(), VectorError> {
    match dims {
        ..1 => Err(VectorError::NoDimensions { type_name: TYPE_NAME }),
        1..=MAX_DIMENSIONS => Ok(()),
        _ => Err(VectorError::TooManyDimensions {
            type_name: TYPE_NAME,
            limit: MAX_DIMENSIONS as usize,
        }),
    }
}

/// Checks a number of elements that are not zero.
fn check_non_zero(count: usize) -> Result<(), VectorError> {
    if count > MAX_NON_ZERO {
        return Err(SparseError::TooManyNonZero.into());
    }
    Ok(())
}

/// Checks that indices ascend strictly from 0 to below `dims`.
fn check_indices(indices: &[i32], dims: i32) -> Result<(), VectorError> {
    // One pass without branches says that all is well, which it nearly always is; the other says what is not.
    let followers = indices.iter().skip(1);
    let ascending = indices
        .iter()
        .zip(followers)
        .fold(true, |ascending, (index, next)| ascending & (index < next));
    let lowest = indices.first().is_none_or(|index| *index >= 0);
    let highest = indices.last().is_none_or(|index| *index < dims);
    if ascending && lowest && highest {
        return Ok(());
    }
    let mut previous = None;
    for &index in indices {
        let fault = match previous {
            _ if !(0..dims).contains(&index) => IndexFault::OutOfBounds,
            Some(previous) if index < previous => IndexFault::NotAscending,
            Some(previous) if index == previous => IndexFault::Duplicate,
            _ => {
                previous = Some(index);
                continue;
            }
        };
        return Err(SparseError::Index(fault).into());
    }
    Ok(())
}

/// Checks that a value is a finite number.
fn check_value(value: f32) -> Result<(), VectorError> {
    if value.is_nan() {
        return Err(VectorError::NotANumber { type_name: TYPE_NAME });
    }
    if value.is_infinite() {
        return Err(VectorError::Infinite { type_name: TYPE_NAME });
    }
    Ok(())
}
