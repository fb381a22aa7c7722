//! The table's rows, as a scan sees them, and the slots that name them.

use crate::index::hnsw::Index;
use crate::index::key::Filter;
use crate::index::page::{NodePage, PageError, PageKind, SlotState, page_kind};
use crate::index::storage::PageRead;
use crate::index::{HeapTid, IndexError, SlotId};

/// The table, as far as a scan needs it.
pub trait HeapRows {
    /// Whether the table has the block that such a row would be in. A scan asks before anything is done with a row.
    fn contains(&mut self, tid: HeapTid) -> bool;

    /// Says that the row will be fetched soon.
    fn prefetch(&mut self, _tid: HeapTid) {}

    /// The exact key between the query and the row, by [`crate::index::quantize::exact_key`]; none if the snapshot sees no row
    /// there.
    ///
    /// # Errors
    /// Those of the table.
    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError>;
}

/// A row that a scan returns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The row.
    pub tid: HeapTid,
    /// Its exact key; not a number where the row or the query has no rank, and the row was not fetched then.
    pub key: f64,
}

/// The row that an element was seen to name, if the table can have it. What was only peeked may be torn, so it is read again before
/// the page is called damaged; none if the element is gone by then.
pub(super) fn existing<S: PageRead, R: HeapRows>(
    index: &Index,
    storage: &mut S,
    rows: &mut R,
    id: SlotId,
    seen: HeapTid,
    peeked: bool,
    filter: Option<&Filter>,
) -> Result<Option<HeapTid>, IndexError> {
    if rows.contains(seen) {
        return Ok(Some(seen));
    }
    let row = if peeked {
        read_row(index, storage, id, filter)?
    } else {
        Some(seen)
    };
    match row {
        Some(row) if !rows.contains(row) => {
            let (block, _) = index.layout.slot(id);
            Err(beyond_table(block))
        }
        row => Ok(row),
    }
}

/// What is wrong with a page of the index that names a row where the table has no block.
pub(super) fn beyond_table(block: u32) -> IndexError {
    IndexError::Corrupt {
        block,
        what: "row is beyond the end of the table",
    }
}

/// The row that a slot stands for now; none if it stands for none, or for one that the filter refuses. An id that a torn peek made
/// up may be of a page of another kind.
pub(super) fn read_row<S: PageRead>(
    index: &Index,
    storage: &mut S,
    id: SlotId,
    filter: Option<&Filter>,
) -> Result<Option<HeapTid>, IndexError> {
    let (block, at) = index.layout.slot(id);
    storage
        .read(block, |bytes| {
            if page_kind(bytes)? != Some(PageKind::Node) {
                return Ok(None);
            }
            let slot = NodePage::open(bytes, &index.layout)?.slot(at)?;
            let passes = filter.is_none_or(|filter| filter.matches(slot.keys));
            Ok((slot.head.state == SlotState::Live && passes).then_some(slot.head.tid))
        })?
        .map_err(|error: PageError| error.at(block))
}
