//! Vacuum: rows that are gone leave the index before the table may use their places again.

use super::state;
use crate::am::index_error;
use crate::am::storage::{Pace, RelationStorage};
use crate::am::upkeep::Pass;
use crate::error::Result;
use crate::pg::relation::Relation;
use crate::pg::vacuum::DeadRows;
use castmatch_engine::index::hnsw::vacuum::{self, VacuumStats};

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

/// Repairs the graph.
///
/// # Errors
/// Those of the engine.
pub fn clean(relation: Relation) -> Result<Pass> {
    let opened = state::open(relation)?;
    let mut storage = RelationStorage::new(relation, opened.hints.clone()).with_pace(Pace::Vacuum);
    let mut counts = VacuumStats::default();
    vacuum::cleanup(&opened.index, &mut storage, &mut counts)
        .map_err(|failure| index_error(relation, failure))?;
    Ok(pass(&counts))
}

fn pass(counts: &VacuumStats) -> Pass {
    Pass {
        removed: counts.rows_removed,
        remaining: counts.rows_remaining,
        pages_freed: 0,
    }
}
