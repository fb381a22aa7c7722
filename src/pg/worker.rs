//! Background workers: starting them and what a process must do when it ends.

use crate::error::{Result, error};
use crate::pg::clock;
use crate::stats::attendance;
use castmatch_engine::measure::process::{self, Process, Units};
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use core::time::Duration;
use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime, DynamicBackgroundWorker};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::cell::RefCell;

/// Library name as background workers load it.
const LIBRARY: &str = "castmatch";

/// What a background worker is to be.
pub struct Description {
    /// Name and type, as pg_stat_activity and the log show it.
    pub name: &'static str,
    /// Exported entry point.
    pub function: &'static str,
    /// Argument of the entry point.
    pub argument: pg_sys::Datum,
    /// Whether it also runs on a standby, where nothing can be written.
    pub on_standby: bool,
}

impl Description {
    fn builder(&self) -> BackgroundWorkerBuilder {
        BackgroundWorkerBuilder::new(self.name)
            .set_type(self.name)
            .set_library(LIBRARY)
            .set_function(self.function)
            .set_argument(Some(self.argument))
            .enable_shmem_access(None)
            // Also without a database: only a process that has connected is in pg_stat_activity.
            .enable_spi_access()
            // After the line above, which sets a start time of its own.
            .set_start_time(if self.on_standby {
                BgWorkerStartTime::ConsistentState
            } else {
                BgWorkerStartTime::RecoveryFinished
            })
    }

    /// Registers the worker with the postmaster, which restarts it a second after it ended with an error. Only while
    /// `shared_preload_libraries` are loaded, and not for pg_upgrade.
    pub fn load_static(&self) {
        if serves_pg_upgrade() {
            return;
        }
        self.builder()
            .set_restart_time(Some(Duration::from_secs(1)))
            .load();
    }

    /// Starts the worker from a running process.
    ///
    /// # Errors
    /// 53000 if the server has no free worker slot.
    pub fn start(&self) -> Result<DynamicBackgroundWorker> {
        // SAFETY: a plain global of the process.
        let notify = unsafe { pg_sys::MyProcPid };
        let started = self
            .builder()
            .set_restart_time(None)
            .set_notify_pid(notify)
            .load_dynamic();
        attendance::note_start(started.is_ok());
        started.map_err(|_| {
            error(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                format!("no background worker slot is free for \"{}\"", self.name),
            )
            .set_hint("Increase max_worker_processes.")
        })
    }
}

/// A worker that was asked for and did not come up in this time is asked for again.
const START_PATIENCE_MS: u64 = 2000;

/// Where a worker that there is once in the server is noted: its process id, and when it was last asked for.
pub struct Noted<'a> {
    /// Process id, 0 if there is none.
    pub pid: &'a AtomicI32,
    /// Milliseconds, 0 for never.
    pub asked_ms: &'a AtomicU64,
}

impl Description {
    /// Starts the worker unless there is one or another backend has just asked for it. For pg_upgrade there is none.
    ///
    /// # Errors
    /// 53000 if no worker slot is free.
    pub fn ensure_started(&self, noted: &Noted) -> Result<()> {
        if serves_pg_upgrade() || noted.pid.load(Ordering::Acquire) != 0 {
            return Ok(());
        }
        let now = clock::now_ms();
        let asked = noted.asked_ms.load(Ordering::Acquire);
        if asked != 0 && now.saturating_sub(asked) < START_PATIENCE_MS {
            return Ok(());
        }
        if noted
            .asked_ms
            .compare_exchange(asked, now, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
        {
            self.start()?;
        }
        Ok(())
    }
}

/// Whether pg_upgrade has started this server. It copies the catalogs and then the files, and sets the transaction counters to what it
/// has read before: a worker that wrote meanwhile would damage both clusters, and its connection would stand in the way.
fn serves_pg_upgrade() -> bool {
    // SAFETY: a plain global, set at server start.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Whether a worker that [`Description::start`] started has ended.
pub fn has_stopped(worker: &DynamicBackgroundWorker) -> bool {
    matches!(
        worker.pid(),
        Err(pgrx::bgworkers::BackgroundWorkerStatus::Stopped
            | pgrx::bgworkers::BackgroundWorkerStatus::PostmasterDied)
    )
}

/// Whether a worker that [`Description::start`] started has a process that has connected.
pub fn is_running(worker: &DynamicBackgroundWorker) -> bool {
    worker.pid().is_ok_and(is_alive)
}

/// The process id.
pub fn my_pid() -> i32 {
    // SAFETY: a plain global of the process.
    unsafe { pg_sys::MyProcPid }
}

thread_local! {
    static AT_EXIT: RefCell<Vec<fn()>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` when this process ends, also by FATAL, besides what was registered before. It must not raise an error.
pub fn on_process_exit(f: fn()) {
    let first = AT_EXIT.with_borrow_mut(|functions| {
        functions.push(f);
        functions.len() == 1
    });
    if first {
        // SAFETY: a static callback; the argument is unused.
        unsafe { pg_sys::before_shmem_exit(Some(at_exit), pg_sys::Datum::null()) };
    }
}

#[pgrx::pg_guard]
unsafe extern "C-unwind" fn at_exit(_code: i32, _argument: pg_sys::Datum) {
    for f in AT_EXIT.take() {
        f();
    }
}

/// Whether a process with that id is one of this server's that has connected.
pub fn is_alive(pid: i32) -> bool {
    // SAFETY: looks through the process array under its lock; an unknown id gives null.
    !unsafe { pg_sys::BackendPidGetProc(pid) }.is_null()
}

/// The units of this system.
fn units() -> Option<Units> {
    // SAFETY: asks for a number that does not change; -1 if it is not known.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // SAFETY: as above.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    Some(Units {
        page_bytes: u64::try_from(page).ok()?,
        ticks_per_second: u64::try_from(ticks).ok()?,
    })
}

/// What the system says of a process that the postmaster started; nothing of any other, whose number may have been a worker's before.
/// Only Linux says anything.
pub fn child(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // SAFETY: a plain global of the process.
    let postmaster = unsafe { pg_sys::PostmasterPid };
    process::parse(&stat, units()?).filter(|process| process.parent == postmaster)
}

/// Ends the process so that the postmaster starts the worker again.
pub fn exit_for_restart() -> ! {
    // SAFETY: runs the exit callbacks and ends the process; code 1 asks for a restart.
    unsafe { pg_sys::proc_exit(1) };
    // The bindings to PostgreSQL 17 and later do not know that it never returns.
    #[allow(unreachable_code)]
    std::process::abort()
}

/// Applies a configuration reload.
pub fn reload_configuration() {
    // SAFETY: called on the main thread of a background worker, outside a transaction.
    unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
}

/// Runs `f` with every signal blocked, so that threads that it starts inherit that: no signal handler of PostgreSQL may
/// ever run outside the main thread.
pub fn with_signals_blocked<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: zeroed sets are filled by the calls that follow.
    let mut all: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: as above.
    let mut before: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: a valid set.
    unsafe { libc::sigfillset(&mut all) };
    // SAFETY: both sets are valid; changes the mask of this thread only.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before) };
    let result = f();
    // SAFETY: restores the mask that was read above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, core::ptr::null_mut()) };
    result
}

unsafe extern "C-unwind" {
    /// The server's own, of utils/timeout.h, which pgrx does not read.
    fn enable_timeout_after(id: core::ffi::c_uint, delay_ms: core::ffi::c_int);
    fn disable_timeout(id: core::ffi::c_uint, keep_indicator: bool);
}

/// The number of the statement's timeout in utils/timeout.h, the same in PostgreSQL 14 to 18.
const STATEMENT_TIMEOUT: core::ffi::c_uint = 3;

/// Runs `f`, which must not unwind, in a background worker under a limit of time as a statement has one: `statement_timeout` itself holds
/// for what clients send only.
pub fn with_time_limit<R>(limit: Duration, f: impl FnOnce() -> R) -> R {
    let milliseconds = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the server registers this timeout for every process that is connected to a database; its handler asks for a cancel.
    unsafe { enable_timeout_after(STATEMENT_TIMEOUT, milliseconds) };
    let result = f();
    // SAFETY: as above; a timeout that is over is disabled as well.
    unsafe { disable_timeout(STATEMENT_TIMEOUT, false) };
    result
}
