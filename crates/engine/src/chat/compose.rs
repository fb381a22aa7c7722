//! The builtin provider's reply: what was looked for, the rows that fit, and an honest closing line.
//!
//! Every statement comes from the request or from a row; nothing is inferred. The same input gives the same text.

mod details;
mod note;
mod small_talk;
#[cfg(test)]
mod tests;

pub use details::value_in_words;
pub use note::RefinementNote;
pub use small_talk::small_talk;

use super::line::{capitalised, fold, listed};
use super::sentence::best_sentence;
use super::{Source, words};

const MAX_REQUEST_CHARS: usize = 120;
const MAX_FILTER_CHARS: usize = 80;
const MAX_FILTERS_SHOWN: usize = 6;

/// What a reply is composed of.
#[derive(Debug, Clone, Default)]
pub struct ReplyInput<'a> {
    /// The message answered.
    pub message: &'a str,
    /// The earlier request that the message continues, if it does.
    pub continues: Option<&'a str>,
    /// The hard conditions in words, as [`crate::filter::describe`] gives them, without those of `refinements`.
    pub filters: &'a [String],
    /// The comparisons and demanded values found.
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
    /// Where nothing was found, the words of a condition without which there would be rows, if one is known.
    pub without: Option<&'a str>,
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
    // Without an earlier request the values demanded are part of the message, which is quoted.
    let stands_alone = input.continues.is_none();
    let is_told = |note: &&RefinementNote| !(stands_alone && matches!(note, RefinementNote::Named { .. }));
    let applied: Vec<String> = input
        .refinements
        .iter()
        .filter(is_told)
        .filter_map(RefinementNote::in_lead)
        .collect();
    let mut text = if applied.is_empty() {
        format!("For {}", quoted(input.message))
    } else {
        capitalised(&listed(&applied, "and"))
    };
    if let Some(earlier) = input.continues {
        text.push_str(&format!(", continuing from {}", quoted(earlier)));
    }
    let mut all = input.filters.to_vec();
    if stands_alone {
        all.extend(input.refinements.iter().filter_map(RefinementNote::as_condition));
    }
    text.push_str(&conditions(&all));
    text
}

/// What was searched, to follow "Nothing found".
fn searched(input: &ReplyInput<'_>) -> String {
    let mut text = format!("for {}", quoted(input.message));
    if let Some(earlier) = input.continues {
        text.push_str(&format!(", continuing from {}", quoted(earlier)));
    }
    let mut all = input.filters.to_vec();
    all.extend(
        input
            .refinements
            .iter()
            .filter_map(|note| note.as_condition().or_else(|| note.in_lead())),
    );
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

/// What could not be satisfied, and what to do about it.
fn closing(input: &ReplyInput<'_>, shown: &[Source]) -> String {
    if shown.is_empty() {
        return match (input.without, loosest(input)) {
            (Some(condition), _) => format!("Without {} there would be rows.", condition_quoted(condition)),
            (None, Some(condition)) => format!("Loosening {condition} may find some."),
            (None, None) => "Other words may find some.".to_owned(),
        };
    }
    let best = shown
        .iter()
        .filter_map(|source| source.similarity)
        .reduce(f64::max);
    let is_weak = matches!((input.weak_below, best), (Some(bound), Some(best)) if best < bound);
    let found = match shown.len() {
        count if count >= input.limit => None,
        1 => Some("Only 1 row was found".to_owned()),
        count => Some(format!("Only {count} rows were found")),
    };
    match (found, is_weak) {
        (Some(found), true) if shown.len() == 1 => {
            format!(
                "{found}, and it is not close in meaning to the request; other words may find better ones."
            )
        }
        (Some(found), true) => {
            format!("{found}, and none is close in meaning to the request; other words may find better ones.")
        }
        (None, true) => {
            "None of these is close in meaning to the request; other words may find better ones.".to_owned()
        }
        (Some(found), false) => match loosest(input) {
            Some(condition) => format!("{found}; loosening {condition} may find more."),
            None => format!("{found}."),
        },
        (None, false) => "Add or change a condition to narrow this down.".to_owned(),
    }
}

fn condition_quoted(condition: &str) -> String {
    format!("\"{}\"", fold(condition, MAX_FILTER_CHARS).replace('"', "'"))
}

/// The condition to loosen first: what the message itself just demanded, else a range, which is a matter of degree, else
/// the last.
fn loosest(input: &ReplyInput<'_>) -> Option<String> {
    let demanded = input
        .refinements
        .iter()
        .rev()
        .find_map(|note| note.applied().map(|(word, _)| word));
    let range = || {
        input
            .filters
            .iter()
            .rev()
            .find(|filter| filter.contains(['<', '>']))
            .map(String::as_str)
    };
    let condition = demanded
        .or_else(range)
        .or(input.filters.last().map(String::as_str))?;
    Some(condition_quoted(condition))
}
