//! `castmatch.match`: arguments in, rows out.

use crate::error::{Result, invalid_argument, null_argument};
use crate::matching::rank::{self, Search};
use crate::stats::{Operation, timed};
use castmatch_engine::fusion::Mode;
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Options are for later versions: an unknown one is refused now, so that a misspelt one is noticed then.
///
/// # Errors
/// 22023 for anything but NULL and an empty object.
pub fn check_options(options: Option<&JsonB>) -> Result<()> {
    match options.map(|options| &options.0) {
        None => Ok(()),
        Some(serde_json::Value::Object(options)) => match options.keys().next() {
            None => Ok(()),
            Some(name) => Err(invalid_argument(format!("unknown option \"{name}\""))),
        },
        Some(_) => Err(invalid_argument("options must be a JSON object")),
    }
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments, clippy::type_complexity)]
fn match_rows(
    target: Option<pg_sys::Oid>,
    query: Option<&str>,
    k: Option<i32>,
    filter: Option<JsonB>,
    prefer: Option<JsonB>,
    mode: Option<&str>,
    options: Option<JsonB>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(key, String),
            name!(score, f64),
            name!(similarity, Option<f64>),
            name!(semantic_rank, Option<i32>),
            name!(text_rank, Option<i32>),
            name!(reasons, JsonB),
        ),
    >,
> {
    let mode = mode.ok_or_else(|| null_argument("mode"))?;
    let mode: Mode = mode
        .parse()
        .map_err(|failure: castmatch_engine::fusion::FusionError| invalid_argument(failure.to_string()))?;
    check_options(options.as_ref())?;
    let search = Search {
        target: target.ok_or_else(|| null_argument("target"))?,
        query: query.ok_or_else(|| null_argument("query"))?,
        k: rank::row_count(k.ok_or_else(|| null_argument("k"))?)?,
        filter: filter.as_ref().map(|filter| &filter.0),
        prefer: prefer.as_ref().map(|prefer| &prefer.0),
        mode,
    };
    let matches = timed(Operation::Match, || rank::search(&search))?.matches;
    let rank_number = |rank: Option<u32>| rank.map(|rank| rank as i32);
    Ok(TableIterator::new(matches.into_iter().map(move |row| {
        (
            row.key,
            row.score,
            row.similarity,
            rank_number(row.semantic_rank),
            rank_number(row.text_rank),
            JsonB(row.reasons),
        )
    })))
}
