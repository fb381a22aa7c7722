//! Which rows are due, and their texts.

use super::blocked::Blocked;
use super::{Outcome, Row, Work, entries};
use crate::error::Result;
use crate::matching::attachment::{Attachment, EmbedMode};
use crate::matching::trigger::CHANGE_TRIGGER;
use crate::pg::catalog;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use pgrx::pg_sys;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// Queue entries of one batch.
const BATCH_ENTRIES: i64 = 256;
/// The longest that entries wait for the triggers of a registered table, and for the registration of another, which pg_restore brings right after the
/// queue. After that nobody is restoring: the triggers were dropped, or the table was detached.
const TRIGGERS_LIMIT: Duration = Duration::from_secs(24 * 3600);
const REGISTRATION_LIMIT: Duration = Duration::from_secs(15 * 60);

/// What is due.
pub enum Collected {
    /// Rows, by table.
    Works(Vec<Work>),
    /// Nothing.
    Nothing(Outcome),
}

/// The queue's entries for one row.
#[derive(Default)]
struct Entries {
    ids: Vec<i64>,
    for_own: bool,
}

/// Entries that are due and not taken yet, of tables that are not `busy`, each table's together, with the texts of their rows. Entries of rows that are gone and of
/// tables that are not attached are settled here; those of a table that is being restored wait.
///
/// # Errors
/// As the statements on the queue raise them.
pub fn due(session: &Session, taken: Vec<i64>, busy: &[pg_sys::Oid], blocked: &Blocked) -> Result<Collected> {
    let present = session.run(
        "SELECT pg_catalog.to_regclass('castmatch.queue') IS NOT NULL",
        &[],
    )?;
    if !present.require::<bool>(0, 1)? {
        return Ok(Collected::Nothing(Outcome::NoExtension));
    }
    // Whoever else holds an entry works on it: a detach, a second worker.
    let due = session.run(
        "SELECT id, target::oid, key, for_next FROM castmatch.queue
         WHERE failed_at IS NULL AND not_before <= pg_catalog.clock_timestamp()
           AND target::oid OPERATOR(pg_catalog.<>) ALL ($2) AND id OPERATOR(pg_catalog.<>) ALL ($3)
         ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
        &[
            Value::of(BATCH_ENTRIES),
            Value::of(passed_over(busy, blocked)),
            Value::of(taken.clone()),
        ],
    )?;
    if due.is_empty() {
        return next_due(session, taken, busy, blocked).map(|wait| Collected::Nothing(Outcome::Idle(wait)));
    }
    let mut tables: BTreeMap<u32, BTreeMap<String, Entries>> = BTreeMap::new();
    for row in 0..due.len() {
        let target: pg_sys::Oid = due.require(row, 2)?;
        let keys = tables.entry(target.to_u32()).or_default();
        let entries = keys.entry(due.require(row, 3)?).or_default();
        entries.ids.push(due.require(row, 1)?);
        entries.for_own |= !due.require::<bool>(row, 4)?;
    }
    let mut works = Vec::new();
    for (target, keys) in tables {
        works.extend(read_table(session, pg_sys::Oid::from(target), keys)?);
    }
    Ok(Collected::Works(works))
}

/// Tables that are not looked at now.
fn passed_over(busy: &[pg_sys::Oid], blocked: &Blocked) -> Vec<pg_sys::Oid> {
    busy.iter().copied().chain(blocked.tables()).collect()
}

/// How long until an entry is due that is not taken; `None` if there is none. One that somebody else has locked is looked for at once.
fn next_due(
    session: &Session,
    taken: Vec<i64>,
    busy: &[pg_sys::Oid],
    blocked: &Blocked,
) -> Result<Option<Duration>> {
    let next = session.run(
        "SELECT pg_catalog.date_part('epoch',
             GREATEST(pg_catalog.min(not_before), pg_catalog.clock_timestamp()) - pg_catalog.clock_timestamp())
         FROM castmatch.queue WHERE failed_at IS NULL
           AND target::oid OPERATOR(pg_catalog.<>) ALL ($1) AND id OPERATOR(pg_catalog.<>) ALL ($2)
         HAVING pg_catalog.min(not_before) IS NOT NULL",
        &[Value::of(passed_over(busy, blocked)), Value::of(taken)],
    )?;
    let seconds = if next.is_empty() {
        None
    } else {
        next.get::<f64>(0, 1)?
    };
    let wait = seconds.map(|seconds| Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)));
    Ok(wait.into_iter().chain(blocked.soonest()).min())
}

/// Whether the table has the trigger that every attached table has, which is the last that pg_restore brings of one: the queue comes long before
/// the registrations and the rows.
fn has_trigger(session: &Session, target: pg_sys::Oid) -> Result<bool> {
    let found = session.run(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger
             WHERE tgrelid OPERATOR(pg_catalog.=) $1 AND tgname OPERATOR(pg_catalog.=) $2)",
        &[Value::oid(target), Value::of(CHANGE_TRIGGER)],
    )?;
    found.require(0, 1)
}

/// Has the entries of a table wait that is being restored, and leaves those that have waited too long.
fn await_restore(
    session: &Session,
    target: pg_sys::Oid,
    is_registered: bool,
    keys: &mut BTreeMap<String, Entries>,
) -> Result<()> {
    let limit = if is_registered {
        if has_trigger(session, target)? {
            return Ok(());
        }
        TRIGGERS_LIMIT
    } else if catalog::relation_name(target).is_some() {
        // Also with the triggers: parallel jobs of pg_restore may bring them first.
        REGISTRATION_LIMIT
    } else {
        return Ok(());
    };
    let ids = keys.values().flat_map(|entries| &entries.ids).copied().collect();
    let waiting = entries::await_restore(session, ids, limit)?;
    keys.retain(|_, entries| {
        entries.ids.retain(|id| !waiting.contains(id));
        !entries.ids.is_empty()
    });
    Ok(())
}

/// Reads the texts of the keys; settles the entries of rows that are gone and of tables that are not attached.
fn read_table(
    session: &Session,
    target: pg_sys::Oid,
    mut keys: BTreeMap<String, Entries>,
) -> Result<Option<Work>> {
    let attachment = Attachment::find(target)?;
    let is_off = |attachment: &Rc<Attachment>| attachment.embed_mode == EmbedMode::Off;
    if !attachment.as_ref().is_some_and(is_off) {
        await_restore(session, target, attachment.is_some(), &mut keys)?;
        if keys.is_empty() {
            return Ok(None);
        }
    }
    let Some(attachment) = attachment.filter(|attachment| !is_off(attachment)) else {
        entries::settle(session, keys.into_values().flat_map(|entries| entries.ids))?;
        return Ok(None);
    };
    let (names, of_names): (Vec<String>, Vec<Entries>) = keys.into_iter().unzip();
    // Rows are told apart by the place of their key in the array: the text of a key may depend on settings.
    let sql = format!(
        "SELECT k.place, {content} FROM {keys} JOIN {table} t ON {joined}",
        keys = attachment.key.unnest(1),
        joined = attachment.key.joined("t"),
        content = attachment.content_expression(),
        table = attachment.table,
    );
    let read = attachment.as_owner(|| {
        let rows = session.run(&sql, &attachment.key.arrays(&names)?)?;
        (0..rows.len())
            .map(|row| Ok((rows.require(row, 1)?, rows.get(row, 2)?)))
            .collect::<Result<BTreeMap<i64, Option<String>>>>()
    });
    let mut texts = match read {
        Ok(texts) => texts,
        Err(message) => {
            for of_name in of_names {
                entries::note_failure(session, &of_name.ids, &message)?;
            }
            return Ok(None);
        }
    };
    // The entries of a switch to another model can be seen a moment before the server says that the registration has changed. Whoever changes it
    // has locked the table, which is read now.
    if !attachment.is_current()? {
        return Ok(None);
    }
    let mut rows = Vec::new();
    let (mut done, mut missing) = (Vec::new(), Vec::new());
    for (place, (key, of_name)) in (1..).zip(names.into_iter().zip(of_names)) {
        match texts.remove(&place) {
            // What was queued for a switch of models that has ended, one way or the other, is done.
            Some(text) if of_name.for_own || attachment.next.is_some() => {
                let text = text.filter(|text| !text.trim().is_empty());
                let (entries, for_own) = (of_name.ids, of_name.for_own);
                rows.push(Row {
                    key,
                    entries,
                    text,
                    for_own,
                });
            }
            None if attachment.is_partitioned => missing.extend(of_name.ids),
            _ => done.extend(of_name.ids),
        }
    }
    entries::settle(session, done.into_iter())?;
    entries::settle_missing(session, missing)?;
    Ok((!rows.is_empty()).then_some(Work { attachment, rows }))
}
