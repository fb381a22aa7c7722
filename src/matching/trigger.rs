//! The row triggers of attached tables: one notes every change for the caches, one queues or embeds a row whose text is new.
//!
//! They run for every writer, whatever their rights on the queue, hence as the queue's owner for that one INSERT. What they need to know
//! comes from the registration, not from arguments, so that a rename of a column needs no new trigger. On a partitioned table the
//! server copies them to each partition.

use crate::cache::epoch;
use crate::embed::{client, model_of_table};
use crate::error::{Result, error, internal};
use crate::launcher;
use crate::matching::attach::queue_rows;
use crate::matching::attachment::{Attachment, EmbedMode, column_gone};
use crate::matching::key;
use crate::matching::queue::other_version;
use crate::matching::target::Target;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, Session, session};
use crate::pg::trigger::{self, RowTrigger, Timing, TriggerResult};
use crate::pg::value::Value;
use crate::pg::xact;
use crate::pg::{catalog, latch};
use crate::shared::shared;
use castmatch_engine::shared::embedder::Urgency;
use castmatch_engine::shared::sync::Duty;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::rc::Rc;

/// Name of the trigger on an attached table that queues its rows. Triggers of one event fire in the order of their names; this one
/// sees the row as it is stored, which an AFTER trigger does in any case.
pub const QUEUE_TRIGGER: &str = "castmatch_enqueue_change";
/// Name of the trigger that embeds rows as they are written: last among those that may still change the text.
pub const LIVE_TRIGGER: &str = "zzz_castmatch_embed_change";
/// Names of the triggers on an attached table that note its changes for the caches: of each row, and of TRUNCATE.
pub const CHANGE_TRIGGER: &str = "castmatch_note_change";
pub const TRUNCATE_TRIGGER: &str = "castmatch_note_truncate";

fn wrong_call(function: &str, wanted: &str) -> pgrx::pg_sys::panic::ErrorReport {
    error(
        PgSqlErrorCode::ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED,
        format!("castmatch.{function} must be called by {wanted}"),
    )
}

/// Trigger of attached tables: this transaction has changed the table, so that nothing cached about it is current once it has committed.
#[pg_extern(sql = false)]
fn note_change(fcinfo: pg_sys::FunctionCallInfo) -> Result<TriggerResult> {
    let table = trigger::table_of_call(fcinfo).ok_or_else(|| wrong_call("note_change", "a trigger"))?;
    epoch::note_change_of_row(table);
    Ok(TriggerResult::NONE)
}

/// The attachment of a trigger's row with the numbers of its key and content columns there; `None` where a trigger is left over from a
/// table that is not attached.
fn columns_of(trigger: &RowTrigger) -> Result<Option<(Rc<Attachment>, Columns)>> {
    let Some(attachment) = Attachment::of_row_in(trigger.relation())? else {
        return Ok(None);
    };
    let numbers = |names: &[String]| -> Result<Vec<i32>> {
        names
            .iter()
            .map(|name| trigger.column(name).ok_or_else(|| column_gone(name)))
            .collect()
    };
    let columns = Columns {
        key: numbers(&attachment.key_names)?,
        content: numbers(&attachment.content_names)?,
    };
    Ok(Some((attachment, columns)))
}

/// Numbers of columns in a trigger's table, which a partition may have in another order than the attached table.
struct Columns {
    key: Vec<i32>,
    content: Vec<i32>,
}

impl Columns {
    fn text_changed(&self, trigger: &RowTrigger) -> bool {
        self.content.iter().any(|&column| trigger.differs(column))
    }

    fn key_changed(&self, trigger: &RowTrigger) -> bool {
        let changed = |&column: &i32| trigger.old_text(column) != trigger.new_text(column);
        self.key.iter().any(changed)
    }
}

#[pg_extern(sql = false)]
fn enqueue_change(fcinfo: pg_sys::FunctionCallInfo) -> Result<TriggerResult> {
    let trigger = RowTrigger::from_call(fcinfo, Timing::After)
        .filter(|trigger| !trigger.is_delete())
        .ok_or_else(|| wrong_call("enqueue_change", "an AFTER INSERT OR UPDATE trigger FOR EACH ROW"))?;
    let Some((attachment, columns)) = columns_of(&trigger)? else {
        return Ok(TriggerResult::NONE);
    };
    let due = !trigger.is_update() || columns.text_changed(&trigger) || columns.key_changed(&trigger);
    if !due || attachment.embed_mode != EmbedMode::Background {
        return Ok(TriggerResult::NONE);
    }
    let parts = columns.key.iter().map(|&column| {
        let text = trigger.new_text(column);
        text.ok_or_else(|| internal("the key of an attached table is null"))
    });
    let key = key::from_parts(parts.collect::<Result<_>>()?);
    let owner = catalog::extension_types()?.owner;
    act_as(owner, Restriction::LocalChange, || {
        session(Access::ReadWrite, |session| {
            session.run(
                "INSERT INTO castmatch.queue (target, key) VALUES ($1::pg_catalog.oid::pg_catalog.regclass, $2)",
                &[Value::oid(attachment.target), Value::of(key)],
            )
        })
    })?;
    Ok(TriggerResult::NONE)
}

/// Trigger of tables attached with `embed_mode => 'live'`: the row gets its embedding before it is written.
#[pg_extern(sql = false)]
fn embed_change(fcinfo: pg_sys::FunctionCallInfo) -> Result<TriggerResult> {
    let trigger = RowTrigger::from_call(fcinfo, Timing::Before)
        .filter(|trigger| !trigger.is_delete())
        .ok_or_else(|| wrong_call("embed_change", "a BEFORE INSERT OR UPDATE trigger FOR EACH ROW"))?;
    let Some((attachment, columns)) = columns_of(&trigger)? else {
        return Ok(trigger.unchanged());
    };
    if attachment.embed_mode != EmbedMode::Live || (trigger.is_update() && !columns.text_changed(&trigger)) {
        return Ok(trigger.unchanged());
    }
    let texts: Vec<String> = columns
        .content
        .iter()
        .filter_map(|&column| trigger.new_text(column))
        .collect();
    let text = texts.join("\n");
    let mut due = vec![(
        (&attachment.embedding_name, attachment.vectors()?),
        (&attachment.model, &attachment.model_version),
    )];
    if let Some(next) = &attachment.next {
        due.push((
            (&next.embedding_name, next.vectors()?),
            (&next.model, &next.version),
        ));
    }
    let mut changes = Vec::new();
    for ((name, vectors), (model, version)) in due {
        let column = trigger.column(name).ok_or_else(|| column_gone(name))?;
        let vector = embed_now(&attachment, model, version, &text)?;
        let value = vector.map(|vector| vectors.datum(&vector));
        changes.push((column, value.transpose()?));
    }
    Ok(trigger.with_columns(&changes))
}

fn embed_now(table: &Attachment, model: &str, version: &str, text: &str) -> Result<Option<Vec<f32>>> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let name = model_of_table(model)?;
    if client::version_text(&name)? != version {
        return Err(other_version(table, model));
    }
    let vector = client::embed(&name, &[text], Urgency::Interactive)?.pop();
    vector
        .map(Some)
        .ok_or_else(|| internal("no vector came back for a text"))
}

/// Queues the rows without an embedding that a partition brought along when it became one of an attached table.
#[pg_extern(sql = false)]
fn queue_partition(partition: pg_sys::Oid) -> Result<()> {
    let Some(attachment) = Attachment::of_row_in(partition)? else {
        return Ok(());
    };
    if attachment.embed_mode == EmbedMode::Off {
        return Ok(());
    }
    let from = session(Access::ReadOnly, |session| Target::load(session, partition))?.name;
    let condition = format!("t.{} IS NULL", attachment.embedding);
    // As the owner of the table: writing a key as text may run what they have made.
    act_as(attachment.owner, Restriction::Restricted, || {
        queue_rows(&attachment, &from, &condition, false)
    })
    .map(drop)
}

/// Statement trigger of `castmatch.queue`: whoever fills it, pg_restore too, has the database looked at after commit.
#[pg_extern(sql = false)]
fn announce_queue() -> Result<TriggerResult> {
    launcher::ensure_started()?;
    xact::note_enqueued(announce);
    Ok(TriggerResult::NONE)
}

/// Runs after commit: names this database to the launcher.
pub fn announce() {
    if let Ok(shared) = shared() {
        shared
            .sync
            .request(Duty::Rows, catalog::my_database().to_u32(), latch::wake);
    }
}

/// Puts the triggers on a table that note its changes, of every kind, those that logical replication applies too.
///
/// # Errors
/// As the statements raise them.
pub fn create_for_changes(session: &Session, table: &str) -> Result<()> {
    let on_rows = format!("AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW");
    let on_all = format!("AFTER TRUNCATE ON {table} FOR EACH STATEMENT");
    for (name, events) in [(CHANGE_TRIGGER, on_rows), (TRUNCATE_TRIGGER, on_all)] {
        create(session, table, name, &events, "note_change()")?;
    }
    Ok(())
}

/// Puts the trigger on a table that queues or embeds its rows, as the mode wants it.
///
/// # Errors
/// As the statements raise them.
pub fn create_for_embedding(session: &Session, table: &str, mode: EmbedMode) -> Result<()> {
    let events = format!("INSERT OR UPDATE ON {table} FOR EACH ROW");
    match mode {
        EmbedMode::Background => create(
            session,
            table,
            QUEUE_TRIGGER,
            &format!("AFTER {events}"),
            "enqueue_change()",
        ),
        EmbedMode::Live => create(
            session,
            table,
            LIVE_TRIGGER,
            &format!("BEFORE {events}"),
            "embed_change()",
        ),
        EmbedMode::Off => Ok(()),
    }
}

/// A trigger that fires for whoever writes.
fn create(session: &Session, table: &str, name: &str, events: &str, call: &str) -> Result<()> {
    session.run_utility(&format!(
        "CREATE TRIGGER {name} {events} EXECUTE FUNCTION castmatch.{call}"
    ))?;
    session.run_utility(&format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"))
}
