//! The conversation logic: which earlier messages to show a model, whether a message continues an earlier request,
//! what "younger" and "only in Pune" mean beside the rows shown before, the builtin provider's reply, what a model is
//! told and may ask for, and whether a reply to one message may answer another.
//!
//! Everything here is deterministic and touches neither network nor database. It is made for English messages; in
//! other languages the word lists find nothing, so every message but a very short one stands for itself. Messages
//! and row values are data from outside: only a bounded head of a message is analysed, and what is shown of a value
//! is folded to one line.

pub mod compose;
mod courtesy;
pub mod follow_up;
mod line;
pub mod prompt;
#[cfg(test)]
mod property_tests;
pub mod refine;
pub mod reuse;
pub mod search_call;
mod sentence;
pub mod shelf;
pub mod summary;
pub mod title;
pub mod window;
mod words;

pub use sentence::best_sentence;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions from the operator.
    System,
    /// The person.
    User,
    /// The reply.
    Assistant,
}

/// A stored message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Who said it.
    pub role: Role,
    /// The text.
    pub content: String,
    /// Its size in tokens, as counted by the model or by [`window::estimate_tokens`].
    pub tokens: usize,
}

/// A row that a reply is grounded in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Source {
    /// The row's key as text.
    pub key: String,
    /// What to call the row; see [`label`].
    pub label: String,
    /// The row as `to_jsonb` gives it.
    pub row: Map<String, Value>,
    /// The row's content, or a piece of it, from which the best-fitting sentence is quoted. May be empty.
    pub snippet: String,
    /// Similarity to the query, where it was computed.
    pub similarity: Option<f64>,
    /// The words of the query that full-text search found in the row.
    pub matched_terms: Vec<String>,
}

/// Columns that name a row, the first that has a value wins.
const LABEL_COLUMNS: [&str; 8] = [
    "name",
    "full_name",
    "title",
    "label",
    "display_name",
    "stage_name",
    "username",
    "headline",
];

/// What to call a row: its name or title if a column is called so and has text, else its key. One line.
pub fn label(row: &Map<String, Value>, key: &str) -> String {
    LABEL_COLUMNS
        .into_iter()
        .filter_map(|column| row.get(column).and_then(Value::as_str))
        .map(|text| line::fold(text, line::MAX_LABEL_CHARS))
        .find(|text| !text.is_empty())
        .unwrap_or_else(|| line::fold(key, line::MAX_LABEL_CHARS))
}

fn is_label_column(column: &str) -> bool {
    LABEL_COLUMNS.contains(&column)
}
