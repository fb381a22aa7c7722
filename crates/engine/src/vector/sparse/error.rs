//! What can be wrong with a sparse vector and with no other.

use thiserror::Error;

use super::MAX_NON_ZERO;
use crate::vector::ErrorClass;

/// A sparse vector cannot be as it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SparseError {
    /// A binary message names a number of elements below zero.
    #[error("sparsevec cannot have negative number of elements")]
    NegativeNonZero,
    /// More than [`MAX_NON_ZERO`] elements are not zero.
    #[error("sparsevec cannot have more than {MAX_NON_ZERO} non-zero elements")]
    TooManyNonZero,
    /// A binary message names more elements than dimensions.
    #[error("sparsevec cannot have more elements than dimensions")]
    MoreThanDimensions,
    /// An index does not stand where it may.
    #[error("sparsevec {0}")]
    Index(IndexFault),
    /// A binary message holds an element that is zero.
    #[error("binary representation of sparsevec cannot contain zero values")]
    ZeroValue,
    /// There are not as many indices as values, which is a defect of the caller.
    #[error("sparsevec of {indices} indices and {values} values")]
    UnequalParts {
        /// Indices given.
        indices: usize,
        /// Values given.
        values: usize,
    },
}

/// What is wrong with an index of a sparse vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IndexFault {
    /// It is not one of the dimensions.
    #[error("index out of bounds")]
    OutOfBounds,
    /// It is below the one before it.
    #[error("indices must be in ascending order")]
    NotAscending,
    /// It is the one before it once more.
    #[error("indices must not contain duplicates")]
    Duplicate,
}

impl SparseError {
    /// The kind of error, from which the SQLSTATE follows.
    pub fn class(self) -> ErrorClass {
        match self {
            SparseError::NegativeNonZero | SparseError::Index(_) | SparseError::ZeroValue => {
                ErrorClass::DataException
            }
            SparseError::TooManyNonZero | SparseError::MoreThanDimensions => ErrorClass::ProgramLimitExceeded,
            SparseError::UnequalParts { .. } => ErrorClass::InternalError,
        }
    }
}
