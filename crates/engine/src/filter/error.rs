//! What can be wrong with a filter. Texts follow PostgreSQL's message style; the glue adds the SQLSTATE.

use serde_json::Value;

use super::path::PathError;

/// The kind of an error, from which the glue chooses the SQLSTATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The argument is malformed or has a value of the wrong type: 22023.
    InvalidParameter,
    /// A column that the table lacks: 42703.
    UndefinedColumn,
    /// A limit is exceeded: 54000.
    LimitExceeded,
}

/// An error in a filter. Display gives the primary message; [`FilterError::detail`] and [`FilterError::hint`] the rest.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// The filter, or a filter inside `not`, `and` or `or`, is not a JSON object.
    #[error("{place} must be a JSON object, not {found}")]
    NotAnObject {
        /// `filter`, or the combinator that holds it, in quotes.
        place: String,
        /// The kind of JSON value found.
        found: &'static str,
    },
    /// `and` or `or` without an array of filters.
    #[error("\"{combinator}\" in the filter must be an array of filters, not {found}")]
    NotAListOfFilters {
        /// `and` or `or`.
        combinator: &'static str,
        /// The kind of JSON value found.
        found: &'static str,
    },
    /// No such column.
    #[error("column \"{}\" named in the filter does not exist", display_name(column))]
    UnknownColumn {
        /// The name as the filter has it.
        column: String,
        /// The existing name that is closest to it.
        closest: Option<String>,
        /// The first names of the table, at most ten.
        existing: Vec<String>,
        /// How many columns the table has.
        existing_count: usize,
    },
    /// No such operator.
    #[error(
        "unknown operator \"{}\" for column \"{}\" in the filter",
        display_name(operator),
        display_name(column)
    )]
    UnknownOperator {
        /// The column.
        column: String,
        /// The operator as the filter has it.
        operator: String,
        /// The operator that is closest to it.
        closest: Option<&'static str>,
        /// Whether an object is its value, as where a path into jsonb is written as nested objects.
        holds_object: bool,
    },
    /// An object of operators that is empty.
    #[error("no operator given for column \"{}\" in the filter", display_name(column))]
    NoOperator {
        /// The column.
        column: String,
    },
    /// An array where a scalar or an operator is wanted.
    #[error(
        "the value of column \"{}\" in the filter is an array without an operator",
        display_name(column)
    )]
    BareArray {
        /// The column.
        column: String,
    },
    /// JSON null as a value.
    #[error(
        "null cannot be compared with column \"{}\" in the filter",
        display_name(column)
    )]
    NullValue {
        /// The column.
        column: String,
    },
    /// The operator does not exist for the column's type.
    #[error(
        "operator \"{operator}\" in the filter cannot be used with column \"{}\" of type {type_name}",
        display_name(column)
    )]
    UnsupportedOperator {
        /// The column.
        column: String,
        /// Its type as `format_type` shows it.
        type_name: String,
        /// The operator.
        operator: &'static str,
        /// The operators that the type does support.
        supported: Vec<&'static str>,
    },
    /// The value does not suit the operator and the column's type.
    #[error(
        "operator \"{operator}\" for column \"{}\" in the filter needs {expected}, not {found}",
        display_name(column)
    )]
    WrongValue {
        /// The column.
        column: String,
        /// Its type as `format_type` shows it.
        type_name: String,
        /// The operator.
        operator: &'static str,
        /// What would do.
        expected: &'static str,
        /// What was there.
        found: &'static str,
    },
    /// The value does not suit the operator of a path, whatever the kind of value that it leads to.
    #[error(
        "operator \"{operator}\" for path \"{}\" in the filter needs {expected}, not {found}",
        display_name(path)
    )]
    WrongPathValue {
        /// The path with its column.
        path: String,
        /// The operator.
        operator: &'static str,
        /// What would do.
        expected: &'static str,
        /// What was there.
        found: &'static str,
    },
    /// A path is wrong in itself.
    #[error(transparent)]
    Path(#[from] PathError),
    /// PostgreSQL's text types cannot hold the character U+0000.
    #[error(
        "the value for column \"{}\" in the filter contains a null character",
        display_name(column)
    )]
    NulCharacter {
        /// The column.
        column: String,
    },
    /// `and`, `or` and `not` nested too deeply.
    #[error("filter is nested {depth} levels deep, the limit is {limit}")]
    TooDeep {
        /// The levels found.
        depth: usize,
        /// The levels allowed.
        limit: usize,
    },
    /// Too many conditions.
    #[error("filter has {count} conditions, the limit is {limit}")]
    TooManyConditions {
        /// The conditions found.
        count: usize,
        /// The conditions allowed.
        limit: usize,
    },
    /// Too many values in one list.
    #[error(
        "operator \"{operator}\" for column \"{}\" in the filter has {count} values, the limit is {limit}",
        display_name(column)
    )]
    TooManyValues {
        /// The column.
        column: String,
        /// The operator.
        operator: &'static str,
        /// The values found.
        count: usize,
        /// The values allowed.
        limit: usize,
    },
}

impl FilterError {
    /// The kind of the error.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::UnknownColumn { .. } => ErrorClass::UndefinedColumn,
            Self::TooDeep { .. } | Self::TooManyConditions { .. } | Self::TooManyValues { .. } => {
                ErrorClass::LimitExceeded
            }
            Self::Path(error) => error.class(),
            _ => ErrorClass::InvalidParameter,
        }
    }

    /// A full sentence with the circumstances, where there is more to say.
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::UnknownColumn {
                existing,
                existing_count,
                ..
            } => Some(existing_columns(existing, *existing_count)),
            Self::UnsupportedOperator {
                type_name, supported, ..
            } => Some(format!("Type {type_name} supports {}.", supported.join(", "))),
            Self::WrongValue {
                column, type_name, ..
            } => Some(format!(
                "Column \"{}\" is of type {type_name}.",
                display_name(column)
            )),
            _ => None,
        }
    }

    /// A full sentence with advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownColumn { closest: Some(closest), .. } => {
                Some(format!("Perhaps you meant the column \"{}\".", display_name(closest)))
            }
            Self::UnknownOperator { closest: Some(closest), .. } => {
                Some(format!("Perhaps you meant \"{closest}\". {}", known_operators()))
            }
            Self::UnknownOperator { column, operator, holds_object: true, .. } => Some(format!(
                "A path into a jsonb column is written as in \"{}.{}\". {}",
                display_name(column),
                display_name(operator),
                known_operators()
            )),
            Self::UnknownOperator { .. } => Some(known_operators()),
            Self::NoOperator { .. } => Some(known_operators()),
            Self::BareArray { .. } => Some(
                "Use {\"in\": [...]} for one of several values, or {\"contains\": [...]} for a column that is an array."
                    .to_owned(),
            ),
            Self::NullValue { .. } => {
                Some("Use {\"is_null\": true} or {\"is_null\": false} to test for NULL.".to_owned())
            }
            Self::WrongValue { expected: "a string", found: "a number" | "a boolean", .. } => {
                Some("Write the value in double quotes.".to_owned())
            }
            Self::WrongValue { operator: "eq" | "ne", expected: "an array", .. } => {
                Some("Use \"contains\" to look for an element of an array.".to_owned())
            }
            Self::WrongValue { operator: "eq" | "ne", found: "an array", .. } => {
                Some("Use \"in\" or \"not_in\" to compare with several values.".to_owned())
            }
            Self::Path(error) => error.hint(),
            Self::TooManyConditions { .. } => {
                Some("Use {\"in\": [...]} instead of many conditions on one column.".to_owned())
            }
            _ => None,
        }
    }
}

fn known_operators() -> String {
    let names: Vec<&str> = super::Operator::ALL
        .iter()
        .map(|operator| operator.name())
        .collect();
    format!("Operators are {}.", names.join(", "))
}

fn existing_columns(existing: &[String], count: usize) -> String {
    if existing.is_empty() {
        return "The table has no column to filter on.".to_owned();
    }
    let names: Vec<String> = existing
        .iter()
        .map(|name| format!("\"{}\"", display_name(name)))
        .collect();
    let rest = count.saturating_sub(names.len());
    let more = if rest > 0 {
        format!(" and {rest} more")
    } else {
        String::new()
    };
    format!("The columns are {}{more}.", names.join(", "))
}

/// A name from outside, safe for a message of one line: control characters become spaces, long names are cut.
pub(crate) fn display_name(name: &str) -> String {
    const MAX_CHARS: usize = 64;
    let mut shown: String = name
        .chars()
        .take(MAX_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if name.chars().nth(MAX_CHARS).is_some() {
        shown.push_str("...");
    }
    shown
}

/// The kind of a JSON value with its article, for messages.
pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
