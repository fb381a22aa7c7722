//! What a backend remembers about its current transaction, and what happens when it commits.

use pgrx::pg_sys;
use std::cell::{Cell, RefCell};

thread_local! {
    /// The subtransactions, still open or committed into their parents, that queued rows.
    static ENQUEUED_IN: RefCell<Vec<pg_sys::SubTransactionId>> = const { RefCell::new(Vec::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    static ON_COMMIT: Cell<Option<fn()>> = const { Cell::new(None) };
    static BEFORE_COMMIT: Cell<Option<fn()>> = const { Cell::new(None) };
    static AT_END: Cell<Option<fn()>> = const { Cell::new(None) };
    /// Whether the functions that run before a commit have run.
    static COMMITTING: Cell<bool> = const { Cell::new(false) };
}

/// Has `before` run before the commit of this transaction, or its preparation for one, becomes visible to others, and `after` when
/// the transaction has ended in any way, which must not fail. One pair for all transactions.
pub fn at_commit(before: fn(), after: fn()) {
    BEFORE_COMMIT.set(Some(before));
    AT_END.set(Some(after));
    register_callbacks();
}

/// Whether this transaction is past the functions that run before its commit.
pub fn is_committing() -> bool {
    COMMITTING.get()
}

fn register_callbacks() {
    if !REGISTERED.replace(true) {
        // SAFETY: the callbacks are static functions that stay for the backend's life; the argument is unused.
        unsafe {
            pg_sys::RegisterXactCallback(Some(at_transaction_end), core::ptr::null_mut());
            pg_sys::RegisterSubXactCallback(Some(at_subtransaction_end), core::ptr::null_mut());
        }
    }
}

/// Notes that this transaction queued rows for embedding; `on_commit` runs after its commit and must not fail.
pub fn note_enqueued(on_commit: fn()) {
    ON_COMMIT.set(Some(on_commit));
    // SAFETY: reads backend state inside a transaction.
    let current = unsafe { pg_sys::GetCurrentSubTransactionId() };
    ENQUEUED_IN.with_borrow_mut(|ids| {
        if ids.last() != Some(&current) {
            ids.push(current);
        }
    });
    register_callbacks();
}

/// Whether this transaction has queued rows that no other process can see yet.
pub fn has_enqueued() -> bool {
    ENQUEUED_IN.with_borrow(|ids| !ids.is_empty())
}

/// Whether one snapshot serves the whole transaction (REPEATABLE READ and above).
pub fn uses_one_snapshot() -> bool {
    // SAFETY: a plain global of the backend.
    unsafe { pg_sys::XactIsoLevel >= pg_sys::XACT_REPEATABLE_READ as i32 }
}

/// Nothing after the commit allocates or raises: an error there would take the whole server down.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn at_transaction_end(
    event: pg_sys::XactEvent::Type,
    _argument: *mut core::ffi::c_void,
) {
    let commits = matches!(
        event,
        pg_sys::XactEvent::XACT_EVENT_PRE_COMMIT | pg_sys::XactEvent::XACT_EVENT_PRE_PREPARE
    );
    if commits {
        COMMITTING.set(true);
        if let Some(run) = BEFORE_COMMIT.get() {
            run();
        }
        return;
    }
    let committed = matches!(
        event,
        pg_sys::XactEvent::XACT_EVENT_COMMIT | pg_sys::XactEvent::XACT_EVENT_PREPARE
    );
    let aborted = event == pg_sys::XactEvent::XACT_EVENT_ABORT;
    if !committed && !aborted {
        return;
    }
    COMMITTING.set(false);
    if let Some(run) = AT_END.get() {
        run();
    }
    let enqueued = has_enqueued();
    ENQUEUED_IN.with_borrow_mut(Vec::clear);
    if enqueued
        && committed
        && let Some(run) = ON_COMMIT.get()
    {
        run();
    }
}

/// What an aborted subtransaction queued is gone; what a committed one queued is its parent's.
#[pgrx::pg_guard]
unsafe extern "C-unwind" fn at_subtransaction_end(
    event: pg_sys::SubXactEvent::Type,
    ended: pg_sys::SubTransactionId,
    parent: pg_sys::SubTransactionId,
    _argument: *mut core::ffi::c_void,
) {
    ENQUEUED_IN.with_borrow_mut(|ids| match event {
        pg_sys::SubXactEvent::SUBXACT_EVENT_ABORT_SUB => ids.retain(|&id| id < ended),
        pg_sys::SubXactEvent::SUBXACT_EVENT_COMMIT_SUB => {
            for id in ids.iter_mut().filter(|id| **id == ended) {
                *id = parent;
            }
        }
        _ => {}
    });
}

/// Runs `f` in a subtransaction: its ERROR or `Err` rolls back what it wrote and comes back as a message.
///
/// # Errors
/// The message of the error that `f` met.
pub fn in_subtransaction<R>(f: impl FnOnce() -> crate::error::Result<R>) -> Result<R, String> {
    // SAFETY: reads of backend state that are restored below.
    let (context, owner) = unsafe { (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) };
    // SAFETY: legal inside a transaction; ended on both ways out.
    unsafe { pg_sys::BeginInternalSubTransaction(core::ptr::null()) };
    // SAFETY: the context was current before and outlives the subtransaction.
    unsafe { pg_sys::MemoryContextSwitchTo(context) };
    let outcome = pgrx::PgTryBuilder::new(std::panic::AssertUnwindSafe(|| {
        f().map_err(|report| report.message().to_owned())
    }))
    .catch_others(|caught| {
        use pgrx::pg_sys::panic::CaughtError;
        match &caught {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => {
                // A cancel or shutdown is not the row's fault: it must end the whole batch.
                let code = report.sql_error_code();
                if matches!(
                    code,
                    pgrx::PgSqlErrorCode::ERRCODE_QUERY_CANCELED
                        | pgrx::PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN
                ) {
                    caught.rethrow();
                }
                Err(report.message().to_owned())
            }
        }
    })
    .execute();
    if outcome.is_ok() {
        // SAFETY: the subtransaction begun above is the current one.
        unsafe { pg_sys::ReleaseCurrentSubTransaction() };
    } else {
        // SAFETY: as above.
        unsafe { pg_sys::RollbackAndReleaseCurrentSubTransaction() };
    }
    // SAFETY: both were current before and are still alive.
    unsafe {
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
    }
    outcome
}
