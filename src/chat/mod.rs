//! `castmatch.chat`: one turn of a conversation grounded in the rows of an attached table.
//!
//! A turn locks its conversation's row, so that turns of one conversation happen one after the other and those of different ones
//! do not touch. The search runs as the caller; so do the writes, under the row security of the conversation tables.

mod reply;
mod sources;
mod store;

use crate::cache::Usage;
use crate::error::{Result, error, invalid_argument, null_argument};
use crate::matching::match_rows::parse_conditions;
use crate::matching::rank;
use crate::pg::json::JsonArg;
use crate::stats::{Operation, timed};
use castmatch_engine::chat::window::estimate_tokens;
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::{JsonB, check_for_interrupts};
use serde_json::{Value as Json, json};
use std::time::Instant;

/// Name of the provider that comes with castmatch: it composes replies itself.
const BUILTIN_PROVIDER: &str = "builtin";

/// Longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// The arguments of a turn, checked.
struct Turn<'a> {
    message: &'a str,
    conversation: Option<Uuid>,
    target: Option<pg_sys::Oid>,
    k: usize,
    filter: Option<&'a Json>,
    prefer: Option<&'a Json>,
    usage: Usage,
}

/// How long the parts of a turn took, in milliseconds.
#[derive(Default)]
struct Timings {
    embed: f64,
    matching: f64,
    generate: f64,
}

#[pg_extern(sql = false)]
#[allow(clippy::too_many_arguments)]
fn chat(
    message: Option<&str>,
    conversation_id: Option<Uuid>,
    target: Option<pg_sys::Oid>,
    k: Option<i32>,
    filter: Option<JsonArg>,
    prefer: Option<JsonArg>,
    model: Option<&str>,
    options: Option<JsonArg>,
) -> Result<JsonB> {
    let message = message.ok_or_else(|| null_argument("message"))?;
    if message.trim().is_empty() {
        return Err(invalid_argument("message must not be empty"));
    }
    if message.len() > MAX_MESSAGE_BYTES {
        return Err(error(
            PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
            format!(
                "message of {} bytes is longer than {MAX_MESSAGE_BYTES} bytes",
                message.len()
            ),
        ));
    }
    check_provider(model)?;
    let conditions = parse_conditions(filter, prefer, options)?;
    let turn = Turn {
        message,
        conversation: conversation_id,
        target,
        k: rank::row_count(k.ok_or_else(|| null_argument("k"))?)?,
        filter: conditions.filter.as_ref(),
        prefer: conditions.prefer.as_ref(),
        usage: conditions.usage,
    };
    timed(Operation::Chat, || take_turn(&turn)).map(JsonB)
}

/// Refuses models that there are none of. Texts are embedded by the model of the table, whatever composes the reply.
fn check_provider(model: Option<&str>) -> Result<()> {
    match model {
        None | Some(BUILTIN_PROVIDER) => Ok(()),
        Some(other) => Err(error(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("chat model \"{other}\" does not exist"),
        )
        .set_hint("The model that comes with castmatch is called \"builtin\".")),
    }
}

fn take_turn(turn: &Turn) -> Result<Json> {
    let started = Instant::now();
    let conversation = store::open(turn.conversation)?;
    let window = store::window(&conversation)?;
    let target = sources::choose_target(turn.target, conversation.target)?;
    let mut timings = Timings::default();
    let (answer, age) = reply::answer(turn, target, &window, &mut timings)?;
    check_for_interrupts!();
    let prompt_tokens =
        estimate_tokens(turn.message) + window.iter().map(|kept| kept.message.tokens).sum::<usize>();
    let completion_tokens = estimate_tokens(&answer.text);
    store::append(
        &conversation,
        target,
        turn.message,
        &answer.context,
        &answer.text,
        &answer.sources,
    )?;
    Ok(json!({
        "conversation_id": conversation.id.to_string(),
        "reply": answer.text,
        "model": BUILTIN_PROVIDER,
        "sources": answer.sources,
        "cache": {
            "hit": age.is_some(),
            "kind": age.map(|_| "exact"),
            "age_seconds": age.map(|age| age.as_secs_f64()),
            "similarity": null,
        },
        "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens},
        "degraded": [],
        "timings_ms": {
            "embed": timings.embed, "match": timings.matching, "generate": timings.generate,
            "total": milliseconds(started),
        },
    }))
}

/// Milliseconds since `started`, to three decimals.
fn milliseconds(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
