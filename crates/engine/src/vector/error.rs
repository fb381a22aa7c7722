//! What can be wrong with a vector, and the SQLSTATE of each case.
//!
//! Messages follow PostgreSQL's style: lower case, no full stop, with the numbers that help. Excerpts of the
//! user's input are cut to [`EXCERPT_BYTES`] before they enter an error, so that an error about a 1 GB
//! literal stays small.

use thiserror::Error;

use super::sparse::SparseError;
use super::{Element, MAX_DIMENSIONS};

/// The most bytes of the user's input that an error quotes.
pub(super) const EXCERPT_BYTES: usize = 256;

/// A vector operation failed because of its input.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VectorError {
    /// Two operands have different numbers of dimensions.
    #[error("different {type_name} dimensions {left} and {right}")]
    DimensionMismatch {
        /// SQL type of the operands.
        type_name: &'static str,
        /// Dimensions of the left operand.
        left: usize,
        /// Dimensions of the right operand.
        right: usize,
    },
    /// A vector does not have as many dimensions as the column, cast or aggregate state asks for.
    #[error("expected {expected} dimensions, not {actual}")]
    UnexpectedDimensions {
        /// Dimensions asked for.
        expected: usize,
        /// Dimensions of the vector.
        actual: usize,
    },
    /// A vector would have more dimensions than its type allows.
    #[error("{type_name} cannot have more than {limit} dimensions")]
    TooManyDimensions {
        /// SQL type of the vector.
        type_name: &'static str,
        /// The most dimensions of that type.
        limit: usize,
    },
    /// A vector would be empty.
    #[error("{type_name} must have at least 1 dimension")]
    NoDimensions {
        /// SQL type of the vector.
        type_name: &'static str,
    },
    /// The type modifier in `vector(n)` is below 1.
    #[error("dimensions for type {type_name} must be at least 1")]
    ModifierTooSmall {
        /// SQL type that was declared.
        type_name: &'static str,
    },
    /// The type modifier in `vector(n)` is above what the type allows.
    #[error("dimensions for type {type_name} cannot exceed {limit}")]
    ModifierTooLarge {
        /// SQL type that was declared.
        type_name: &'static str,
        /// The most dimensions of that type.
        limit: i32,
    },
    /// The type was declared with more or less than one modifier.
    #[error("invalid type modifier")]
    InvalidModifier,
    /// An element is not a number.
    #[error("NaN not allowed in {type_name}")]
    NotANumber {
        /// SQL type of the vector.
        type_name: &'static str,
    },
    /// An element is infinite.
    #[error("infinite value not allowed in {type_name}")]
    Infinite {
        /// SQL type of the vector.
        type_name: &'static str,
    },
    /// The text is not a vector.
    #[error("invalid input syntax for type {type_name}: \"{input}\"")]
    InvalidText {
        /// SQL type that was asked for.
        type_name: &'static str,
        /// The input, cut after 256 bytes.
        input: String,
        /// What is wrong, where more than the message can be said.
        reason: Option<TextFault>,
    },
    /// A number is too large for the element type.
    #[error("\"{value}\" is out of range for type {type_name}")]
    OutOfRange {
        /// SQL type that cannot hold the number.
        type_name: &'static str,
        /// The number as the user wrote it, cut after 256 bytes.
        value: String,
    },
    /// The text is not a decimal number; the callers pass numbers that PostgreSQL printed, so this is
    /// internal.
    #[error("invalid input syntax for type real: \"{value}\"")]
    InvalidNumber {
        /// The text, cut after 256 bytes.
        value: String,
    },
    /// The binary message is shorter or longer than its header says.
    #[error("invalid binary representation of type {type_name}: expected {expected} bytes, not {actual}")]
    BinaryLength {
        /// SQL type that was asked for.
        type_name: &'static str,
        /// Bytes that the header asks for (or the bytes of the header itself).
        expected: usize,
        /// Bytes received.
        actual: usize,
    },
    /// The reserved header field of the binary message is not zero.
    #[error("expected unused to be 0, not {actual}")]
    BinaryReserved {
        /// The field's value.
        actual: i32,
    },
    /// An element of the result exceeds the element type.
    #[error("value out of range: overflow")]
    Overflow,
    /// A product of two non-zero elements became zero.
    #[error("value out of range: underflow")]
    Underflow,
    /// An array to be cast has a null element.
    #[error("array must not contain nulls")]
    NullElement,
    /// An array to be cast has more than one dimension.
    #[error("array must be 1-D")]
    NotOneDimensional,
    /// An aggregate state is not `[count, sums…]`; users can reach this only by calling the aggregate's
    /// functions.
    #[error("invalid aggregate state")]
    InvalidState,
    /// Two bit strings have different lengths.
    #[error("different bit lengths {left} and {right}")]
    BitLengthMismatch {
        /// Bits of the left operand.
        left: usize,
        /// Bits of the right operand.
        right: usize,
    },
    /// A sparse vector cannot be as it was given.
    #[error(transparent)]
    Sparse(#[from] SparseError),
    /// The memory for a result could not be had.
    #[error("out of memory")]
    OutOfMemory,
}

/// What is wrong with the text of a vector, beyond "invalid input syntax".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFault {
    /// The first character that is not whitespace is not `[`.
    MissingOpeningBracket,
    /// Something but whitespace follows the closing bracket.
    JunkAfterClosingBracket,
    /// The first character of a sparse vector that is not whitespace is not `{`.
    MissingOpeningBrace,
    /// No `/` with the dimensions follows the elements of a sparse vector.
    UnexpectedEnd,
    /// Something but whitespace follows the dimensions of a sparse vector.
    JunkAfterDimensions,
}

impl TextFault {
    fn detail(self) -> &'static str {
        match self {
            TextFault::MissingOpeningBracket => "Vector contents must start with \"[\".",
            TextFault::JunkAfterClosingBracket => "Junk after closing right brace.",
            TextFault::MissingOpeningBrace => "Vector contents must start with \"{\".",
            TextFault::UnexpectedEnd => "Unexpected end of input.",
            TextFault::JunkAfterDimensions => "Junk after closing.",
        }
    }

    fn hint(self) -> Option<&'static str> {
        match self {
            TextFault::MissingOpeningBracket => Some("Write a vector as \"[1,2,3]\"."),
            TextFault::MissingOpeningBrace => Some("Write a sparse vector as \"{1:0.5,3:2}/10\"."),
            _ => None,
        }
    }
}

/// The kinds of error, each with its SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// 22000
    DataException,
    /// 22003
    NumericValueOutOfRange,
    /// 22004
    NullValueNotAllowed,
    /// 22023
    InvalidParameterValue,
    /// 22P02
    InvalidTextRepresentation,
    /// 22P03
    InvalidBinaryRepresentation,
    /// 53200
    OutOfMemory,
    /// 54000
    ProgramLimitExceeded,
    /// XX000
    InternalError,
}

impl ErrorClass {
    /// The five characters of the SQLSTATE.
    pub fn sqlstate(self) -> &'static str {
        match self {
            ErrorClass::DataException => "22000",
            ErrorClass::NumericValueOutOfRange => "22003",
            ErrorClass::NullValueNotAllowed => "22004",
            ErrorClass::InvalidParameterValue => "22023",
            ErrorClass::InvalidTextRepresentation => "22P02",
            ErrorClass::InvalidBinaryRepresentation => "22P03",
            ErrorClass::OutOfMemory => "53200",
            ErrorClass::ProgramLimitExceeded => "54000",
            ErrorClass::InternalError => "XX000",
        }
    }
}

impl VectorError {
    /// The kind of error, from which the SQLSTATE follows.
    pub fn class(&self) -> ErrorClass {
        match self {
            VectorError::DimensionMismatch { .. }
            | VectorError::UnexpectedDimensions { .. }
            | VectorError::NoDimensions { .. }
            | VectorError::NotANumber { .. }
            | VectorError::Infinite { .. }
            | VectorError::BitLengthMismatch { .. }
            | VectorError::NotOneDimensional => ErrorClass::DataException,
            VectorError::TooManyDimensions { .. } => ErrorClass::ProgramLimitExceeded,
            VectorError::ModifierTooSmall { .. }
            | VectorError::ModifierTooLarge { .. }
            | VectorError::InvalidModifier => ErrorClass::InvalidParameterValue,
            VectorError::InvalidText { .. } | VectorError::InvalidNumber { .. } => {
                ErrorClass::InvalidTextRepresentation
            }
            VectorError::OutOfRange { .. } | VectorError::Overflow | VectorError::Underflow => {
                ErrorClass::NumericValueOutOfRange
            }
            VectorError::BinaryLength { .. } | VectorError::BinaryReserved { .. } => {
                ErrorClass::InvalidBinaryRepresentation
            }
            VectorError::NullElement => ErrorClass::NullValueNotAllowed,
            VectorError::InvalidState => ErrorClass::InternalError,
            VectorError::OutOfMemory => ErrorClass::OutOfMemory,
            VectorError::Sparse(failure) => failure.class(),
        }
    }

    /// The SQLSTATE's five characters.
    pub fn sqlstate(&self) -> &'static str {
        self.class().sqlstate()
    }

    /// The DETAIL line, a full sentence, where there is more to say than the message.
    pub fn detail(&self) -> Option<&'static str> {
        match self {
            VectorError::InvalidText { reason, .. } => reason.map(TextFault::detail),
            _ => None,
        }
    }

    /// The HINT line, where the user can do something other than correct the input.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            VectorError::InvalidText { reason, .. } => reason.and_then(TextFault::hint),
            _ => None,
        }
    }

    /// Two vectors whose dimensions should be equal and are not.
    pub fn mismatch<T: Element>(left: &[T], right: &[T]) -> VectorError {
        VectorError::DimensionMismatch {
            type_name: T::TYPE_NAME,
            left: left.len(),
            right: right.len(),
        }
    }

    pub(super) fn no_dimensions<T: Element>() -> VectorError {
        VectorError::NoDimensions {
            type_name: T::TYPE_NAME,
        }
    }

    pub(super) fn too_many_dimensions<T: Element>() -> VectorError {
        VectorError::TooManyDimensions {
            type_name: T::TYPE_NAME,
            limit: MAX_DIMENSIONS,
        }
    }

    pub(super) fn out_of_range(type_name: &'static str, value: &str) -> VectorError {
        VectorError::OutOfRange {
            type_name,
            value: excerpt(value),
        }
    }
}

/// The beginning of `input`, at most [`EXCERPT_BYTES`] long and marked with `...` where it was cut.
pub(super) fn excerpt(input: &str) -> String {
    if input.len() <= EXCERPT_BYTES {
        return input.to_owned();
    }
    let end = input.floor_char_boundary(EXCERPT_BYTES);
    let mut text = input.get(..end).unwrap_or_default().to_owned();
    text.push_str("...");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpt_cuts_between_characters() {
        let input = "é".repeat(1000);
        let text = excerpt(&input);
        assert_eq!(text.len(), EXCERPT_BYTES + 3);
        assert!(text.ends_with("é..."));
        assert_eq!(excerpt("short"), "short");
        // One byte before the limit is inside a character, so the cut moves back.
        let odd = format!("x{input}");
        assert_eq!(excerpt(&odd).len(), EXCERPT_BYTES - 1 + 3);
    }

    #[test]
    fn messages_and_sqlstates_are_those_of_pgvector() {
        let cases = [
            (
                VectorError::mismatch::<f32>(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]),
                "22000",
                "different vector dimensions 3 and 4",
            ),
            (
                VectorError::UnexpectedDimensions {
                    expected: 3,
                    actual: 4,
                },
                "22000",
                "expected 3 dimensions, not 4",
            ),
            (
                VectorError::too_many_dimensions::<half::f16>(),
                "54000",
                "halfvec cannot have more than 16000 dimensions",
            ),
            (
                VectorError::no_dimensions::<f32>(),
                "22000",
                "vector must have at least 1 dimension",
            ),
            (
                VectorError::NotANumber { type_name: "vector" },
                "22000",
                "NaN not allowed in vector",
            ),
            (
                VectorError::Infinite { type_name: "halfvec" },
                "22000",
                "infinite value not allowed in halfvec",
            ),
            (
                VectorError::out_of_range("halfvec", "65520"),
                "22003",
                "\"65520\" is out of range for type halfvec",
            ),
            (VectorError::Overflow, "22003", "value out of range: overflow"),
            (VectorError::NullElement, "22004", "array must not contain nulls"),
            (
                VectorError::ModifierTooLarge {
                    type_name: "vector",
                    limit: MAX_DIMENSIONS as i32,
                },
                "22023",
                "dimensions for type vector cannot exceed 16000",
            ),
        ];
        for (error, sqlstate, message) in cases {
            assert_eq!(error.sqlstate(), sqlstate);
            assert_eq!(error.to_string(), message);
        }
    }
}
