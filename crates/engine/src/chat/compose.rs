//! The builtin provider's reply: what was looked for, the rows that fit, and an honest closing line.
//!
//! Every statement comes from the request or from a row; nothing is inferred. The same input gives the same text.

mod details;
#[cfg(test)]
mod tests;

pub use details::value_in_words;

use serde_json::{Map, Value};

use super::line::{capitalised, fold, listed};
use super::refine::{Degree, Direction, Refinement, reference_row};
use super::sentence::best_sentence;
use super::{Source, words};

const MAX_REQUEST_CHARS: usize = 120;
const MAX_FILTER_CHARS: usize = 80;
const MAX_FILTERS_SHOWN: usize = 6;

/// A comparison of the message and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefinementNote {
    /// It became a condition.
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
    /// It could not be applied.
    Dropped {
        /// The words of the message.
        word: String,
        /// Why, to follow "because": "no earlier row has an age".
        reason: String,
    },
}

impl RefinementNote {
    /// The note for a refinement beside the rows shown before, with what [`super::refine::apply`] makes of it.
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
}

/// What a reply is composed of.
#[derive(Debug, Clone, Default)]
pub struct ReplyInput<'a> {
    /// The message answered.
    pub message: &'a str,
    /// The earlier request that the message continues, if it does.
    pub continues: Option<&'a str>,
    /// The hard conditions in words, as [`crate::filter::describe`] gives them, without those of `refinements`.
    pub filters: &'a [String],
    /// The comparisons found.
    pub refinements: &'a [RefinementNote],
    /// The rows found, best first.
    pub sources: &'a [Source],
    /// How many rows were asked for; no more are listed.
    pub limit: usize,
    /// Columns worth showing first: those of the filter and the preferences.
    pub highlighted: &'a [String],
    /// Columns whose text the snippet comes from, which are not shown as values.
    pub content: &'a [String],
    /// Similarity below which no row counts as close, if the model has such a bound.
    pub weak_below: Option<f64>,
}

/// Composes the reply: a lead sentence, a numbered list, a closing line, in lines of their own.
pub fn compose(input: &ReplyInput<'_>) -> String {
    let shown = &input.sources[..input.sources.len().min(input.limit)];
    let mut lines = Vec::new();
    if shown.is_empty() {
        lines.push(format!("Nothing found {}.", searched(input)));
    } else {
        lines.push(format!("{}:", lead(input)));
        let terms = query_terms(input);
        for (number, source) in (1..).zip(shown) {
            lines.push(format!("{number}. {}", item(source, input, &terms)));
        }
    }
    for note in input.refinements {
        if let RefinementNote::Dropped { word, reason } = note {
            lines.push(format!(
                "\"{}\" was not applied, because {}.",
                fold(word, MAX_FILTER_CHARS),
                fold(reason, MAX_REQUEST_CHARS).trim_end_matches('.')
            ));
        }
    }
    lines.push(closing(input, shown));
    lines.join("\n")
}

/// The words that a quoted sentence should contain: those of the whole request that carry content.
fn query_terms(input: &ReplyInput<'_>) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for word in words::words(input.message)
        .into_iter()
        .chain(words::words(input.continues.unwrap_or("")))
    {
        if words::is_content(&word) && !terms.contains(&word) {
            terms.push(word);
        }
    }
    terms
}

/// The lead without its colon: `Younger than Asha (41), continuing from "a funny mother", where city = Mumbai`.
fn lead(input: &ReplyInput<'_>) -> String {
    let applied: Vec<String> = input.refinements.iter().filter_map(applied).collect();
    let mut text = match (applied.is_empty(), input.continues) {
        (false, Some(earlier)) => {
            format!(
                "{}, continuing from {}",
                capitalised(&listed(&applied, "and")),
                quoted(earlier)
            )
        }
        (false, None) => capitalised(&listed(&applied, "and")),
        (true, Some(earlier)) => format!(
            "For {}, continuing from {}",
            quoted(input.message),
            quoted(earlier)
        ),
        (true, None) => format!("For {}", quoted(input.message)),
    };
    text.push_str(&conditions(input.filters));
    text
}

fn applied(note: &RefinementNote) -> Option<String> {
    let RefinementNote::Applied {
        word,
        column,
        direction,
        degree,
        reference_label,
        reference_value,
    } = note
    else {
        return None;
    };
    let word = fold(word, MAX_FILTER_CHARS);
    let value = fold(reference_value, MAX_FILTER_CHARS);
    Some(match (degree, direction) {
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
    })
}

/// What was searched, to follow "Nothing found".
fn searched(input: &ReplyInput<'_>) -> String {
    let mut text = format!("for {}", quoted(input.message));
    if let Some(earlier) = input.continues {
        text.push_str(&format!(", continuing from {}", quoted(earlier)));
    }
    let mut all = input.filters.to_vec();
    all.extend(input.refinements.iter().filter_map(applied));
    text.push_str(&conditions(&all));
    text
}

fn conditions(filters: &[String]) -> String {
    if filters.is_empty() {
        return String::new();
    }
    let mut texts: Vec<String> = filters
        .iter()
        .take(MAX_FILTERS_SHOWN)
        .map(|filter| fold(filter, MAX_FILTER_CHARS))
        .collect();
    match filters.len().saturating_sub(MAX_FILTERS_SHOWN) {
        0 => {}
        1 => texts.push("1 more condition".to_owned()),
        more => texts.push(format!("{more} more conditions")),
    }
    format!(", where {}", listed(&texts, "and"))
}

fn quoted(request: &str) -> String {
    let text = fold(request, MAX_REQUEST_CHARS).replace('"', "'");
    if text.is_empty() {
        return "an empty request".to_owned();
    }
    format!("\"{}\"", text.trim_end_matches('.'))
}

/// One row: `Asha: age 41, city Mumbai. "She dances Kathak."`
fn item(source: &Source, input: &ReplyInput<'_>, terms: &[String]) -> String {
    let label = fold(&source.label, super::line::MAX_LABEL_CHARS);
    let label = if label.is_empty() {
        super::label(&source.row, &source.key)
    } else {
        label
    };
    let mut text = label;
    let details = details::choose(source, input, terms);
    if !details.is_empty() {
        text.push_str(": ");
        text.push_str(&details.join(", "));
    }
    text.push('.');
    let mut wanted = source.matched_terms.clone();
    wanted.extend_from_slice(terms);
    if let Some(sentence) = best_sentence(&source.snippet, &wanted) {
        text.push_str(&format!(" \"{}\"", sentence.replace('"', "'")));
    }
    text
}

fn closing(input: &ReplyInput<'_>, shown: &[Source]) -> String {
    if shown.is_empty() {
        return match loosest(input) {
            Some(condition) => format!("Loosening {condition} may find some."),
            None => "Other words may find some.".to_owned(),
        };
    }
    let best = shown
        .iter()
        .filter_map(|source| source.similarity)
        .reduce(f64::max);
    if let (Some(bound), Some(best)) = (input.weak_below, best)
        && best < bound
    {
        return "None of these is close in meaning to the request; other words may find better ones."
            .to_owned();
    }
    if shown.len() < input.limit {
        let found = match shown.len() {
            1 => "Only 1 row was found".to_owned(),
            count => format!("Only {count} rows were found"),
        };
        return match loosest(input) {
            Some(condition) => format!("{found}; loosening {condition} may find more."),
            None => format!("{found}."),
        };
    }
    "Add or change a condition to narrow this down.".to_owned()
}

/// The condition to loosen first: the comparison just made, else a range, which is a matter of degree, else the last.
fn loosest(input: &ReplyInput<'_>) -> Option<String> {
    let comparison = input.refinements.iter().rev().find_map(|note| match note {
        RefinementNote::Applied { word, .. } => Some(word),
        RefinementNote::Dropped { .. } => None,
    });
    let range = || {
        input
            .filters
            .iter()
            .rev()
            .find(|filter| filter.contains(['<', '>']))
    };
    let condition = comparison.or_else(range).or(input.filters.last())?;
    Some(format!(
        "\"{}\"",
        fold(condition, MAX_FILTER_CHARS).replace('"', "'")
    ))
}
