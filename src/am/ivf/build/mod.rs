//! CREATE INDEX and REINDEX: a sample of the table gives the lists, then the table is read, its rows coded by threads, and the lists written
//! one after the other and logged as a whole.

mod plan;
mod sample;

use self::plan::Plan;
use self::sample::take_sample;
use crate::am::backend::{Backend, Counts, File, Pages};
use crate::am::index_error;
use crate::am::rows::Reader;
use crate::am::value::{ColumnValue, with_column_value};
use crate::error::Result;
use crate::pg::array::ReportError;
use crate::pg::index::{Part, planned_workers, scan_table};
use crate::pg::memory::{Context, maintenance_work_mem_bytes};
use crate::pg::relation::Relation;
use crate::pg::signals::check_for_interrupts;
use crate::pg::tempfile::TempFile;
use crate::pg::{buffer, progress};
use castmatch_engine::index::IndexError;
use castmatch_engine::index::ivf::build::{Assembly, Sample, TapeMaker, run, train};
use castmatch_engine::index::ivf::insert::NewElement;
use castmatch_engine::interrupt::NeverInterrupted;
use core::ffi::CStr;
use pgrx::pg_sys;

const PHASE_SAMPLING: i64 = 2;
const PHASE_CLUSTERING: i64 = 3;
const PHASE_ASSIGNING: i64 = 4;
const PHASE_WRITING: i64 = 5;

/// The name of a phase, for pg_stat_progress_create_index.
pub fn phase_name(phase: i64) -> Option<&'static CStr> {
    match phase {
        1 => Some(c"initializing"),
        PHASE_SAMPLING => Some(c"sampling rows"),
        PHASE_CLUSTERING => Some(c"clustering rows"),
        PHASE_ASSIGNING => Some(c"assigning rows"),
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
pub fn build_empty(relation: Relation) -> Result<()> {
    let plan = Plan::of(relation)?;
    let bare = plan.check(relation)?;
    let mut pages = Pages::default();
    let sample = Sample::new(bare.layout.dims, 0, plan.options.seed);
    let written = train(&plan.options, sample, 1, 0, &NeverInterrupted).and_then(|(index, model)| {
        Assembly::new(
            &index,
            &model,
            Tapes(Context::current()),
            maintenance_work_mem_bytes(),
            0,
        )?
        .finish(&mut pages, &NeverInterrupted)
    });
    written.map_err(|failure| index_error(relation, failure))?;
    buffer::write_init_fork(relation, pages.as_slice());
    Ok(())
}

fn build_typed<V: ColumnValue>(
    table: Relation,
    relation: Relation,
    info: *mut pg_sys::IndexInfo,
    plan: &Plan,
) -> Result<Counts> {
    let failed = |failure| index_error(relation, failure);
    // Refuses what cannot be built before the table is read.
    let bare = plan.check(relation)?;
    let memory = maintenance_work_mem_bytes();
    progress::phase(PHASE_SAMPLING);
    let sampled = take_sample::<V>(table, relation, info, (&bare, plan), memory)?;
    progress::phase(PHASE_CLUSTERING);
    let workers = planned_workers(table, relation);
    let backend = Backend::default();
    // The threads of the clustering leave the caller nothing to do; those of the assignment have it read the table.
    let clustering = if workers == 0 { 0 } else { workers + 1 };
    let (index, model) =
        train(&plan.options, sampled.sample, sampled.lists, clustering, &backend).map_err(failed)?;
    progress::phase(PHASE_ASSIGNING);
    let mut assembly =
        Assembly::new(&index, &model, Tapes(Context::current()), memory, sampled.rows).map_err(failed)?;
    let mut reader = Reader::<_, V>::new(&index, Some(&plan.keys));
    let mut heap_rows = 0.0;
    let fed = run(&mut assembly, workers, &backend, |push| {
        heap_rows = scan_table(table, relation, info, Part::All, &mut |row| {
            check_for_interrupts();
            let added = reader.read(row, |transformed, rankable, keys, tid| {
                push(&NewElement {
                    transformed,
                    rankable,
                    tid,
                    keys: keys.as_bytes(),
                })
            });
            if let Some(Err(failure)) = added {
                index_error(relation, failure).report_error();
            }
        });
        Ok::<(), IndexError>(())
    });
    reader.close();
    fed.map_err(failed)?;
    progress::phase(PHASE_WRITING);
    let (index_rows, blocks) = assembly
        .finish(&mut File { relation }, &backend)
        .map_err(failed)?;
    buffer::log_all(relation, blocks);
    Ok(Counts {
        heap_rows,
        index_rows: index_rows as f64,
    })
}

/// Temporary files of the server, for rows that memory has no room for. They are opened while a row is read, whose memory goes away with it, and
/// stay for the build: in the memory context that was current at its beginning.
struct Tapes(Context);

impl TapeMaker for Tapes {
    type Tape = TempFile;

    fn open(&mut self) -> TempFile {
        // SAFETY: the context of the build, which is still under way.
        unsafe { self.0.with(TempFile::new) }
    }

    fn close(&mut self, tape: TempFile) {
        tape.close();
    }
}
