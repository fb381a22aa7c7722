//! The binary format of the wire protocol and of `COPY … (FORMAT binary)`, big-endian throughout: int32 dimensions, int32 number
//! of elements, int32 reserved (zero), then the indices, from 0, as int32, then the values.

use super::{SparseError, SparseVec, SparseVector, TYPE_NAME, check_dimensions, check_non_zero, check_value};
use crate::vector::VectorError;

/// Bytes before the first index.
const HEADER_BYTES: usize = 12;
/// Bytes of an index and of a value.
const FIELD_BYTES: usize = 4;

/// Reads a sparse vector from a whole message.
///
/// # Errors
/// `BinaryLength` for a message that is not as long as its counts say, `BinaryReserved`, `NoDimensions`, `TooManyDimensions`,
/// `NotANumber`, `Infinite`, and every [`SparseError`].
pub fn decode(bytes: &[u8]) -> Result<SparseVector, VectorError> {
    let length = |expected| VectorError::BinaryLength {
        type_name: TYPE_NAME,
        expected,
        actual: bytes.len(),
    };

    let (header, body) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or_else(|| length(HEADER_BYTES))?;
    let (fields, _) = header.as_chunks::<FIELD_BYTES>();
    let [dims, count, reserved] = fields else {
        return Err(length(HEADER_BYTES));
    };
    let (dims, count, reserved) = (
        i32::from_be_bytes(*dims),
        i32::from_be_bytes(*count),
        i32::from_be_bytes(*reserved),
    );
    check_dimensions(dims)?;
    let count = usize::try_from(count).map_err(|_| SparseError::NegativeNonZero)?;
    check_non_zero(count)?;
    if i64::try_from(count).is_ok_and(|count| count > i64::from(dims)) {
        return Err(SparseError::MoreThanDimensions.into());
    }
    if reserved != 0 {
        return Err(VectorError::BinaryReserved { actual: reserved });
    }
    if body.len() != count * 2 * FIELD_BYTES {
        return Err(length(HEADER_BYTES + count * 2 * FIELD_BYTES));
    }
    let (indices, values) = body.split_at(count * FIELD_BYTES);
    let indices: Vec<i32> = indices
        .as_chunks()
        .0
        .iter()
        .map(|bytes| i32::from_be_bytes(*bytes))
        .collect();
    let values: Vec<f32> = values
        .as_chunks()
        .0
        .iter()
        .map(|bytes| f32::from_be_bytes(*bytes))
        .collect();
    SparseVec::new(dims, &indices, &values)?;
    for &value in &values {
        check_value(value)?;
        if value == 0.0 {
            return Err(SparseError::ZeroValue.into());
        }
    }
    Ok(SparseVector {
        dims,
        indices,
        values,
    })
}

/// Appends the message of a sparse vector to `out`.
pub fn encode(vector: SparseVec<'_>, out: &mut Vec<u8>) {
    out.reserve(HEADER_BYTES + vector.non_zero() * 2 * FIELD_BYTES);
    for field in [vector.dims, vector.non_zero() as i32, 0] {
        out.extend_from_slice(&field.to_be_bytes());
    }
    for index in vector.indices {
        out.extend_from_slice(&index.to_be_bytes());
    }
    for value in vector.values {
        out.extend_from_slice(&value.to_be_bytes());
    }
}
