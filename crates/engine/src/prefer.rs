//! Soft preferences of `match`: parsed against the table's columns, then scored per row.
//!
//! Each preference takes a weight of the score, the text keeps the rest ([`text_weight`]), and the score of a row is
//! the weighted sum ([`combine`]). Every part lies in [0, 1]; a value that is NULL or not of the expected kind
//! scores 0, never an error, because rows are data. The glue parses once per search and scores the candidates.
//!
//! ```text
//! prefer := [ { "column": name, "weight": (0, 1], exactly one rule }, … ]       weights sum to at most 1
//! name   := a column, or a path into a jsonb or json column as in a filter: "profile.height"
//! rule   := "at_least": number | "at_most": number | "higher": true | "lower": true | "equals": scalar
//!         | "any_of": [scalar, …] | "near": number, "scale": number > 0
//! ```

mod error;
mod parse;
mod score;
#[cfg(test)]
mod tests;

pub use error::PreferError;
pub use parse::{MAX_PREFERENCES, parse};
pub use score::{combine, observed_range, score, text_weight};

use serde_json::{Map, Value};

use crate::filter::{Reference, value_at};

/// One preference.
#[derive(Debug, Clone, PartialEq)]
pub struct Preference {
    /// The column it looks at.
    pub column: String,
    /// Where in the column's JSON it looks; empty for the column itself. The kind of value found there is known only
    /// in each row, so every rule may be used.
    pub path: Vec<String>,
    /// Its part of the score, in (0, 1].
    pub weight: f64,
    /// What it rewards.
    pub rule: Rule,
}

impl Preference {
    /// The column or path as `prefer` writes it.
    pub fn name(&self) -> String {
        let reference = Reference {
            column: self.column.clone(),
            path: self.path.clone(),
        };
        reference.to_string()
    }

    /// The value that [`score`] is to judge, out of a row's columns; null where there is none.
    pub fn value_in<'v>(&self, columns: &'v Map<String, Value>) -> &'v Value {
        columns
            .get(&self.column)
            .map_or(&Value::Null, |value| value_at(value, &self.path))
    }
}

/// What a preference rewards. The formulas are those of [`score`], with v the row's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// 1 if v >= m, else max(0, v / m) for m > 0 and 0 otherwise.
    AtLeast(f64),
    /// 1 if v <= m, else m / v for m > 0 and 0 otherwise.
    AtMost(f64),
    /// (v - min) / (max - min) over the candidates; 1 if they are all equal.
    Higher,
    /// (max - v) / (max - min) over the candidates; 1 if they are all equal.
    Lower,
    /// 1 if v equals the value, else 0. Text is compared exactly, dates as jsonb writes them (`2026-03-01`).
    Equals(Value),
    /// 1 if v is one of the values or, for an array, has at least one of them; else 0.
    AnyOf(Vec<Value>),
    /// 0.5 ^ (|v - value| / scale): 1 at the value, one half at a distance of `scale`, a quarter at twice that.
    Near {
        /// The ideal.
        value: f64,
        /// The distance at which the score has halved, in the column's unit, greater than 0.
        scale: f64,
    },
}

impl Rule {
    /// The name as `prefer` writes it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AtLeast(_) => "at_least",
            Self::AtMost(_) => "at_most",
            Self::Higher => "higher",
            Self::Lower => "lower",
            Self::Equals(_) => "equals",
            Self::AnyOf(_) => "any_of",
            Self::Near { .. } => "near",
        }
    }

    /// Whether [`score`] needs the range observed over the candidates.
    pub fn is_relative(&self) -> bool {
        matches!(self, Self::Higher | Self::Lower)
    }
}
