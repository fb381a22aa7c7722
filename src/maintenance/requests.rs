//! Finished requests that are too old.

use crate::error::Result;
use crate::maintenance::batch::{Batch, count};
use crate::pg::spi::Session;
use crate::pg::value::Value;
use castmatch_engine::maintenance::Id;
use pgrx::datum::Uuid;
use pgrx::pg_sys;

/// Requests looked at by one statement.
const PAGE: usize = 1_000;

/// A condition on a request `r` with the moment in a parameter of that number.
macro_rules! is_old {
    ($parameter:literal) => {
        concat!(
            "r.state IN ('done', 'failed') AND r.finished_at OPERATOR(pg_catalog.<) ",
            $parameter
        )
    };
}
const PAGE_SQL: &str = concat!(
    "SELECT r.id, COALESCE(",
    is_old!("$3"),
    ", false) FROM castmatch.requests r WHERE r.id OPERATOR(pg_catalog.>=) $1 ORDER BY r.id LIMIT $2"
);
const DELETE_SQL: &str = concat!(
    "DELETE FROM castmatch.requests d WHERE d.id OPERATOR(pg_catalog.=) ANY (ARRAY(
         SELECT r.id FROM castmatch.requests r WHERE r.id OPERATOR(pg_catalog.=) ANY ($1) AND ",
    is_old!("$2"),
    " FOR UPDATE SKIP LOCKED))"
);
const COUNT_SQL: &str = concat!(
    "SELECT pg_catalog.count(*) FROM castmatch.requests r WHERE r.id OPERATOR(pg_catalog.>=) $1 AND ",
    is_old!("$2")
);
const COUNT_OF_CONVERSATION_SQL: &str = concat!(
    "SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE ",
    is_old!("$2"),
    ") FROM castmatch.requests r WHERE r.conversation_id OPERATOR(pg_catalog.=) $1"
);

/// Walks through the requests from an id on; gives the id where the batch ended, none at the end.
///
/// # Errors
/// As the statements raise them.
pub fn walk(
    session: &Session,
    batch: &mut Batch,
    mut from: Id,
    finished_before: Value,
) -> Result<Option<Id>> {
    if batch.dry_run {
        let rows = session.run(COUNT_SQL, &[Value::of(Uuid::from_bytes(from.0)), finished_before])?;
        let old: i64 = rows.require(0, 1)?;
        batch.tally.requests += (old - batch.counted_twice).max(0);
        return Ok(None);
    }
    loop {
        pgrx::check_for_interrupts!();
        let page = PAGE.min(batch.rows_left);
        let rows = session.run(
            PAGE_SQL,
            &[
                Value::of(Uuid::from_bytes(from.0)),
                Value::of(count(page)),
                finished_before,
            ],
        )?;
        let ids: Vec<Uuid> = rows.column_values(1)?;
        let old: Vec<bool> = rows.column_values(2)?;
        let last = ids.last().map(|id| Id(*id.as_bytes()));
        let found = ids.len();
        let doomed: Vec<Uuid> = ids
            .into_iter()
            .zip(old)
            .filter(|(_, old)| *old)
            .map(|(id, _)| id)
            .collect();
        if !doomed.is_empty() {
            let deleted = session
                .run(DELETE_SQL, &[Value::of(doomed), finished_before])?
                .len();
            batch.tally.requests += batch.spend(deleted);
        }
        match last.filter(|_| found == page).and_then(Id::next) {
            Some(next) => from = next,
            None => return Ok(None),
        }
        // After the page: every call gets on.
        if batch.is_over() {
            return Ok(Some(from));
        }
    }
}

/// Counts the requests that go with a conversation.
///
/// # Errors
/// As the statement raises them.
pub fn count_of_conversation(session: &Session, batch: &mut Batch, conversation: Id) -> Result<()> {
    let before = batch.plan.requests_before;
    let rows = session.run(
        COUNT_OF_CONVERSATION_SQL,
        &[
            Value::of(Uuid::from_bytes(conversation.0)),
            before.unwrap_or_else(|| Value::datum(pg_sys::TIMESTAMPTZOID, None)),
        ],
    )?;
    batch.tally.requests += rows.require::<i64>(0, 1)?;
    batch.counted_twice += rows.require::<i64>(0, 2)?;
    Ok(())
}
