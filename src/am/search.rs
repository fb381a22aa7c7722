//! An index scan, of either method: the engine searches, this module gives it the query and the table's rows.
#![allow(unsafe_code)]
// A callback reads or fills several fields of one structure of the server: one fact with one reason.
#![allow(clippy::multiple_unsafe_ops_per_block)]

use crate::am::hints::Hints;
use crate::am::index_error;
use crate::am::keys::{Conditions, Keys, read_conditions};
use crate::am::rows::Transform;
use crate::am::storage::RelationStorage;
use crate::am::value::{self, Query};
use crate::error::{Result, unsupported};
use crate::pg::heap::RowReader;
use crate::pg::memory::RowMemory;
use crate::pg::relation::Relation;
use crate::pg::scankey;
use crate::pg::tid;
use castmatch_engine::index::hnsw::scan::{HeapRows, Hit};
use castmatch_engine::index::key::Filter;
use castmatch_engine::index::quantize::Rankable;
use castmatch_engine::index::{HeapTid, IndexError, Metric};
use core::ffi::c_int;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;
use std::rc::Rc;

/// A search of one access method.
pub trait Search: Sized + 'static {
    /// The engine's parameters of an index.
    type Index: Transform;

    /// Opens an index, with the memory of the scan before if this is one that starts again.
    ///
    /// # Errors
    /// XX002 if the pages are not those of an index of this format.
    fn open(relation: Relation, before: Option<Self>) -> Result<Self>;

    /// The parameters of the index.
    fn index(&self) -> &Self::Index;

    /// What the index orders by.
    fn metric(&self) -> Metric;

    /// The filter columns.
    fn keys(&self) -> &Keys;

    /// Where its pages were.
    fn hints(&self) -> Rc<Hints>;

    /// Begins with a query, transformed, or none.
    ///
    /// # Errors
    /// Those of the engine.
    fn rescan(
        &mut self,
        storage: &mut RelationStorage,
        target: Option<&[f32]>,
        filter: Option<Filter>,
    ) -> core::result::Result<(), IndexError>;

    /// The next row.
    ///
    /// # Errors
    /// Those of the engine.
    fn next(
        &mut self,
        storage: &mut RelationStorage,
        rows: &mut Rows<'_>,
    ) -> core::result::Result<Option<Hit>, IndexError>;

    /// The scan has ended: what of it is worth keeping is kept.
    fn close(self);
}

/// One scan, from its beginning over all its restarts to its end.
struct State<S> {
    relation: Relation,
    /// `None` until the first restart, and after the end.
    run: Option<Run<S>>,
    /// Whether it is known from the conditions that there is no row.
    empty: bool,
}

struct Run<S> {
    search: S,
    storage: RelationStorage,
    /// The query as the caller gave it, for exact distances. None is NULL: every row is as good as another.
    query: Option<Box<dyn Query>>,
    rows: Option<RowReader>,
    /// Whether the executor must look at the conditions again.
    recheck: bool,
}

/// ambeginscan.
///
/// # Safety
/// The server's open index.
pub unsafe fn begin<S: Search>(index: pg_sys::Relation, keys: c_int, orders: c_int) -> pg_sys::IndexScanDesc {
    // SAFETY: the caller's promise.
    let scan = unsafe { pg_sys::RelationGetIndexScan(index, keys, orders) };
    let state = State::<S> {
        // SAFETY: the caller's promise.
        relation: unsafe { Relation::from_raw(index) },
        run: None,
        empty: false,
    };
    // A scan that ends by an error is never told so; its memory goes away with the query's.
    let state = PgMemoryContexts::CurrentMemoryContext.leak_and_drop_on_delete(state);
    // SAFETY: the descriptor made above.
    unsafe { (*scan).opaque = state.cast() };
    scan
}

/// amrescan: a scan starts, or starts again with another query.
///
/// # Safety
/// A scan of [`begin`], its conditions and its ORDER BY keys.
pub unsafe fn restart<S: Search>(
    scan: pg_sys::IndexScanDesc,
    (keys, key_count): (pg_sys::ScanKey, c_int),
    (orders, order_count): (pg_sys::ScanKey, c_int),
) -> Result<()> {
    // SAFETY: the caller's promise.
    let state = unsafe { state_of::<S>(scan) };
    if order_count < 1 || orders.is_null() {
        return Err(unsupported(format!(
            "index \"{}\" can only be scanned in the order of a distance",
            state.relation.name()
        ))
        .set_hint("Add ORDER BY column <operator> query to the statement."));
    }
    // SAFETY: the server keeps room for as many keys as the scan was begun with.
    let key = unsafe {
        let count = order_count.min((*scan).numberOfOrderBys);
        core::ptr::copy(orders, (*scan).orderByData, usize::try_from(count).unwrap_or(0));
        *orders
    };
    // SAFETY: the scan's own relation.
    crate::pg::index::count_scan(state.relation);
    let relation = state.relation;
    let (before, rows) = match state.run.take() {
        Some(run) => (Some(run.search), run.rows),
        None => (None, None),
    };
    let mut search = S::open(relation, before)?;
    // SAFETY: the caller's promise.
    let Conditions { filter, recheck } = unsafe { conditions(search.keys(), keys, key_count)? };
    let empty = filter.as_ref().is_some_and(Filter::is_never);
    let null = key.sk_flags & pg_sys::SK_ISNULL as c_int != 0;
    let mut transformed = vec![0.0; search.index().coded_dims()];
    let (query, rankable) = if null || empty {
        (None, Rankable::No)
    } else {
        // SAFETY: the operator's right argument has the column's type.
        let (query, rankable) = unsafe { value::query(search.index(), key.sk_argument, &mut transformed)? };
        (Some(query), rankable)
    };
    let mut storage = RelationStorage::new(relation, search.hints());
    if !empty {
        let target = match rankable {
            Rankable::Yes => Some(transformed.as_slice()),
            Rankable::No => None,
        };
        search
            .rescan(&mut storage, target, filter)
            .map_err(|failure| index_error(relation, failure))?;
    }
    state.empty = empty;
    state.run = Some(Run {
        search,
        storage,
        query,
        rows,
        recheck,
    });
    Ok(())
}

/// amgettuple: the next row.
///
/// # Safety
/// A scan of [`begin`].
pub unsafe fn next<S: Search>(scan: pg_sys::IndexScanDesc) -> Result<bool> {
    // SAFETY: the caller's promise.
    let state = unsafe { state_of::<S>(scan) };
    let relation = state.relation;
    let Some(run) = state.run.as_mut().filter(|_| !state.empty) else {
        return Ok(false);
    };
    if run.rows.is_none() {
        // Allocated in the query's memory, which lives as long as the scan.
        // SAFETY: the scan is under way.
        run.rows = unsafe { RowReader::new(scan, relation) };
    }
    let Some(reader) = run.rows.as_mut() else {
        return Err(unsupported(format!(
            "index \"{}\" cannot be scanned with this kind of snapshot",
            relation.name()
        )));
    };
    let mut rows = Rows {
        reader,
        query: run.query.as_deref(),
        metric: run.search.metric(),
    };
    let hit = run
        .search
        .next(&mut run.storage, &mut rows)
        .map_err(|failure| index_error(relation, failure))?;
    let Some(hit) = hit else {
        return Ok(false);
    };
    // SAFETY: the caller's promise.
    unsafe {
        (*scan).xs_heaptid = tid::item_pointer(hit.tid.block, hit.tid.offset);
        (*scan).xs_recheck = run.recheck;
        (*scan).xs_recheckorderby = false;
    }
    Ok(true)
}

/// amendscan.
///
/// # Safety
/// A scan of [`begin`]; it is not used afterwards.
pub unsafe fn end<S: Search>(scan: pg_sys::IndexScanDesc) {
    // SAFETY: the caller's promise.
    let state = unsafe { state_of::<S>(scan) };
    if let Some(run) = state.run.take() {
        if let Some(rows) = run.rows {
            rows.close();
        }
        run.search.close();
    }
}

/// # Safety
/// A scan of [`begin`]; the result is the only reference while it is used.
unsafe fn state_of<'a, S>(scan: pg_sys::IndexScanDesc) -> &'a mut State<S> {
    // SAFETY: `begin` put it there; the memory lives as long as the scan's.
    unsafe { &mut *(*scan).opaque.cast::<State<S>>() }
}

/// # Safety
/// The conditions of a scan of the index.
unsafe fn conditions(columns: &Keys, keys: pg_sys::ScanKey, count: c_int) -> Result<Conditions> {
    if count < 1 {
        return read_conditions(columns, &[]);
    }
    // A nested loop starts the scan again and again; what is detoasted for it goes away each time.
    let memory = RowMemory::new();
    let conditions = memory.with(|| {
        // SAFETY: the caller's promise.
        read_conditions(columns, &unsafe { scankey::read(keys, count) })
    });
    memory.delete();
    conditions
}

/// The table's rows, for exact distances.
pub struct Rows<'a> {
    reader: &'a mut RowReader,
    query: Option<&'a dyn Query>,
    metric: Metric,
}

impl HeapRows for Rows<'_> {
    fn contains(&mut self, tid: HeapTid) -> bool {
        self.reader.contains(tid.block)
    }

    fn prefetch(&mut self, tid: HeapTid) {
        self.reader.prefetch(tid.block);
    }

    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError> {
        let (query, metric) = (self.query, self.metric);
        let key = self.reader.value(tid.block, tid.offset, |datum| {
            // SAFETY: the value of the indexed column, of the type that the query was checked to have.
            query.map_or(Ok(f64::NAN), |query| unsafe { query.key(metric, datum) })
        });
        match key {
            None => Ok(None),
            Some(Ok(key)) => Ok(Some(key)),
            // Raised as a server ERROR: the row itself is damaged, not the index.
            Some(Err(report)) => {
                use crate::pg::array::ReportError;
                report.report_error()
            }
        }
    }
}
