//! A batch of texts on its way to the embedding worker, and of vectors on the way back, in one shared byte buffer.
//!
//! ```text
//! offset      bytes      what
//! 0           4          number of texts n
//! 4           4          dimensions d of a vector
//! 8           4          length of the error message, 0 = none
//! 12          4          unused
//! 16          512        error message, UTF-8
//! 528         4 * n      length of each text in bytes
//! …           4 * n * d  vectors, f32, native byte order
//! …           …          the texts, UTF-8, one after the other
//! ```
//!
//! Writer and reader are different processes: every number that is read is checked against the buffer before use, and a
//! buffer that does not add up is an error, never a panic.

use std::ops::Range;
use thiserror::Error;

const HEADER_BYTES: usize = 16;
const ERROR_BYTES: usize = 512;
const LENGTHS_AT: usize = HEADER_BYTES + ERROR_BYTES;
const NUMBER_BYTES: usize = 4;

/// What is wrong with a request buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The sizes do not fit an address space or a 32-bit field.
    #[error("request of {texts} texts is too large")]
    TooLarge {
        /// Number of texts.
        texts: usize,
    },
    /// The buffer is shorter than its own numbers say.
    #[error("request buffer of {bytes} bytes is too short")]
    TooShort {
        /// Length of the buffer.
        bytes: usize,
    },
    /// A text is not UTF-8.
    #[error("text {index} of the request is not UTF-8")]
    NotUtf8 {
        /// Index of the text.
        index: usize,
    },
    /// There is no such text, or a vector has another number of dimensions.
    #[error("vector {index} does not fit the request")]
    NoSuchVector {
        /// Index of the vector.
        index: usize,
    },
}

/// Where everything stands in a buffer for these numbers.
#[derive(Clone, Copy, Debug)]
struct Layout {
    count: usize,
    dimensions: usize,
    vectors_at: usize,
    texts_at: usize,
}

impl Layout {
    fn new(count: usize, dimensions: usize) -> Result<Self, RequestError> {
        let too_large = RequestError::TooLarge { texts: count };
        let lengths = count.checked_mul(NUMBER_BYTES).ok_or(too_large)?;
        let vectors_at = LENGTHS_AT.checked_add(lengths).ok_or(too_large)?;
        let texts_at = lengths
            .checked_mul(dimensions)
            .and_then(|bytes| bytes.checked_add(vectors_at))
            .ok_or(too_large)?;
        Ok(Self {
            count,
            dimensions,
            vectors_at,
            texts_at,
        })
    }

    fn of(buffer: &[u8]) -> Result<Self, RequestError> {
        let layout = Self::new(number(buffer, 0)?, number(buffer, NUMBER_BYTES)?)?;
        if layout.texts_at > buffer.len() {
            return Err(RequestError::TooShort { bytes: buffer.len() });
        }
        Ok(layout)
    }

    fn vector(&self, index: usize) -> Result<Range<usize>, RequestError> {
        if index >= self.count {
            return Err(RequestError::NoSuchVector { index });
        }
        // In range: `new` computed the end of all vectors without overflow.
        let bytes = self.dimensions * NUMBER_BYTES;
        let start = self.vectors_at + index * bytes;
        Ok(start..start + bytes)
    }
}

fn number(buffer: &[u8], at: usize) -> Result<usize, RequestError> {
    buffer
        .get(at..)
        .and_then(|rest| rest.first_chunk::<NUMBER_BYTES>())
        .map(|bytes| u32::from_ne_bytes(*bytes) as usize)
        .ok_or(RequestError::TooShort { bytes: buffer.len() })
}

fn put(buffer: &mut [u8], at: usize, value: usize) -> Result<(), RequestError> {
    let bytes = buffer.len();
    let value = u32::try_from(value).map_err(|_| RequestError::TooLarge { texts: value })?;
    let field = buffer
        .get_mut(at..)
        .and_then(|rest| rest.first_chunk_mut::<NUMBER_BYTES>())
        .ok_or(RequestError::TooShort { bytes })?;
    *field = value.to_ne_bytes();
    Ok(())
}

fn range_mut(buffer: &mut [u8], range: Range<usize>) -> Result<&mut [u8], RequestError> {
    let bytes = buffer.len();
    buffer.get_mut(range).ok_or(RequestError::TooShort { bytes })
}

/// Bytes that a buffer for these texts and vectors of `dimensions` needs.
///
/// # Errors
/// [`RequestError::TooLarge`] if that is more than an address space.
pub fn size_bytes(texts: &[&str], dimensions: usize) -> Result<usize, RequestError> {
    let start = Layout::new(texts.len(), dimensions)?.texts_at;
    texts
        .iter()
        .try_fold(start, |total, text| total.checked_add(text.len()))
        .ok_or(RequestError::TooLarge { texts: texts.len() })
}

/// Writes a request into a buffer of at least [`size_bytes`] bytes.
///
/// # Errors
/// If the buffer is too short or a text is 4 GB or longer.
pub fn write(buffer: &mut [u8], texts: &[&str], dimensions: usize) -> Result<(), RequestError> {
    let layout = Layout::new(texts.len(), dimensions)?;
    put(buffer, 0, texts.len())?;
    put(buffer, NUMBER_BYTES, dimensions)?;
    put(buffer, 2 * NUMBER_BYTES, 0)?;
    let mut at = layout.texts_at;
    for (index, text) in texts.iter().enumerate() {
        put(buffer, LENGTHS_AT + index * NUMBER_BYTES, text.len())?;
        let end = at
            .checked_add(text.len())
            .ok_or(RequestError::TooLarge { texts: texts.len() })?;
        range_mut(buffer, at..end)?.copy_from_slice(text.as_bytes());
        at = end;
    }
    Ok(())
}

/// The texts of a request.
///
/// # Errors
/// If the buffer is shorter than it says or a text is not UTF-8.
pub fn texts(buffer: &[u8]) -> Result<Vec<&str>, RequestError> {
    let layout = Layout::of(buffer)?;
    let mut texts = Vec::new();
    let mut at = layout.texts_at;
    for index in 0..layout.count {
        let length = number(buffer, LENGTHS_AT + index * NUMBER_BYTES)?;
        let end = at
            .checked_add(length)
            .ok_or(RequestError::TooShort { bytes: buffer.len() })?;
        let bytes = buffer
            .get(at..end)
            .ok_or(RequestError::TooShort { bytes: buffer.len() })?;
        texts.push(std::str::from_utf8(bytes).map_err(|_| RequestError::NotUtf8 { index })?);
        at = end;
    }
    Ok(texts)
}

/// Writes the vector of one text.
///
/// # Errors
/// [`RequestError::NoSuchVector`] if there is no such text or the number of dimensions is another.
pub fn write_vector(buffer: &mut [u8], index: usize, vector: &[f32]) -> Result<(), RequestError> {
    let layout = Layout::of(buffer)?;
    if vector.len() != layout.dimensions {
        return Err(RequestError::NoSuchVector { index });
    }
    let target = range_mut(buffer, layout.vector(index)?)?;
    for (field, element) in target.chunks_exact_mut(NUMBER_BYTES).zip(vector) {
        field.copy_from_slice(&element.to_ne_bytes());
    }
    Ok(())
}

/// The vector of one text.
///
/// # Errors
/// If the buffer is shorter than it says or there is no such text.
pub fn vector(buffer: &[u8], index: usize) -> Result<Vec<f32>, RequestError> {
    let layout = Layout::of(buffer)?;
    let bytes = buffer
        .get(layout.vector(index)?)
        .ok_or(RequestError::TooShort { bytes: buffer.len() })?;
    let (fields, _) = bytes.as_chunks::<NUMBER_BYTES>();
    Ok(fields.iter().map(|field| f32::from_ne_bytes(*field)).collect())
}

/// Notes why the request failed; a longer message is cut at a character boundary.
///
/// # Errors
/// If the buffer is shorter than a header.
pub fn write_error(buffer: &mut [u8], message: &str) -> Result<(), RequestError> {
    let end = message.floor_char_boundary(ERROR_BYTES);
    let message = message.get(..end).unwrap_or_default();
    range_mut(buffer, HEADER_BYTES..HEADER_BYTES + end)?.copy_from_slice(message.as_bytes());
    put(buffer, 2 * NUMBER_BYTES, end)
}

/// The message that [`write_error`] left, empty if none.
pub fn error(buffer: &[u8]) -> String {
    let length = number(buffer, 2 * NUMBER_BYTES).unwrap_or(0).min(ERROR_BYTES);
    let bytes = buffer
        .get(HEADER_BYTES..HEADER_BYTES + length)
        .unwrap_or_default();
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_comes_back_as_it_went() {
        let sent = ["मुंबई", "", "a horse"];
        let mut buffer = vec![0; size_bytes(&sent, 3).unwrap()];
        write(&mut buffer, &sent, 3).unwrap();
        assert_eq!(texts(&buffer).unwrap(), sent);
        write_vector(&mut buffer, 1, &[1.0, -2.5, 3.0]).unwrap();
        assert_eq!(vector(&buffer, 1).unwrap(), [1.0, -2.5, 3.0]);
        assert_eq!(vector(&buffer, 0).unwrap(), [0.0; 3]);
        assert_eq!(texts(&buffer).unwrap(), sent, "vectors must not overwrite texts");
        assert_eq!(error(&buffer), "");
    }

    #[test]
    fn a_vector_of_another_size_or_place_is_refused() {
        let mut buffer = vec![0; size_bytes(&["a"], 2).unwrap()];
        write(&mut buffer, &["a"], 2).unwrap();
        assert_eq!(
            write_vector(&mut buffer, 0, &[1.0]),
            Err(RequestError::NoSuchVector { index: 0 })
        );
        assert_eq!(
            write_vector(&mut buffer, 1, &[1.0, 2.0]),
            Err(RequestError::NoSuchVector { index: 1 })
        );
        assert_eq!(vector(&buffer, 7), Err(RequestError::NoSuchVector { index: 7 }));
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let mut buffer = vec![0; size_bytes(&[], 2).unwrap()];
        write(&mut buffer, &[], 2).unwrap();
        write_error(&mut buffer, &"ऑ".repeat(400)).unwrap();
        assert_eq!(error(&buffer), "ऑ".repeat(ERROR_BYTES / 3));
    }

    #[test]
    fn sizes_beyond_the_address_space_are_refused() {
        assert!(Layout::new(usize::MAX / 2, 384).is_err());
        assert!(Layout::new(1 << 40, 1 << 40).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..900), index in 0_usize..9) {
            let _ = texts(&bytes);
            let _ = vector(&bytes, index);
            let _ = error(&bytes);
            let mut bytes = bytes;
            let _ = write_vector(&mut bytes, index, &[1.0, 2.0]);
        }
    }
}
