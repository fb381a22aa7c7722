//! The launcher: one background process that starts a worker for each database that has work, of either kind: rows to embed, replies to
//! give.
//!
//! It holds no database connection of its own. At start it has every database looked at once, because work may have been
//! left from before; later a committing backend names its database in shared memory. A database whose worker fails
//! again and again is tried at growing intervals.

use crate::error::Result;
use crate::pg::worker::{
    Description, Noted, exit_for_restart, has_stopped, is_running, my_pid, on_process_exit,
};
use crate::pg::{catalog, signals};
use crate::shared::shared;
use crate::stats::attendance;
use castmatch_engine::shared::attendance::WorkerKind;
use castmatch_engine::shared::sync::{Duty, SyncState, Work};
use core::sync::atomic::Ordering;
use core::time::Duration;
use pgrx::bgworkers::{BackgroundWorker, DynamicBackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::collections::BTreeMap;
use std::time::Instant;

/// Workers of one kind that run at the same time; each has a connection of its own.
const MAX_RUNNING: usize = 3;
/// Time between two starts for one database, growing while its workers fail at once.
const MIN_INTERVAL: Duration = Duration::from_secs(1);
const MAX_INTERVAL: Duration = Duration::from_secs(60);
/// A worker that ran longer than this did not fail at once.
const SHORT_RUN: Duration = Duration::from_secs(5);
/// A worker that has no live process this long after it was asked for is given up.
const START_LIMIT: Duration = Duration::from_secs(10);
/// Two-phase commits wake nobody, so every database is looked at from time to time.
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);
/// It shows that often that it is alive, as the embedding worker does.
const BEAT_INTERVAL: Duration = Duration::from_secs(10);

const LAUNCHER: Description = Description {
    name: "castmatch launcher",
    function: "castmatch_launcher_main",
    argument: pg_sys::Datum::null(),
    on_standby: false,
};

/// Registers the launcher at server start.
pub fn register() {
    LAUNCHER.load_static();
}

/// Starts the launcher from a backend if the server does not keep one by itself.
///
/// # Errors
/// 53000 if no worker slot is free.
pub fn ensure_started() -> Result<()> {
    let shared = shared()?;
    if shared.preloaded.load(Ordering::Acquire) == 1 {
        return Ok(());
    }
    let state = &shared.sync;
    LAUNCHER.ensure_started(&Noted {
        pid: &state.launcher_pid,
        asked_ms: &state.start_requested_ms,
    })
}

/// What the launcher knows of one database.
struct Database {
    worker: Option<DynamicBackgroundWorker>,
    started: Instant,
    interval: Duration,
}

/// The workers of one kind.
struct Pool {
    work: &'static Work,
    name: &'static str,
    function: &'static str,
    databases: BTreeMap<u32, Database>,
}

struct Launcher {
    state: &'static SyncState,
    pools: [Pool; 2],
    swept: Option<Instant>,
}

/// Entry point of the background worker.
#[pg_guard]
#[unsafe(no_mangle)]
#[allow(unsafe_code)]
pub extern "C-unwind" fn castmatch_launcher_main(_argument: pg_sys::Datum) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    let state = match shared() {
        Ok(shared) => &shared.sync,
        Err(report) => {
            report.report(PgLogLevel::LOG);
            return;
        }
    };
    if state
        .launcher_pid
        .compare_exchange(0, my_pid(), Ordering::AcqRel, Ordering::Acquire)
        .is_err()
    {
        return;
    }
    on_process_exit(sign_off);
    signals::connect_without_database();
    state.launcher_latch.store(
        crate::pg::latch::LatchAddress::mine().to_bits(),
        Ordering::Release,
    );
    let mut launcher = Launcher::new(state);
    loop {
        attendance::beat(WorkerKind::Launcher);
        let patience = launcher.turn().min(BEAT_INTERVAL);
        if !BackgroundWorker::wait_latch(Some(patience)) {
            break;
        }
        if BackgroundWorker::sighup_received() {
            crate::pg::worker::reload_configuration();
        }
    }
    exit_for_restart();
}

fn sign_off() {
    let Ok(shared) = shared() else { return };
    shared.sync.launcher_latch.store(0, Ordering::Release);
    shared.sync.launcher_pid.store(0, Ordering::Release);
}

impl Launcher {
    fn new(state: &'static SyncState) -> Self {
        let pool = |duty, name, function| Pool {
            work: state.work(duty),
            name,
            function,
            databases: BTreeMap::new(),
        };
        Self {
            state,
            pools: [
                pool(Duty::Rows, "castmatch sync worker", "castmatch_sync_worker_main"),
                pool(
                    Duty::Replies,
                    "castmatch chat worker",
                    "castmatch_chat_worker_main",
                ),
            ],
            swept: None,
        }
    }

    /// Does what is due and tells how long there is nothing to do.
    fn turn(&mut self) -> Duration {
        // Of both, whichever had no room.
        let overflows: Vec<bool> = self
            .pools
            .iter()
            .map(|pool| pool.work.overflow.swap(0, Ordering::AcqRel) == 1)
            .collect();
        if overflows.contains(&true) || self.swept.is_none_or(|swept| swept.elapsed() > SWEEP_INTERVAL) {
            self.sweep();
        }
        if self.pools.iter().any(|pool| !pool.work.wanted().is_empty()) {
            self.forget_dropped();
        }
        let mut patience = SWEEP_INTERVAL;
        for pool in &mut self.pools {
            pool.reap();
            for database in pool.work.wanted() {
                if let Some(wait) = pool.start_if_due(database) {
                    patience = patience.min(wait);
                }
            }
        }
        patience
    }

    /// Marks every database.
    fn sweep(&mut self) {
        self.swept = Some(Instant::now());
        for database in self.forget_dropped() {
            self.state.request(Duty::Rows, database, |_| ());
            self.state.request(Duty::Replies, database, |_| ());
        }
    }

    /// The databases that there are; whatever is known of others is forgotten.
    fn forget_dropped(&mut self) -> Vec<u32> {
        let existing: Vec<u32> = BackgroundWorker::transaction(catalog::connectable_databases)
            .into_iter()
            .map(pg_sys::Oid::to_u32)
            .collect();
        for pool in &mut self.pools {
            for database in pool.work.wanted() {
                if !existing.contains(&database) {
                    pool.work.clear(database);
                }
            }
            pool.databases.retain(|database, _| existing.contains(database));
        }
        existing
    }
}

impl Pool {
    fn reap(&mut self) {
        let wanted = self.work.wanted();
        for (number, database) in &mut self.databases {
            let late = database.started.elapsed() > START_LIMIT;
            if database
                .worker
                .as_ref()
                .is_some_and(|worker| has_stopped(worker) || (late && !is_running(worker)))
            {
                database.worker = None;
                // A worker that fails asks for another one; one that found nothing more to do does not.
                let failed = database.started.elapsed() < SHORT_RUN && wanted.contains(number);
                database.interval = if failed {
                    (database.interval * 2).min(MAX_INTERVAL)
                } else {
                    MIN_INTERVAL
                };
            }
        }
    }

    /// Starts the worker, or tells after which time to try; `None` if one is running.
    fn start_if_due(&mut self, database: u32) -> Option<Duration> {
        let running = self
            .databases
            .values()
            .filter(|known| known.worker.is_some())
            .count();
        if let Some(known) = self.databases.get(&database) {
            if known.worker.is_some() {
                return None;
            }
            let waited = known.started.elapsed();
            if waited < known.interval {
                return Some(known.interval.saturating_sub(waited));
            }
        }
        if running >= MAX_RUNNING {
            return Some(MIN_INTERVAL);
        }
        let worker = Description {
            name: self.name,
            function: self.function,
            argument: pg_sys::Datum::from(database),
            on_standby: false,
        };
        let interval = self
            .databases
            .get(&database)
            .map_or(MIN_INTERVAL, |known| known.interval);
        let started = match worker.start() {
            Ok(worker) => Some(worker),
            Err(report) => {
                // Tried again after the interval; the rows stay queued.
                report.report(PgLogLevel::LOG);
                None
            }
        };
        self.databases.insert(
            database,
            Database {
                worker: started,
                started: Instant::now(),
                interval,
            },
        );
        Some(interval)
    }
}
