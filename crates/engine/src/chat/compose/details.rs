//! Which values of a row to tell, and how.

use serde_json::{Map, Value};

use super::ReplyInput;
use crate::chat::line::{fold, listed};
use crate::chat::words::{same_stem, words};
use crate::chat::{Source, is_label_column};

/// How many values a row is told with.
const MAX_DETAILS: usize = 3;
const MAX_VALUE_CHARS: usize = 60;
/// How many elements of an array are told.
const MAX_ELEMENTS: usize = 4;
/// An array with more elements is a vector or a document, not a value to tell.
const MAX_ARRAY_LENGTH: usize = 32;

/// The most telling values: those of the refined and highlighted columns, then those that contain a word of the
/// request, then the rest in the row's order, up to three.
pub(super) fn choose(source: &Source, input: &ReplyInput<'_>, terms: &[String]) -> Vec<String> {
    let mut columns: Vec<&str> = Vec::new();
    let refined = input
        .refinements
        .iter()
        .filter_map(|note| note.applied().map(|(_, column)| column));
    let wanted = refined.chain(input.highlighted.iter().map(String::as_str));
    let mentioned = source
        .row
        .iter()
        .filter(|(_, value)| mentions(value, terms))
        .map(|(column, _)| column.as_str());
    let rest = source.row.keys().map(String::as_str);
    for column in wanted.chain(mentioned).chain(rest) {
        if !columns.contains(&column) && is_telling(column, source, input) {
            columns.push(column);
        }
        if columns.len() == MAX_DETAILS {
            break;
        }
    }
    columns
        .iter()
        .filter_map(|column| Some(format!("{} {}", name(column), shown(source.row.get(*column)?)?)))
        .collect()
}

/// Names, keys, bookkeeping and the content itself tell nothing new; neither does what cannot be shown shortly.
fn is_telling(column: &str, source: &Source, input: &ReplyInput<'_>) -> bool {
    let Some(value) = source.row.get(column) else {
        return false;
    };
    let is_bookkeeping = column == "id"
        || column.ends_with("_id")
        || column.ends_with("_at")
        || matches!(column, "uuid" | "embedding" | "tsv" | "tenant");
    let is_key = value.as_str() == Some(source.key.as_str());
    let is_asked_for = input.highlighted.iter().any(|highlighted| highlighted == column);
    let is_hidden = is_label_column(column) || input.content.iter().any(|content| content == column);
    !is_hidden && (is_asked_for || !(is_bookkeeping || is_key)) && shown(value).is_some()
}

fn mentions(value: &Value, terms: &[String]) -> bool {
    match value {
        Value::String(text) if text.len() <= MAX_VALUE_CHARS * 4 => words(text)
            .iter()
            .any(|word| terms.iter().any(|term| same_stem(word, term))),
        Value::Array(elements) if elements.len() <= MAX_ARRAY_LENGTH => elements
            .iter()
            .any(|element| element.is_string() && mentions(element, terms)),
        _ => false,
    }
}

/// A value in words; `None` for NULL, for empty or long text and for nested values.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null | Value::Object(_) => None,
        Value::Bool(truth) => Some(if *truth { "yes" } else { "no" }.to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => {
            let line = fold(text, MAX_VALUE_CHARS);
            (!line.is_empty() && text.chars().nth(MAX_VALUE_CHARS).is_none()).then_some(line)
        }
        Value::Array(elements) => list(elements),
    }
}

fn list(elements: &[Value]) -> Option<String> {
    if elements.is_empty() || elements.len() > MAX_ARRAY_LENGTH {
        return None;
    }
    let mut texts: Vec<String> = elements
        .iter()
        .take(MAX_ELEMENTS)
        .filter(|element| !element.is_array())
        .filter_map(shown)
        .collect();
    if texts.is_empty() {
        return None;
    }
    if elements.len() > MAX_ELEMENTS {
        texts.push(format!("{} more", elements.len() - MAX_ELEMENTS));
    }
    Some(listed(&texts, "and"))
}

/// A column's name in words: `day rate`.
pub(super) fn name(column: &str) -> String {
    fold(&column.replace('_', " "), MAX_VALUE_CHARS)
}

/// The value of a row's column in words, for messages about it; `None` if there is none to show.
pub fn value_in_words(row: &Map<String, Value>, column: &str) -> Option<String> {
    shown(row.get(column)?)
}
