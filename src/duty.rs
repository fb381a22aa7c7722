//! What the workers of the launcher have in common: one of a kind for each database, and a successor where one ends too soon.

use crate::error::Result;
use crate::pg::latch::{self, LatchAddress};
use crate::pg::signals;
use crate::pg::worker::{is_alive, my_pid, on_process_exit};
use crate::shared::shared;
use castmatch_engine::shared::sync::Duty;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;
use std::sync::OnceLock;

static DATABASE: AtomicU32 = AtomicU32::new(0);
static DUTY: OnceLock<Duty> = OnceLock::new();
static FINISHED: AtomicBool = AtomicBool::new(false);

/// Runs a background worker: connects to the database of the argument, as the bootstrap superuser, and does its work until that
/// returns. Does nothing if the database has such a worker.
pub fn serve(duty: Duty, argument: pg_sys::Datum, run: fn(u32) -> Result<()>) {
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP);
    signals::die_on_sigterm();
    let database = argument.value() as u32;
    signals::connect_to(pg_sys::Oid::from(database));
    let work = match shared() {
        Ok(shared) => shared.sync.work(duty),
        Err(report) => {
            report.report(PgLogLevel::LOG);
            return;
        }
    };
    if !work.enter(database, my_pid(), LatchAddress::mine().to_bits(), is_alive) {
        return;
    }
    DATABASE.store(database, Ordering::Relaxed);
    // A process is one worker only.
    let _ = DUTY.set(duty);
    on_process_exit(sign_off);
    if let Err(report) = run(database) {
        report.report(PgLogLevel::ERROR);
    }
    FINISHED.store(true, Ordering::Relaxed);
}

/// Takes the worker out of the list; one that ended for another reason than lack of work asks for a successor.
fn sign_off() {
    let (Ok(shared), Some(&duty)) = (shared(), DUTY.get()) else {
        return;
    };
    let database = DATABASE.load(Ordering::Relaxed);
    // What it has taken and not written is noted still.
    shared.ledger.put_back(my_pid());
    shared.sync.work(duty).leave(database);
    if !FINISHED.load(Ordering::Relaxed) {
        shared.sync.request(duty, database, latch::wake);
    }
}
