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

/// Finds the version of a row that a snapshot sees: an index knows only where the chain of versions begins.
pub struct RowFetch {
    table: Relation,
    known_blocks: u32,
    fetch: *mut pg_sys::IndexFetchTableData,
    snapshot: pg_sys::Snapshot,
    slot: *mut pg_sys::TupleTableSlot,
}

impl RowFetch {
    /// For a table, with a slot of its own.
    ///
    /// # Safety
    /// The table is open, `fetch` is a state for it, and both they and the snapshot stay as long as the result is used.
    pub unsafe fn new(
        table: Relation,
        fetch: *mut pg_sys::IndexFetchTableData,
        snapshot: pg_sys::Snapshot,
    ) -> Self {
        let relation = table.as_ptr();
        // SAFETY: an open table (the caller's promise).
        let slot = unsafe {
            pg_sys::MakeSingleTupleTableSlot((*relation).rd_att, pg_sys::table_slot_callbacks(relation))
        };
        Self {
            table,
            known_blocks: 0,
            fetch,
            snapshot,
            slot,
        }
    }

    /// The table.
    pub fn table(&self) -> Relation {
        self.table
    }

    /// The slot that holds the version found last.
    pub fn slot(&self) -> *mut pg_sys::TupleTableSlot {
        self.slot
    }

    /// Whether the table has such a block: the server takes a place beyond its end for a damaged table.
    pub fn contains(&mut self, block: u32) -> bool {
        if block >= self.known_blocks {
            self.known_blocks = self.table.blocks();
        }
        block < self.known_blocks
    }

    /// Whether a version of the row at `block` and `offset`, which the table has, is visible; the slot holds it then.
    pub fn find(&mut self, block: u32, offset: u16) -> bool {
        let mut tid = super::tid::item_pointer(block, offset);
        let mut again = false;
        let mut dead = false;
        // SAFETY: the state, snapshot and slot are for this table (the promise to `new`).
        unsafe {
            pg_sys::table_index_fetch_tuple(
                self.fetch,
                &mut tid,
                self.snapshot,
                self.slot,
                &mut again,
                &mut dead,
            )
        }
    }

    /// Lets go of the version found last.
    pub fn clear(&mut self) {
        // SAFETY: a slot made by `new`.
        unsafe { pg_sys::ExecClearTuple(self.slot) };
    }

    /// Gives the slot back; the state is its maker's.
    pub fn close(&mut self) {
        // SAFETY: made by `new`, not used after this.
        unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.slot) };
    }
}

/// Fetches the indexed value of rows, for one index scan.
pub struct RowReader {
    rows: RowFetch,
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
            Some(Self {
                column: Column::of(index),
                rows: RowFetch::new(Relation::from_raw(table), fetch, snapshot),
                memory: RowMemory::new(),
            })
        }
    }

    /// Whether the table has such a block.
    pub fn contains(&mut self, block: u32) -> bool {
        self.rows.contains(block)
    }

    /// Says that a row of this block will be read soon. A table that fits into shared buffers is mostly there, and a look whether a block is costs as
    /// much as to find it.
    pub fn prefetch(&self, block: u32) {
        // SAFETY: a plain global of the server.
        let buffers = unsafe { pg_sys::NBuffers };
        if self.rows.known_blocks > u32::try_from(buffers).unwrap_or(0) {
            super::buffer::prefetch(self.rows.table(), block);
        }
    }

    /// Shows the indexed value of the row at `block` and `offset` to `look`; `None` if no version of it is visible or the value is NULL.
    pub fn value<R>(&mut self, block: u32, offset: u16, look: impl FnOnce(pg_sys::Datum) -> R) -> Option<R> {
        if !self.rows.find(block, offset) {
            return None;
        }
        // What detoasting or an expression allocates goes away with the row.
        let slot = self.rows.slot();
        let result = self.memory.with(|| self.column.value(slot).map(look));
        self.rows.clear();
        result
    }

    /// Gives back what the reader holds; the scan has ended.
    pub fn close(mut self) {
        self.rows.close();
        self.column.close();
        self.memory.delete();
    }
}

/// Fetches the indexed value of rows whatever version of them there is: for the upkeep of an index. All versions that an index entry stands
/// for have the same value.
pub struct AnyVersion {
    rows: RowFetch,
    fetch: *mut pg_sys::IndexFetchTableData,
    column: Column,
    memory: RowMemory,
}

impl AnyVersion {
    /// For an open index and its open table, both open until [`AnyVersion::close`].
    pub fn new(table: Relation, index: Relation) -> Self {
        // SAFETY: open relations; the snapshot is a constant of the server.
        unsafe {
            let fetch = pg_sys::table_index_fetch_begin(table.as_ptr());
            Self {
                rows: RowFetch::new(table, fetch, &raw mut pg_sys::SnapshotAnyData),
                fetch,
                column: Column::of(index),
                memory: RowMemory::new(),
            }
        }
    }

    /// Shows the indexed value of the row at `block` and `offset` to `look`; none if there is no row, its value is NULL, or is stored outside
    /// of a row that nobody may see any more: then what is stored there may be gone.
    pub fn value<R>(&mut self, block: u32, offset: u16, look: impl FnOnce(pg_sys::Datum) -> R) -> Option<R> {
        if !self.rows.contains(block) || !self.rows.find(block, offset) {
            return None;
        }
        let (slot, table) = (self.rows.slot(), self.rows.table());
        let result = self.memory.with(|| {
            let datum = self.column.value(slot)?;
            // SAFETY: a value of a varlena type; the row in the slot is one of the table.
            let usable = unsafe { !super::varlena::is_stored_outside(datum) || is_visible(table, slot) };
            usable.then(|| look(datum))
        });
        self.rows.clear();
        result
    }

    /// Gives back what it holds.
    pub fn close(mut self) {
        self.rows.close();
        self.column.close();
        // SAFETY: made by `new`, not used after this.
        unsafe { pg_sys::table_index_fetch_end(self.fetch) };
        self.memory.delete();
    }
}

/// Whether the active snapshot sees the row in the slot.
///
/// # Safety
/// The slot holds a row of the open table.
unsafe fn is_visible(table: Relation, slot: *mut pg_sys::TupleTableSlot) -> bool {
    // SAFETY: the caller's promise; a snapshot that is active is there to be used.
    unsafe {
        pg_sys::ActiveSnapshotSet()
            && pg_sys::table_tuple_satisfies_snapshot(table.as_ptr(), slot, pg_sys::GetActiveSnapshot())
    }
}

impl Column {
    /// The first column of an index.
    ///
    /// # Safety
    /// An open index; allocates in the current memory context, which must outlive the column.
    unsafe fn of(index: Relation) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let info = pg_sys::BuildIndexInfo(index.as_ptr());
            match i32::from((*info).ii_IndexAttrNumbers[0]) {
                0 => Column::Expression {
                    info,
                    executor: pg_sys::CreateExecutorState(),
                },
                attribute => Column::Attribute(attribute),
            }
        }
    }

    fn close(self) {
        if let Column::Expression { executor, .. } = self {
            // SAFETY: made by `of`, not used after this.
            unsafe { pg_sys::FreeExecutorState(executor) };
        }
    }

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
