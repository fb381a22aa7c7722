//! What a backend remembers about its current transaction, and what happens when it commits.

use pgrx::pg_sys;
use pgrx::pg_sys::elog::PgLogLevel;
use pgrx::pg_sys::errcodes::PgSqlErrorCode;
use std::cell::{Cell, RefCell};

thread_local! {
    /// The subtransactions, still open or committed into their parents, that queued rows.
    static ENQUEUED_IN: RefCell<Vec<pg_sys::SubTransactionId>> = const { RefCell::new(Vec::new()) };
    static REGISTERED: Cell<bool> = const { Cell::new(false) };
    static ON_COMMIT: Cell<Option<fn()>> = const { Cell::new(None) };
    static BEFORE_COMMIT: Cell<Option<fn()>> = const { Cell::new(None) };
    /// What runs once after the commit of this transaction.
    static AFTER_COMMIT: Cell<Option<fn()>> = const { Cell::new(None) };
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

/// Has `run` run after the commit of this transaction, if it commits; it must not fail.
pub fn after_commit(run: fn()) {
    AFTER_COMMIT.set(Some(run));
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
    if let Some(run) = AFTER_COMMIT.take().filter(|_| committed) {
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

/// Why a subtransaction was rolled back.
#[derive(Clone, Debug)]
pub struct Failed {
    /// SQLSTATE.
    pub code: PgSqlErrorCode,
    /// The message.
    pub message: String,
}

/// Runs `f` in a subtransaction: its ERROR or `Err` rolls back what it wrote and comes back as a message. A cancel or shutdown is not
/// the fault of what was tried, and goes on as an ERROR.
///
/// # Errors
/// The message of the error that `f` met.
pub fn in_subtransaction<R>(f: impl FnOnce() -> crate::error::Result<R>) -> Result<R, String> {
    attempt(f).map_err(|failed| {
        if failed.code == PgSqlErrorCode::ERRCODE_QUERY_CANCELED {
            crate::error::error(failed.code, failed.message.clone()).report(PgLogLevel::ERROR);
        }
        failed.message
    })
}

/// As [`in_subtransaction`], but a cancel is a failure like any other: foreign code may raise one to end more than itself. Only a
/// shutdown goes on.
///
/// # Errors
/// The error that `f` met.
pub fn attempt<R>(f: impl FnOnce() -> crate::error::Result<R>) -> Result<R, Failed> {
    // SAFETY: reads of backend state that are restored below.
    let (context, owner) = unsafe { (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner) };
    // SAFETY: legal inside a transaction; ended on both ways out.
    unsafe { pg_sys::BeginInternalSubTransaction(core::ptr::null()) };
    // SAFETY: the context was current before and outlives the subtransaction.
    unsafe { pg_sys::MemoryContextSwitchTo(context) };
    let outcome = pgrx::PgTryBuilder::new(std::panic::AssertUnwindSafe(|| {
        f().map_err(|report| {
            // Only a raised report tells its SQLSTATE; caught right below.
            report.report(PgLogLevel::ERROR);
            Failed {
                code: PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                message: String::new(),
            }
        })
    }))
    .catch_others(|caught| {
        use pgrx::pg_sys::panic::CaughtError;
        match &caught {
            CaughtError::PostgresError(report)
            | CaughtError::ErrorReport(report)
            | CaughtError::RustPanic { ereport: report, .. } => {
                if report.sql_error_code() == PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN {
                    caught.rethrow();
                }
                Err(Failed {
                    code: report.sql_error_code(),
                    message: report.message().to_owned(),
                })
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

/// Refuses a transaction that must not write, before anything that costs is done.
///
/// # Errors
/// 25006.
pub fn require_writable(what: &str) -> crate::error::Result<()> {
    // SAFETY: a plain global of the backend.
    if unsafe { !pg_sys::XactReadOnly } {
        return Ok(());
    }
    Err(crate::error::error(
        PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
        format!("cannot execute {what} in a read-only transaction"),
    ))
}
