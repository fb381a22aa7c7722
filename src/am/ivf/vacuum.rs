//! Vacuum: rows that are gone leave the index before the table may use their places again, and lists are kept fit.

use super::state;
use crate::am::index_error;
use crate::am::storage::{Pace, RelationStorage};
use crate::am::upkeep::Pass;
use crate::am::value;
use crate::error::Result;
use crate::pg::heap::AnyVersion;
use crate::pg::index::with_table_of;
use crate::pg::memory::maintenance_work_mem_bytes;
use crate::pg::relation::Relation;
use crate::pg::signals::check_for_interrupts;
use crate::pg::vacuum::{DeadRows, Horizon, is_autovacuum};
use castmatch_engine::index::hnsw::build::Supervisor;
use castmatch_engine::index::ivf::Index;
use castmatch_engine::index::ivf::vacuum::{self, Surroundings, VacuumStats};
use castmatch_engine::index::quantize::Rankable;
use castmatch_engine::index::{HeapTid, IndexError};
use castmatch_engine::interrupt::{Interrupt, Interrupted};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::time::{Duration, Instant};

/// How long a vacuum may take to replace lists: so long, and so much longer for each page of the index.
const TIME: Duration = Duration::from_secs(10);
const TIME_PER_PAGE: Duration = Duration::from_millis(2);

/// Takes out what is dead.
///
/// # Errors
/// Those of the engine.
pub fn delete(relation: Relation, dead: &DeadRows) -> Result<Pass> {
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
    Ok(pass(&counts))
}

/// Keeps the lists fit.
///
/// # Errors
/// Those of the engine and of the table.
pub fn clean(relation: Relation) -> Result<Pass> {
    let opened = state::open(relation)?;
    let mut storage = RelationStorage::new(relation, opened.hints.clone()).with_pace(Pace::Vacuum);
    let mut counts = VacuumStats::default();
    let outcome = with_table_of(relation, |table| {
        let mut around = Around {
            index: &opened.index,
            rows: AnyVersion::new(table, relation),
            horizon: Horizon::of(table),
            deadline: Instant::now() + TIME + TIME_PER_PAGE * relation.blocks(),
        };
        let outcome = vacuum::cleanup(&opened.index, &mut storage, &mut around, &mut counts);
        around.rows.close();
        outcome
    });
    outcome.map_err(|failure| index_error(relation, failure))?;
    if counts.lists_left > 0 {
        tell(relation, counts.lists_left);
    }
    Ok(pass(&counts))
}

fn pass(counts: &VacuumStats) -> Pass {
    Pass {
        removed: counts.rows_removed,
        remaining: counts.rows_remaining,
        pages_freed: counts.pages_freed,
    }
}

/// Says that there was more to do than there was time for.
fn tell(relation: Relation, lists: u64) {
    let level = if is_autovacuum() {
        PgLogLevel::LOG
    } else {
        PgLogLevel::NOTICE
    };
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
        format!(
            "{lists} lists of index \"{}\" are left for the next vacuum, for want of time",
            relation.name()
        ),
        function_name!(),
    )
    .report(level);
}

/// The table and the transactions, for the engine.
struct Around<'a> {
    index: &'a Index,
    rows: AnyVersion,
    horizon: Horizon,
    deadline: Instant,
}

impl Interrupt for Around<'_> {
    fn check(&self) -> core::result::Result<(), Interrupted> {
        check_for_interrupts();
        Ok(())
    }
}

impl Supervisor for Around<'_> {}

impl Surroundings for Around<'_> {
    fn vector(&mut self, tid: HeapTid, out: &mut [f32]) -> core::result::Result<bool, IndexError> {
        let index = self.index;
        let found = self.rows.value(tid.block, tid.offset, |datum| {
            // What is there may be of another row by now, or damaged.
            // SAFETY: a value of the indexed column, whose type the operator class fixes.
            unsafe { value::transform(index, datum, out) }.is_ok_and(|rankable| rankable == Rankable::Yes)
        });
        Ok(found.unwrap_or(false))
    }

    fn next_transaction(&mut self) -> u64 {
        Horizon::next_transaction()
    }

    fn is_past(&mut self, transaction: u64) -> bool {
        self.horizon.is_past(transaction)
    }

    fn has_time(&mut self) -> bool {
        Instant::now() < self.deadline
    }

    fn memory_bytes(&self) -> usize {
        maintenance_work_mem_bytes()
    }
}
