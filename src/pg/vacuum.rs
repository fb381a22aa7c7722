//! What a vacuum asks of an access method.

use super::relation::Relation;
use super::tid;
use core::ffi::c_void;
use pgrx::pg_sys;

/// Answers interrupts and pauses as vacuum_cost_delay says.
pub fn delay_point() {
    #[cfg(not(feature = "pg18"))]
    // SAFETY: called between pages, without a lock.
    unsafe {
        pg_sys::vacuum_delay_point();
    }
    #[cfg(feature = "pg18")]
    // SAFETY: as above; this is no ANALYZE.
    unsafe {
        pg_sys::vacuum_delay_point(false);
    }
}

/// The server's test whether a row is dead.
pub struct DeadRows {
    callback: unsafe extern "C-unwind" fn(pg_sys::ItemPointer, *mut c_void) -> bool,
    state: *mut c_void,
}

impl DeadRows {
    /// Takes what the server gave to ambulkdelete.
    ///
    /// # Safety
    /// Both must be valid during the use of the result.
    pub unsafe fn new(callback: pg_sys::IndexBulkDeleteCallback, state: *mut c_void) -> Option<Self> {
        callback.map(|callback| Self { callback, state })
    }

    /// Whether the row at this place is dead.
    pub fn contains(&self, block: u32, offset: u16) -> bool {
        let mut place = tid::item_pointer(block, offset);
        // SAFETY: the server's function with the server's state; an ERROR in it is turned into an unwinding panic.
        unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| (self.callback)(&mut place, self.state)) }
    }
}

/// The relation of a vacuum.
///
/// # Safety
/// The server's structure of a running vacuum.
pub unsafe fn relation(info: *mut pg_sys::IndexVacuumInfo) -> Relation {
    // SAFETY: the caller's promise.
    unsafe { Relation::from_raw((*info).index) }
}

/// Whether this process is one of autovacuum's.
pub fn is_autovacuum() -> bool {
    // SAFETY: reads the kind of the process.
    unsafe { pg_sys::MyBackendType == pg_sys::BackendType::B_AUTOVAC_WORKER }
}

/// Which transactions have snapshots that may see an older state of a table.
pub struct Horizon(Relation);

impl Horizon {
    /// Of a table.
    pub fn of(table: Relation) -> Self {
        Self(table)
    }

    /// The number of the next transaction, with its epoch.
    pub fn next_transaction() -> u64 {
        // SAFETY: reads shared memory.
        unsafe { pg_sys::ReadNextFullTransactionId().value }
    }

    /// Whether no snapshot is left that was taken before this transaction, which was the next one then, had ended.
    pub fn is_past(&self, transaction: u64) -> bool {
        let transaction = pg_sys::FullTransactionId { value: transaction };
        // SAFETY: an open table.
        unsafe { pg_sys::GlobalVisCheckRemovableFullXid(self.0.as_ptr(), transaction) }
    }
}
