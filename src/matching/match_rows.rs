//! `castmatch.match`, `match_vector` and `similar`: arguments in, rows out.

use crate::error::{Result, fusion_error, null_argument, option_error};
use crate::matching::rank::{self, Match, Query, Search};
use crate::pg::json::JsonArg;
use crate::pg::vector::VectorArg;
use crate::stats::{Operation, timed};
use castmatch_engine::fusion::Mode;
use castmatch_engine::options::{self, Options, Verb};
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::Value;

/// What a search is asked beside its text.
pub struct Conditions {
    /// Hard conditions.
    pub filter: Option<Value>,
    /// Soft preferences.
    pub prefer: Option<Value>,
    /// The rest.
    pub options: Options,
}

/// Filter, preferences and options of a call of `verb`. An unknown option is refused, so that a misspelt one is noticed.
///
/// # Errors
/// 54000 for JSON that is nested too deeply, 22023 for wrong options.
pub fn parse_conditions(
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    options: Option<JsonArg>,
    verb: Verb,
) -> Result<Conditions> {
    let parse = |argument: Option<JsonArg>, name| argument.map(|argument| argument.parse(name)).transpose();
    let options = match parse(options, "options")? {
        None => Options::default(),
        Some(options) => options::parse(&options, verb).map_err(option_error)?,
    };
    Ok(Conditions {
        filter: parse(filter, "filter")?,
        prefer: parse(prefer, "prefer")?,
        options,
    })
}

/// The rows as SQL returns them. `pg_extern` reads what is written, so the functions below spell this type out.
type Rows = TableIterator<
    'static,
    (
        name!(key, String),
        name!(score, f64),
        name!(similarity, Option<f64>),
        name!(semantic_rank, Option<i32>),
        name!(text_rank, Option<i32>),
        name!(reasons, Option<JsonB>),
    ),
>;

fn rows(matches: Vec<Match>) -> Rows {
    let rank_number = |rank: Option<u32>| rank.and_then(|rank| i32::try_from(rank).ok());
    TableIterator::new(matches.into_iter().map(move |row| {
        (
            row.key,
            row.score,
            row.similarity,
            rank_number(row.semantic_rank),
            rank_number(row.text_rank),
            (!row.reasons.is_null()).then_some(JsonB(row.reasons)),
        )
    }))
}

fn run(
    target: Option<pg_sys::Oid>,
    query: Query,
    k: Option<i32>,
    conditions: &Conditions,
    mode: Mode,
) -> Result<Rows> {
    let search = Search {
        target: target.ok_or_else(|| null_argument("target"))?,
        query,
        k: rank::row_count(k.ok_or_else(|| null_argument("k"))?)?,
        filter: conditions.filter.as_ref(),
        prefer: conditions.prefer.as_ref(),
        mode,
        options: &conditions.options,
    };
    timed(Operation::Match, || rank::search(&search)).map(|found| rows(found.matches))
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn match_rows(
    target: Option<pg_sys::Oid>,
    query: Option<&str>,
    k: Option<i32>,
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    mode: Option<&str>,
    options: Option<JsonArg>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(key, String),
            name!(score, f64),
            name!(similarity, Option<f64>),
            name!(semantic_rank, Option<i32>),
            name!(text_rank, Option<i32>),
            name!(reasons, Option<JsonB>),
        ),
    >,
> {
    let mode = mode.ok_or_else(|| null_argument("mode"))?;
    let mode: Mode = mode.parse().map_err(fusion_error)?;
    let conditions = parse_conditions(filter, prefer, options, Verb::Match)?;
    let query = query.ok_or_else(|| null_argument("query"))?;
    run(target, Query::Text(query), k, &conditions, mode)
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn match_vector(
    target: Option<pg_sys::Oid>,
    query: Option<VectorArg<f32>>,
    k: Option<i32>,
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    options: Option<JsonArg>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(key, String),
            name!(score, f64),
            name!(similarity, Option<f64>),
            name!(semantic_rank, Option<i32>),
            name!(text_rank, Option<i32>),
            name!(reasons, Option<JsonB>),
        ),
    >,
> {
    let conditions = parse_conditions(filter, prefer, options, Verb::MatchVector)?;
    let query = query.ok_or_else(|| null_argument("query"))?;
    run(
        target,
        Query::Vector(query.elements()),
        k,
        &conditions,
        Mode::Semantic,
    )
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn similar(
    target: Option<pg_sys::Oid>,
    key: Option<&str>,
    k: Option<i32>,
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    options: Option<JsonArg>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(key, String),
            name!(score, f64),
            name!(similarity, Option<f64>),
            name!(semantic_rank, Option<i32>),
            name!(text_rank, Option<i32>),
            name!(reasons, Option<JsonB>),
        ),
    >,
> {
    let conditions = parse_conditions(filter, prefer, options, Verb::Similar)?;
    let key = key.ok_or_else(|| null_argument("key"))?;
    run(target, Query::Row(key), k, &conditions, Mode::Semantic)
}
