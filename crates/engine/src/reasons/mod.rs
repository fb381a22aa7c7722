//! Reasons in words that an end user can be shown, each with a code and parameters from which another language can say the same.
//!
//! The codes are a closed list, which docs/matching.md names with their parameters. Texts are parts of an English sentence, of one line
//! and of bounded length whatever the row holds: rows are data. The glue hands over what a row has and gets [`Reason`]s back; it also
//! asks why a row is *not* there.

mod condition;
mod number;
mod preference;
mod why_not;
mod words;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use condition::conditions;
pub use preference::preference;
pub use why_not::{WhyNot, why_not};

use serde_json::{Map, Value, json};

use words::{one_line, readable};

/// Most reasons of a row.
pub const MAX_REASONS: usize = 40;
/// Most words of one column that are listed.
const MAX_WORDS: usize = 12;
/// From here on a row is called similar in meaning; sentences about different things lie below.
const SIMILAR: f64 = 0.3;

/// What a reason says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "docs/matching.md describes them, by their names in SQL"
)]
pub enum Code {
    FilterEq,
    FilterNe,
    FilterIn,
    FilterNotIn,
    FilterGt,
    FilterGte,
    FilterLt,
    FilterLte,
    FilterBetween,
    FilterContains,
    FilterOverlaps,
    FilterLike,
    FilterIlike,
    FilterGiven,
    FilterNotGiven,
    FilterHeld,
    AtLeastMet,
    AtLeastMissed,
    AtMostMet,
    AtMostMissed,
    Highest,
    HigherPreferred,
    Lowest,
    LowerPreferred,
    EqualsMet,
    EqualsMissed,
    AnyOfMet,
    AnyOfMissed,
    Near,
    NearExactly,
    NotGiven,
    NotANumber,
    MatchedWords,
    Similar,
    Dissimilar,
    NotVisible,
    FilterFailed,
    NotEmbedded,
    NoCommonWord,
    BelowMinSimilarity,
    BeyondCandidates,
    Outranked,
    RemovedByDiversity,
    SkippedByOffset,
}

impl Code {
    /// The name in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::FilterEq => "filter_eq",
            Self::FilterNe => "filter_ne",
            Self::FilterIn => "filter_in",
            Self::FilterNotIn => "filter_not_in",
            Self::FilterGt => "filter_gt",
            Self::FilterGte => "filter_gte",
            Self::FilterLt => "filter_lt",
            Self::FilterLte => "filter_lte",
            Self::FilterBetween => "filter_between",
            Self::FilterContains => "filter_contains",
            Self::FilterOverlaps => "filter_overlaps",
            Self::FilterLike => "filter_like",
            Self::FilterIlike => "filter_ilike",
            Self::FilterGiven => "filter_given",
            Self::FilterNotGiven => "filter_not_given",
            Self::FilterHeld => "filter_held",
            Self::AtLeastMet => "at_least_met",
            Self::AtLeastMissed => "at_least_missed",
            Self::AtMostMet => "at_most_met",
            Self::AtMostMissed => "at_most_missed",
            Self::Highest => "highest",
            Self::HigherPreferred => "higher_preferred",
            Self::Lowest => "lowest",
            Self::LowerPreferred => "lower_preferred",
            Self::EqualsMet => "equals_met",
            Self::EqualsMissed => "equals_missed",
            Self::AnyOfMet => "any_of_met",
            Self::AnyOfMissed => "any_of_missed",
            Self::Near => "near",
            Self::NearExactly => "near_exactly",
            Self::NotGiven => "not_given",
            Self::NotANumber => "not_a_number",
            Self::MatchedWords => "matched_words",
            Self::Similar => "similar",
            Self::Dissimilar => "dissimilar",
            Self::NotVisible => "not_visible",
            Self::FilterFailed => "filter_failed",
            Self::NotEmbedded => "not_embedded",
            Self::NoCommonWord => "no_common_word",
            Self::BelowMinSimilarity => "below_min_similarity",
            Self::BeyondCandidates => "beyond_candidates",
            Self::Outranked => "outranked",
            Self::RemovedByDiversity => "removed_by_diversity",
            Self::SkippedByOffset => "skipped_by_offset",
        }
    }
}

/// One reason.
#[derive(Debug, Clone, PartialEq)]
pub struct Reason {
    /// What it says.
    pub code: Code,
    /// The column that it speaks of.
    pub column: Option<String>,
    /// The values that it names.
    pub params: Map<String, Value>,
    /// It in English.
    pub text: String,
}

impl Reason {
    fn new(code: Code, column: Option<&str>, params: Value, text: String) -> Self {
        let params = match params {
            Value::Object(params) => params
                .into_iter()
                .map(|(name, value)| (name, words::bounded(value)))
                .collect(),
            _ => Map::new(),
        };
        Self {
            code,
            column: column.map(str::to_owned),
            params,
            text: one_line(&text),
        }
    }

    /// As SQL returns it.
    pub fn to_json(&self) -> Value {
        json!({"code": self.code.name(), "column": self.column, "params": self.params, "text": self.text})
    }
}

/// The query's words that stand in a column.
pub fn matched_words(column: &str, words: &[String]) -> Option<Reason> {
    let shown: Vec<String> = words
        .iter()
        .take(MAX_WORDS)
        .map(|word| format!("*{}*", words::shortened(word)))
        .collect();
    let text = format!("{}: {}", readable(column), shown.join(" "));
    let listed: Vec<&String> = words.iter().take(MAX_WORDS).collect();
    (!words.is_empty()).then(|| Reason::new(Code::MatchedWords, Some(column), json!({"words": listed}), text))
}

/// How near the row is to the query in meaning.
pub fn similarity(similarity: f64) -> Reason {
    let (code, words) = if similarity >= SIMILAR {
        (Code::Similar, "similar in meaning")
    } else {
        (Code::Dissimilar, "hardly similar in meaning")
    };
    let rounded = number::rounded(similarity);
    Reason::new(
        code,
        None,
        json!({"similarity": rounded}),
        format!("{words}, {}", number::plain(rounded)),
    )
}

/// Reasons as one sentence.
pub fn sentence(reasons: &[Reason]) -> String {
    let texts: Vec<&str> = reasons.iter().map(|reason| reason.text.as_str()).collect();
    texts.join("; ")
}
