//! Ranking the rows of an attached table: both legs, their fusion, preferences, and why each row is where it is.

use crate::cache::Usage;
use crate::embed;
use crate::error::{Result, invalid_argument, prefer_error};
use crate::matching::attachment::Attachment;
use crate::matching::cached;
use crate::matching::legs::{self, BoundFilter, Word};
use crate::matching::reasons::{self, Scored, TEXT};
use crate::matching::target;
use crate::pg::spi::{Access, Session, session};
use castmatch_engine::cache::Kind;
use castmatch_engine::fusion::{self, Fused, Fusion, Mode};
use castmatch_engine::prefer::{self, Preference};
use pgrx::pg_sys;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Instant;

/// Most rows that one search can ask for.
pub const MAX_K: i32 = 10_000;
/// Rows that each leg contributes for each row asked for, at least and at most.
const CANDIDATES_PER_ROW: usize = 5;
const MIN_CANDIDATES: usize = 100;
const MAX_CANDIDATES: usize = 50_000;

/// A search.
pub struct Search<'a> {
    /// The attached table.
    pub target: pg_sys::Oid,
    /// What is looked for.
    pub query: &'a str,
    /// Rows asked for.
    pub k: usize,
    /// Hard conditions.
    pub filter: Option<&'a Json>,
    /// Soft preferences.
    pub prefer: Option<&'a Json>,
    /// Which legs count.
    pub mode: Mode,
    /// How the caches are used.
    pub usage: Usage,
}

/// A row of the result.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
pub struct Match {
    /// The row's key as text.
    pub key: String,
    /// In [0, 1], the weighted sum of the parts in `reasons`.
    pub score: f64,
    /// Cosine similarity of the row to the query, where the semantic leg found it.
    pub similarity: Option<f64>,
    /// Position in the semantic leg from 1.
    pub semantic_rank: Option<u32>,
    /// Position in the text leg from 1.
    pub text_rank: Option<u32>,
    /// Why it is there.
    pub reasons: Json,
}

impl Match {
    /// The query's words that full-text search found in the row.
    pub fn matched_terms(&self) -> Vec<String> {
        let terms = self
            .reasons
            .get(TEXT)
            .and_then(|text| text.get("matched_terms"))
            .and_then(Json::as_array);
        terms
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .map(str::to_owned)
            .collect()
    }
}

/// The result of a search.
pub struct Found {
    /// The rows, best first.
    pub matches: Vec<Match>,
    /// Time that the embedding of the query took, in milliseconds.
    pub embed_ms: f64,
}

/// `k` as a number of rows.
///
/// # Errors
/// 22023 outside 0..=10000.
pub fn row_count(k: i32) -> Result<usize> {
    usize::try_from(k)
        .ok()
        .filter(|_| k <= MAX_K)
        .ok_or_else(|| invalid_argument(format!("k must be between 0 and {MAX_K}, not {k}")))
}

/// A search whose arguments are checked.
struct Checked<'a> {
    search: &'a Search<'a>,
    attachment: Rc<Attachment>,
    filter: BoundFilter,
    preferences: Vec<Preference>,
}

/// Runs the search as the current role, under the calling query's snapshot, or takes its result from the caches.
///
/// # Errors
/// 55000 for a table that is not attached, 22023 and 42703 for wrong arguments, those of embedding, and those that the
/// statements raise.
pub fn search(search: &Search) -> Result<Found> {
    if search.query.trim().is_empty() {
        return Err(invalid_argument("query must not be empty"));
    }
    let attachment = Attachment::load(search.target)?;
    target::require_select(search.target)?;
    let preferences = search
        .prefer
        .map(|prefer| prefer::parse(prefer, &attachment.columns))
        .transpose()
        .map_err(prefer_error)?
        .unwrap_or_default();
    let filter = BoundFilter::new(search.filter, &attachment.columns)?;
    if search.k == 0 {
        return Ok(Found {
            matches: Vec::new(),
            embed_ms: 0.0,
        });
    }
    let checked = Checked {
        search,
        attachment,
        filter,
        preferences,
    };
    let place = match search.usage {
        Usage::Bypass => None,
        _ => cached::of_search(&checked.attachment, search, &checked.filter)?,
    };
    let mut embed_ms = 0.0;
    let (matches, _) = cached::through(Kind::Match, place, search.usage, || {
        let found = checked.run()?;
        embed_ms = found.embed_ms;
        Ok(found.matches)
    })?;
    Ok(Found { matches, embed_ms })
}

impl Checked<'_> {
    fn run(&self) -> Result<Found> {
        let started = Instant::now();
        // Outside the SPI session: waiting for the model must not hold its memory.
        let vector = if self.search.mode == Mode::Text {
            None
        } else {
            let model = embed::model_of_table(&self.attachment.model)?;
            Some(embed::embed_query(&model, self.search.query, self.search.usage)?)
        };
        let embed_ms = started.elapsed().as_secs_f64() * 1e3;
        let matches = session(Access::ReadOnly, |session| {
            let words = legs::words(&self.attachment, self.search.query)?;
            let fused = self.run_legs(session, vector.as_deref(), &words)?;
            self.explain(session, &words, fused)
        })?;
        Ok(Found { matches, embed_ms })
    }

    fn run_legs(&self, session: &Session, vector: Option<&[f32]>, words: &[Word]) -> Result<Vec<Fused>> {
        let (search, attachment, filter) = (self.search, &self.attachment, &self.filter);
        let candidates = search
            .k
            .saturating_mul(CANDIDATES_PER_ROW)
            .clamp(MIN_CANDIDATES, MAX_CANDIDATES);
        let semantic = match vector {
            Some(vector) => legs::semantic(session, attachment, filter, vector, candidates)?,
            None => Vec::new(),
        };
        let text = match search.mode {
            Mode::Semantic => Vec::new(),
            Mode::Hybrid | Mode::Text => legs::text(session, attachment, filter, words, candidates)?,
        };
        // Preferences may lift any candidate into the result.
        let kept = if self.preferences.is_empty() {
            search.k
        } else {
            candidates.saturating_mul(2)
        };
        Ok(fusion::fuse(
            &semantic,
            &text,
            search.mode,
            kept,
            &Fusion::default(),
        ))
    }

    /// Turns the fused legs into the result: preferences weighed in, the best `k` explained.
    fn explain(&self, session: &Session, words: &[Word], fused: Vec<Fused>) -> Result<Vec<Match>> {
        let Self {
            search,
            attachment,
            filter,
            preferences,
        } = self;
        let shown: BTreeSet<&String> = filter.columns().iter().chain(&attachment.filters).collect();
        let mut columns = shown.clone();
        columns.extend(preferences.iter().map(|preference| &preference.column));
        let keys: Vec<String> = fused.iter().map(|row| row.key.clone()).collect();
        let values = reasons::column_values(session, attachment, &columns, &keys)?;
        let scored = reasons::score(fused, preferences, &values, search.k);
        let keys: Vec<String> = scored.iter().map(|scored| scored.row.key.clone()).collect();
        let matched = reasons::matched_terms(session, attachment, words, &keys)?;
        Ok(scored
            .into_iter()
            .map(|scored| {
                let terms = matched
                    .get(&scored.row.key)
                    .map(Vec::as_slice)
                    .unwrap_or_default();
                let columns = values.get(&scored.row.key);
                let reasons = reasons::reasons(&scored, search.mode, preferences, &shown, columns, terms);
                let Scored { row, score, .. } = scored;
                Match {
                    key: row.key,
                    score,
                    similarity: row.similarity,
                    semantic_rank: row.semantic_rank,
                    text_rank: row.text_rank,
                    reasons,
                }
            })
            .collect())
    }
}
