//! The binary format of the wire protocol and of `COPY … (FORMAT binary)`, big-endian throughout: int16
//! dimensions, int16 reserved (zero), then the elements.

use super::ops::check_finite;
use super::{Element, MAX_DIMENSIONS, VectorError};

/// Bytes before the first element.
const HEADER_BYTES: usize = 4;

/// Reads a vector from a whole message.
///
/// # Errors `NoDimensions` and `TooManyDimensions` for the header's count, `BinaryReserved`, `BinaryLength`
/// for a message that is not as long as its count says, `NotANumber` and `Infinite`.
pub fn decode<T: Element>(bytes: &[u8]) -> Result<Vec<T>, VectorError> {
    let length = |expected| VectorError::BinaryLength {
        type_name: T::TYPE_NAME,
        expected,
        actual: bytes.len(),
    };

    let ([d0, d1, r0, r1], body) = bytes
        .split_first_chunk::<HEADER_BYTES>()
        .ok_or_else(|| length(HEADER_BYTES))?;
    let dimensions = i16::from_be_bytes([*d0, *d1]);
    let reserved = i16::from_be_bytes([*r0, *r1]);
    if dimensions < 1 {
        return Err(VectorError::no_dimensions::<T>());
    }
    let dimensions = usize::from(dimensions.unsigned_abs());
    if dimensions > MAX_DIMENSIONS {
        return Err(VectorError::too_many_dimensions::<T>());
    }
    if reserved != 0 {
        return Err(VectorError::BinaryReserved {
            actual: i32::from(reserved),
        });
    }
    if body.len() != dimensions * T::SIZE {
        return Err(length(HEADER_BYTES + dimensions * T::SIZE));
    }
    let elements: Vec<T> = body.chunks_exact(T::SIZE).filter_map(T::read_be).collect();
    check_finite(&elements)?;
    Ok(elements)
}

/// Appends the message of a vector to `out`.
pub fn encode<T: Element>(vector: &[T], out: &mut Vec<u8>) {
    debug_assert!((1..=MAX_DIMENSIONS).contains(&vector.len()));
    out.reserve(HEADER_BYTES + vector.len() * T::SIZE);
    out.extend_from_slice(&(vector.len() as u16).to_be_bytes());
    out.extend_from_slice(&[0, 0]);
    for element in vector {
        element.write_be(out);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use half::f16;

    fn message<T: Element>(bytes: &[u8]) -> (&'static str, String) {
        let error = decode::<T>(bytes).unwrap_err();
        (error.sqlstate(), error.to_string())
    }

    #[test]
    fn layout_is_that_of_pgvector() {
        let mut bytes = Vec::new();
        encode(&[1.0_f32, -2.5], &mut bytes);
        assert_eq!(bytes, [0, 2, 0, 0, 0x3f, 0x80, 0, 0, 0xc0, 0x20, 0, 0]);
        assert_eq!(decode::<f32>(&bytes).unwrap(), [1.0, -2.5]);

        bytes.clear();
        encode(&[f16::from_f32(1.0), f16::from_bits(1)], &mut bytes);
        assert_eq!(bytes, [0, 2, 0, 0, 0x3c, 0, 0, 1]);
        assert_eq!(decode::<f16>(&bytes).unwrap(), [f16::ONE, f16::from_bits(1)]);
    }

    #[test]
    fn the_longest_vector_round_trips() {
        let mut bytes = Vec::new();
        encode(&vec![1.0_f32; MAX_DIMENSIONS], &mut bytes);
        assert_eq!(decode::<f32>(&bytes).unwrap().len(), MAX_DIMENSIONS);
    }

    #[test]
    fn malformed_messages_are_refused() {
        let length = "invalid binary representation of type vector: expected";
        let cases: [(&[u8], &str, String); 11] = [
            (&[], "22P03", format!("{length} 4 bytes, not 0")),
            (&[0, 1, 0], "22P03", format!("{length} 4 bytes, not 3")),
            (
                &[0, 2, 0, 0, 0, 0, 0, 0],
                "22P03",
                format!("{length} 12 bytes, not 8"),
            ),
            (
                &[0, 1, 0, 0, 0, 0, 0, 0, 9],
                "22P03",
                format!("{length} 8 bytes, not 9"),
            ),
            (
                &[0, 0, 0, 0],
                "22000",
                "vector must have at least 1 dimension".to_owned(),
            ),
            (
                &[0xff, 0xff, 0, 0],
                "22000",
                "vector must have at least 1 dimension".to_owned(),
            ),
            (
                &[0x3e, 0x81, 0, 0],
                "54000",
                "vector cannot have more than 16000 dimensions".to_owned(),
            ),
            (
                &[0, 1, 0, 5, 0, 0, 0, 0],
                "22P03",
                "expected unused to be 0, not 5".to_owned(),
            ),
            (
                &[0, 1, 0xff, 0xff, 0, 0, 0, 0],
                "22P03",
                "expected unused to be 0, not -1".to_owned(),
            ),
            (
                &[0, 1, 0, 0, 0x7f, 0xc0, 0, 0],
                "22000",
                "NaN not allowed in vector".to_owned(),
            ),
            (
                &[0, 1, 0, 0, 0xff, 0x80, 0, 0],
                "22000",
                "infinite value not allowed in vector".to_owned(),
            ),
        ];
        for (bytes, sqlstate, text) in cases {
            assert_eq!(message::<f32>(bytes), (sqlstate, text), "{bytes:?}");
        }
        let infinite = "infinite value not allowed in halfvec".to_owned();
        assert_eq!(message::<f16>(&[0, 1, 0, 0, 0x7c, 0]), ("22000", infinite));
    }
}
