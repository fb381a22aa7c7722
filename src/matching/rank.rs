//! A search: its arguments checked, its result from the caches or ranked (`ranking`).

use crate::cache::Usage;
use crate::embed;
use crate::error::{Result, error, invalid_argument, option_error, prefer_error};
use crate::guc;
use crate::matching::attachment::Attachment;
use crate::matching::cached;
use crate::matching::legs::BoundFilter;
use crate::matching::own_row::{self, OwnRow};
use crate::matching::queue::other_version;
use crate::matching::reasons::TEXT;
use crate::matching::target;
use crate::pg::catalog;
use crate::pg::spi::{Access, session};
use castmatch_engine::cache::Kind;
use castmatch_engine::filter::{self, Conjunct};
use castmatch_engine::fusion::Mode;
use castmatch_engine::options::{MAX_K, Options};
use castmatch_engine::prefer::{self, Preference};
use pgrx::pg_sys;
use pgrx::pg_sys::elog::PgLogLevel;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use serde_json::Value as Json;
use std::rc::Rc;
use std::time::Instant;

/// What the rows are compared with.
#[derive(Clone, Copy)]
pub enum Query<'a> {
    /// A description in words.
    Text(&'a str),
    /// A vector.
    Vector(&'a [f32]),
    /// The row of that key, which is not among the results itself.
    Row(&'a str),
}

impl<'a> Query<'a> {
    /// The words, if there are any.
    pub fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Vector(_) | Self::Row(_) => None,
        }
    }
}

/// A search.
pub struct Search<'a> {
    /// The attached table.
    pub target: pg_sys::Oid,
    /// What is looked for.
    pub query: Query<'a>,
    /// Rows asked for.
    pub k: usize,
    /// Hard conditions.
    pub filter: Option<&'a Json>,
    /// Soft preferences.
    pub prefer: Option<&'a Json>,
    /// Which legs count.
    pub mode: Mode,
    /// The rest.
    pub options: &'a Options,
}

/// A row of the result.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
pub struct Match {
    /// The row's key as text.
    pub key: String,
    /// In [0, 1], the weighted sum of the parts in `reasons`.
    pub score: f64,
    /// Cosine similarity of the row to the query, where both have an embedding.
    pub similarity: Option<f64>,
    /// Position in the semantic leg from 1.
    pub semantic_rank: Option<u32>,
    /// Position in the text leg from 1.
    pub text_rank: Option<u32>,
    /// Why it is there; null if that was not asked.
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
        .filter(|k| *k <= MAX_K)
        .ok_or_else(|| invalid_argument(format!("k must be between 0 and {MAX_K}, not {k}")))
}

/// A search whose arguments are checked.
pub(super) struct Checked<'a> {
    pub search: &'a Search<'a>,
    pub attachment: Rc<Attachment>,
    pub filter: BoundFilter,
    /// The conditions of the filter one by one, for reasons.
    pub conjuncts: Vec<Conjunct>,
    pub preferences: Vec<Preference>,
}

/// What the rows' embeddings are compared with.
#[derive(Default)]
pub(super) struct Meaning {
    pub vector: Option<Vec<f32>>,
    /// The key of the row whose vector it is.
    pub excluded: Option<String>,
    /// Time that the embedding of a text took.
    pub embed_ms: f64,
}

/// Runs the search as the current role, under the calling query's snapshot, or takes its result from the caches.
///
/// # Errors
/// 55000 for a table that is not attached and for a row without an embedding, P0002 for a row that is not there, 22000 for a
/// vector of other dimensions, 22023 and 42703 for wrong arguments, those of embedding, and those that the statements raise.
pub fn search(search: &Search) -> Result<Found> {
    let checked = Checked::new(search)?;
    if search.k == 0 {
        return Ok(Found {
            matches: Vec::new(),
            embed_ms: 0.0,
        });
    }
    let usage = search.options.cache;
    let place = match usage {
        Usage::Bypass => None,
        _ if !guc::match_cache() => None,
        _ => cached::of_search(&checked.attachment, search, &checked.filter)?,
    };
    let mut embed_ms = 0.0;
    let (matches, _) = cached::through(Kind::Match, place, usage, || {
        // Outside the SPI session: waiting for the model must not hold its memory.
        let meaning = checked.meaning()?;
        embed_ms = meaning.embed_ms;
        session(Access::ReadOnly, |session| checked.matches(session, &meaning))
    })?;
    Ok(Found { matches, embed_ms })
}

impl<'a> Checked<'a> {
    /// Checks everything that can be said before a row is read.
    ///
    /// # Errors
    /// As for [`search`].
    pub fn new(search: &'a Search<'a>) -> Result<Self> {
        if search.query.text().is_some_and(|text| text.trim().is_empty()) {
            return Err(invalid_argument("query must not be empty"));
        }
        search.options.check_mode(search.mode).map_err(option_error)?;
        // Before the registration is read, so that it is that of the columns which the search sees.
        catalog::lock_for_reading(search.target);
        let attachment = Attachment::load(search.target)?;
        target::require_select(search.target)?;
        let preferences = search
            .prefer
            .map(|prefer| prefer::parse(prefer, &attachment.columns))
            .transpose()
            .map_err(prefer_error)?
            .unwrap_or_default();
        let filter = BoundFilter::new(search.filter, &attachment.columns)?;
        if let Query::Vector(vector) = search.query {
            check_dimensions(&attachment, vector)?;
        }
        Ok(Self {
            search,
            attachment,
            filter,
            conjuncts: search.filter.map(filter::conjuncts).unwrap_or_default(),
            preferences,
        })
    }

    /// Vectors of two models have nothing to say to each other, even where their numbers fit: never silently.
    fn warn_of_other_version(&self) -> Result<()> {
        if self.attachment.is_of_other_version()? {
            other_version(&self.attachment, &self.attachment.model).report(PgLogLevel::WARNING);
        }
        Ok(())
    }

    /// What the rows are compared with in meaning; nothing where only words count.
    ///
    /// # Errors
    /// Those of embedding; for a row's own vector P0002 without the row, 55000 without the vector.
    pub fn meaning(&self) -> Result<Meaning> {
        if self.search.mode == Mode::Text {
            return Ok(Meaning::default());
        }
        match self.search.query {
            Query::Text(text) => {
                let started = Instant::now();
                let model = embed::model_of_table(&self.attachment.model)?;
                let vector = embed::embed_query(&model, text, self.search.options.cache)?;
                self.warn_of_other_version()?;
                Ok(Meaning {
                    vector: Some(vector),
                    excluded: None,
                    embed_ms: started.elapsed().as_secs_f64() * 1e3,
                })
            }
            Query::Vector(vector) => Ok(Meaning {
                vector: Some(vector.to_vec()),
                ..Meaning::default()
            }),
            Query::Row(key) => {
                let OwnRow { key, vector } = session(Access::ReadOnly, |session| {
                    own_row::load(session, &self.attachment, key)
                })?;
                Ok(Meaning {
                    vector: Some(vector),
                    excluded: Some(key),
                    embed_ms: 0.0,
                })
            }
        }
    }
}

/// Refuses a vector that the column's cannot be compared with, whether or not the table has rows.
fn check_dimensions(attachment: &Attachment, vector: &[f32]) -> Result<()> {
    let declared = catalog::type_modifier(attachment.target, &attachment.embedding_name);
    match declared.and_then(|dimensions| usize::try_from(dimensions).ok()) {
        Some(dimensions) if dimensions != vector.len() => Err(error(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!(
                "query has {} dimensions, but column \"{}\" has {dimensions}",
                vector.len(),
                attachment.embedding_name
            ),
        )),
        _ => Ok(()),
    }
}
