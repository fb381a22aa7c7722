//! What calls of models used: noted in shared memory at once, written to a table by the chat worker.

use crate::error::Result;
use crate::models::Ready;
use crate::models::administration::is_admin;
use crate::pg::catalog;
use crate::pg::clock;
use crate::pg::latch;
use crate::pg::role::has_privileges_of;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use crate::pg::worker::{is_alive, my_pid};
use crate::shared::shared;
use castmatch_engine::shared::ledger::{Note, Taken};
use castmatch_engine::shared::sync::Duty;
use castmatch_engine::usage::{Used, day};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::BTreeMap;

/// Notes what a call used. Nothing here raises: a call may end while an ERROR unwinds.
pub fn note(ready: &Ready, used: Used) {
    let Ok(shared) = shared() else { return };
    let note = Note {
        database: ready.database,
        role: ready.role,
        day: today(),
        model: ready.definition.name.clone(),
        used,
    };
    if shared.ledger.note(&note, my_pid(), is_alive) {
        shared.sync.request(Duty::Replies, ready.database, latch::wake);
    }
}

/// Days since 1970-01-01, UTC.
pub fn today() -> u32 {
    day(clock::unix_seconds())
}

/// What is noted of this database and no table says yet, added up by role, model and day.
///
/// # Errors
/// 53200 without shared memory.
fn pending() -> Result<BTreeMap<(u32, String, u32), Used>> {
    let mut sums: BTreeMap<(u32, String, u32), Used> = BTreeMap::new();
    for note in shared()?.ledger.pending(catalog::my_database().to_u32()) {
        *sums.entry((note.role, note.model, note.day)).or_default() += note.used;
    }
    Ok(sums)
}

/// Writes what is noted to the table of usage, in the transaction of the worker that calls it.
///
/// # Errors
/// As the statement raises them; the notes are put back then.
pub fn write_noted(session: &Session, database: u32) -> Result<Vec<Taken<'static>>> {
    let taken = shared()?.ledger.take(database, my_pid(), is_alive);
    let mut sums: BTreeMap<(u32, String, u32), Used> = BTreeMap::new();
    for note in taken.iter().map(Taken::note) {
        *sums.entry((note.role, note.model, note.day)).or_default() += note.used;
    }
    for ((role, model, day), used) in sums {
        let number = |number: u64| Value::of(i64::try_from(number).unwrap_or(i64::MAX));
        session.run(
            "INSERT INTO castmatch.usage_by_day AS u (role, model, day, requests, failed, prompt_tokens, completion_tokens, cost)
             VALUES ($1::pg_catalog.oid::pg_catalog.regrole, $2, '1970-01-01'::pg_catalog.date OPERATOR(pg_catalog.+) $3, $4, $5, $6, $7, $8 / 1000000.0)
             ON CONFLICT (role, model, day) DO UPDATE SET requests = u.requests + EXCLUDED.requests, failed = u.failed + EXCLUDED.failed,
                 prompt_tokens = u.prompt_tokens + EXCLUDED.prompt_tokens,
                 completion_tokens = u.completion_tokens + EXCLUDED.completion_tokens, cost = u.cost + EXCLUDED.cost",
            &[
                Value::oid(pg_sys::Oid::from(role)),
                Value::of(model.as_str()),
                Value::of(i32::try_from(day).unwrap_or(0)),
                number(used.requests),
                number(used.failed),
                number(used.prompt_tokens),
                number(used.completion_tokens),
                number(used.cost_micros),
            ],
        )?;
    }
    Ok(taken)
}

/// What is noted in shared memory, for the view of usage: of roles whose member the caller is, to administrators of all.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn usage_pending() -> Result<
    TableIterator<
        'static,
        (
            name!(role, pg_sys::Oid),
            name!(model, String),
            name!(day, i32),
            name!(requests, i64),
            name!(failed, i64),
            name!(prompt_tokens, i64),
            name!(completion_tokens, i64),
            name!(cost_micros, i64),
        ),
    >,
> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let all = is_admin()?;
    let mut pending = pending()?;
    pending.retain(|&(role, ..), _| all || has_privileges_of(pg_sys::Oid::from(role)));
    Ok(TableIterator::new(pending.into_iter().map(
        move |((role, model, day), used)| {
            (
                pg_sys::Oid::from(role),
                model,
                i32::try_from(day).unwrap_or(0),
                number(used.requests),
                number(used.failed),
                number(used.prompt_tokens),
                number(used.completion_tokens),
                number(used.cost_micros),
            )
        },
    )))
}
