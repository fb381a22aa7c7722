//! What becomes of the queue's entries: they are settled, postponed, tried again, given up.

use super::MAX_TRIES;
use crate::error::Result;
use crate::pg::random;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use crate::stats;
use castmatch_engine::retry;
use core::sync::atomic::Ordering;
use std::collections::HashSet;
use std::time::Duration;

/// Takes entries that are done out of the queue.
///
/// # Errors
/// As the statement raises them.
pub fn settle(session: &Session, entries: impl Iterator<Item = i64>) -> Result<()> {
    let entries: Vec<i64> = entries.collect();
    if !entries.is_empty() {
        session.run(
            "DELETE FROM castmatch.queue WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
            &[Value::of(entries)],
        )?;
    }
    Ok(())
}

/// What is noted with an entry whose row was not found.
const MISSING: &str = "the row was not found";

/// Takes entries whose rows are gone out of the queue, when they are looked for the second time. A partition that has just been attached
/// may not be known yet to those who see its rows queued: ATTACH PARTITION holds no lock that would keep them from looking.
///
/// # Errors
/// As the statements raise them.
pub fn settle_missing(session: &Session, entries: Vec<i64>) -> Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let values = [Value::of(entries), Value::of(MISSING)];
    session.run(
        "DELETE FROM castmatch.queue WHERE id OPERATOR(pg_catalog.=) ANY ($1) AND error OPERATOR(pg_catalog.=) $2",
        &values,
    )?;
    session.run(
        "UPDATE castmatch.queue SET error = $2, not_before = pg_catalog.clock_timestamp() + '1 second'::interval
         WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
        &values,
    )?;
    Ok(())
}

/// What is noted with an entry whose table is not there in full.
const UNRESTORED: &str = "the table is not attached, or not restored in full yet";

/// Has entries of a table wait that is being restored, each time for a quarter of the time that they have waited so far, at most 30 seconds. Returns
/// them, without those that have waited for longer than `limit`.
///
/// # Errors
/// As the statement raises them.
pub fn await_restore(session: &Session, entries: Vec<i64>, limit: Duration) -> Result<HashSet<i64>> {
    // Their age in another database says nothing: it counts from when they are first met here.
    let waiting = session.run(
        "UPDATE castmatch.queue SET error = $2,
             queued_at = CASE WHEN error OPERATOR(pg_catalog.=) $2 THEN queued_at ELSE pg_catalog.clock_timestamp() END,
             not_before = pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) CASE WHEN error OPERATOR(pg_catalog.=) $2
                 THEN LEAST(GREATEST((pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) queued_at) OPERATOR(pg_catalog./) 4, '1 second'::interval), '30 seconds'::interval)
                 ELSE '1 second'::interval END
         WHERE id OPERATOR(pg_catalog.=) ANY ($1)
           AND (error IS DISTINCT FROM $2
                OR queued_at OPERATOR(pg_catalog.>) (pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) pg_catalog.make_interval(secs => $3)))
         RETURNING id",
        &[
            Value::of(entries),
            Value::of(UNRESTORED),
            Value::of(limit.as_secs_f64()),
        ],
    )?;
    (0..waiting.len()).map(|row| waiting.require(row, 1)).collect()
}

/// Has entries whose rows are locked wait a moment.
///
/// # Errors
/// As the statement raises them.
pub fn postpone(session: &Session, entries: Vec<i64>) -> Result<()> {
    if !entries.is_empty() {
        session.run(
            "UPDATE castmatch.queue SET not_before = pg_catalog.clock_timestamp() + '1 second'::interval
             WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
            &[Value::of(entries)],
        )?;
    }
    Ok(())
}

/// Counts a failed try of one row: the next one comes after a while, none after [`MAX_TRIES`].
///
/// # Errors
/// As the statements raise them.
pub fn note_failure(session: &Session, entries: &[i64], message: &str) -> Result<()> {
    let before = session.run(
        "SELECT pg_catalog.max(tries) FROM castmatch.queue WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
        &[Value::of(entries.to_vec())],
    )?;
    // Nothing is left of a row whose table was detached meanwhile.
    let Some(before) = before.get::<i32>(0, 1)? else {
        return Ok(());
    };
    let tries = before.saturating_add(1);
    let chance = f64::from(random::number() as u32) / f64::from(u32::MAX);
    let delay = retry::delay(tries.unsigned_abs(), chance, None);
    session.run(
        "UPDATE castmatch.queue SET tries = $2, error = $3,
             not_before = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $4),
             failed_at = CASE WHEN $2 >= $5 THEN pg_catalog.clock_timestamp() END
         WHERE id OPERATOR(pg_catalog.=) ANY ($1)",
        &[
            Value::of(entries.to_vec()),
            Value::of(tries),
            Value::of(message.to_owned()),
            Value::of(delay.as_secs_f64()),
            Value::of(MAX_TRIES),
        ],
    )?;
    if tries >= MAX_TRIES
        && let Some(counters) = stats::counters()
    {
        counters.rows_failed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}
