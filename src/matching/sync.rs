//! `castmatch.sync` and `castmatch.retry_failed`: waiting for the queue, and filling it again.

use crate::error::{Result, error, invalid_argument, null_argument};
use crate::launcher;
use crate::matching::attachment::{Attachment, not_attached, relation_name};
use crate::matching::target::require_select;
use crate::matching::trigger;
use crate::pg::catalog;
use crate::pg::latch;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, session};
use crate::pg::value::Value;
use crate::pg::xact;
use core::time::Duration;
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::Instant;

/// Between two looks at the queue.
const POLL: Duration = Duration::from_millis(50);
/// Between two requests for a worker, should one have come to nothing.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(5);

/// Pending rows of a table and embeddings written so far; `None` if the table is not attached.
fn progress(target: pg_sys::Oid) -> Result<Option<(i64, i64)>> {
    let owner = catalog::extension_types()?.owner;
    act_as(owner, Restriction::LocalChange, || {
        session(Access::ReadWrite, |session| {
            let rows = session.run(
                "SELECT (SELECT pg_catalog.count(*) FROM castmatch.queue q
                         WHERE q.target OPERATOR(pg_catalog.=) r.target AND q.failed_at IS NULL), COALESCE(p.embedded_rows, 0)
                 FROM castmatch.registrations r
                 LEFT JOIN castmatch.progress p ON p.target OPERATOR(pg_catalog.=) r.target
                 WHERE r.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
                &[Value::oid(target)],
            )?;
            if rows.is_empty() {
                Ok(None)
            } else {
                Ok(Some((rows.require(0, 1)?, rows.require(0, 2)?)))
            }
        })
    })
}

#[pg_extern(sql = false)]
fn sync(target: Option<pg_sys::Oid>, timeout: Option<Interval>) -> Result<i64> {
    let target = target.ok_or_else(|| null_argument("target"))?;
    let deadline = timeout.map(deadline).transpose()?;
    let (_, before) = progress(target)?.ok_or_else(|| not_attached(target))?;
    require_select(target)?;
    if xact::has_enqueued() {
        return Err(error(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "castmatch.sync cannot wait for rows that its own transaction has changed",
        )
        .set_hint("Commit first: no other process sees the rows before."));
    }
    if xact::uses_one_snapshot() {
        return Err(error(
            PgSqlErrorCode::ERRCODE_ACTIVE_SQL_TRANSACTION,
            "castmatch.sync cannot wait in a transaction of isolation level REPEATABLE READ or SERIALIZABLE",
        )
        .set_hint("Such a transaction does not see what others commit while it waits."));
    }
    let mut announced: Option<Instant> = None;
    loop {
        if announced.is_none_or(|announced| announced.elapsed() > ANNOUNCE_INTERVAL) {
            launcher::ensure_started()?;
            trigger::announce();
            announced = Some(Instant::now());
        }
        let (pending, embedded) = progress(target)?.ok_or_else(|| not_attached(target))?;
        if pending == 0 {
            return Ok(embedded - before);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(error(
                PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
                format!(
                    "{pending} changes of table {} still wait for their embedding",
                    relation_name(target)
                ),
            )
            .set_hint(
                "Call castmatch.sync again with a longer timeout; castmatch.attachments shows the progress.",
            ));
        }
        latch::wait(POLL);
    }
}

fn deadline(timeout: Interval) -> Result<Instant> {
    let microseconds = timeout.as_micros();
    let microseconds =
        u64::try_from(microseconds).map_err(|_| invalid_argument("timeout must not be negative"))?;
    Instant::now()
        .checked_add(Duration::from_micros(microseconds))
        .ok_or_else(|| invalid_argument("timeout is too long"))
}

#[pg_extern(sql = false)]
fn retry_failed(target: Option<pg_sys::Oid>) -> Result<i64> {
    let target = target.ok_or_else(|| null_argument("target"))?;
    Attachment::load(target)?;
    crate::matching::attach::require_owner(target)?;
    let owner = catalog::extension_types()?.owner;
    let queued = act_as(owner, Restriction::LocalChange, || {
        session(Access::ReadWrite, |session| {
            session.run(
                "UPDATE castmatch.queue SET tries = 0, failed_at = NULL, error = NULL, not_before = '-infinity', queued_at = pg_catalog.now()
                 WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass
                   AND failed_at IS NOT NULL RETURNING key",
                &[Value::oid(target)],
            )?
            .column_values(1)
        })
    })?;
    let distinct: std::collections::BTreeSet<String> = queued.into_iter().collect();
    launcher::ensure_started()?;
    xact::note_enqueued(trigger::announce);
    Ok(distinct.len() as i64)
}
