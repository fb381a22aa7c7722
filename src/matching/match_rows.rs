//! `castmatch.match`: arguments in, rows out.

use crate::error::{Result, invalid_argument, null_argument};
use crate::matching::rank::{self, Search};
use crate::pg::json::JsonArg;
use crate::stats::{Operation, timed};
use castmatch_engine::fusion::Mode;
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::Value;

/// Filter and preferences of a call, with its options checked. Options are for later versions: an unknown one is refused
/// now, so that a misspelt one is noticed then.
///
/// # Errors
/// 54000 for JSON that is nested too deeply, 22023 for options other than NULL and an empty object.
pub fn parse_conditions(
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    options: Option<JsonArg>,
) -> Result<(Option<Value>, Option<Value>)> {
    let parse = |argument: Option<JsonArg>, name| argument.map(|argument| argument.parse(name)).transpose();
    match parse(options, "options")? {
        None => {}
        Some(Value::Object(options)) => {
            if let Some(name) = options.keys().next() {
                return Err(invalid_argument(format!("unknown option \"{name}\"")));
            }
        }
        Some(_) => return Err(invalid_argument("options must be a JSON object")),
    }
    Ok((parse(filter, "filter")?, parse(prefer, "prefer")?))
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
            name!(reasons, JsonB),
        ),
    >,
> {
    let mode = mode.ok_or_else(|| null_argument("mode"))?;
    let mode: Mode = mode
        .parse()
        .map_err(|failure: castmatch_engine::fusion::FusionError| invalid_argument(failure.to_string()))?;
    let (filter, prefer) = parse_conditions(filter, prefer, options)?;
    let search = Search {
        target: target.ok_or_else(|| null_argument("target"))?,
        query: query.ok_or_else(|| null_argument("query"))?,
        k: rank::row_count(k.ok_or_else(|| null_argument("k"))?)?,
        filter: filter.as_ref(),
        prefer: prefer.as_ref(),
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
