//! The chat worker: answers the requests of one database, writes down what models used, and ends when there is nothing to do.
//!
//! It connects as the bootstrap superuser, but answers a request as its owner, under the restrictions of maintenance commands and the row
//! security of the owner's tables. While it waits for models it has no transaction, no snapshot and no row lock; several requests wait at
//! once.

use crate::chat::task::{self, Taken, Task};
use crate::duty::serve;
use crate::error::Result;
use crate::matching::in_transaction;
use crate::models::{client, usage};
use crate::pg::latch;
use crate::pg::worker::my_pid;
use crate::pg::xact::attempt;
use crate::shared::shared;
use crate::stats::attendance;
use castmatch_engine::shared::attendance::WorkerKind;
use castmatch_engine::shared::ledger::Taken as Noted;
use castmatch_engine::shared::sync::Duty;
use core::time::Duration;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::time::Instant;

/// How long to wait for more work before ending: a connection keeps its database from being dropped. One that finds nothing at all does
/// not wait.
const LINGER: Duration = Duration::from_secs(2);
/// After it a worker with nothing at a model makes room for that of another database.
const FAIR_TIME: Duration = Duration::from_secs(60);
/// Requests that wait for models at once.
const UNDER_WAY: usize = 16;
/// Between two looks at a request whose conversation somebody else has.
const RETRY: Duration = Duration::from_millis(200);
/// Between two times that usage is written down.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

/// Settings of the session. In a deadlock with a user's command it is this worker that gives way.
const SETTINGS: &str = "
    SELECT pg_catalog.set_config(s.name, s.value, false) FROM (VALUES
        ('search_path', 'pg_catalog, pg_temp'), ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'),
        ('lock_timeout', '2s'), ('deadlock_timeout', '100ms'),
        ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0')) AS s (name, value)";

/// Entry point of the background worker; its argument is the database's OID.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C-unwind" fn castmatch_chat_worker_main(argument: pg_sys::Datum) {
    serve(Duty::Replies, argument, run);
}

fn run(database: u32) -> Result<()> {
    let work = shared()?.sync.work(Duty::Replies);
    // They hold from the next transaction on.
    in_transaction(|session| session.run(SETTINGS, &[]).map(drop))?;
    let present = in_transaction(|session| {
        let present: bool = session
            .run(
                "SELECT pg_catalog.to_regclass('castmatch.requests') IS NOT NULL",
                &[],
            )?
            .require(0, 1)?;
        if present {
            task::resume(session)?;
        }
        Ok(present)
    })?;
    if !present {
        work.clear(database);
        return Ok(());
    }
    let mut tasks: Vec<Task> = Vec::new();
    let started = Instant::now();
    let mut busy_at: Option<Instant> = None;
    let mut written: Option<Instant> = None;
    loop {
        attendance::beat(WorkerKind::Chat);
        // Cleared before the requests are read: what commits from now on is noted anew.
        work.clear(database);
        if written.is_none_or(|written| written.elapsed() >= WRITE_INTERVAL) {
            written = Some(Instant::now());
            if write_usage(database)? {
                busy_at = Some(Instant::now());
            }
        }
        let waiting = take_requests(&mut tasks)?;
        let mut index = 0;
        while let Some(task) = tasks.get_mut(index) {
            if task.advance()? {
                tasks.swap_remove(index);
                busy_at = Some(Instant::now());
            } else {
                index += 1;
            }
        }
        let others_wait =
            started.elapsed() >= FAIR_TIME && work.wanted().iter().any(|&other| other != database);
        if tasks.is_empty()
            && (others_wait || (!waiting && busy_at.is_none_or(|busy| busy.elapsed() >= LINGER)))
        {
            if waiting {
                work.note(database);
            }
            // What was noted since the last look would wait for the next call of a model.
            write_usage(database)?;
            return Ok(());
        }
        match (tasks.is_empty(), waiting) {
            (false, true) => client::wait(RETRY)?,
            (false, false) => client::wait(WRITE_INTERVAL)?,
            (true, true) => latch::wait(RETRY),
            (true, false) => latch::wait(WRITE_INTERVAL),
        }
        if BackgroundWorker::sighup_received() {
            crate::pg::worker::reload_configuration();
        }
    }
}

/// Takes what can be taken; whether a request is left whose conversation somebody else has.
fn take_requests(tasks: &mut Vec<Task>) -> Result<bool> {
    while tasks.len() < UNDER_WAY {
        let busy: Vec<Uuid> = tasks.iter().map(|task| task.conversation).collect();
        match Task::take(&busy)? {
            Taken::Task(task) => tasks.push(*task),
            Taken::Settled => {}
            Taken::Waiting => return Ok(true),
            Taken::Nothing => return Ok(false),
        }
    }
    Ok(false)
}

/// Writes down what models used; whether there was anything.
fn write_usage(database: u32) -> Result<bool> {
    if shared()?.ledger.pending(database).is_empty() {
        return Ok(false);
    }
    let written = in_transaction(|session| Ok(attempt(|| usage::write_noted(session, database))))?;
    match written {
        // Only after the commit: until then the notes count as pending.
        Ok(taken) => taken.into_iter().for_each(Noted::settle),
        Err(failed) => {
            // Replies do not wait for somebody's lock on the table of usage.
            pgrx::log!(
                "castmatch: usage of models is written down later: {}",
                failed.message
            );
            shared()?.ledger.put_back(my_pid());
        }
    }
    Ok(true)
}
