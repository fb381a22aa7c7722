//! The sync worker: embeds the queued rows of one database and ends when there are none.
//!
//! It connects as the bootstrap superuser, but touches a user's table only as that table's owner and under the restrictions
//! that PostgreSQL's own maintenance commands use, so that a trigger on the table gains nothing.

use crate::duty::serve;
use crate::matching::index_worker;
use crate::matching::queue::{Outcome, Queue, in_transaction};
use crate::pg::latch;
use crate::pg::spi::{Access, session};
use crate::pg::worker::has_stopped;
use crate::shared::shared;
use crate::stats::attendance;
use castmatch_engine::shared::attendance::WorkerKind;
use castmatch_engine::shared::sync::Duty;
use core::time::Duration;
use pgrx::bgworkers::{BackgroundWorker, DynamicBackgroundWorker};
use pgrx::pg_sys;
use pgrx::prelude::*;

/// How long to wait for more work before ending: a connection keeps its database from being dropped.
const LINGER: Duration = Duration::from_secs(2);
/// Longest sleep while rows wait for their next try.
const MAX_SLEEP: Duration = Duration::from_secs(10);

/// Settings of the session. In a deadlock with a user's command, DROP EXTENSION for one, it is this worker that gives way. Row security is off so that a policy that hides rows from their owner becomes a
/// visible failure instead of rows that silently stay without an embedding.
const SETTINGS: &str = "
    SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES
        ('search_path', 'pg_catalog, pg_temp'), ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'),
        ('row_security', 'off'), ('lock_timeout', '2s'), ('deadlock_timeout', '100ms'),
        ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0')) AS s (name, value)";

/// Entry point of the background worker; its argument is the database's OID.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C-unwind" fn castmatch_sync_worker_main(argument: pg_sys::Datum) {
    serve(Duty::Rows, argument, work);
}

fn work(database: u32) -> crate::error::Result<()> {
    let state = shared()?.sync.work(Duty::Rows);
    BackgroundWorker::transaction(|| {
        session(Access::ReadWrite, |session| session.run(SETTINGS, &[]).map(drop))
    })?;
    let mut idle_since = std::time::Instant::now();
    let mut queue = Queue::default();
    let mut indexes = Indexes::default();
    loop {
        attendance::beat(WorkerKind::Sync);
        // Cleared before the queue is read: what commits from now on is noted anew.
        state.clear(database);
        let outcome = queue.turn()?;
        let awaits_index = indexes.look_after(database, &outcome)?;
        match outcome {
            Outcome::NoExtension => return Ok(()),
            Outcome::Worked => idle_since = std::time::Instant::now(),
            Outcome::Idle(None) => {
                if awaits_index {
                    idle_since = std::time::Instant::now();
                } else if idle_since.elapsed() >= LINGER {
                    return Ok(());
                }
                latch::wait(
                    LINGER
                        .saturating_sub(idle_since.elapsed())
                        .max(Duration::from_millis(1)),
                );
            }
            Outcome::Idle(Some(wait)) => latch::wait(wait.clamp(Duration::from_millis(10), MAX_SLEEP)),
        }
        if BackgroundWorker::sighup_received() {
            crate::pg::worker::reload_configuration();
        }
    }
}

/// Starts the index worker when it has something to do.
#[derive(Default)]
struct Indexes {
    worker: Option<DynamicBackgroundWorker>,
    looked: Option<std::time::Instant>,
    measured: Option<std::time::Instant>,
}

impl Indexes {
    /// Between two looks while rows are embedded, and between two workers.
    const INTERVAL: Duration = Duration::from_secs(5);
    /// Between two workers that only measure words: should one fail, nobody waits for it.
    const MEASURE_INTERVAL: Duration = Duration::from_secs(60);

    /// Whether an index worker runs or is to run soon.
    fn look_after(&mut self, database: u32, outcome: &Outcome) -> crate::error::Result<bool> {
        let since = self.looked.map(|looked| looked.elapsed());
        let lately = since.is_some_and(|since| since < Self::INTERVAL);
        if *outcome == Outcome::NoExtension || (lately && *outcome == Outcome::Worked) {
            return Ok(true);
        }
        if let Some(worker) = &self.worker
            && (lately || !has_stopped(worker))
        {
            return Ok(true);
        }
        let may_measure = self
            .measured
            .is_none_or(|measured| measured.elapsed() >= Self::MEASURE_INTERVAL);
        let (is_due, is_stale) = in_transaction(|session| {
            let is_due = !session.run(&index_worker::due_sql("1"), &[])?.is_empty();
            let is_stale = may_measure && !session.run(index_worker::STALE_SQL, &[])?.is_empty();
            Ok((is_due, is_stale))
        })?;
        let now = Some(std::time::Instant::now());
        self.looked = now;
        self.worker = None;
        if is_stale {
            self.measured = now;
        }
        if is_due || is_stale {
            // Without a free slot for it the next look tries again.
            let started = index_worker::start(database);
            self.worker = started.map_err(|report| report.report(PgLogLevel::LOG)).ok();
        }
        Ok(is_due)
    }
}
