//! SQL from inside the server (SPI), with explicit read-only execution and a per-backend cache of prepared plans.
//!
//! Read-only execution sees exactly the snapshot of the calling query, which is what a STABLE function must do; pgrx's own
//! client decides that by what the transaction has done before. PostgreSQL invalidates and re-plans kept plans by itself.

use crate::error::{Result, internal};
use crate::pg::value::Value;
use lru::LruCache;
use pgrx::pg_sys;
use pgrx::{FromDatum, IntoDatum};
use std::cell::RefCell;
use std::ffi::CString;
use std::num::NonZeroUsize;

/// Whether statements may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The calling query's snapshot, no writes.
    ReadOnly,
    /// A fresh snapshot for each statement, writes allowed.
    ReadWrite,
}

/// Plans kept per backend. A statement costs some kilobytes; `match` needs about two for each target and filter shape.
const KEPT_PLANS: usize = 64;

struct KeptPlan(pg_sys::SPIPlanPtr);

impl Drop for KeptPlan {
    fn drop(&mut self) {
        // SAFETY: a plan that SPI_keepplan accepted and that nobody else frees.
        unsafe { pg_sys::SPI_freeplan(self.0) };
    }
}

type PlanKey = (String, Vec<pg_sys::Oid>);

thread_local! {
    static PLANS: RefCell<LruCache<PlanKey, KeptPlan>> =
        RefCell::new(LruCache::new(NonZeroUsize::MIN.saturating_add(KEPT_PLANS - 1)));
}

/// An identifier quoted for use in SQL, whether or not it needs the quotes.
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// An open SPI connection.
pub struct Session {
    access: Access,
}

/// Opens an SPI connection, runs `f` with it and closes it. Results must be copied into Rust values inside `f`.
///
/// # Errors
/// Whatever `f` returns; errors of PostgreSQL itself unwind.
pub fn session<R>(access: Access, f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    // SAFETY: balanced by SPI_finish below; after an ERROR the abort of the (sub)transaction closes the connection.
    let connected = unsafe { pg_sys::SPI_connect() };
    if connected != pg_sys::SPI_OK_CONNECT as i32 {
        return Err(internal(format!("SPI_connect failed with code {connected}")));
    }
    let result = f(&Session { access });
    // SAFETY: connected above.
    unsafe { pg_sys::SPI_finish() };
    result
}

impl Session {
    /// Runs a statement and returns its rows; `$n` are the values in order.
    ///
    /// # Errors
    /// XX000 if SPI itself refuses; errors of the statement unwind with their own SQLSTATE.
    pub fn run(&self, sql: &str, values: &[Value]) -> Result<Rows> {
        let plan = plan_for(sql, values)?;
        self.execute(plan, sql, values)
    }

    /// Runs a utility statement (DDL), which cannot be kept as a plan.
    ///
    /// # Errors
    /// As for [`Self::run`].
    pub fn run_utility(&self, sql: &str) -> Result<()> {
        let text = statement(sql)?;
        // SAFETY: connected; the string outlives the call.
        let code = unsafe { pg_sys::SPI_execute(text.as_ptr(), false, 0) };
        if code < 0 {
            Err(spi_failure(code, sql))
        } else {
            Ok(())
        }
    }

    /// Runs a query without parameters and hands its rows over in portions of `portion` rows.
    ///
    /// # Errors
    /// Those of `f`, and as for [`Self::run`].
    pub fn run_in_portions(
        &self,
        sql: &str,
        portion: usize,
        mut f: impl FnMut(&Rows) -> Result<()>,
    ) -> Result<()> {
        let plan = plan_for(sql, &[])?;
        let read_only = self.access == Access::ReadOnly;
        // SAFETY: a kept plan without parameters; an unnamed portal.
        let portal = unsafe {
            pg_sys::SPI_cursor_open(
                core::ptr::null(),
                plan,
                core::ptr::null_mut(),
                core::ptr::null(),
                read_only,
            )
        };
        if portal.is_null() {
            return Err(spi_failure(0, sql));
        }
        let portion = core::ffi::c_long::try_from(portion).unwrap_or(core::ffi::c_long::MAX);
        loop {
            pgrx::check_for_interrupts!();
            // SAFETY: the portal is open.
            unsafe { pg_sys::SPI_cursor_fetch(portal, true, portion) };
            let rows = Rows::current();
            if rows.is_empty() {
                break;
            }
            let table = rows.table;
            f(&rows)?;
            // SAFETY: the rows of this portion are not used any more.
            unsafe { pg_sys::SPI_freetuptable(table) };
        }
        // SAFETY: the portal is open; an error above leaves it to the end of the transaction.
        unsafe { pg_sys::SPI_cursor_close(portal) };
        Ok(())
    }

    fn execute(&self, plan: pg_sys::SPIPlanPtr, sql: &str, values: &[Value]) -> Result<Rows> {
        let mut datums: Vec<pg_sys::Datum> = values
            .iter()
            .map(|value| value.datum.unwrap_or(pg_sys::Datum::null()))
            .collect();
        let nulls: Vec<core::ffi::c_char> = values
            .iter()
            .map(|value| if value.datum.is_some() { b' ' } else { b'n' } as core::ffi::c_char)
            .collect();
        // SAFETY: the plan is valid while it is in the cache, which nothing touches before the call returns into here; both
        // arrays have one entry for each parameter the plan was prepared with.
        let code = unsafe {
            pg_sys::SPI_execute_plan(
                plan,
                datums.as_mut_ptr(),
                nulls.as_ptr(),
                self.access == Access::ReadOnly,
                0,
            )
        };
        if code < 0 {
            return Err(spi_failure(code, sql));
        }
        Ok(Rows::current())
    }
}

fn statement(sql: &str) -> Result<CString> {
    CString::new(sql).map_err(|_| internal("a statement contains a NUL character"))
}

fn spi_failure(code: i32, sql: &str) -> pgrx::pg_sys::panic::ErrorReport {
    internal(format!("SPI failed with code {code}")).set_detail(format!("The statement was: {sql}"))
}

fn plan_for(sql: &str, values: &[Value]) -> Result<pg_sys::SPIPlanPtr> {
    let types: Vec<pg_sys::Oid> = values.iter().map(|value| value.type_oid).collect();
    let key = (sql.to_owned(), types);
    let kept = PLANS.with_borrow_mut(|plans| plans.get(&key).map(|plan| plan.0));
    if let Some(plan) = kept {
        return Ok(plan);
    }
    let text = statement(sql)?;
    let count = i32::try_from(key.1.len()).map_err(|_| internal("too many parameters"))?;
    let mut types = key.1.clone();
    // SAFETY: connected; the string and the types outlive the call, which copies both.
    let plan = unsafe { pg_sys::SPI_prepare(text.as_ptr(), count, types.as_mut_ptr()) };
    if plan.is_null() {
        // SAFETY: a plain global, set by SPI_prepare.
        return Err(spi_failure(unsafe { pg_sys::SPI_result }, sql));
    }
    // SAFETY: the plan was prepared just now and is not kept yet.
    let code = unsafe { pg_sys::SPI_keepplan(plan) };
    if code != 0 {
        return Err(spi_failure(code, sql));
    }
    let evicted = PLANS.with_borrow_mut(|plans| plans.push(key, KeptPlan(plan)));
    drop(evicted);
    Ok(plan)
}

/// The rows that a statement returned.
pub struct Rows {
    table: *mut pg_sys::SPITupleTable,
    processed: usize,
}

impl Rows {
    /// What the last SPI call left.
    fn current() -> Self {
        // SAFETY: set by that call; null for statements without result rows.
        let table = unsafe { pg_sys::SPI_tuptable };
        // SAFETY: as above.
        let processed = unsafe { pg_sys::SPI_processed };
        Self {
            table,
            processed: usize::try_from(processed).unwrap_or(usize::MAX),
        }
    }

    /// Rows returned or changed.
    pub fn len(&self) -> usize {
        self.processed
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.processed == 0
    }

    /// The value in `row` (from 0) and `column` (from 1); `None` for NULL.
    ///
    /// # Errors
    /// XX000 if there is no such cell or its type is not `T`'s.
    pub fn get<T: FromDatum + IntoDatum>(&self, row: usize, column: usize) -> Result<Option<T>> {
        let (type_oid, datum) = self.cell(row, column)?;
        if !T::is_compatible_with(type_oid) {
            return Err(internal(format!(
                "column {column} has type {type_oid:?}, not {:?}",
                T::type_oid()
            )));
        }
        // SAFETY: the datum has the type that was checked above; the tuple table outlives the call.
        Ok(unsafe {
            T::from_polymorphic_datum(datum.unwrap_or(pg_sys::Datum::null()), datum.is_none(), type_oid)
        })
    }

    /// As [`Self::get`], for a cell that cannot be NULL.
    ///
    /// # Errors
    /// XX000 if it is NULL, and as [`Self::get`].
    pub fn require<T: FromDatum + IntoDatum>(&self, row: usize, column: usize) -> Result<T> {
        self.get(row, column)?
            .ok_or_else(|| internal(format!("column {column} is null")))
    }

    /// All values of a column that cannot be NULL.
    ///
    /// # Errors
    /// As for [`Self::require`].
    pub fn column_values<T: FromDatum + IntoDatum>(&self, column: usize) -> Result<Vec<T>> {
        (0..self.processed).map(|row| self.require(row, column)).collect()
    }

    /// Type and datum in `row` (from 0) and `column` (from 1), valid until the session ends.
    ///
    /// # Errors
    /// XX000 if there is no such cell.
    pub fn cell(&self, row: usize, column: usize) -> Result<(pg_sys::Oid, Option<pg_sys::Datum>)> {
        if self.table.is_null() || row >= self.processed {
            return Err(internal(format!(
                "row {row} of {} does not exist",
                self.processed
            )));
        }
        // SAFETY: SPI filled the table with `processed` tuples of this descriptor, alive until SPI_finish.
        let (tuple, descriptor) = unsafe { (*(*self.table).vals.add(row), (*self.table).tupdesc) };
        // SAFETY: the descriptor is valid as above.
        let columns = usize::try_from(unsafe { (*descriptor).natts }).unwrap_or(0);
        if column == 0 || column > columns {
            return Err(internal(format!("column {column} of {columns} does not exist")));
        }
        let number = column as i32;
        // SAFETY: the column number is within the descriptor.
        let type_oid = unsafe { pg_sys::SPI_gettypeid(descriptor, number) };
        let mut is_null = false;
        // SAFETY: tuple and descriptor belong together, the column number is within the descriptor.
        let datum = unsafe { pg_sys::SPI_getbinval(tuple, descriptor, number, &mut is_null) };
        Ok((type_oid, (!is_null).then_some(datum)))
    }
}
