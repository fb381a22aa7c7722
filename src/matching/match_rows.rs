//! `castmatch.match`: arguments in, rows out.

use crate::cache::Usage;
use crate::error::{Result, invalid_argument, null_argument};
use crate::matching::rank::{self, Search};
use crate::pg::json::JsonArg;
use crate::stats::{Operation, timed};
use castmatch_engine::fusion::Mode;
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::{Map, Value};

/// What a search is asked beside its text.
pub struct Conditions {
    /// Hard conditions.
    pub filter: Option<Value>,
    /// Soft preferences.
    pub prefer: Option<Value>,
    /// How the caches are used.
    pub usage: Usage,
}

/// Filter, preferences and options of a call. An unknown option is refused, so that a misspelt one is noticed.
///
/// # Errors
/// 54000 for JSON that is nested too deeply, 22023 for wrong options.
pub fn parse_conditions(
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    options: Option<JsonArg>,
) -> Result<Conditions> {
    let parse = |argument: Option<JsonArg>, name| argument.map(|argument| argument.parse(name)).transpose();
    let usage = match parse(options, "options")? {
        None => Usage::default(),
        Some(Value::Object(options)) => usage(&options)?,
        Some(_) => return Err(invalid_argument("options must be a JSON object")),
    };
    Ok(Conditions {
        filter: parse(filter, "filter")?,
        prefer: parse(prefer, "prefer")?,
        usage,
    })
}

fn usage(options: &Map<String, Value>) -> Result<Usage> {
    let mut usage = Usage::default();
    for (name, value) in options {
        if name != "cache" {
            return Err(
                invalid_argument(format!("unknown option \"{name}\"")).set_hint("The option is \"cache\".")
            );
        }
        let wanted = Usage::NAMES.iter().find(|(name, _)| value == name);
        usage = wanted.map(|&(_, usage)| usage).ok_or_else(|| {
            let names = Usage::NAMES.map(|(name, _)| format!("\"{name}\""));
            invalid_argument(format!("option \"cache\" cannot be {value}"))
                .set_hint(format!("It is one of {}.", names.join(", ")))
        })?;
    }
    Ok(usage)
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
    let conditions = parse_conditions(filter, prefer, options)?;
    let search = Search {
        target: target.ok_or_else(|| null_argument("target"))?,
        query: query.ok_or_else(|| null_argument("query"))?,
        k: rank::row_count(k.ok_or_else(|| null_argument("k"))?)?,
        filter: conditions.filter.as_ref(),
        prefer: conditions.prefer.as_ref(),
        mode,
        usage: conditions.usage,
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
