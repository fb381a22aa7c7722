//! Which version of a row a query sees: an index knows only where the chain of versions begins.

use super::heap::RowFetch;
use super::relation::Relation;
use super::value::to_portable_text;
use pgrx::pg_sys;

/// Finds the versions that the active snapshot sees, in one table.
pub struct Versions {
    rows: RowFetch,
    fetch: *mut pg_sys::IndexFetchTableData,
}

impl Versions {
    /// For an open table, as long as the calling query's snapshot is active.
    pub fn of(table: Relation) -> Self {
        // SAFETY: an open table; released when the result goes, or by the abort.
        let fetch = unsafe { pg_sys::table_index_fetch_begin(table.as_ptr()) };
        // SAFETY: the state just made; a query runs, so there is an active snapshot.
        let rows = unsafe { RowFetch::new(table, fetch, pg_sys::GetActiveSnapshot()) };
        Self { rows, fetch }
    }

    /// The place of the visible version of the row that an index has at `block` and `offset`, if there is one.
    pub fn visible(&mut self, block: u32, offset: u16) -> Option<(u32, u16)> {
        let found = self.rows.contains(block) && self.rows.find(block, offset);
        // SAFETY: the slot holds the row, with its place.
        found.then(|| super::tid::parts(unsafe { (*self.rows.slot()).tts_tid }))
    }

    /// The numbers of the table's columns of these names; none if one does not exist.
    pub fn column_numbers(&self, names: &[String]) -> Option<Vec<usize>> {
        let table = self.rows.table();
        let columns = 0..table.columns();
        names
            .iter()
            .map(|name| columns.clone().find(|&number| table.column_name(number) == *name))
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
                let datum = unsafe { pg_sys::slot_getattr(self.rows.slot(), attribute, &mut null) };
                (!null).then(|| to_portable_text(self.rows.table().column_type(number), datum))
            })
            .collect()
    }
}

impl Drop for Versions {
    fn drop(&mut self) {
        // An abort releases what is pinned by itself.
        if !std::thread::panicking() {
            self.rows.close();
            // SAFETY: made by `of`, not used after this.
            unsafe { pg_sys::table_index_fetch_end(self.fetch) };
        }
    }
}
