//! Progress of CREATE INDEX, as pg_stat_progress_create_index shows it.

use pgrx::pg_sys;

/// The phase within "building index"; its name is the access method's.
pub fn phase(number: i64) {
    update(pg_sys::PROGRESS_CREATEIDX_SUBPHASE, number);
}

/// How many rows the phase has to do with.
pub fn rows_total(rows: i64) {
    update(pg_sys::PROGRESS_CREATEIDX_TUPLES_TOTAL, rows);
}

/// How many rows are done.
pub fn rows_done(rows: i64) {
    update(pg_sys::PROGRESS_CREATEIDX_TUPLES_DONE, rows);
}

fn update(parameter: u32, value: i64) {
    // SAFETY: writes this backend's own status; nothing happens if no command reports its progress.
    unsafe { pg_sys::pgstat_progress_update_param(parameter as i32, value) };
}
