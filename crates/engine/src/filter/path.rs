//! Paths into jsonb: how a name such as `profile.height` is read, and the value that it leads to.
//!
//! A path is what follows the name of a json or jsonb column after a dot. It reads like PostgreSQL's `#>` with a text[]:
//! an element names a member of an object, or by a whole number the place in an array, from 0, from the end where it is
//! negative. [`value_at`] follows the same rules in a row's JSON, so that filters, preferences and reasons agree.

use std::fmt;

use serde_json::Value;

use super::column::{Column, Kind};
use super::error::{ErrorClass, display_name};
use super::sql::quote_identifier;

/// How many elements a path may have.
pub const MAX_PATH_ELEMENTS: usize = 32;
/// How long a path may be, in bytes, without its column.
pub const MAX_PATH_BYTES: usize = 1_024;

/// A column, or a place inside one that holds JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    /// The column's name.
    pub column: String,
    /// The elements of the path, as `#>` takes them; empty for the column itself.
    pub path: Vec<String>,
}

impl Reference {
    /// The value that this refers to, out of the column's value; null where there is none.
    pub fn value_in<'v>(&self, column_value: &'v Value) -> &'v Value {
        value_at(column_value, &self.path)
    }
}

/// As filters write it: elements with a dot or a quote, and empty ones, in double quotes.
impl fmt::Display for Reference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.column)?;
        for element in &self.path {
            if element.is_empty() || element.contains(['.', '"']) {
                write!(formatter, ".{}", quote_identifier(element))?;
            } else {
                write!(formatter, ".{element}")?;
            }
        }
        Ok(())
    }
}

/// The value at a path inside a JSON value, as `#>` finds it; null where there is none. An empty path is the value itself.
pub fn value_at<'v>(value: &'v Value, path: &[String]) -> &'v Value {
    let step = |value: &'v Value, element: &String| match value {
        Value::Object(members) => members.get(element),
        Value::Array(elements) => elements.get(array_place(element, elements.len())?),
        _ => None,
    };
    path.iter().try_fold(value, step).unwrap_or(&Value::Null)
}

/// The place that an element means in an array of a length. As for PostgreSQL's `strtoint`, blanks and a sign may lead.
fn array_place(element: &str, length: usize) -> Option<usize> {
    let digits = element.trim_start_matches([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']);
    let place: i32 = digits.parse().ok()?;
    match usize::try_from(place) {
        Ok(from_start) => Some(from_start),
        Err(_) => length.checked_sub(usize::try_from(place.unsigned_abs()).ok()?),
    }
}

/// What can be wrong with a path. Each text names it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The column is of a type without paths.
    #[error(
        "path \"{}\" leads into column \"{}\" of type {type_name}, which has no paths",
        display_name(path),
        display_name(column)
    )]
    NotJson {
        /// The path with its column.
        path: String,
        /// The column.
        column: String,
        /// Its type as `format_type` shows it.
        type_name: String,
    },
    /// An empty element, or quotes that do not fit.
    #[error(
        "path \"{}\" has an empty element or a double quote out of place",
        display_name(path)
    )]
    Malformed {
        /// The path with its column.
        path: String,
    },
    /// PostgreSQL's text types cannot hold the character U+0000.
    #[error("path \"{}\" contains a null character", display_name(path))]
    NulCharacter {
        /// The path with its column.
        path: String,
    },
    /// Too many elements.
    #[error("path \"{}\" has {count} elements, the limit is {limit}", display_name(path))]
    TooDeep {
        /// The path with its column.
        path: String,
        /// The elements found.
        count: usize,
        /// The elements allowed.
        limit: usize,
    },
    /// Too many bytes.
    #[error(
        "path \"{}\" is {length} bytes long, the limit is {limit}",
        display_name(path)
    )]
    TooLong {
        /// The path with its column.
        path: String,
        /// The bytes found.
        length: usize,
        /// The bytes allowed.
        limit: usize,
    },
}

impl PathError {
    /// The kind of the error.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::TooDeep { .. } | Self::TooLong { .. } => ErrorClass::LimitExceeded,
            _ => ErrorClass::InvalidParameter,
        }
    }

    /// A full sentence with advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotJson { .. } => Some("Paths lead into columns of type jsonb or json.".to_owned()),
            Self::Malformed { .. } => Some(
                "Elements are separated by dots; write one that holds a dot or a quote, or is empty, in double \
                 quotes, with inner quotes doubled."
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// The column and path that a name means which is not itself the name of a column; `None` if no column's name and a dot
/// begin it. Of several such columns those of JSON count first, then the longest name.
///
/// # Errors
/// Any [`PathError`].
pub(crate) fn resolve<'c>(
    name: &str,
    columns: &'c [Column],
) -> Result<Option<(&'c Column, Vec<String>)>, PathError> {
    let begun = columns
        .iter()
        .filter_map(|column| Some((column, after_column(name, &column.name)?)));
    let Some((column, rest)) = begun.min_by_key(|(column, rest)| (!holds_json(column), rest.len())) else {
        return Ok(None);
    };
    if !holds_json(column) {
        return Err(PathError::NotJson {
            path: name.to_owned(),
            column: column.name.clone(),
            type_name: column.type_name.clone(),
        });
    }
    Ok(Some((column, elements(name, rest)?)))
}

/// Whether a column has paths.
pub(super) fn holds_json(column: &Column) -> bool {
    matches!(column.kind(), Kind::Json | Kind::Jsonb)
}

/// What follows a column's name, plain or in double quotes, and a dot.
fn after_column<'n>(name: &'n str, column: &str) -> Option<&'n str> {
    let plain = name.strip_prefix(column).and_then(|rest| rest.strip_prefix('.'));
    plain.or_else(|| {
        // Most names have no quote in front: only then is a quoted copy of the column's name worth making.
        let quoted = name.starts_with('"').then(|| quote_identifier(column))?;
        name.strip_prefix(quoted.as_str())?.strip_prefix('.')
    })
}

fn elements(name: &str, text: &str) -> Result<Vec<String>, PathError> {
    let path = || name.to_owned();
    if text.len() > MAX_PATH_BYTES {
        return Err(PathError::TooLong {
            path: path(),
            length: text.len(),
            limit: MAX_PATH_BYTES,
        });
    }
    if text.contains('\0') {
        return Err(PathError::NulCharacter { path: path() });
    }
    let mut elements = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let Some((element, after)) = first_element(text) else {
            return Err(PathError::Malformed { path: path() });
        };
        elements.push(element);
        rest = match after.strip_prefix('.') {
            None if !after.is_empty() => return Err(PathError::Malformed { path: path() }),
            next => next,
        };
    }
    if elements.len() > MAX_PATH_ELEMENTS {
        return Err(PathError::TooDeep {
            path: path(),
            count: elements.len(),
            limit: MAX_PATH_ELEMENTS,
        });
    }
    Ok(elements)
}

/// The first element of a path and what follows it; `None` if it is empty without quotes or its quotes do not fit.
fn first_element(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (element, after) = text.split_at(text.find('.').unwrap_or(text.len()));
        return (!element.is_empty() && !element.contains('"')).then(|| (element.to_owned(), after));
    };
    let mut element = String::new();
    let mut rest = quoted;
    loop {
        let (inside, after) = rest.split_once('"')?;
        element.push_str(inside);
        match after.strip_prefix('"') {
            Some(more) => {
                element.push('"');
                rest = more;
            }
            None => return Some((element, after)),
        }
    }
}
