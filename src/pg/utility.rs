//! Commands that manage transactions of their own, such as CREATE INDEX CONCURRENTLY: only a background worker can run them, for they
//! refuse to run inside a function.

use crate::error::{Result, internal};
use pgrx::pg_sys;
use std::ffi::CString;

unsafe extern "C-unwind" {
    /// Of tcop/dest.h: where results go that nobody wants.
    static None_Receiver: *mut pg_sys::DestReceiver;
}

/// Runs one command as a client would that sent it. Outside a transaction; an ERROR leaves one to be aborted.
///
/// # Errors
/// XX000 if the text is not one command.
pub fn run_alone(sql: &str) -> Result<()> {
    let text = CString::new(sql).map_err(|_| internal("a command contains a NUL character"))?;
    // SAFETY: no transaction is open (the caller's promise).
    unsafe { pg_sys::StartTransactionCommand() };
    // SAFETY: a context that outlives the transactions of the command, deleted below or with the process.
    let memory = unsafe {
        pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"castmatch command".as_ptr(),
            0,
            pg_sys::ALLOCSET_SMALL_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        )
    };
    // SAFETY: switched back below; a commit inside the command switches by itself.
    let previous = unsafe { pg_sys::MemoryContextSwitchTo(memory) };
    // SAFETY: a NUL-terminated text; a list of RawStmt.
    let statements = unsafe {
        pgrx::PgList::<pg_sys::RawStmt>::from_pg(pg_sys::raw_parser(
            text.as_ptr(),
            pg_sys::RawParseMode::RAW_PARSE_DEFAULT,
        ))
    };
    let statement = statements.head().filter(|_| statements.len() == 1);
    if let Some(statement) = statement {
        // SAFETY: a statement that the parser made; utility commands are planned as they are.
        unsafe { run_statement(statement, &text) };
    }
    // SAFETY: the command has ended; its transaction is open, as it was begun here or by the command itself.
    unsafe {
        if pg_sys::ActiveSnapshotSet() {
            pg_sys::PopActiveSnapshot();
        }
        pg_sys::MemoryContextSwitchTo(previous);
        pg_sys::CommitTransactionCommand();
        pg_sys::MemoryContextDelete(memory);
    }
    statement.map(drop).ok_or_else(|| internal("not one command"))
}

/// # Safety
/// The statement is a utility command, allocated in the current memory context, which outlives its transactions.
unsafe fn run_statement(statement: *mut pg_sys::RawStmt, text: &CString) {
    // SAFETY: an empty node of that type, filled as pg_plan_queries of the server does for a utility command.
    unsafe {
        let planned =
            pgrx::PgBox::<pg_sys::PlannedStmt>::alloc_node(pg_sys::NodeTag::T_PlannedStmt).into_pg();
        (*planned).commandType = pg_sys::CmdType::CMD_UTILITY;
        (*planned).canSetTag = true;
        (*planned).utilityStmt = (*statement).stmt;
        (*planned).stmt_location = (*statement).stmt_location;
        (*planned).stmt_len = (*statement).stmt_len;
        // The command may take it away again.
        pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        pg_sys::ProcessUtility(
            planned,
            text.as_ptr(),
            false,
            pg_sys::ProcessUtilityContext::PROCESS_UTILITY_TOPLEVEL,
            core::ptr::null_mut(),
            core::ptr::null_mut(),
            None_Receiver,
            core::ptr::null_mut(),
        );
    }
}
