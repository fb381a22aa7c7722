//! CREATE INDEX and REINDEX: the table is read, the graph linked in memory by threads - as a whole,
//! or part by part where maintenance_work_mem is less than that - the pages written and logged as a whole.

mod assembly;
mod plan;
mod sample;

use self::assembly::Assembly;
use self::plan::Plan;
use self::sample::sample_center;
use crate::am::backend::{Counts, Pages};
use crate::am::index_error;
use crate::am::rows::Reader;
use crate::am::value::{ColumnValue, with_column_value};
use crate::error::Result;
use crate::pg::array::ReportError;
use crate::pg::index::{Part, planned_workers, scan_table};
use crate::pg::memory::maintenance_work_mem_bytes;
use crate::pg::relation::Relation;
use crate::pg::{buffer, progress};
use castmatch_engine::index::hnsw::build::{Builder, Means};
use castmatch_engine::interrupt::NeverInterrupted;
use core::ffi::CStr;
use pgrx::pg_sys;

const PHASE_SAMPLING: i64 = 2;
const PHASE_READING: i64 = 3;
const PHASE_LINKING: i64 = 4;
const PHASE_WRITING: i64 = 5;

/// The name of a phase, for pg_stat_progress_create_index.
pub fn phase_name(phase: i64) -> Option<&'static CStr> {
    match phase {
        1 => Some(c"initializing"),
        PHASE_SAMPLING => Some(c"sampling rows"),
        PHASE_READING => Some(c"reading rows"),
        PHASE_LINKING => Some(c"linking rows"),
        PHASE_WRITING => Some(c"writing pages"),
        _ => None,
    }
}

/// ambuild.
///
/// # Errors
/// 22023 for options or a column that make no sense, 54000 for too many dimensions, 53200 without memory.
pub fn build(table: Relation, index: Relation, info: *mut pg_sys::IndexInfo) -> Result<Counts> {
    let plan = Plan::of(index)?;
    with_column_value!(plan.class.element, V => build_typed::<V>(table, index, info, &plan))
}

/// ambuildempty: what an unlogged index is after a crash.
///
/// # Errors
/// As for [`build`].
pub fn build_empty(index: Relation) -> Result<()> {
    let plan = Plan::of(index)?;
    let empty = plan.index(index, Vec::new())?;
    let mut pages = Pages::default();
    Builder::new(&empty, maintenance_work_mem_bytes(), 0)
        .finish(&NeverInterrupted)
        .and_then(|built| built.write_index(&mut pages))
        .map_err(|failure| index_error(index, failure))?;
    buffer::write_init_fork(index, pages.as_slice());
    Ok(())
}

fn build_typed<V: ColumnValue>(
    table: Relation,
    relation: Relation,
    info: *mut pg_sys::IndexInfo,
    plan: &Plan,
) -> Result<Counts> {
    // Refuses what cannot be built before the table is read.
    let provisional = plan.index(relation, Vec::new())?;
    progress::phase(PHASE_SAMPLING);
    let center = sample_center::<V>(table, relation, info, plan, &provisional)?;
    let index = plan.index(relation, center)?;
    progress::phase(PHASE_READING);
    let workers = planned_workers(table, relation);
    let threads = if workers == 0 { 0 } else { workers + 1 };
    let mut assembly = Assembly::new(
        relation,
        &index,
        Means {
            memory_bytes: maintenance_work_mem_bytes(),
            threads,
        },
    );
    let mut reader = Reader::<_, V>::new(&index, Some(&plan.keys));
    let heap_rows = scan_table(table, relation, info, Part::All, &mut |row| {
        let added = reader.read(row, |transformed, rankable, keys, tid| {
            assembly.add(transformed, rankable, keys, tid)
        });
        if let Some(Err(failure)) = added {
            index_error(relation, failure).report_error();
        }
    });
    reader.close();
    let (index_rows, blocks) = assembly
        .finish()
        .map_err(|failure| index_error(relation, failure))?;
    buffer::log_all(relation, blocks);
    Ok(Counts {
        heap_rows,
        index_rows,
    })
}
