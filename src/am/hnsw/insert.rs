//! A row is added to the index.

use super::state;
use crate::am::index_error;
use crate::am::storage::RelationStorage;
use crate::am::value;
use crate::error::Result;
use crate::pg::index::Columns;
use crate::pg::relation::Relation;
use crate::pg::tid;
use castmatch_engine::index::HeapTid;
use castmatch_engine::index::hnsw::insert::{Inserter, NewElement};
use pgrx::pg_sys;
use std::cell::RefCell;

thread_local! {
    /// Kept from row to row: the lists and buffers of an insertion.
    static SCRATCH: RefCell<(Inserter, Vec<f32>)> = RefCell::default();
}

/// aminsert. A row without a vector is not in the index.
///
/// # Errors
/// 22000 for a vector of other dimensions, XX002 for a damaged index.
pub fn insert(relation: Relation, row: Columns<'_>, place: pg_sys::ItemPointerData) -> Result<()> {
    let Some(datum) = row.get(0) else {
        return Ok(());
    };
    let opened = state::open(relation)?;
    let keys = opened.keys.encode(row)?;
    let (block, offset) = tid::parts(place);
    let tid = HeapTid { block, offset };
    let index = &opened.index;
    // Taken out for the call: an ERROR in between leaves fresh ones behind.
    let (mut inserter, mut transformed) = SCRATCH.take();
    transformed.clear();
    transformed.resize(index.coded_dims() as usize, 0.0);
    // SAFETY: the server gives a value of the column's type, which the operator class fixes.
    let rankable = unsafe { value::transform(index.as_ref(), datum, &mut transformed)? };
    let mut storage = RelationStorage::new(relation, opened.hints.clone());
    let element = NewElement {
        transformed: &transformed,
        rankable,
        tid,
        level: index.level(tid),
        keys: keys.as_bytes(),
    };
    let entropy = crate::pg::random::number();
    let result = inserter
        .insert(index, &mut storage, &element, entropy)
        .map_err(|failure| index_error(relation, failure));
    SCRATCH.set((inserter, transformed));
    result.map(|_| ())
}
