//! Why a row is not in a result.

use serde_json::{Value, json};

use super::words::{params, readable, shown};
use super::{Code, Reason, number};

/// What keeps a row out.
#[derive(Debug, Clone, PartialEq)]
pub enum WhyNot<'a> {
    /// There is no such row, or the caller may not see it: which of the two is not told.
    NotVisible,
    /// A condition of the filter does not hold.
    FilterFailed {
        /// The condition in words.
        condition: &'a str,
        /// The column that it tests, with the row's value, unless it is a combination.
        tested: Option<(&'a str, &'a Value)>,
    },
    /// The row has no embedding.
    NotEmbedded {
        /// `pending`, `failed` or `missing`.
        state: &'static str,
    },
    /// No word of the query stands in the row.
    NoCommonWord,
    /// It is less similar than asked.
    BelowMinSimilarity {
        /// Its similarity.
        similarity: f64,
        /// The bound.
        bound: f64,
    },
    /// Neither leg had it among the rows that it contributes.
    BeyondCandidates {
        /// Its exact rank by meaning, if it has one.
        semantic_rank: Option<i64>,
        /// Rows that a leg contributes.
        candidates: usize,
    },
    /// Other rows are better.
    Outranked {
        /// Its position from 1.
        position: usize,
        /// The position of the last row returned.
        last: usize,
        /// Its score.
        score: f64,
        /// The score of the last row returned.
        last_score: Option<f64>,
    },
    /// It is too much like rows before it.
    RemovedByDiversity {
        /// Its position before diversity counted.
        position: usize,
        /// The position of the last row returned.
        last: usize,
    },
    /// It comes before the first row returned.
    SkippedByOffset {
        /// Its position from 1.
        position: usize,
        /// Rows that were skipped.
        offset: usize,
    },
}

/// It in words.
pub fn why_not(why: &WhyNot) -> Reason {
    let (code, params, text) = match *why {
        WhyNot::NotVisible => (
            Code::NotVisible,
            json!({}),
            "no row with that key is visible".to_owned(),
        ),
        WhyNot::FilterFailed { condition, tested } => return filter_failed(condition, tested),
        WhyNot::NotEmbedded { state } => {
            let text = match state {
                "pending" => "its embedding is not computed yet",
                "failed" => "its embedding could not be computed",
                _ => "it has no embedding",
            };
            (Code::NotEmbedded, json!({"state": state}), text.to_owned())
        }
        WhyNot::NoCommonWord => (
            Code::NoCommonWord,
            json!({}),
            "no word of the query stands in it".to_owned(),
        ),
        WhyNot::BelowMinSimilarity { similarity, bound } => (
            Code::BelowMinSimilarity,
            json!({"similarity": similarity, "min_similarity": bound}),
            format!(
                "similarity {}, at least {} asked",
                number::plain(similarity),
                number::plain(bound)
            ),
        ),
        WhyNot::BeyondCandidates {
            semantic_rank,
            candidates,
        } => {
            let rank = semantic_rank.map_or(String::new(), |rank| format!("rank {rank} by meaning, "));
            let text = format!("{rank}not among the {candidates} rows that each leg looks at");
            (
                Code::BeyondCandidates,
                json!({"semantic_rank": semantic_rank, "candidates": candidates}),
                text,
            )
        }
        WhyNot::Outranked {
            position,
            last,
            score,
            last_score,
        } => {
            let params =
                json!({"position": position, "last": last, "score": score, "last_score": last_score});
            let compared = last_score.map_or(String::new(), |last| {
                format!(
                    ", whose score is {} against {}",
                    number::plain(last),
                    number::plain(score)
                )
            });
            let text = format!("position {position}, the last row returned is {last}{compared}");
            (Code::Outranked, params, text)
        }
        WhyNot::RemovedByDiversity { position, last } => (
            Code::RemovedByDiversity,
            json!({"position": position, "last": last}),
            format!("position {position} by its score, but too much like rows before it"),
        ),
        WhyNot::SkippedByOffset { position, offset } => (
            Code::SkippedByOffset,
            json!({"position": position, "offset": offset}),
            format!("position {position}, the first {offset} rows were skipped"),
        ),
    };
    Reason::new(code, None, params, text)
}

fn filter_failed(condition: &str, tested: Option<(&str, &Value)>) -> Reason {
    let Some((column, value)) = tested else {
        let text = format!("{condition} does not hold");
        return Reason::new(Code::FilterFailed, None, json!({"condition": condition}), text);
    };
    let has = match value {
        Value::Null => format!("{} is not given", readable(column)),
        value => format!("{} is {}", readable(column), shown(value)),
    };
    let condition_value = json!(condition);
    Reason::new(
        Code::FilterFailed,
        Some(column),
        params([("condition", &condition_value), ("value", value)]),
        format!("{condition} does not hold: {has}"),
    )
}
