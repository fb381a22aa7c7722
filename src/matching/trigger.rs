//! The row trigger of attached tables: queues a new row, and a changed row if its key or its text changed.
//!
//! Arguments of the trigger are the key column and the content columns. It runs for every writer, whatever their rights on the
//! queue, hence as the queue's owner for that one INSERT.

use crate::cache::epoch;
use crate::error::{Result, error, internal};
use crate::matching::attachment::column_gone;
use crate::matching::launcher;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, Session, session};
use crate::pg::trigger::{self, RowTrigger, TriggerResult};
use crate::pg::value::Value;
use crate::pg::xact;
use crate::pg::{catalog, latch};
use crate::shared::shared;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Name of the trigger on an attached table. Triggers of one event fire in the order of their names; this one is to see
/// the row as it is stored, which an AFTER trigger does in any case.
pub const QUEUE_TRIGGER: &str = "castmatch_enqueue_change";
/// Names of the triggers on an attached table that note its changes for the caches: of each row, and of TRUNCATE.
pub const CHANGE_TRIGGER: &str = "castmatch_note_change";
pub const TRUNCATE_TRIGGER: &str = "castmatch_note_truncate";

/// Trigger of attached tables: this transaction has changed the table, so that nothing cached about it is current once it has committed.
#[pg_extern(sql = false)]
fn note_change(fcinfo: pg_sys::FunctionCallInfo) -> Result<TriggerResult> {
    let table = trigger::table_of_call(fcinfo).ok_or_else(|| {
        error(
            PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            "castmatch.note_change must be called by a trigger",
        )
    })?;
    epoch::note_change(table);
    Ok(TriggerResult)
}

#[pg_extern(sql = false)]
fn enqueue_change(fcinfo: pg_sys::FunctionCallInfo) -> Result<TriggerResult> {
    let trigger = RowTrigger::from_call(fcinfo).ok_or_else(|| {
        error(
            PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
            "castmatch.enqueue_change must be called by an AFTER INSERT OR UPDATE trigger FOR EACH ROW",
        )
    })?;
    let (key, content) = columns(&trigger)?;
    if trigger.is_update() && !changed(&trigger, key, &content) {
        return Ok(TriggerResult);
    }
    let Some(key) = trigger.new_text(key) else {
        return Err(internal("the key of an attached table is null"));
    };
    let owner = catalog::extension_types()?.owner;
    act_as(owner, Restriction::LocalChange, || {
        session(Access::ReadWrite, |session| {
            session.run(
                "INSERT INTO castmatch.queue (target, key) VALUES ($1::pg_catalog.oid::pg_catalog.regclass, $2)",
                &[Value::oid(trigger.relation()), Value::of(key)],
            )
        })
    })?;
    Ok(TriggerResult)
}

/// Statement trigger of `castmatch.queue`: whoever fills it, pg_restore too, has the database looked at after commit.
#[pg_extern(sql = false)]
fn announce_queue() -> Result<TriggerResult> {
    launcher::ensure_started()?;
    xact::note_enqueued(announce);
    Ok(TriggerResult)
}

/// Runs after commit: names this database to the launcher.
pub fn announce() {
    if let Ok(shared) = shared() {
        shared.sync.request(catalog::my_database().to_u32(), latch::wake);
    }
}

/// Numbers of the key column and the content columns, by the names in the trigger's arguments.
fn columns(trigger: &RowTrigger) -> Result<(i32, Vec<i32>)> {
    let mut numbers = Vec::new();
    for name in trigger.arguments() {
        numbers.push(trigger.column(&name).ok_or_else(|| column_gone(&name))?);
    }
    match numbers.split_first() {
        Some((&key, content)) if !content.is_empty() => Ok((key, content.to_vec())),
        _ => Err(internal(
            "castmatch.enqueue_change needs a key column and content columns as arguments",
        )),
    }
}

fn changed(trigger: &RowTrigger, key: i32, content: &[i32]) -> bool {
    content.iter().any(|&column| trigger.differs(column)) || trigger.old_text(key) != trigger.new_text(key)
}

/// Puts the triggers on a table that note its changes, of every kind, those that logical replication applies too.
///
/// # Errors
/// As the statements raise them.
pub fn create_for_changes(session: &Session, table: &str) -> Result<()> {
    let on_rows = format!("INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW");
    let on_all = format!("TRUNCATE ON {table} FOR EACH STATEMENT");
    for (name, events) in [(CHANGE_TRIGGER, on_rows), (TRUNCATE_TRIGGER, on_all)] {
        create(session, table, name, &events, "note_change()")?;
    }
    Ok(())
}

/// Puts the trigger on a table that queues its rows.
///
/// # Errors
/// As the statements raise them.
pub fn create_for_queue(session: &Session, table: &str, key: &str, content: &[String]) -> Result<()> {
    let arguments: Vec<String> = std::iter::once(key)
        .chain(content.iter().map(String::as_str))
        .map(pgrx::spi::quote_literal)
        .collect();
    create(
        session,
        table,
        QUEUE_TRIGGER,
        &format!("INSERT OR UPDATE ON {table} FOR EACH ROW"),
        &format!("enqueue_change({})", arguments.join(", ")),
    )
}

/// A trigger that fires for whoever writes.
fn create(session: &Session, table: &str, name: &str, events: &str, call: &str) -> Result<()> {
    session.run_utility(&format!(
        "CREATE TRIGGER {name} AFTER {events} EXECUTE FUNCTION castmatch.{call}"
    ))?;
    session.run_utility(&format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"))
}
