//! Rows of a table by their place, as an index scan sees them: visible to its snapshot, whichever version of the row is current.

use super::memory::RowMemory;
use super::relation::Relation;
use pgrx::pg_sys;

/// What of a row an index is built on.
enum Column {
    /// A column of the table, from 1.
    Attribute(i32),
    /// An expression.
    Expression {
        info: *mut pg_sys::IndexInfo,
        executor: *mut pg_sys::EState,
    },
}

/// Fetches the indexed value of rows, for one index scan.
pub struct RowReader {
    table: Relation,
    known_blocks: u32,
    fetch: *mut pg_sys::IndexFetchTableData,
    snapshot: pg_sys::Snapshot,
    slot: *mut pg_sys::TupleTableSlot,
    column: Column,
    memory: RowMemory,
}

impl RowReader {
    /// Prepares to read rows of the table that `scan` reads. Allocates in the current memory context, which must outlive the scan.
    ///
    /// # Safety
    /// A scan of `index` with a table, that is one which index_beginscan made, open as long as the reader is used.
    pub unsafe fn new(scan: pg_sys::IndexScanDesc, index: Relation) -> Option<Self> {
        // SAFETY: the caller's promise; the server fills these fields before the first row is asked for.
        let (table, fetch, snapshot) =
            unsafe { ((*scan).heapRelation, (*scan).xs_heapfetch, (*scan).xs_snapshot) };
        if table.is_null() || fetch.is_null() || snapshot.is_null() {
            return None;
        }
        // SAFETY: a snapshot of this process.
        let kind = unsafe { (*snapshot).snapshot_type };
        let mvcc = [
            pg_sys::SnapshotType::SNAPSHOT_MVCC,
            pg_sys::SnapshotType::SNAPSHOT_HISTORIC_MVCC,
        ];
        if !mvcc.contains(&kind) {
            return None;
        }
        // SAFETY: open relations.
        unsafe {
            let info = pg_sys::BuildIndexInfo(index.as_ptr());
            let attribute = i32::from((*info).ii_IndexAttrNumbers[0]);
            let column = if attribute != 0 {
                Column::Attribute(attribute)
            } else {
                Column::Expression {
                    info,
                    executor: pg_sys::CreateExecutorState(),
                }
            };
            Some(Self {
                table: Relation::from_raw(table),
                known_blocks: 0,
                fetch,
                snapshot,
                slot: pg_sys::MakeSingleTupleTableSlot((*table).rd_att, pg_sys::table_slot_callbacks(table)),
                column,
                memory: RowMemory::new(),
            })
        }
    }

    /// Whether the table has such a block: the server takes a place beyond its end for a damaged table.
    pub fn contains(&mut self, block: u32) -> bool {
        if block >= self.known_blocks {
            self.known_blocks = self.table.blocks();
        }
        block < self.known_blocks
    }

    /// Shows the indexed value of the row at `block` and `offset` to `look`; `None` if no version of it is visible or the value is NULL.
    pub fn value<R>(&mut self, block: u32, offset: u16, look: impl FnOnce(pg_sys::Datum) -> R) -> Option<R> {
        let mut tid = super::tid::item_pointer(block, offset);
        let mut again = false;
        let mut dead = false;
        // SAFETY: the scan's own fetch state, snapshot and a slot for its table.
        let found = unsafe {
            pg_sys::table_index_fetch_tuple(
                self.fetch,
                &mut tid,
                self.snapshot,
                self.slot,
                &mut again,
                &mut dead,
            )
        };
        if !found {
            return None;
        }
        // What detoasting or an expression allocates goes away with the row.
        let result = self.memory.with(|| self.column.value(self.slot).map(look));
        // SAFETY: the slot's row is no longer needed.
        unsafe { pg_sys::ExecClearTuple(self.slot) };
        result
    }

    /// Gives back what the reader holds; the scan has ended.
    pub fn close(self) {
        // SAFETY: made by `new`, not used after this.
        unsafe {
            pg_sys::ExecDropSingleTupleTableSlot(self.slot);
            if let Column::Expression { executor, .. } = self.column {
                pg_sys::FreeExecutorState(executor);
            }
        }
        self.memory.delete();
    }
}

impl Column {
    /// The value in the row that `slot` holds, none for NULL.
    fn value(&self, slot: *mut pg_sys::TupleTableSlot) -> Option<pg_sys::Datum> {
        let mut null = false;
        let datum = match *self {
            // SAFETY: the slot holds a row of the table, the attribute is one of its columns.
            Column::Attribute(attribute) => unsafe { pg_sys::slot_getattr(slot, attribute, &mut null) },
            Column::Expression { info, executor } => {
                let mut values = [pg_sys::Datum::null(); pg_sys::INDEX_MAX_KEYS as usize];
                let mut nulls = [true; pg_sys::INDEX_MAX_KEYS as usize];
                // SAFETY: the executor state and index info made for this index; the arrays have room for every column.
                unsafe {
                    let mut context = (*executor).es_per_tuple_exprcontext;
                    if context.is_null() {
                        context = pg_sys::MakePerTupleExprContext(executor);
                    }
                    pg_sys::MemoryContextReset((*context).ecxt_per_tuple_memory);
                    (*context).ecxt_scantuple = slot;
                    pg_sys::FormIndexDatum(info, slot, executor, values.as_mut_ptr(), nulls.as_mut_ptr());
                }
                null = nulls[0];
                values[0]
            }
        };
        (!null).then_some(datum)
    }
}
