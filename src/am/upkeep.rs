//! A vacuum's calls of an access method, as far as they are the same for both.
#![allow(unsafe_code)]
// A callback reads or fills several fields of one structure of the server: one fact with one reason.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use crate::error::Result;
use crate::pg::freespace;
use crate::pg::relation::Relation;
use crate::pg::vacuum::{DeadRows, relation as relation_of};
use core::ffi::c_void;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// What a pass of a vacuum did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass {
    /// Rows that it took out.
    pub removed: u64,
    /// Rows that remain.
    pub remaining: u64,
    /// Pages that became unused.
    pub pages_freed: u64,
}

/// ambulkdelete: `delete` takes out what is dead.
///
/// # Safety
/// What the server gives to ambulkdelete.
pub unsafe fn bulk_delete(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
    callback: pg_sys::IndexBulkDeleteCallback,
    state: *mut c_void,
    delete: impl FnOnce(Relation, &DeadRows) -> Result<Pass>,
) -> Result<*mut pg_sys::IndexBulkDeleteResult> {
    // SAFETY: the caller's promise.
    let (relation, dead) = unsafe { (relation_of(info), DeadRows::new(callback, state)) };
    let stats = result(stats);
    let Some(dead) = dead else { return Ok(stats) };
    let pass = delete(relation, &dead)?;
    // SAFETY: zeroed by `result` or the server's own from the call before.
    unsafe {
        (*stats).tuples_removed += pass.removed as f64;
        (*stats).num_index_tuples = pass.remaining as f64;
    }
    Ok(stats)
}

/// amvacuumcleanup: `clean` does what is left to be done after all rows are taken out.
///
/// # Safety
/// What the server gives to amvacuumcleanup.
pub unsafe fn cleanup(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
    clean: impl FnOnce(Relation) -> Result<Pass>,
) -> Result<*mut pg_sys::IndexBulkDeleteResult> {
    // SAFETY: the caller's promise.
    if unsafe { (*info).analyze_only } {
        return Ok(stats);
    }
    // SAFETY: the caller's promise.
    let relation = unsafe { relation_of(info) };
    let stats = result(stats);
    let pass = clean(relation)?;
    freespace::propagate(relation);
    // SAFETY: a result structure of this vacuum.
    unsafe {
        (*stats).num_pages = relation.blocks();
        (*stats).num_index_tuples = pass.remaining as f64;
        (*stats).estimated_count = false;
        (*stats).pages_newly_deleted += u32::try_from(pass.pages_freed).unwrap_or(u32::MAX);
    }
    Ok(stats)
}

/// The server's result structure , made if this is the first call.
fn result(stats: *mut pg_sys::IndexBulkDeleteResult) -> *mut pg_sys::IndexBulkDeleteResult {
    if stats.is_null() {
        // SAFETY: palloc0 gives zeroed memory, in the memory context that the server keeps for the vacuum.
        unsafe { PgBox::<pg_sys::IndexBulkDeleteResult>::alloc0() }.into_pg()
    } else {
        stats
    }
}
