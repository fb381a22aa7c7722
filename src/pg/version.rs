//! Which version of a row a query sees: an index knows only where the chain of versions begins.

use super::relation::Relation;
use super::value::to_portable_text;
use pgrx::pg_sys;

/// Finds the versions that the active snapshot sees, in one table.
pub struct Versions {
    table: Relation,
    known_blocks: u32,
    fetch: *mut pg_sys::IndexFetchTableData,
    snapshot: pg_sys::Snapshot,
    slot: *mut pg_sys::TupleTableSlot,
}

impl Versions {
    /// For an open table, as long as the calling query's snapshot is active.
    pub fn of(table: Relation) -> Self {
        // SAFETY: an open table; a query runs, so there is an active snapshot. Released when the result goes, or by the abort.
        unsafe {
            let relation = table.as_ptr();
            Self {
                table,
                known_blocks: 0,
                fetch: pg_sys::table_index_fetch_begin(relation),
                snapshot: pg_sys::GetActiveSnapshot(),
                slot: pg_sys::MakeSingleTupleTableSlot(
                    (*relation).rd_att,
                    pg_sys::table_slot_callbacks(relation),
                ),
            }
        }
    }

    /// The place of the visible version of the row that an index has at `block` and `offset`, if there is one.
    pub fn visible(&mut self, block: u32, offset: u16) -> Option<(u32, u16)> {
        // The server takes a place beyond the table's end for damage.
        if block >= self.known_blocks {
            self.known_blocks = self.table.blocks();
        }
        if block >= self.known_blocks {
            return None;
        }
        let mut tid = super::tid::item_pointer(block, offset);
        let mut again = false;
        let mut dead = false;
        // SAFETY: the state, snapshot and slot made above for this table.
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
        // SAFETY: the slot holds the row, with its place.
        found.then(|| super::tid::parts(unsafe { (*self.slot).tts_tid }))
    }
}

impl Versions {
    /// The numbers of the table's columns of these names; none if one does not exist.
    pub fn column_numbers(&self, names: &[String]) -> Option<Vec<usize>> {
        let columns = 0..self.table.columns();
        names
            .iter()
            .map(|name| {
                columns
                    .clone()
                    .find(|&number| self.table.column_name(number) == *name)
            })
            .collect()
    }

    /// The values of columns, by their numbers, in the version that was found last, as text; none if one is NULL.
    pub fn texts(&mut self, columns: &[usize]) -> Option<Vec<String>> {
        columns
            .iter()
            .map(|&number| {
                let mut null = false;
                let attribute = i32::try_from(number + 1).ok()?;
                // SAFETY: the slot holds the row that was found last, the attribute is one of its columns.
                let datum = unsafe { pg_sys::slot_getattr(self.slot, attribute, &mut null) };
                (!null).then(|| to_portable_text(self.table.column_type(number), datum))
            })
            .collect()
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        // An abort releases what is pinned by itself.
        if !std::thread::panicking() {
            // SAFETY: made by `of`, not used after this.
            unsafe {
                pg_sys::ExecDropSingleTupleTableSlot(self.slot);
                pg_sys::table_index_fetch_end(self.fetch);
            }
        }
    }
}
