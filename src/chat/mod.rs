//! Conversations grounded in the rows of an attached table: `castmatch.chat` and its relatives, and `castmatch.generate`.
//!
//! ```text
//! turn (arguments) ─► dialogue: conversation, window ─► question ─► search ─► material ─► chain of models ─► answer ─► messages
//!                        ▲ chat (one transaction) · stream (a cursor) · worker (several transactions)
//! ```
//!
//! A turn has its conversation for itself, so that turns of one conversation happen one after the other and those of different ones do
//! not touch. The search runs as the caller; so do the writes, under the row security of the conversation tables.

mod answer;
mod chain;
mod dialogue;
mod generate;
mod question;
mod requests;
mod reuse;
mod sources;
pub mod store;
mod stream;
mod summary;
mod task;
mod turn;
mod worker;

use crate::chat::answer::Answer;
use crate::chat::dialogue::{Dialogue, Timings};
use crate::chat::reuse::Hit;
use crate::chat::turn::{Arguments, Turn};
use crate::error::Result;
use crate::pg::json::JsonArg;
use crate::stats::{self, Operation, timed};
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use pgrx::{JsonB, check_for_interrupts};
use serde_json::{Value as Json, json};
use std::sync::atomic::Ordering;
use std::time::Instant;

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
    let turn = Turn::new(Arguments {
        message,
        conversation: conversation_id,
        target,
        k,
        filter,
        prefer,
        model,
        options,
    })?;
    timed(Operation::Chat, || take_turn(turn)).map(JsonB)
}

fn take_turn(turn: Turn) -> Result<Json> {
    let started = Instant::now();
    let mut dialogue = Dialogue::open(turn)?;
    let (answer, hit) = reuse::answer(&mut dialogue)?;
    check_for_interrupts!();
    dialogue.store(&answer)?;
    Ok(told(&dialogue, &answer, hit, started))
}

/// What `chat` returns.
fn told(dialogue: &Dialogue, answer: &Answer, hit: Option<Hit>, started: Instant) -> Json {
    if !answer.degraded.is_empty()
        && let Some(counters) = stats::counters()
    {
        counters.chat.degraded.fetch_add(1, Ordering::Relaxed);
    }
    let Timings {
        embed,
        matching,
        generate,
    } = dialogue.timings;
    let kind = hit.map(|hit| {
        if hit.similarity.is_some() {
            "semantic"
        } else {
            "exact"
        }
    });
    json!({
        "conversation_id": dialogue.conversation.id.to_string(),
        "reply": answer.text,
        "model": answer.model,
        "sources": answer.sources,
        "cache": {
            "hit": hit.is_some(),
            "kind": kind,
            "age_seconds": hit.map(|hit| hit.age.as_secs_f64()),
            "similarity": hit.and_then(|hit| hit.similarity),
        },
        "usage": {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens},
        "degraded": answer.degraded,
        "timings_ms": {"embed": embed, "match": matching, "generate": generate, "total": milliseconds(started)},
    })
}

/// Milliseconds since `started`, to three decimals.
fn milliseconds(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
