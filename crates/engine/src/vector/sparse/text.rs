//! The text format, `{1:0.5,7:-2}/100`: index and value of each element that is not zero, counted from 1, then the dimensions.
//!
//! Elements may come in any order, and those that are zero are dropped. Whitespace may stand between any two parts. Integers are
//! read as C's `strtol` reads them, values as its `strtof`. A literal with more commas than there may be elements is refused before
//! it is read, so the memory for a hostile one is bounded.

use super::{MAX_NON_ZERO, SparseError, SparseVec, SparseVector, TYPE_NAME};
use crate::vector::error::{TextFault, excerpt};
use crate::vector::number::{denotes_zero, read_integer};
use crate::vector::text::{read_finite, skip_whitespace};
use crate::vector::{VectorError, write_f32};

/// Reads a sparse vector.
///
/// # Errors
/// `InvalidText` for bad syntax, `OutOfRange` for a value too large or too small for `real`, `NotANumber`, `Infinite`, `NoDimensions`,
/// `TooManyDimensions`, and of [`SparseError`] `TooManyNonZero` and what is wrong with an index.
pub fn parse(input: &str) -> Result<SparseVector, VectorError> {
    let invalid = |reason| VectorError::InvalidText {
        type_name: TYPE_NAME,
        input: excerpt(input),
        reason,
    };

    let bytes = input.as_bytes();
    if bytes.iter().filter(|byte| **byte == b',').count() >= MAX_NON_ZERO {
        return Err(SparseError::TooManyNonZero.into());
    }
    let Some((b'{', first)) = skip_whitespace(bytes).split_first() else {
        return Err(invalid(Some(TextFault::MissingOpeningBrace)));
    };
    let mut elements = Vec::new();
    let mut rest = skip_whitespace(first);
    rest = match rest.split_first() {
        Some((b'}', after)) => after,
        _ => loop {
            let (index, after) = read_integer(skip_whitespace(rest)).ok_or_else(|| invalid(None))?;
            let Some((b':', after)) = skip_whitespace(after).split_first() else {
                return Err(invalid(None));
            };
            let (value, after) = read_value(skip_whitespace(after))?.ok_or_else(|| invalid(None))?;
            if value != 0.0 {
                // An index that the subtraction cannot hold is out of bounds either way.
                elements.push((index.saturating_sub(1), value));
            }
            match skip_whitespace(after).split_first() {
                Some((b',', next)) => rest = next,
                Some((b'}', after)) => break after,
                _ => return Err(invalid(None)),
            }
        },
    };
    let Some((b'/', after)) = skip_whitespace(rest).split_first() else {
        return Err(invalid(Some(TextFault::UnexpectedEnd)));
    };
    let (dims, after) = read_integer(skip_whitespace(after)).ok_or_else(|| invalid(None))?;
    if !skip_whitespace(after).is_empty() {
        return Err(invalid(Some(TextFault::JunkAfterDimensions)));
    }
    SparseVector::from_elements(dims, elements)
}

/// Reads one value and returns what follows it; `None` if the input does not start with a number.
fn read_value(input: &[u8]) -> Result<Option<(f32, &[u8])>, VectorError> {
    match read_finite(input, TYPE_NAME)? {
        // Unlike the dense types, a number that is not zero never becomes one: it would vanish.
        Some(number) if number.value.is_infinite() || number.value == 0.0 && !denotes_zero(number.text) => {
            Err(VectorError::out_of_range(TYPE_NAME, number.text))
        }
        Some(number) => Ok(Some((number.value, number.rest))),
        None => Ok(None),
    }
}

/// Appends the text of a sparse vector to `out`.
pub fn format(vector: SparseVec<'_>, out: &mut String) {
    out.push('{');
    for (position, (index, value)) in vector.elements().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write_integer(i64::from(index) + 1, out);
        out.push(':');
        write_f32(value, out);
    }
    out.push_str("}/");
    write_integer(i64::from(vector.dims), out);
}

fn write_integer(value: i64, out: &mut String) {
    use std::fmt::Write;
    // Writing to a String does not fail.
    let _ = write!(out, "{value}");
}
