//! The end of a switch to another model: the complete column takes the place of the old one, in one short transaction.

use crate::cache::epoch;
use crate::error::{Result, not_in_state};
use crate::matching::attachment::{Attachment, Next, relation_name};
use crate::matching::queue::in_transaction;
use crate::matching::target::Target;
use crate::matching::vector_index::Definition;
use crate::pg::latch;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use core::time::Duration;
use pgrx::pg_sys;

/// Tries to get the table for a moment, and the time between two: whoever reads the table in a long transaction keeps it.
const TRIES: u32 = 20;
const BETWEEN_TRIES: Duration = Duration::from_millis(500);
/// How long one try holds up those who come after it.
const LOCK_TIMEOUT: &str = "SELECT pg_catalog.set_config('lock_timeout', '500ms', true)";

/// Switches a table whose vectors of the next model are complete. One that cannot be had now is left to the next index worker.
///
/// # Errors
/// As the statements on castmatch's own tables raise them.
pub fn finish(target: pg_sys::Oid) -> Result<()> {
    for _ in 0..TRIES {
        match in_transaction(|session| try_to_finish(session, target))? {
            Attempt::Over => return Ok(()),
            Attempt::Failed(message) => pgrx::log!(
                "castmatch: table {} is not switched to its next model yet: {message}",
                relation_name(target)
            ),
        }
        latch::wait(BETWEEN_TRIES);
    }
    Ok(())
}

enum Attempt {
    /// Nothing is left to do, or not yet.
    Over,
    /// It may go better later.
    Failed(String),
}

fn try_to_finish(session: &Session, target: pg_sys::Oid) -> Result<Attempt> {
    session.run(LOCK_TIMEOUT, &[])?;
    let Some(attachment) = Attachment::find(target)? else {
        return Ok(Attempt::Over);
    };
    let Some(next) = &attachment.next else {
        return Ok(Attempt::Over);
    };
    let table = Target::load(session, target)?;
    let locked = attachment
        .as_owner(|| session.run_utility(&format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", table.name)));
    if let Err(message) = locked {
        return Ok(Attempt::Failed(message));
    }
    // Nobody changes the table or what is said about it now. What was queued before is seen.
    let waiting = session.run(
        "SELECT 1 FROM castmatch.queue q
         WHERE q.target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass AND q.for_next AND q.failed_at IS NULL LIMIT 1",
        &[Value::oid(target)],
    )?;
    if !waiting.is_empty() || !attachment.is_current()? {
        return Ok(Attempt::Over);
    }
    match attachment.as_owner(|| exchange(session, &attachment, next, &table)) {
        Ok(()) => Ok(Attempt::Over),
        Err(message) => Ok(Attempt::Failed(message)),
    }
}

/// The registration changes before the columns do: it must not stand in the way of a column that is dropped. Runs as the table's owner,
/// the registration's part as the extension's.
fn exchange(session: &Session, attachment: &Attachment, next: &Next, table: &Target) -> Result<()> {
    let target = attachment.target;
    let index = Definition {
        target: table,
        embedding: &next.embedding_name,
        filters: &attachment.filters,
        method: &attachment.index_method,
    }
    .name(session)?;
    if index.is_none() {
        return Err(not_in_state("the index of the next vectors is not there"));
    }
    as_extension(session, |session| {
        session.run(
            "UPDATE castmatch.registrations SET model = next_model, model_version = next_version, embedding_column = next_embedding,
                 vector_index = $2::pg_catalog.name, index_is_due = false,
                 next_model = NULL, next_version = NULL, next_embedding = NULL, next_since = NULL
             WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
            &[Value::oid(target), Value::of(index)],
        )
    })?;
    session.run_utility(&format!(
        "ALTER TABLE {} DROP COLUMN {}",
        table.name, attachment.embedding
    ))?;
    session.run_utility(&format!(
        "ALTER TABLE {} RENAME COLUMN {} TO {}",
        table.name, next.embedding, attachment.embedding
    ))?;
    as_extension(session, |session| {
        // What follows renames may have been switched off.
        session.run(
            "UPDATE castmatch.registrations SET embedding_column = $2::pg_catalog.name
             WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass",
            &[Value::oid(target), Value::of(attachment.embedding_name.as_str())],
        )?;
        // Rows that the next model could not embed: now it is theirs.
        session.run(
            "UPDATE castmatch.queue SET for_next = false
             WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass AND for_next",
            &[Value::oid(target)],
        )
    })?;
    epoch::note_change(target);
    Ok(())
}

fn as_extension<R>(session: &Session, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    let owner = crate::pg::catalog::extension_types()?.owner;
    crate::pg::role::act_as(owner, crate::pg::role::Restriction::LocalChange, || f(session))
}

/// What depends on a column beside indexes, described: it would go with the column.
///
/// # Errors
/// As the statement raises them.
pub fn dependents(session: &Session, table: &Target, column: &str) -> Result<Vec<String>> {
    let number = table.require_column(column)?.number;
    session
        .run(
            "SELECT DISTINCT pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
             FROM pg_catalog.pg_depend d
             WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
               AND d.refobjid OPERATOR(pg_catalog.=) $1 AND d.refobjsubid OPERATOR(pg_catalog.=) $2
               AND d.classid OPERATOR(pg_catalog.<>) 'pg_catalog.pg_class'::pg_catalog.regclass
             ORDER BY 1 LIMIT 5",
            &[Value::oid(table.oid), Value::of(i32::from(number))],
        )?
        .column_values(1)
}

/// The name of the column for the vectors of the next model: the column's own, and a word that it is the next.
///
/// # Errors
/// XX000 if there are too many of the kind.
pub fn free_column(table: &Target, embedding: &str) -> Result<String> {
    let stem = embedding
        .get(..embedding.floor_char_boundary(50))
        .unwrap_or_default();
    (0..1000)
        .map(|number| match number {
            0 => format!("{stem}_next"),
            number => format!("{stem}_next{number}"),
        })
        .find(|name| table.column(name).is_none())
        .ok_or_else(|| crate::error::internal(format!("no free column name like \"{stem}_next\"")))
}
