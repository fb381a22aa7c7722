//! A row is added to the index.

use super::state::{self, Opened};
use crate::am::index_error;
use crate::am::storage::RelationStorage;
use crate::am::value;
use crate::error::Result;
use crate::pg::index::Columns;
use crate::pg::relation::Relation;
use crate::pg::signals::check_for_interrupts;
use crate::pg::tid;
use castmatch_engine::index::ivf::insert::{Inserter, NewElement, Placed, reopen};
use castmatch_engine::index::{HeapTid, IndexError};
use pgrx::pg_sys;
use std::cell::RefCell;
use std::time::Duration;

thread_local! {
    /// Kept from row to row.
    static SCRATCH: RefCell<(Inserter, Vec<f32>)> = RefCell::default();
}

/// How long an insertion waits, and how often, before it opens lists that are closed: they are for milliseconds only.
const NAP: Duration = Duration::from_millis(1);
const NAPS: u32 = 200;
/// The block of the meta page.
const META_BLOCK: u32 = 0;
/// So often the lists may change between two looks at them.
const TRIES: u32 = 1000;

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
    transformed.resize(index.layout.dims, 0.0);
    // SAFETY: the server gives a value of the column's type, which the operator class fixes.
    let rankable = unsafe { value::transform(index.as_ref(), datum, &mut transformed)? };
    let element = NewElement {
        transformed: &transformed,
        rankable,
        tid,
        keys: keys.as_bytes(),
    };
    let result = store(relation, opened.clone(), &mut inserter, &element)
        .map_err(|failure| index_error(relation, failure));
    SCRATCH.set((inserter, transformed));
    result
}

/// Adds the row, whatever happens to the lists meanwhile.
fn store(
    relation: Relation,
    mut opened: Opened,
    inserter: &mut Inserter,
    element: &NewElement<'_>,
) -> core::result::Result<(), IndexError> {
    let mut storage = RelationStorage::new(relation, opened.hints.clone());
    let mut naps = 0;
    for _ in 0..TRIES {
        match inserter.insert(&opened.index, &mut storage, &opened.directory, element)? {
            Placed::Stored => return Ok(()),
            Placed::Stale => {}
            Placed::Busy => {
                naps += 1;
                if naps > NAPS {
                    naps = 0;
                    reopen(&opened.index, &mut storage)?;
                } else {
                    std::thread::sleep(NAP);
                }
            }
        }
        check_for_interrupts();
        opened.reload(&mut storage)?;
    }
    // Lists are not replaced that fast: what the directory says of one is not so.
    Err(IndexError::Corrupt {
        block: META_BLOCK,
        what: "a list does not end on a page of its own",
    })
}
