//! The index worker: builds the vector indexes that attach and reembed left for later, while others write, measures the words of tables
//! that have grown, and ends.
//!
//! The sync worker starts it when a table's rows have their vectors. It works as the sync worker does: connected as the bootstrap superuser,
//! at a user's table as its owner; the server itself runs CREATE INDEX as the table's owner.

use crate::error::Result;
use crate::matching::attachment::Attachment;
use crate::matching::queue::in_transaction;
use crate::matching::switch;
use crate::matching::target::Target;
use crate::matching::text::statistics;
use crate::matching::vector_index::{self, Definition};
use crate::pg::signals;
use crate::pg::spi::Session;
use crate::pg::utility::run_alone;
use crate::pg::value::Value;
use crate::pg::worker::Description;
use crate::stats::attendance;
use castmatch_engine::shared::attendance::WorkerKind;
use pgrx::bgworkers::{BackgroundWorker, DynamicBackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// Settings of the session. CREATE INDEX CONCURRENTLY waits for every transaction that began before; rather than for ever it
/// fails and is tried again. In a deadlock with a user's command it is this worker that gives way.
const SETTINGS: &str = "
    SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES
        ('search_path', 'pg_catalog, pg_temp'), ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'),
        ('row_security', 'off'), ('lock_timeout', '60s'), ('deadlock_timeout', '100ms'),
        ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0')) AS s (name, value)";

/// Only one works in a database; the number is castmatch's own among advisory locks of a session.
const LOCK_SQL: &str = "SELECT pg_catalog.pg_try_advisory_lock(1667331941, 1)";

/// Starts the worker for a database.
///
/// # Errors
/// 53000 if no worker slot is free.
pub fn start(database: u32) -> Result<DynamicBackgroundWorker> {
    let worker = Description {
        name: "castmatch index worker",
        function: "castmatch_index_worker_main",
        argument: pg_sys::Datum::from(database),
        on_standby: false,
    };
    worker.start()
}

/// Entry point of the background worker; its argument is the database's OID.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C-unwind" fn castmatch_index_worker_main(argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
    signals::die_on_sigterm();
    signals::connect_to(pg_sys::Oid::from(argument.value() as u32));
    if let Err(report) = work() {
        report.report(PgLogLevel::ERROR);
    }
}

/// A table that is to get an index.
struct Due {
    target: pg_sys::Oid,
    embedding: String,
    filters: Vec<String>,
    method: String,
    index: Option<String>,
    is_switch: bool,
}

impl Due {
    fn definition<'a>(&'a self, target: &'a Target) -> Definition<'a> {
        Definition {
            target,
            embedding: &self.embedding,
            filters: &self.filters,
            method: &self.method,
        }
    }
}

fn work() -> Result<()> {
    let alone = in_transaction(|session| {
        session.run(SETTINGS, &[])?;
        session.run(LOCK_SQL, &[])?.require::<bool>(0, 1)
    })?;
    if !alone {
        return Ok(());
    }
    attendance::beat(WorkerKind::Index);
    for due in in_transaction(due)? {
        build(&due)?;
        attendance::beat(WorkerKind::Index);
        if due.is_switch {
            switch::finish(due.target)?;
        } else {
            in_transaction(|session| note_built(session, &due))?;
        }
    }
    for target in in_transaction(stale)? {
        in_transaction(|session| match Attachment::find(target)? {
            Some(attachment) => statistics::refresh(session, &attachment),
            None => Ok(()),
        })?;
    }
    Ok(())
}

/// Which tables are due an index: those with little left to embed, and those whose vectors of another model are complete.
///
/// # Errors
/// As the statement raises them.
pub fn due_sql(columns: &str) -> String {
    format!(
        "SELECT {columns} FROM castmatch.registrations r
         WHERE CASE WHEN r.next_model IS NOT NULL THEN NOT EXISTS (
                 SELECT 1 FROM castmatch.queue q WHERE q.target OPERATOR(pg_catalog.=) r.target AND q.for_next AND q.failed_at IS NULL)
             ELSE r.index_is_due AND (SELECT pg_catalog.count(*) FROM (
                 SELECT 1 FROM castmatch.queue q WHERE q.target OPERATOR(pg_catalog.=) r.target AND q.failed_at IS NULL
                 LIMIT {backlog}) w) OPERATOR(pg_catalog.<) {backlog} END",
        backlog = vector_index::BACKLOG
    )
}

/// Which tables have grown or shrunk so much that the frequencies of their words say something else: by a tenth, and a thousand rows.
pub const STALE_SQL: &str = "
    SELECT r.target::oid FROM castmatch.registrations r
    LEFT JOIN castmatch.text_statistics s ON s.target OPERATOR(pg_catalog.=) r.target
    JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) r.target
    CROSS JOIN LATERAL (
        SELECT CASE WHEN c.relkind::text OPERATOR(pg_catalog.=) 'p' THEN (
            SELECT COALESCE(pg_catalog.sum(GREATEST(l.reltuples, 0)), 0)::pg_catalog.float8
            FROM pg_catalog.pg_partition_tree(c.oid) p JOIN pg_catalog.pg_class l ON l.oid OPERATOR(pg_catalog.=) p.relid
            WHERE p.isleaf)
        ELSE GREATEST(c.reltuples, 0)::pg_catalog.float8 END AS rows) n
    WHERE pg_catalog.abs(n.rows OPERATOR(pg_catalog.-) COALESCE(s.rows, 0))
        OPERATOR(pg_catalog.>) (1000::pg_catalog.float8 OPERATOR(pg_catalog.+) (0.1::pg_catalog.float8 OPERATOR(pg_catalog.*) COALESCE(s.rows, 0)))";

fn stale(session: &Session) -> Result<Vec<pg_sys::Oid>> {
    session.run(STALE_SQL, &[])?.column_values(1)
}

fn due(session: &Session) -> Result<Vec<Due>> {
    let columns = "r.target::oid, COALESCE(r.next_embedding, r.embedding_column)::text, r.filter_columns::text[], r.index_method::text,
        r.vector_index::text, r.next_model IS NOT NULL";
    let rows = session.run(&due_sql(columns), &[])?;
    (0..rows.len())
        .map(|row| {
            Ok(Due {
                target: rows.require(row, 1)?,
                embedding: rows.require(row, 2)?,
                filters: rows.require(row, 3)?,
                method: rows.require(row, 4)?,
                index: rows.get(row, 5)?,
                is_switch: rows.require(row, 6)?,
            })
        })
        .collect()
}

/// Builds the index while others write. What an earlier try has left invalid is removed before.
fn build(due: &Due) -> Result<()> {
    let command = in_transaction(|session| {
        let target = Target::load(session, due.target)?;
        let definition = due.definition(&target);
        if target.is_partitioned || definition.exists(session)? {
            return Ok(None);
        }
        definition.drop_invalid(session)?;
        let name = match &due.index {
            Some(name) if !due.is_switch && vector_index::is_free(session, &target, name)? => name.clone(),
            _ => vector_index::free_name(session, &target, "embedding")?,
        };
        definition.statement(session, &name, true).map(Some)
    })?;
    if let Some(command) = command {
        run_alone(&command)?;
    }
    Ok(())
}

/// Notes the index that the table has now. It is castmatch's to drop only if castmatch made it, which the name says.
fn note_built(session: &Session, due: &Due) -> Result<()> {
    let target = Target::load(session, due.target)?;
    let name = due.definition(&target).name(session)?;
    session
        .run(
            "UPDATE castmatch.registrations SET index_is_due = false, vector_index = COALESCE($2::pg_catalog.name, vector_index)
             WHERE target OPERATOR(pg_catalog.=) $1::pg_catalog.oid::pg_catalog.regclass AND index_is_due",
            &[Value::oid(due.target), Value::of(name)],
        )
        .map(drop)
}
