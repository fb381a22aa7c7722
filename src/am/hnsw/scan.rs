//! An index scan: the engine walks the graph, this module gives it the query and the table's rows.

use crate::am::index_error;
use crate::am::keys::{Conditions, read_conditions};
use crate::am::state::{self, Opened};
use crate::am::storage::RelationStorage;
use crate::error::{Result, error, unsupported};
use crate::guc;
use crate::pg::heap::RowReader;
use crate::pg::memory::RowMemory;
use crate::pg::relation::Relation;
use crate::pg::scankey;
use crate::pg::tid;
use crate::pg::vector::VectorArg;
use castmatch_engine::index::hnsw::scan::{HeapRows, Scan, ScanOptions};
use castmatch_engine::index::key::Filter;
use castmatch_engine::index::quantize::{Rankable, exact_key};
use castmatch_engine::index::{ElementKind, HeapTid, IndexError, Metric};
use castmatch_engine::vector::{Element, VectorError, f16};
use core::ffi::c_int;
use pgrx::memcxt::PgMemoryContexts;
use pgrx::pg_sys;
use pgrx::prelude::*;

/// The query as the caller gave it, for exact distances.
enum Query {
    /// NULL: every row is as good as another.
    Null,
    Vector(Vec<f32>),
    Halfvec(Vec<f16>),
}

/// One scan, from its beginning over all its restarts to its end.
struct State {
    relation: Relation,
    /// `None` until the first restart, and after the end.
    run: Option<Run>,
    /// Whether it is known from the conditions that there is no row.
    empty: bool,
}

struct Run {
    opened: Opened,
    storage: RelationStorage,
    scan: Scan,
    query: Query,
    rows: Option<RowReader>,
    /// Whether the executor must look at the conditions again.
    recheck: bool,
}

/// ambeginscan.
///
/// # Safety
/// The server's open index.
pub unsafe fn begin(index: pg_sys::Relation, keys: c_int, orders: c_int) -> pg_sys::IndexScanDesc {
    // SAFETY: the caller's promise.
    let scan = unsafe { pg_sys::RelationGetIndexScan(index, keys, orders) };
    let state = State {
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
pub unsafe fn restart(
    scan: pg_sys::IndexScanDesc,
    (keys, key_count): (pg_sys::ScanKey, c_int),
    (orders, order_count): (pg_sys::ScanKey, c_int),
) -> Result<()> {
    // SAFETY: the caller's promise.
    let state = unsafe { state_of(scan) };
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
    let opened = state::open(state.relation)?;
    // SAFETY: the caller's promise.
    let Conditions { filter, recheck } = unsafe { conditions(&opened, keys, key_count)? };
    state.empty = filter.as_ref().is_some_and(Filter::is_never);
    if state.empty {
        return Ok(());
    }
    let null = key.sk_flags & pg_sys::SK_ISNULL as c_int != 0;
    let query = if null {
        Query::Null
    } else {
        // SAFETY: the operator's right argument has the column's type.
        unsafe { read_query(&opened, key.sk_argument)? }
    };
    let options = ScanOptions {
        ef: guc::ef_search(),
        epsilon: guc::rerank_confidence(),
        memory_limit_bytes: crate::pg::memory::work_mem_bytes(),
    };
    let mut transformed = vec![0.0; opened.index.quantizer.dims()];
    let rankable = match &query {
        Query::Null => Rankable::No,
        Query::Vector(vector) => opened.index.quantizer.transform(vector, &mut transformed),
        Query::Halfvec(vector) => opened.index.quantizer.transform(vector, &mut transformed),
    };
    let target = match rankable {
        Rankable::Yes => Some(transformed.as_slice()),
        Rankable::No => None,
    };
    let relation = state.relation;
    let (mut engine_scan, rows) = match state.run.take() {
        Some(run) => (run.scan, run.rows),
        None => (opened.spare_scan(), None),
    };
    let mut storage = RelationStorage::new(relation, opened.hints.clone());
    engine_scan.set_options(options);
    engine_scan
        .rescan(&mut storage, target, filter)
        .map_err(|failure| index_error(relation, failure))?;
    state.run = Some(Run {
        storage,
        opened,
        scan: engine_scan,
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
pub unsafe fn next(scan: pg_sys::IndexScanDesc) -> Result<bool> {
    // SAFETY: the caller's promise.
    let state = unsafe { state_of(scan) };
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
        query: &run.query,
        metric: run.opened.index.metric,
    };
    let hit = run
        .scan
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
pub unsafe fn end(scan: pg_sys::IndexScanDesc) {
    // SAFETY: the caller's promise.
    let state = unsafe { state_of(scan) };
    if let Some(run) = state.run.take() {
        if let Some(rows) = run.rows {
            rows.close();
        }
        run.opened.keep_scan(run.scan);
    }
}

/// # Safety
/// A scan of [`begin`]; the result is the only reference while it is used.
unsafe fn state_of<'a>(scan: pg_sys::IndexScanDesc) -> &'a mut State {
    // SAFETY: `begin` put it there; the memory lives as long as the scan's.
    unsafe { &mut *(*scan).opaque.cast::<State>() }
}

/// # Safety
/// The conditions of a scan of the index.
unsafe fn conditions(opened: &Opened, keys: pg_sys::ScanKey, count: c_int) -> Result<Conditions> {
    if count < 1 {
        return read_conditions(&opened.keys, &[]);
    }
    // A nested loop starts the scan again and again; what is detoasted for it goes away each time.
    let memory = RowMemory::new();
    let conditions = memory.with(|| {
        // SAFETY: the caller's promise.
        read_conditions(&opened.keys, &unsafe { scankey::read(keys, count) })
    });
    memory.delete();
    conditions
}

/// # Safety
/// A non-NULL value of the index's column type.
unsafe fn read_query(opened: &Opened, datum: pg_sys::Datum) -> Result<Query> {
    // SAFETY: the caller's promise.
    unsafe {
        match opened.index.element {
            ElementKind::Vector => elements::<f32>(opened, datum).map(Query::Vector),
            ElementKind::Halfvec => elements::<f16>(opened, datum).map(Query::Halfvec),
        }
    }
}

/// # Safety
/// A non-NULL value of the vector type of `T`.
unsafe fn elements<T: Element>(opened: &Opened, datum: pg_sys::Datum) -> Result<Vec<T>> {
    // SAFETY: the caller's promise.
    let vector = unsafe { VectorArg::<T>::from_datum(datum)? };
    let expected = opened.index.quantizer.dims();
    let found = vector.elements().len();
    if found != expected {
        return Err(error(
            PgSqlErrorCode::ERRCODE_DATA_EXCEPTION,
            format!("different {} dimensions {expected} and {found}", T::TYPE_NAME),
        ));
    }
    Ok(vector.elements().to_vec())
}

/// The table's rows, for exact distances.
struct Rows<'a> {
    reader: &'a mut RowReader,
    query: &'a Query,
    metric: Metric,
}

impl HeapRows for Rows<'_> {
    fn contains(&mut self, tid: HeapTid) -> bool {
        self.reader.contains(tid.block)
    }

    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError> {
        let (query, metric) = (self.query, self.metric);
        let key = self.reader.value(tid.block, tid.offset, |datum| {
            // SAFETY: the value of the indexed column, of the type that the query was checked to have.
            unsafe {
                match query {
                    Query::Null => Ok(f64::NAN),
                    Query::Vector(query) => key_of(metric, query, datum),
                    Query::Halfvec(query) => key_of(metric, query, datum),
                }
            }
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

/// # Safety
/// A non-NULL value of the vector type of `T`.
unsafe fn key_of<T: Element>(metric: Metric, query: &[T], datum: pg_sys::Datum) -> Result<f64> {
    // SAFETY: the caller's promise.
    let vector = unsafe { VectorArg::<T>::from_datum(datum)? };
    if vector.elements().len() != query.len() {
        return Err(crate::error::vector_error(VectorError::mismatch(
            query,
            vector.elements(),
        )));
    }
    Ok(exact_key(metric, query, vector.elements()))
}
