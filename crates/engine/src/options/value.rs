//! Values of options, read and checked.

use serde_json::Value;

use super::OptionError;
use crate::filter::json_kind;

/// Longest value that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 60;

/// A string.
///
/// # Errors
/// [`OptionError::WrongKind`].
pub(crate) fn text<'a>(name: &'static str, value: &'a Value) -> Result<&'a str, OptionError> {
    value.as_str().ok_or_else(|| OptionError::WrongKind {
        name,
        expected: "a string",
        found: json_kind(value).to_owned(),
    })
}

/// A number within bounds.
///
/// # Errors
/// [`OptionError::WrongKind`], [`OptionError::OutOfRange`].
pub(crate) fn number(
    name: &'static str,
    value: &Value,
    smallest: f64,
    largest: f64,
) -> Result<f64, OptionError> {
    let Some(number) = value.as_f64() else {
        return Err(OptionError::WrongKind {
            name,
            expected: "a number",
            found: json_kind(value).to_owned(),
        });
    };
    if (smallest..=largest).contains(&number) {
        return Ok(number);
    }
    if largest == f64::MAX {
        return Err(OptionError::WrongKind {
            name,
            expected: "a number of at least 0",
            found: shown(value),
        });
    }
    Err(OptionError::OutOfRange {
        name,
        smallest,
        largest,
        given: shown(value),
    })
}

/// A whole number within bounds.
///
/// # Errors
/// [`OptionError::WrongKind`], [`OptionError::OutOfRange`].
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "bounds are small, and the number was checked to lie between them"
)]
pub(crate) fn whole(
    name: &'static str,
    value: &Value,
    smallest: usize,
    largest: usize,
) -> Result<usize, OptionError> {
    let given = number(name, value, smallest as f64, largest as f64)?;
    if given.fract() != 0.0 {
        return Err(OptionError::WrongKind {
            name,
            expected: "a whole number",
            found: shown(value),
        });
    }
    Ok(given as usize)
}

/// A text of at least one and at most so many bytes, without NUL.
///
/// # Errors
/// [`OptionError::WrongKind`].
pub(crate) fn bounded(name: &'static str, value: &Value, most: usize) -> Result<String, OptionError> {
    let text = text(name, value)?;
    let found = match text {
        "" => "an empty one".to_owned(),
        text if text.contains('\0') => "one with a NUL character".to_owned(),
        text if text.len() > most => format!("one of {} bytes (at most {most})", text.len()),
        text => return Ok(text.to_owned()),
    };
    Err(OptionError::WrongKind {
        name,
        expected: "a text that is not empty and not too long",
        found,
    })
}

/// True or false.
///
/// # Errors
/// [`OptionError::WrongKind`].
pub(crate) fn flag(name: &'static str, value: &Value) -> Result<bool, OptionError> {
    value.as_bool().ok_or_else(|| OptionError::WrongKind {
        name,
        expected: "true or false",
        found: json_kind(value).to_owned(),
    })
}

/// An object.
///
/// # Errors
/// [`OptionError::WrongKind`].
pub(crate) fn object(name: &'static str, value: &Value) -> Result<Value, OptionError> {
    if value.is_object() {
        return Ok(value.clone());
    }
    Err(OptionError::WrongKind {
        name,
        expected: "a JSON object",
        found: json_kind(value).to_owned(),
    })
}

/// A value as a message repeats it: on one line, cut.
pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}
