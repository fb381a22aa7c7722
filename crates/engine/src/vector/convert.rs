//! Checks of dimensions and elements, and conversions from arrays and between the vector types.

use super::error::excerpt;
use super::{Element, MAX_DIMENSIONS, VectorError, number, write_f32};

/// Checks the type modifiers of a declaration such as `vector(3)` and returns the dimensions declared.
///
/// # Errors
/// `InvalidModifier` unless there is exactly one, `ModifierTooSmall`, `ModifierTooLarge`.
pub fn check_type_modifier<T: Element>(modifiers: &[i32]) -> Result<i32, VectorError> {
    check_modifier(modifiers, T::TYPE_NAME, MAX_DIMENSIONS as i32)
}

/// Checks the type modifiers of a declaration of a type that can have `limit` dimensions.
pub(in crate::vector) fn check_modifier(
    modifiers: &[i32],
    type_name: &'static str,
    limit: i32,
) -> Result<i32, VectorError> {
    match modifiers {
        [dimensions] if *dimensions < 1 => Err(VectorError::ModifierTooSmall { type_name }),
        [dimensions] if *dimensions > limit => Err(VectorError::ModifierTooLarge { type_name, limit }),
        [dimensions] => Ok(*dimensions),
        _ => Err(VectorError::InvalidModifier),
    }
}

/// Checks a vector's dimensions against a type modifier, where -1 stands for none.
///
/// # Errors
/// `UnexpectedDimensions`.
pub fn check_dimensions(type_modifier: i32, actual: usize) -> Result<(), VectorError> {
    match usize::try_from(type_modifier) {
        Ok(expected) if expected != actual => Err(VectorError::UnexpectedDimensions { expected, actual }),
        _ => Ok(()),
    }
}

/// Checks that a vector could be stored: 1 to [`MAX_DIMENSIONS`] elements.
///
/// # Errors
/// `NoDimensions`, `TooManyDimensions`.
pub fn check_length<T: Element>(length: usize) -> Result<(), VectorError> {
    match length {
        0 => Err(VectorError::no_dimensions::<T>()),
        1..=MAX_DIMENSIONS => Ok(()),
        _ => Err(VectorError::too_many_dimensions::<T>()),
    }
}

/// Checks that every element is a finite number.
///
/// # Errors
/// `NotANumber` or `Infinite` for the first element that is not.
pub fn check_finite<T: Element>(vector: &[T]) -> Result<(), VectorError> {
    for element in vector {
        if element.is_nan() {
            return Err(VectorError::NotANumber {
                type_name: T::TYPE_NAME,
            });
        }
        if element.is_infinite() {
            return Err(VectorError::Infinite {
                type_name: T::TYPE_NAME,
            });
        }
    }
    Ok(())
}

/// Rounds one finite number to an element.
///
/// # Errors
/// `NotANumber`, `Infinite`, and `OutOfRange` for a finite number that the element type cannot hold.
pub fn element_from_f32<T: Element>(value: f32) -> Result<T, VectorError> {
    let element = T::from_f32(value);
    if element.is_nan() {
        return Err(VectorError::NotANumber {
            type_name: T::TYPE_NAME,
        });
    }
    if element.is_infinite() {
        if value.is_infinite() {
            return Err(VectorError::Infinite {
                type_name: T::TYPE_NAME,
            });
        }
        let mut text = String::new();
        write_f32(value, &mut text);
        return Err(VectorError::out_of_range(T::TYPE_NAME, &text));
    }
    Ok(element)
}

fn collect<T: Element>(
    length: usize,
    elements: impl Iterator<Item = Result<T, VectorError>>,
) -> Result<Vec<T>, VectorError> {
    check_length::<T>(length)?;
    elements.collect()
}

/// Converts the elements of a `real[]`.
///
/// # Errors
/// As [`element_from_f32`] and [`check_length`].
pub fn from_f32_slice<T: Element>(values: &[f32]) -> Result<Vec<T>, VectorError> {
    collect(values.len(), values.iter().map(|&value| element_from_f32(value)))
}

/// Converts the elements of a `double precision[]`; a number beyond the range of `f32` counts as infinite.
///
/// # Errors
/// As [`element_from_f32`] and [`check_length`].
pub fn from_f64_slice<T: Element>(values: &[f64]) -> Result<Vec<T>, VectorError> {
    collect(
        values.len(),
        values.iter().map(|&value| element_from_f32(value as f32)),
    )
}

/// Converts the elements of an `integer[]`.
///
/// # Errors
/// As [`element_from_f32`] and [`check_length`].
pub fn from_i32_slice<T: Element>(values: &[i32]) -> Result<Vec<T>, VectorError> {
    collect(
        values.len(),
        values.iter().map(|&value| element_from_f32(value as f32)),
    )
}

/// Converts one number in PostgreSQL's text form of `numeric`, with the range of `real`: unlike vector text,
/// a number too small for `real` is an error too.
///
/// # Errors
/// As [`element_from_f32`], `OutOfRange`, and `InvalidNumber` for text that is no number.
pub fn element_from_numeric<T: Element>(text: &str) -> Result<T, VectorError> {
    let number = number::read(text.as_bytes())
        .filter(|number| number.length == text.len())
        .ok_or_else(|| VectorError::InvalidNumber { value: excerpt(text) })?;
    let overflow = number.value.is_infinite() && !number.spelled_infinite;
    let underflow = number.value == 0.0 && !number::denotes_zero(text);
    if overflow || underflow {
        return Err(VectorError::OutOfRange {
            type_name: "real",
            value: excerpt(text),
        });
    }
    element_from_f32(number.value)
}

/// Converts a vector to the other vector type (or to its own).
///
/// # Errors
/// `OutOfRange` naming the first element that the target type cannot hold.
pub fn convert<T: Element, U: Element>(vector: &[T]) -> Result<Vec<U>, VectorError> {
    collect(
        vector.len(),
        vector.iter().map(|element| element_from_f32(element.to_f32())),
    )
}
