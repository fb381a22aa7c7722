//! What can be wrong with preferences, in PostgreSQL's message style.

use crate::filter::{ErrorClass, PathError, display_name};

/// An error in `prefer`. Positions count from 1.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PreferError {
    /// `prefer` is not an array.
    #[error("preferences must be a JSON array of objects, not {found}")]
    NotAnArray {
        /// The kind of JSON value found.
        found: &'static str,
    },
    /// An element is not an object.
    #[error("preference {position} must be a JSON object, not {found}")]
    NotAnObject {
        /// Which preference.
        position: usize,
        /// The kind of JSON value found.
        found: &'static str,
    },
    /// More preferences than allowed.
    #[error("there are {count} preferences, the limit is {limit}")]
    TooMany {
        /// How many there are.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// `any_of` with more values than allowed.
    #[error("\"any_of\" of preference {position} has {count} values, the limit is {limit}")]
    TooManyValues {
        /// Which preference.
        position: usize,
        /// How many there are.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A key that means nothing.
    #[error("unknown key \"{}\" in preference {position}", display_name(key))]
    UnknownKey {
        /// Which preference.
        position: usize,
        /// The key.
        key: String,
    },
    /// `column` is missing or not a string.
    #[error("preference {position} needs \"column\" with the name of a column")]
    NoColumn {
        /// Which preference.
        position: usize,
    },
    /// No such column.
    #[error(
        "column \"{}\" named in preference {position} does not exist",
        display_name(column)
    )]
    UnknownColumn {
        /// Which preference.
        position: usize,
        /// The name as given.
        column: String,
        /// The existing name that is closest to it.
        closest: Option<String>,
    },
    /// A path into a column is wrong in itself.
    #[error(transparent)]
    Path(#[from] PathError),
    /// `weight` is missing or not in (0, 1].
    #[error(
        "preference {position} for column \"{}\" needs \"weight\", a number greater than 0 and at most 1",
        display_name(column)
    )]
    InvalidWeight {
        /// Which preference.
        position: usize,
        /// The column.
        column: String,
    },
    /// The weights leave less than nothing to the text.
    #[error("the weights of the preferences sum to {sum}, the limit is 1")]
    WeightsExceedOne {
        /// Their sum.
        sum: f64,
    },
    /// No rule, or several.
    #[error(
        "preference {position} for column \"{}\" has {count} rules, must have exactly one",
        display_name(column)
    )]
    NotOneRule {
        /// Which preference.
        position: usize,
        /// The column.
        column: String,
        /// How many rules it has.
        count: usize,
    },
    /// The rule's value is of the wrong kind.
    #[error(
        "\"{rule}\" of preference {position} for column \"{}\" needs {expected}, not {found}",
        display_name(column)
    )]
    WrongValue {
        /// Which preference.
        position: usize,
        /// The column.
        column: String,
        /// The key whose value it is.
        rule: &'static str,
        /// What would do.
        expected: &'static str,
        /// What was there.
        found: String,
    },
    /// The rule does not suit the column's type.
    #[error(
        "\"{rule}\" of preference {position} needs {expected}, but column \"{}\" is of type {type_name}",
        display_name(column)
    )]
    UnsuitableColumn {
        /// Which preference.
        position: usize,
        /// The column.
        column: String,
        /// Its type.
        type_name: String,
        /// The rule.
        rule: &'static str,
        /// The kind of column that would do.
        expected: &'static str,
    },
}

impl PreferError {
    /// The kind of the error.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::UnknownColumn { .. } => ErrorClass::UndefinedColumn,
            Self::TooMany { .. } | Self::TooManyValues { .. } => ErrorClass::LimitExceeded,
            Self::Path(error) => error.class(),
            _ => ErrorClass::InvalidParameter,
        }
    }

    /// A full sentence with the circumstances, where there is more to say.
    pub fn detail(&self) -> Option<String> {
        None
    }

    /// A full sentence with advice, where there is any.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownColumn {
                closest: Some(closest),
                ..
            } => Some(format!(
                "Perhaps you meant the column \"{}\".",
                display_name(closest)
            )),
            Self::Path(error) => error.hint(),
            Self::UnknownKey { .. } | Self::NotOneRule { .. } => Some(
                "Rules are at_least, at_most, higher, lower, equals, any_of and near with scale; \
                 the other keys are column and weight."
                    .to_owned(),
            ),
            Self::WeightsExceedOne { .. } => {
                Some("What the weights leave of 1 is the weight of the text.".to_owned())
            }
            Self::UnsuitableColumn { rule: "equals", .. } => {
                Some("Use \"any_of\" for a column that is an array.".to_owned())
            }
            _ => None,
        }
    }
}
