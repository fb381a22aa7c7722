//! `castmatch.prune()`: one bounded portion of a pass over conversations and requests (docs/design/pruning.md).
//!
//! It runs as the owner of castmatch's tables, so that no row security hides what is to go; who may call it is a matter of EXECUTE. A call
//! is one transaction: its rows, and what `castmatch.prune_state` says of them, commit or roll back together.

mod batch;
mod conversations;
mod plan;
mod requests;
mod size;

use crate::error::{Result, invalid_argument, null_argument};
use crate::guc;
use crate::maintenance::batch::{Batch, Tally};
use crate::maintenance::plan::Plan;
use crate::pg::catalog;
use crate::pg::json::JsonArg;
use crate::pg::role::{Restriction, act_as};
use crate::pg::setting::{self, set_for_now};
use crate::pg::spi::{Access, Session, session};
use crate::pg::value::Value;
use crate::pg::xact::require_writable;
use castmatch_engine::maintenance::{Cursor, Id, Phase};
use core::time::Duration;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value as Json, json};
use std::ffi::CString;
use std::time::Instant;

/// The lock that one pruner of a database has at a time, among advisory locks of two numbers; the first is castmatch's own, next to that of
/// conversations.
const LOCK: (i32, i32) = (1_667_331_943, 0);

#[pg_extern(sql = false)]
fn prune(policy: Option<JsonArg>, dry_run: Option<bool>) -> Result<JsonB> {
    // It must not be read as "delete".
    let dry_run = dry_run.ok_or_else(|| null_argument("dry_run"))?;
    let started = Instant::now();
    let policy = given(policy)?;
    if !dry_run {
        require_writable("castmatch.prune")?;
    }
    let access = if dry_run {
        Access::ReadOnly
    } else {
        Access::ReadWrite
    };
    let owner = catalog::extension_types()?.owner;
    let outcome = act_as(owner, Restriction::LocalChange, || {
        // Days of an interval are the same for all calls of a pass.
        set_for_now(c"timezone", c"UTC");
        session(access, |session| call(session, &policy, dry_run, started))
    })?;
    Ok(JsonB(json!({
        "dry_run": dry_run,
        "conversations": outcome.tally.conversations,
        "messages": outcome.tally.messages,
        "requests": outcome.tally.requests,
        "skipped": outcome.tally.skipped,
        "more": outcome.next.is_some(),
        "next": outcome.next.map(|next| next.to_json()),
        "busy": outcome.busy,
        "elapsed_ms": started.elapsed().as_micros() as f64 / 1000.0,
    })))
}

/// The policy of the call, or of the setting.
fn given(policy: Option<JsonArg>) -> Result<Json> {
    if let Some(policy) = policy {
        return policy.parse("policy");
    }
    let text = guc::prune_policy().ok_or_else(|| {
        invalid_argument("castmatch.prune has no policy").set_hint(
            "Give it one, as in castmatch.prune('{\"max_idle\": \"90 days\"}'), or set castmatch.prune_policy.",
        )
    })?;
    serde_json::from_str(&text).map_err(|failure| {
        invalid_argument(format!(
            "setting castmatch.prune_policy is not valid JSON: {failure}"
        ))
    })
}

/// What a call came to.
#[derive(Default)]
struct Outcome {
    tally: Tally,
    next: Option<Cursor>,
    busy: bool,
}

fn call(session: &Session, policy: &Json, dry_run: bool, started: Instant) -> Result<Outcome> {
    let mut plan = Plan::resolve(session, policy)?;
    limit_waits(plan.batch_time);
    if !dry_run && !try_lock(session)? {
        return Ok(Outcome {
            busy: true,
            ..Outcome::default()
        });
    }
    let begins = plan.resume.is_none();
    let position = match plan.resume.take() {
        Some(cursor) => {
            plan.set_cutoffs(session, cursor.cutoffs)?;
            Position {
                phase: cursor.phase,
                from: cursor.from,
                seq: cursor.seq,
            }
        }
        None => {
            let cutoffs = size::cutoffs(session, &plan)?;
            plan.set_cutoffs(session, cutoffs)?;
            Position {
                phase: Phase::Conversations,
                from: Id::default(),
                seq: None,
            }
        }
    };
    use_indexes();
    let mut batch = Batch::new(&plan, dry_run, started);
    let position = walk(session, &mut batch, position, begins)?;
    let next = position.map(|position| Cursor {
        as_of: plan.as_of_text.clone(),
        phase: position.phase,
        from: position.from,
        seq: position.seq,
        cutoffs: plan.cutoffs.clone(),
    });
    let tally = batch.tally;
    if !dry_run {
        note(session, &tally, begins, next.is_none())?;
    }
    Ok(Outcome {
        tally,
        next,
        busy: false,
    })
}

/// Where a pass stands.
struct Position {
    phase: Phase,
    from: Id,
    seq: Option<i64>,
}

/// Walks on from a position; gives the one where the batch ended, none at the end of the pass.
fn walk(session: &Session, batch: &mut Batch, at: Position, begins: bool) -> Result<Option<Position>> {
    let mut requests_from = at.from;
    if at.phase == Phase::Conversations {
        if batch.plan.limits_conversations {
            // Measuring may have taken the time of a batch by itself.
            if begins && batch.is_over() {
                return Ok(Some(at));
            }
            if let Some((from, seq)) = conversations::walk(batch, at.from, at.seq)? {
                return Ok(Some(Position { from, seq, ..at }));
            }
        }
        requests_from = Id::default();
    }
    let left = |from| Position {
        phase: Phase::Requests,
        from,
        seq: None,
    };
    let Some(finished_before) = batch.plan.requests_before else {
        return Ok(None);
    };
    if at.phase == Phase::Conversations && batch.is_over() {
        return Ok(Some(left(requests_from)));
    }
    Ok(requests::walk(session, batch, requests_from, finished_before)?.map(left))
}

/// No lock of a table is waited for longer than a batch may take.
fn limit_waits(most: Duration) {
    let most = most.as_millis().max(1);
    let current: u128 = setting::value(c"lock_timeout")
        .and_then(|value| value.parse().ok())
        .unwrap_or(0);
    if (1..=most).contains(&current) {
        return;
    }
    if let Ok(value) = CString::new(most.to_string()) {
        set_for_now(c"lock_timeout", &value);
    }
}

/// Has the statements of the walk planned by way of primary keys, whatever is known of the tables: plans are kept, and what is right for a
/// table of ten rows is fatal when it has a million.
fn use_indexes() {
    for setting in [c"enable_seqscan", c"enable_bitmapscan", c"jit"] {
        set_for_now(setting, c"off");
    }
}

/// Whether nobody else prunes; then nobody else does until the end of the transaction.
fn try_lock(session: &Session) -> Result<bool> {
    session
        .run(
            "SELECT pg_catalog.pg_try_advisory_xact_lock($1, $2)",
            &[Value::of(LOCK.0), Value::of(LOCK.1)],
        )?
        .require(0, 1)
}

/// Adds a batch to what is known of pruning.
fn note(session: &Session, tally: &Tally, begins: bool, ends: bool) -> Result<()> {
    session
        .run(
            "INSERT INTO castmatch.prune_state AS s
                 (last_started, last_batch, last_finished, passes, batches, conversations, messages, requests, skipped)
             VALUES (CASE WHEN $1 THEN pg_catalog.clock_timestamp() END, pg_catalog.clock_timestamp(),
                 CASE WHEN $2 THEN pg_catalog.clock_timestamp() END, $2::pg_catalog.int4, 1, $3, $4, $5, $6)
             ON CONFLICT (is_single) DO UPDATE SET
                 last_started = COALESCE(EXCLUDED.last_started, s.last_started),
                 last_batch = EXCLUDED.last_batch,
                 last_finished = COALESCE(EXCLUDED.last_finished, s.last_finished),
                 passes = s.passes OPERATOR(pg_catalog.+) EXCLUDED.passes,
                 batches = s.batches OPERATOR(pg_catalog.+) EXCLUDED.batches,
                 conversations = s.conversations OPERATOR(pg_catalog.+) EXCLUDED.conversations,
                 messages = s.messages OPERATOR(pg_catalog.+) EXCLUDED.messages,
                 requests = s.requests OPERATOR(pg_catalog.+) EXCLUDED.requests,
                 skipped = s.skipped OPERATOR(pg_catalog.+) EXCLUDED.skipped",
            &[
                Value::of(begins),
                Value::of(ends),
                Value::of(tally.conversations),
                Value::of(tally.messages),
                Value::of(tally.requests),
                Value::of(tally.skipped),
            ],
        )
        .map(drop)
}
