//! A row is added to the index.

use super::state::{self, Opened};
use crate::am::index_error;
use crate::am::storage::RelationStorage;
use crate::error::{Result, vector_error};
use crate::pg::index::Columns;
use crate::pg::relation::Relation;
use crate::pg::tid;
use crate::pg::vector::VectorArg;
use castmatch_engine::index::hnsw::insert::{Inserter, NewElement};
use castmatch_engine::index::key::RowKeys;
use castmatch_engine::index::{ElementKind, HeapTid};
use castmatch_engine::vector::{Element, VectorError, f16};
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
    let Some(value) = row.get(0) else {
        return Ok(());
    };
    let opened = state::open(relation)?;
    let keys = opened.keys.encode(row)?;
    let (block, offset) = tid::parts(place);
    let tid = HeapTid { block, offset };
    // SAFETY: the server gives a value of the column's type, which the operator class fixes.
    unsafe {
        match opened.index.element {
            ElementKind::Vector => insert_vector::<f32>(relation, &opened, value, &keys, tid),
            ElementKind::Halfvec => insert_vector::<f16>(relation, &opened, value, &keys, tid),
        }
    }
}

/// # Safety
/// A non-NULL value of the vector type of `T`.
unsafe fn insert_vector<T: Element>(
    relation: Relation,
    opened: &Opened,
    value: pg_sys::Datum,
    keys: &RowKeys,
    tid: HeapTid,
) -> Result<()> {
    // SAFETY: the caller's promise.
    let vector = unsafe { VectorArg::<T>::from_datum(value)? };
    let index = &opened.index;
    let dims = index.quantizer.dims();
    if vector.elements().len() != dims {
        return Err(vector_error(VectorError::mismatch(
            vec![T::ZERO; dims].as_slice(),
            vector.elements(),
        )));
    }
    // Taken out for the call: an ERROR in between leaves fresh ones behind.
    let (mut inserter, mut transformed) = SCRATCH.take();
    transformed.clear();
    transformed.resize(dims, 0.0);
    let rankable = index.quantizer.transform(vector.elements(), &mut transformed);
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
