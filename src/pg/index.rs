//! Facts about an open index, and rows of its table by their place.

use super::relation::Relation;
use pgrx::pg_sys;

/// What support function 1 of a key column (from 0) returns, a number without arguments.
pub fn support_number(index: Relation, column: usize) -> Option<i32> {
    let attribute = i16::try_from(column + 1).ok()?;
    if column >= index.key_columns() {
        return None;
    }
    // SAFETY: an open index; the server checked the operator class when the index was created.
    let number = unsafe {
        let procedure = pg_sys::index_getprocinfo(index.as_ptr(), attribute, 1);
        pg_sys::FunctionCall0Coll(procedure, pg_sys::InvalidOid)
    };
    Some(number.value() as i32)
}

/// The collation of a key column (from 0), invalid where its type has none.
pub fn collation(index: Relation, column: usize) -> pg_sys::Oid {
    if column >= index.key_columns() {
        return pg_sys::InvalidOid;
    }
    // SAFETY: an open index has one collation for each key column.
    unsafe { *(*index.as_ptr()).rd_indcollation.add(column) }
}

/// The values of an index's columns for one row, alive as long as the row is shown.
#[derive(Clone, Copy)]
pub struct Columns<'a> {
    values: &'a [pg_sys::Datum],
    nulls: &'a [bool],
}

impl<'a> Columns<'a> {
    /// Takes what the server gives to its callbacks.
    ///
    /// # Safety
    /// Both point to one entry for each column of `index`, alive for `'a`.
    pub unsafe fn from_raw(index: Relation, values: *const pg_sys::Datum, nulls: *const bool) -> Self {
        let count = index.columns();
        // SAFETY: the caller's promise.
        unsafe {
            Self {
                values: core::slice::from_raw_parts(values, count),
                nulls: core::slice::from_raw_parts(nulls, count),
            }
        }
    }

    /// The value of a column (from 0), none for NULL.
    pub fn get(&self, column: usize) -> Option<pg_sys::Datum> {
        let null = self.nulls.get(column).copied().unwrap_or(true);
        self.values.get(column).copied().filter(|_| !null)
    }
}

/// How many parallel workers the server would give to building this index.
pub fn planned_workers(table: Relation, index: Relation) -> usize {
    // SAFETY: both relations are open and locked by this transaction.
    let workers = unsafe { pg_sys::plan_create_index_workers(table.oid(), index.oid()) };
    usize::try_from(workers).unwrap_or(0)
}

/// Counts a scan of the index in the server's statistics (pgstat_count_index_scan of pgstat.h).
pub fn count_scan(index: Relation) {
    let relation = index.as_ptr();
    // SAFETY: an open relation; the server attaches the counters on first use, if it counts at all.
    unsafe {
        if (*relation).pgstat_info.is_null() {
            #[cfg(not(feature = "pg14"))]
            if (*relation).pgstat_enabled {
                pg_sys::pgstat_assoc_relation(relation);
            }
            if (*relation).pgstat_info.is_null() {
                return;
            }
        }
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        {
            (*(*relation).pgstat_info).t_counts.t_numscans += 1;
        }
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        {
            (*(*relation).pgstat_info).counts.numscans += 1;
        }
    }
}

/// Why an index cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is of another access method, or no index.
    OtherMethod,
    /// It is a temporary one of another session.
    OtherSession,
    /// It has no storage: the index of a partitioned table.
    Partitioned,
    /// Neither its owner nor a member of pg_monitor asks.
    NotAllowed,
}

/// Opens an index of one of the given access methods with the lock of a reader, and its table before it, and closes both afterwards. `work` is
/// told which method it is.
///
/// # Errors
/// [`Unusable`].
pub fn with_index<R>(
    oid: pg_sys::Oid,
    methods: &[&core::ffi::CStr],
    work: impl FnOnce(Relation, Relation, usize) -> R,
) -> Result<R, Unusable> {
    // The table is locked before the index, as everywhere in the server.
    // SAFETY: a look-up in the catalogs; zero for what is no index.
    let table = unsafe { pg_sys::IndexGetRelation(oid, true) };
    if table == pg_sys::InvalidOid {
        return Err(Unusable::OtherMethod);
    }
    if !may_inspect(oid) {
        return Err(Unusable::NotAllowed);
    }
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: raises an ERROR if either is gone by now; both stay open until closed below or by an abort.
    let (table, index) = unsafe {
        let table = Relation::from_raw(pg_sys::table_open(table, lock));
        (table, Relation::from_raw(pg_sys::index_open(oid, lock)))
    };
    let method = methods.iter().position(|method| {
        // SAFETY: a look-up in the catalogs.
        index.access_method() == unsafe { pg_sys::get_am_oid(method.as_ptr(), true) }
    });
    let result = if method.is_none() {
        Err(Unusable::OtherMethod)
    } else if !index.has_storage() {
        Err(Unusable::Partitioned)
    } else if index.is_temporary_of_other_session() {
        Err(Unusable::OtherSession)
    } else {
        Ok(work(table, index, method.unwrap_or_default()))
    };
    // SAFETY: opened above.
    unsafe {
        pg_sys::index_close(index.as_ptr(), lock);
        pg_sys::table_close(table.as_ptr(), lock);
    }
    result
}

/// Opens the table of an open index while `work` runs.
pub fn with_table_of<R>(index: Relation, work: impl FnOnce(Relation) -> R) -> R {
    let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
    // SAFETY: an open index has a table, which whoever opened it has locked already; it stays open until closed below or by an abort.
    let table = unsafe {
        let table = pg_sys::IndexGetRelation(index.oid(), false);
        Relation::from_raw(pg_sys::table_open(table, lock))
    };
    let result = work(table);
    // SAFETY: opened above.
    unsafe { pg_sys::table_close(table.as_ptr(), lock) };
    result
}

fn may_inspect(oid: pg_sys::Oid) -> bool {
    // SAFETY: look-ups in the catalogs.
    unsafe {
        let user = pg_sys::GetUserId();
        #[cfg(any(feature = "pg14", feature = "pg15"))]
        let owner = pg_sys::pg_class_ownercheck(oid, user);
        #[cfg(not(any(feature = "pg14", feature = "pg15")))]
        let owner = pg_sys::object_ownercheck(pg_sys::RelationRelationId, oid, user);
        owner || pg_sys::has_privs_of_role(user, pg_sys::Oid::from(pg_sys::ROLE_PG_MONITOR))
    }
}

/// A row that belongs into an index.
#[derive(Clone, Copy)]
pub struct TableRow<'a> {
    /// Block of the row's place as an index knows it: the root of its HOT chain.
    pub block: u32,
    /// Line pointer of that place.
    pub offset: u16,
    /// What the index has of it.
    pub columns: Columns<'a>,
    /// Whether the row is not yet deleted; a deleted one may still be visible to old snapshots.
    pub alive: bool,
}

/// Which rows of a table a scan shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All that an index must have, and reports its progress.
    All,
    /// Those in some blocks: the first, and how many.
    Blocks(u32, u32),
    /// Those visible to a snapshot taken earlier.
    Visible(Snapshot),
}

/// What is visible now, for later.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Snapshot(pg_sys::Snapshot);

impl Snapshot {
    /// The snapshot of a new statement.
    pub fn take() -> Self {
        // SAFETY: inside a transaction; kept until it is given back or the transaction ends.
        Self(unsafe { pg_sys::RegisterSnapshot(pg_sys::GetTransactionSnapshot()) })
    }

    /// Gives the snapshot back.
    pub fn give_back(self) {
        // SAFETY: registered by `take`.
        unsafe { pg_sys::UnregisterSnapshot(self.0) };
    }
}

/// Shows rows of the table, as far as they satisfy the index's predicate, to `look`.
///
/// `info` is the description that the server gave to ambuild, or null for a new one.
pub fn scan_table(
    table: Relation,
    index: Relation,
    info: *mut pg_sys::IndexInfo,
    part: Part,
    look: &mut dyn FnMut(TableRow<'_>),
) -> f64 {
    struct Context<'a> {
        look: &'a mut dyn FnMut(TableRow<'_>),
    }
    #[pgrx::pg_guard]
    unsafe extern "C-unwind" fn row(
        index: pg_sys::Relation,
        tid: pg_sys::ItemPointer,
        values: *mut pg_sys::Datum,
        nulls: *mut bool,
        alive: bool,
        context: *mut core::ffi::c_void,
    ) {
        // SAFETY: the context given below; one value and one flag per column of the open index; the row's place.
        let (context, columns, tid) = unsafe {
            let columns = Columns::from_raw(Relation::from_raw(index), values, nulls);
            (&mut *context.cast::<Context>(), columns, *tid)
        };
        let (block, offset) = super::tid::parts(tid);
        (context.look)(TableRow {
            block,
            offset,
            columns,
            alive,
        });
    }
    let mut context = Context { look };
    let context = (&raw mut context).cast();
    // SAFETY: open relations; the callback runs only during the call.
    unsafe {
        let info = if info.is_null() {
            pg_sys::BuildIndexInfo(index.as_ptr())
        } else {
            info
        };
        let mut scan = core::ptr::null_mut();
        match part {
            Part::Blocks(first, count) => pg_sys::table_index_build_range_scan(
                table.as_ptr(),
                index.as_ptr(),
                info,
                false,
                false,
                false,
                first,
                count,
                Some(row),
                context,
                scan,
            ),
            Part::All | Part::Visible(_) => {
                if let Part::Visible(snapshot) = part {
                    // As in a concurrent build, what the snapshot sees is shown. The build ends the scan.
                    (*info).ii_Concurrent = true;
                    (*info).ii_Unique = false;
                    scan = pg_sys::table_beginscan_strat(
                        table.as_ptr(),
                        snapshot.0,
                        0,
                        core::ptr::null_mut(),
                        true,
                        true,
                    );
                }
                pg_sys::table_index_build_scan(
                    table.as_ptr(),
                    index.as_ptr(),
                    info,
                    true,
                    part == Part::All,
                    Some(row),
                    context,
                    scan,
                )
            }
        }
    }
}
