//! Why each row of a result is where it is: the parts of its score, and the same in words.

use crate::matching::rank::Checked;
use crate::matching::ranking::{Ranking, Scored, value_of};
use crate::matching::row_values::RowValues;
use castmatch_engine::options::Reasons;
use castmatch_engine::prefer;
use castmatch_engine::reasons::{self, MAX_REASONS, Reason};
use serde_json::{Map, Value as Json, json};

/// Weight of the text in the score, as `reasons` calls it.
pub(super) const TEXT: &str = "text";

/// What the reasons of all rows of a ranking have in common.
pub(super) struct Because<'a> {
    checked: &'a Checked<'a>,
    /// The query's words as they were written, in the order in which they are told.
    words: Vec<String>,
    ranges: Vec<Option<(f64, f64)>>,
    /// Columns whose values are told whatever is preferred.
    shown: Vec<String>,
}

impl<'a> Because<'a> {
    pub fn new(checked: &'a Checked<'a>, ranking: &Ranking) -> Self {
        Self {
            words: ranking.words.iter().map(|word| word.written.clone()).collect(),
            ranges: ranking.ranges.clone(),
            shown: checked.shown_columns(),
            checked,
        }
    }

    /// The reasons of a row, as the options want them.
    pub fn of(&self, scored: &Scored, values: Option<&RowValues>) -> Json {
        match self.checked.search.options.reasons {
            Reasons::Left => Json::Null,
            Reasons::Text => Json::String(reasons::sentence(&self.told(scored, values))),
            Reasons::Full => self.full(scored, values),
        }
    }

    fn full(&self, scored: &Scored, values: Option<&RowValues>) -> Json {
        let no_columns = Map::new();
        let columns = values.map_or(&no_columns, |values| &values.columns);
        let preferences = &self.checked.preferences;
        let preferred: Vec<Json> = preferences
            .iter()
            .zip(&scored.parts)
            .map(|(preference, part)| {
                json!({
                    "column": preference.name(), "rule": preference.rule.name(), "weight": preference.weight,
                    "score": part, "value": value_of(columns, preference),
                })
            })
            .collect();
        let shown: Map<String, Json> = self
            .shown
            .iter()
            .map(|column| (column.clone(), columns.get(column).cloned().unwrap_or_default()))
            .collect();
        let because: Vec<Json> = self.told(scored, values).iter().map(Reason::to_json).collect();
        json!({
            TEXT: {
                "weight": prefer::text_weight(preferences), "score": scored.row.score,
                "mode": self.checked.search.mode.name(), "matched_terms": self.matched(values),
            },
            "preferences": preferred,
            "columns": shown,
            "because": because,
        })
    }

    /// The query's words that stand in the row, in whichever column.
    pub fn matched(&self, values: Option<&RowValues>) -> Vec<&String> {
        let found = |word: &&String| {
            values.is_some_and(|values| values.words.iter().any(|words| words.contains(word)))
        };
        self.words.iter().filter(found).collect()
    }

    /// The reasons in words: what the filter asked, what the preferences wanted, the words, the meaning.
    pub fn told(&self, scored: &Scored, values: Option<&RowValues>) -> Vec<Reason> {
        let no_columns = Map::new();
        let columns = values.map_or(&no_columns, |values| &values.columns);
        let mut told = reasons::conditions(&self.checked.conjuncts, |column| {
            self.checked.filter.value_in(columns, column)
        });
        let preferences = self.checked.preferences.iter().zip(&self.ranges);
        told.extend(preferences.map(|(preference, range)| {
            reasons::preference(preference, value_of(columns, preference), *range)
        }));
        let words = values.map(|values| values.words.as_slice()).unwrap_or_default();
        let content = self.checked.attachment.content_names.iter().zip(words);
        told.extend(content.filter_map(|(column, words)| reasons::matched_words(column, words)));
        let similarity = scored
            .row
            .similarity
            .or(values.and_then(|values| values.similarity));
        told.extend(similarity.map(reasons::similarity));
        told.truncate(MAX_REASONS);
        told
    }
}
