//! Ranking the rows of an attached table: both legs, their fusion, preferences, diversity. `match` shows the top of a ranking,
//! `match_explain` the place of one row in it.

use crate::error::{Result, error};
use crate::matching::legs::{self, Word};
use crate::matching::rank::{Checked, Match, Meaning};
use crate::matching::reasons::Because;
use crate::matching::row_values::{RowValues, Source, Wanted};
use crate::pg::interrupt::Cancellable;
use crate::pg::spi::Session;
use castmatch_engine::diversity::{self, Candidate};
use castmatch_engine::fusion::{self, Fused, Mode, SemanticHit, TextHit};
use castmatch_engine::options::{Diversity, MAX_DIVERSE, Reasons};
use castmatch_engine::prefer::{self, Preference};
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use serde_json::{Map, Value as Json};
use std::collections::{BTreeSet, HashMap};

/// How much of a ranking is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// As many rows as are to be shown.
    Top,
    /// Every candidate.
    All,
}

/// What the legs found.
pub(super) struct Legs {
    pub semantic: Vec<SemanticHit>,
    pub text: Vec<TextHit>,
    /// Rows that each leg contributes at most.
    pub candidates: usize,
}

/// A candidate with its score and the scores of the preferences.
pub(super) struct Scored {
    pub row: Fused,
    pub score: f64,
    pub parts: Vec<f64>,
}

/// The candidates in order, and what was fetched of them.
pub(super) struct Ranking {
    /// The query's words.
    pub words: Vec<Word>,
    /// Best first, after diversity.
    pub order: Vec<Scored>,
    /// The positions from 0 that the rows of `order` had by their scores, where diversity counted.
    pub by_score: Option<Vec<usize>>,
    /// What the rows have, by key.
    pub rows: HashMap<String, RowValues>,
    /// For each preference the smallest and the largest value among the candidates.
    pub ranges: Vec<Option<(f64, f64)>>,
    pub legs: Legs,
}

impl Checked<'_> {
    /// The rows of the result.
    ///
    /// # Errors
    /// As the statements raise them.
    pub fn matches(&self, session: &Session, meaning: &Meaning) -> Result<Vec<Match>> {
        let mut ranking = self.ranking(session, meaning, Extent::Top)?;
        let (offset, k) = (self.search.options.offset, self.search.k);
        let shown: Vec<Scored> = ranking.order.drain(..).skip(offset).take(k).collect();
        let keys: Vec<String> = shown.iter().map(|scored| scored.row.key.clone()).collect();
        let reasons = self.search.options.reasons != Reasons::Left;
        let columns = self.shown_columns();
        let wanted = Wanted {
            columns: if reasons { &columns } else { &[] },
            similarity: !self.weighs() && shown.iter().any(|scored| scored.row.similarity.is_none()),
            embedding: false,
            words: reasons,
        };
        self.source(meaning, &ranking.words)
            .fetch(session, &keys, wanted, &mut ranking.rows)?;
        let because = Because::new(self, &ranking);
        Ok(shown
            .into_iter()
            .map(|scored| {
                let values = ranking.rows.get(&scored.row.key);
                let reasons = because.of(&scored, values);
                Match {
                    similarity: scored
                        .row
                        .similarity
                        .or(values.and_then(|values| values.similarity)),
                    key: scored.row.key,
                    score: scored.score,
                    semantic_rank: scored.row.semantic_rank,
                    text_rank: scored.row.text_rank,
                    reasons,
                }
            })
            .collect())
    }

    /// The candidates in order.
    ///
    /// # Errors
    /// As the statements raise them.
    pub fn ranking(&self, session: &Session, meaning: &Meaning, extent: Extent) -> Result<Ranking> {
        let options = self.search.options;
        let words = self.words()?;
        let legs = self.legs(session, meaning, &words)?;
        let wanted = self.search.k.saturating_add(options.offset);
        // What is weighed may lift any candidate into the result.
        let kept = if self.weighs() || options.diversity.is_some() || extent == Extent::All {
            usize::MAX
        } else {
            wanted
        };
        let mut fused = fusion::fuse(
            &legs.semantic,
            &legs.text,
            self.search.mode,
            kept,
            &options.fusion,
        );
        let mut rows = HashMap::new();
        let source = self.source(meaning, &words);
        if self.weighs() {
            let keys: Vec<String> = fused.iter().map(|row| row.key.clone()).collect();
            let columns = self.preferred_columns();
            let wanted = Wanted {
                columns: &columns,
                similarity: fused.iter().any(|row| row.similarity.is_none()),
                embedding: options.diversity.is_some() && keys.len() <= MAX_DIVERSE,
                words: false,
            };
            source.fetch(session, &keys, wanted, &mut rows)?;
        }
        for row in &mut fused {
            row.similarity = row
                .similarity
                .or_else(|| rows.get(&row.key).and_then(|values| values.similarity));
        }
        if let Some(bound) = options.min_similarity {
            fused.retain(|row| row.similarity.is_some_and(|similarity| similarity >= bound));
        }
        let ranges = self.ranges(&fused, &rows);
        let scored = self.score(fused, &rows, &ranges);
        let (order, by_score) = match options.diversity {
            None => (scored, None),
            Some(diversity) => {
                let (order, by_score) = diversify(session, &source, scored, &mut rows, diversity, wanted)?;
                (order, Some(by_score))
            }
        };
        Ok(Ranking {
            words,
            order,
            by_score,
            rows,
            ranges,
            legs,
        })
    }

    /// The query's words, where they are looked for or told.
    fn words(&self) -> Result<Vec<Word>> {
        let is_told = self.search.options.reasons != Reasons::Left;
        match self.search.query.text() {
            Some(text) if is_told || self.search.mode != Mode::Semantic => {
                legs::words(&self.attachment, text)
            }
            _ => Ok(Vec::new()),
        }
    }

    fn legs(&self, session: &Session, meaning: &Meaning, words: &[Word]) -> Result<Legs> {
        let (attachment, filter) = (&self.attachment, &self.filter);
        let candidates = self.search.options.leg_rows(self.search.k, self.search.mode);
        let mut semantic = match &meaning.vector {
            Some(vector) => {
                // The row itself is found too, and taken out.
                let limit = candidates + usize::from(meaning.excluded.is_some());
                legs::semantic(session, attachment, filter, vector, limit)?
            }
            None => Vec::new(),
        };
        if let Some(excluded) = &meaning.excluded {
            semantic.retain(|hit| &hit.key != excluded);
            semantic.truncate(candidates);
        }
        let text = match self.search.mode {
            Mode::Semantic => Vec::new(),
            Mode::Hybrid | Mode::Text => legs::text(session, attachment, filter, words, candidates)?,
        };
        Ok(Legs {
            semantic,
            text,
            candidates,
        })
    }

    /// Whether more than the legs decides which rows are in the result.
    fn weighs(&self) -> bool {
        !self.preferences.is_empty() || self.search.options.min_similarity.is_some()
    }

    /// The columns that preferences judge.
    pub fn preferred_columns(&self) -> Vec<String> {
        let columns = self
            .preferences
            .iter()
            .map(|preference| preference.column.clone());
        columns.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The columns that reasons tell whatever is preferred.
    pub fn shown_columns(&self) -> Vec<String> {
        let columns = self.filter.columns().iter().chain(&self.attachment.filters);
        columns.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Where the values of rows come from.
    pub fn source<'s>(&'s self, meaning: &'s Meaning, words: &'s [Word]) -> Source<'s> {
        Source {
            attachment: &self.attachment,
            vector: meaning.vector.as_deref(),
            words,
        }
    }

    fn ranges(&self, fused: &[Fused], rows: &HashMap<String, RowValues>) -> Vec<Option<(f64, f64)>> {
        let observed = |preference: &Preference| {
            let values = fused.iter().filter_map(|row| rows.get(&row.key));
            prefer::observed_range(values.map(|values| value_of(&values.columns, preference)))
        };
        self.preferences.iter().map(observed).collect()
    }

    /// The score of each preference for a row.
    pub fn parts(&self, columns: Option<&Map<String, Json>>, ranges: &[Option<(f64, f64)>]) -> Vec<f64> {
        self.preferences
            .iter()
            .zip(ranges)
            .map(|(preference, range)| {
                let value = columns.map_or(&Json::Null, |columns| value_of(columns, preference));
                prefer::score(&preference.rule, value, *range)
            })
            .collect()
    }

    fn score(
        &self,
        fused: Vec<Fused>,
        rows: &HashMap<String, RowValues>,
        ranges: &[Option<(f64, f64)>],
    ) -> Vec<Scored> {
        let mut scored: Vec<Scored> = fused
            .into_iter()
            .map(|row| {
                let columns = rows.get(&row.key).map(|values| &values.columns);
                let parts = self.parts(columns, ranges);
                Scored {
                    score: prefer::combine(row.score, &self.preferences, &parts),
                    row,
                    parts,
                }
            })
            .collect();
        // Stable: rows of equal score keep the order of the fusion, which breaks ties by key.
        scored.sort_by(|a, b| b.score.total_cmp(&a.score));
        scored
    }
}

/// The value that a preference judges.
pub(super) fn value_of<'v>(columns: &'v Map<String, Json>, preference: &Preference) -> &'v Json {
    preference.value_in(columns)
}

/// Puts the rows that diversity chooses first, as many as are wanted; the others keep their order behind them. Also gives the
/// position that each had before.
fn diversify(
    session: &Session,
    source: &Source,
    scored: Vec<Scored>,
    rows: &mut HashMap<String, RowValues>,
    diversity: Diversity,
    wanted: usize,
) -> Result<(Vec<Scored>, Vec<usize>)> {
    let pool = diversity.pool(wanted).min(scored.len());
    let keys: Vec<String> = scored
        .iter()
        .take(pool)
        .map(|scored| scored.row.key.clone())
        .collect();
    let is_known = |key: &String| rows.get(key).is_some_and(|values| values.embedding.is_some());
    let unknown: Vec<String> = keys.iter().filter(|key| !is_known(key)).cloned().collect();
    let wanted_of_rows = Wanted {
        embedding: true,
        ..Wanted::default()
    };
    source.fetch(session, &unknown, wanted_of_rows, rows)?;
    let candidates: Vec<Candidate> = scored
        .iter()
        .take(pool)
        .map(|scored| Candidate {
            score: scored.score,
            vector: rows
                .get(&scored.row.key)
                .and_then(|values| values.embedding.clone()),
        })
        .collect();
    let chosen = diversity::choose(&candidates, diversity.lambda, wanted.min(pool), &Cancellable)
        .map_err(|_| error(PgSqlErrorCode::ERRCODE_QUERY_CANCELED, "canceled"))?;
    let mut places: Vec<usize> = chosen.clone();
    let is_chosen: BTreeSet<usize> = chosen.into_iter().collect();
    places.extend((0..scored.len()).filter(|place| !is_chosen.contains(place)));
    let mut left: Vec<Option<Scored>> = scored.into_iter().map(Some).collect();
    let order = places
        .iter()
        .filter_map(|&place| left.get_mut(place)?.take())
        .collect();
    Ok((order, places))
}
