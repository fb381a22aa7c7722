//! Vacuum: rows that are gone leave the index before the table may use their places again.

use crate::am::{index_error, vacuum_result};
use super::state;
use crate::am::storage::{Pace, RelationStorage};
use crate::error::Result;
use crate::pg::freespace;
use crate::pg::relation::Relation;
use crate::pg::vacuum::{DeadRows, relation as relation_of};
use castmatch_engine::index::hnsw::vacuum::{self, VacuumStats};
use core::ffi::c_void;
use pgrx::pg_sys;

/// ambulkdelete.
///
/// # Safety
/// What the server gives to ambulkdelete.
pub unsafe fn bulk_delete(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
    callback: pg_sys::IndexBulkDeleteCallback,
    state: *mut c_void,
) -> Result<*mut pg_sys::IndexBulkDeleteResult> {
    // SAFETY: the caller's promise.
    let (relation, dead) = unsafe { (relation_of(info), DeadRows::new(callback, state)) };
    let stats = vacuum_result(stats);
    let Some(dead) = dead else { return Ok(stats) };
    let opened = state::open(relation)?;
    let mut storage = RelationStorage::new(relation, opened.hints.clone()).with_pace(Pace::Vacuum);
    let mut counts = VacuumStats::default();
    vacuum::bulk_delete(
        &opened.index,
        &mut storage,
        |tid| dead.contains(tid.block, tid.offset),
        &mut counts,
    )
    .map_err(|failure| index_error(relation, failure))?;
    // SAFETY: zeroed by `vacuum_result` or the server's own from the call before.
    unsafe {
        (*stats).tuples_removed += counts.rows_removed as f64;
        (*stats).num_index_tuples = counts.rows_remaining as f64;
    }
    Ok(stats)
}

/// amvacuumcleanup.
///
/// # Safety
/// What the server gives to amvacuumcleanup.
pub unsafe fn cleanup(
    info: *mut pg_sys::IndexVacuumInfo,
    stats: *mut pg_sys::IndexBulkDeleteResult,
) -> Result<*mut pg_sys::IndexBulkDeleteResult> {
    // SAFETY: the caller's promise.
    if unsafe { (*info).analyze_only } {
        return Ok(stats);
    }
    // SAFETY: the caller's promise.
    let relation = unsafe { relation_of(info) };
    let stats = vacuum_result(stats);
    let opened = state::open(relation)?;
    let mut storage = RelationStorage::new(relation, opened.hints.clone()).with_pace(Pace::Vacuum);
    let mut counts = VacuumStats::default();
    vacuum::cleanup(&opened.index, &mut storage, &mut counts)
        .map_err(|failure| index_error(relation, failure))?;
    freespace::propagate(relation);
    fill(relation, stats, &counts);
    Ok(stats)
}

fn fill(relation: Relation, stats: *mut pg_sys::IndexBulkDeleteResult, counts: &VacuumStats) {
    // SAFETY: a result structure of this vacuum.
    unsafe {
        (*stats).num_pages = relation.blocks();
        (*stats).num_index_tuples = counts.rows_remaining as f64;
        (*stats).estimated_count = false;
    }
}
