//! What became of the comparisons and demanded values of a message.

use serde_json::{Map, Value};

use super::MAX_FILTER_CHARS;
use super::details::{self, value_in_words};
use crate::chat::line::{fold, listed};
use crate::chat::refine::values::ValueCondition;
use crate::chat::refine::{Degree, Direction, Refinement, reference_row};
use crate::chat::words::words;

/// How many values of a condition are told.
const MAX_VALUES_SHOWN: usize = 5;

/// A comparison or a demanded value of the message, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefinementNote {
    /// A comparison became a condition.
    Applied {
        /// The words of the message: "younger".
        word: String,
        /// The column.
        column: String,
        /// Which way.
        direction: Direction,
        /// How far.
        degree: Degree,
        /// The label of the row that it is relative to.
        reference_label: String,
        /// That row's value, or for a superlative the bound.
        reference_value: String,
    },
    /// A value that the message demands or excludes became a condition.
    Named {
        /// The words of the message: "only in Pune".
        phrase: String,
        /// The column.
        column: String,
        /// The values.
        values: Vec<String>,
        /// Whether they are excluded.
        negated: bool,
    },
    /// It could not be applied.
    Dropped {
        /// The words of the message.
        word: String,
        /// Why, to follow "because": "no earlier row has an age".
        reason: String,
    },
}

impl RefinementNote {
    /// The note for a refinement beside the rows shown before, with what [`crate::chat::refine::apply`] makes of it.
    ///
    /// `labels` are what the rows are called, in the rows' order; a missing one reads "the row shown before".
    pub fn new(refinement: &Refinement, previous_rows: &[Map<String, Value>], labels: &[String]) -> Self {
        let Some(index) = reference_row(refinement, previous_rows) else {
            let reason = match previous_rows {
                [] => "no rows were shown before".to_owned(),
                _ => format!(
                    "no row shown before has a value for {}",
                    details::name(&refinement.column)
                ),
            };
            return Self::Dropped {
                word: refinement.word.clone(),
                reason,
            };
        };
        let value = previous_rows
            .get(index)
            .and_then(|row| value_in_words(row, &refinement.column));
        Self::Applied {
            word: refinement.word.clone(),
            column: refinement.column.clone(),
            direction: refinement.direction,
            degree: refinement.degree,
            reference_label: labels
                .get(index)
                .map_or("the row shown before", String::as_str)
                .to_owned(),
            reference_value: value.unwrap_or_default(),
        }
    }

    /// How the lead tells it: `younger than Asha (41)`, `only in Pune (city = Pune)`; `None` if it was dropped.
    pub(super) fn in_lead(&self) -> Option<String> {
        let (word, column) = self.applied()?;
        let word = fold(word, MAX_FILTER_CHARS);
        Some(match self {
            Self::Applied {
                direction,
                degree,
                reference_label,
                reference_value,
                ..
            } => {
                let value = fold(reference_value, MAX_FILTER_CHARS);
                match (degree, direction) {
                    (Degree::Comparative, _) => {
                        format!(
                            "{word} than {} ({value})",
                            fold(reference_label, MAX_FILTER_CHARS)
                        )
                    }
                    (Degree::Superlative, Direction::Less) => {
                        format!("{word} ({} at most {value})", details::name(column))
                    }
                    (Degree::Superlative, Direction::Greater) => {
                        format!("{word} ({} at least {value})", details::name(column))
                    }
                }
            }
            _ => format!("{word} ({})", self.as_condition()?),
        })
    }

    /// A demanded value as a condition is told: `city = Pune or Mumbai`, `city is neither Delhi nor Pune`; `None` for other notes.
    pub(super) fn as_condition(&self) -> Option<String> {
        let Self::Named {
            phrase,
            column,
            values,
            negated,
        } = self
        else {
            return None;
        };
        let mut shown: Vec<String> = values
            .iter()
            .take(MAX_VALUES_SHOWN)
            .map(|value| fold(value, MAX_FILTER_CHARS))
            .collect();
        if values.len() > MAX_VALUES_SHOWN {
            shown.push(format!("{} more", values.len() - MAX_VALUES_SHOWN));
        }
        // As the message has it: who "must speak Hindi and Marathi" speaks both.
        let said = |joiner: &str| words(phrase).iter().any(|word| word == joiner);
        let (sign, conjunction) = match (*negated, shown.len()) {
            (true, 0 | 1) => ("is not", "nor"),
            (true, _) => ("is neither", "nor"),
            (false, _) if said("and") && !said("or") => ("=", "and"),
            (false, _) => ("=", "or"),
        };
        Some(format!(
            "{} {sign} {}",
            details::name(column),
            listed(&shown, conjunction)
        ))
    }

    /// The words of the message that became a condition, and the column that it is on.
    pub(super) fn applied(&self) -> Option<(&str, &str)> {
        match self {
            Self::Applied { word, column, .. } => Some((word, column)),
            Self::Named { phrase, column, .. } => Some((phrase, column)),
            Self::Dropped { .. } => None,
        }
    }
}

impl From<&ValueCondition> for RefinementNote {
    fn from(condition: &ValueCondition) -> Self {
        Self::Named {
            phrase: condition.phrase.clone(),
            column: condition.column.clone(),
            values: condition.values.clone(),
            negated: condition.negated,
        }
    }
}
