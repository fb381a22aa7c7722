//! Comparatives and superlatives in plain English as hard conditions relative to the rows shown before.
//!
//! After a first answer, "someone younger" means: younger than the best row of that answer. [`detect`] finds such
//! words and the column that each is about, [`apply`] turns one into a filter. A word is taken only if the table has
//! a fitting column, if it is not negated ("not older"), and if the message names no standard of its own ("older
//! than 40", "older than Asha"), which says something else than older than the row shown.

mod columns;
mod lexicon;
#[cfg(test)]
mod tests;
pub mod values;

use serde_json::{Map, Value, json};
use unicode_segmentation::UnicodeSegmentation;

use self::columns::find_column;
use super::words::head;
use crate::filter::Column;

pub(super) use self::lexicon::known_comparison;

/// Which way a value has to differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Smaller, or earlier for dates.
    Less,
    /// Greater, or later for dates.
    Greater,
}

/// The degree of the adjective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degree {
    /// "cheaper": strictly beyond the best row shown.
    Comparative,
    /// "cheapest": no worse than the most extreme row shown, which may be that row itself.
    Superlative,
}

/// A comparison found in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refinement {
    /// The words of the message, in lower case: "more experienced".
    pub word: String,
    /// The column it is about.
    pub column: String,
    /// Which way.
    pub direction: Direction,
    /// How far.
    pub degree: Degree,
}

/// How many words before a comparison a "not" still reaches.
const NEGATION_REACH: usize = 3;

/// The comparisons in a message, at most one per column, in the message's order.
///
/// Only numeric and date columns count. Two comparisons that pull one column both ways cancel each other out.
pub fn detect(message: &str, columns: &[Column]) -> Vec<Refinement> {
    let mut found: Vec<Refinement> = Vec::new();
    let mut contradicted: Vec<String> = Vec::new();
    for clause in clauses(head(message)) {
        let mut position = 0;
        while position < clause.len() {
            let Some(comparison) = lexicon::comparison_at(&clause[position..]) else {
                position += 1;
                continue;
            };
            let end = position + comparison.length;
            let is_usable = !is_negated(&clause[..position]) && !names_standard(&clause[end..]);
            let target = if is_usable {
                find_column(&comparison.targets, columns)
            } else {
                None
            };
            if let Some((column, direction)) = target {
                match found.iter().find(|refinement| refinement.column == column) {
                    Some(earlier) if earlier.direction != direction => contradicted.push(column.to_owned()),
                    Some(_) => {}
                    None => found.push(Refinement {
                        word: clause[position..end].join(" "),
                        column: column.to_owned(),
                        direction,
                        degree: comparison.degree,
                    }),
                }
            }
            position = end;
        }
    }
    found.retain(|refinement| !contradicted.contains(&refinement.column));
    found
}

/// The message's words, split where a negation stops reaching: at punctuation and at "but" or "and".
fn clauses(text: &str) -> Vec<Vec<String>> {
    let mut clauses: Vec<Vec<String>> = vec![Vec::new()];
    for segment in text.split_word_bounds() {
        let word = segment.to_lowercase().replace('’', "'");
        let is_word = word.chars().any(char::is_alphanumeric);
        let splits = matches!(word.as_str(), "but" | "and" | "," | "." | ";" | ":" | "!" | "?");
        match clauses.last_mut() {
            Some(clause) if is_word && !splits => clause.push(word),
            _ if splits => clauses.push(Vec::new()),
            _ => {}
        }
    }
    clauses
}

fn is_negated(before: &[String]) -> bool {
    let start = before.len().saturating_sub(NEGATION_REACH);
    before[start..].iter().any(|word| is_negation(word))
}

/// Whether a word in lower case negates what follows.
fn is_negation(word: &str) -> bool {
    matches!(
        word,
        "not" | "no" | "never" | "nor" | "neither" | "without" | "cannot" | "dont"
    ) || word.ends_with("n't")
}

/// Whether "than" and something other than a reference to the rows shown follows.
fn names_standard(after: &[String]) -> bool {
    let [than, standard @ ..] = after else {
        return false;
    };
    if than != "than" {
        return false;
    }
    let skip = usize::from(standard.first().is_some_and(|word| word == "the"));
    !standard.get(skip).is_none_or(|word| {
        matches!(
            word.as_str(),
            "he" | "her"
                | "hers"
                | "him"
                | "his"
                | "she"
                | "they"
                | "them"
                | "theirs"
                | "it"
                | "that"
                | "this"
                | "these"
                | "those"
                | "one"
                | "ones"
                | "before"
                | "first"
                | "last"
                | "previous"
                | "others"
                | "rest"
        )
    })
}

/// The index of the row that a refinement is relative to: the first with a usable value, that is a number, or text
/// for a date; for a superlative, the row with the most extreme one. `None` if no row has one.
pub fn reference_row(refinement: &Refinement, previous_rows: &[Map<String, Value>]) -> Option<usize> {
    let mut values = previous_rows.iter().enumerate().filter_map(|(index, row)| {
        Some((
            index,
            row.get(&refinement.column).filter(|value| is_usable(value))?,
        ))
    });
    let first = values.next()?;
    let better = |candidate: &Value, best: &Value| match refinement.direction {
        Direction::Less => less(candidate, best),
        Direction::Greater => less(best, candidate),
    };
    Some(match refinement.degree {
        Degree::Comparative => first.0,
        Degree::Superlative => {
            values
                .fold(
                    first,
                    |best, next| if better(next.1, best.1) { next } else { best },
                )
                .0
        }
    })
}

/// The filter that a refinement means beside the rows shown before, best row first.
///
/// A comparative is strict and relative to the best row that has a value: `{"age": {"lt": 41}}`. A superlative
/// includes the most extreme value shown: `{"age": {"lte": 36}}`. `None` if [`reference_row`] finds no row.
pub fn apply(refinement: &Refinement, previous_rows: &[Map<String, Value>]) -> Option<Value> {
    let row = previous_rows.get(reference_row(refinement, previous_rows)?)?;
    let value = row.get(&refinement.column)?;
    let operator = match (refinement.degree, refinement.direction) {
        (Degree::Comparative, Direction::Less) => "lt",
        (Degree::Comparative, Direction::Greater) => "gt",
        (Degree::Superlative, Direction::Less) => "lte",
        (Degree::Superlative, Direction::Greater) => "gte",
    };
    Some(json!({ filter_key(&refinement.column): { operator: value } }))
}

/// The column as a key of a filter. One called "or" would read as a combinator; in quotes it cannot.
fn filter_key(column: &str) -> String {
    match column {
        "and" | "or" | "not" => format!("\"{column}\""),
        name if name.starts_with('"') && name.ends_with('"') => format!("\"{}\"", name.replace('"', "\"\"")),
        name => name.to_owned(),
    }
}

fn is_usable(value: &Value) -> bool {
    value.is_number()
        || value
            .as_str()
            .is_some_and(|text| !text.is_empty() && text != "NaN")
}

/// Numbers by value; dates as jsonb writes them (ISO 8601), which sort as text.
fn less(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a < b,
            _ => a.as_f64() < b.as_f64(),
        },
        _ => a.as_str() < b.as_str(),
    }
}
