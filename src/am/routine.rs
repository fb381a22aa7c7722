//! The callbacks of an access method, each one line into the module that does the work.

/// Makes the handler of an access method, with this name, and its callbacks. The methods have modules of the same names and functions:
/// `build`, `insert`, `scan`, `vacuum`, `cost`, `options`; and `METHOD` and `serves`.
macro_rules! access_method {
    ($handler:ident) => {
        /// The table of callbacks, as PostgreSQL asks for it.
        #[pg_extern(sql = false)]
        fn $handler(_call: pg_sys::FunctionCallInfo) -> pgrx::Internal {
            let mut routine =
                // SAFETY: allocates a node in the current memory context, as a handler must.
                unsafe { PgBox::<pg_sys::IndexAmRoutine>::alloc_node(pg_sys::NodeTag::T_IndexAmRoutine) };
            routine.amsupport = 1;
            routine.amcanorderbyop = true;
            // A scan needs an ORDER BY and no condition; conditions may be on any of the columns.
            routine.amoptionalkey = true;
            routine.amcanmulticol = true;
            routine.amsearcharray = true;
            routine.amsearchnulls = true;
            // It cannot: the build says so, with the form that it can in a HINT. Refused here, the server would say less.
            routine.amcaninclude = true;
            routine.amusemaintenanceworkmem = true;
            // Vacuum may run in a parallel worker of its own, one index a worker.
            routine.amparallelvacuumoptions =
                (pg_sys::VACUUM_OPTION_PARALLEL_BULKDEL | pg_sys::VACUUM_OPTION_PARALLEL_CLEANUP) as u8;
            routine.ambuild = Some(ambuild);
            routine.ambuildempty = Some(ambuildempty);
            routine.aminsert = Some(aminsert);
            routine.ambulkdelete = Some(ambulkdelete);
            routine.amvacuumcleanup = Some(amvacuumcleanup);
            routine.amcostestimate = Some(amcostestimate);
            routine.amoptions = Some(amoptions);
            routine.ambuildphasename = Some(ambuildphasename);
            routine.amvalidate = Some(amvalidate);
            routine.ambeginscan = Some(ambeginscan);
            routine.amrescan = Some(amrescan);
            routine.amgettuple = Some(amgettuple);
            routine.amendscan = Some(amendscan);
            pgrx::Internal::from(Some(pg_sys::Datum::from(routine.into_pg())))
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn ambuild(
            table: pg_sys::Relation,
            index: pg_sys::Relation,
            info: *mut pg_sys::IndexInfo,
        ) -> *mut pg_sys::IndexBuildResult {
            // SAFETY: the server opened both relations for this call.
            let (table, index) = unsafe { (Relation::from_raw(table), Relation::from_raw(index)) };
            let counts = raise(build::build(table, index, info));
            // SAFETY: palloc0 gives zeroed memory for the result.
            let mut result = unsafe { PgBox::<pg_sys::IndexBuildResult>::alloc0() };
            result.heap_tuples = counts.heap_rows;
            result.index_tuples = counts.index_rows;
            result.into_pg()
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn ambuildempty(index: pg_sys::Relation) {
            // SAFETY: the server opened the relation for this call.
            raise(build::build_empty(unsafe { Relation::from_raw(index) }));
        }

        #[pg_guard]
        #[allow(clippy::too_many_arguments)]
        unsafe extern "C-unwind" fn aminsert(
            index: pg_sys::Relation,
            values: *mut pg_sys::Datum,
            isnull: *mut bool,
            tid: pg_sys::ItemPointer,
            _table: pg_sys::Relation,
            _unique: pg_sys::IndexUniqueCheck::Type,
            _unchanged: bool,
            _info: *mut pg_sys::IndexInfo,
        ) -> bool {
            // SAFETY: the server gives one value per index column and the row's place.
            let (index, columns, tid) = unsafe {
                let index = Relation::from_raw(index);
                (index, Columns::from_raw(index, values, isnull), *tid)
            };
            raise(insert::insert(index, columns, tid));
            false
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn ambulkdelete(
            info: *mut pg_sys::IndexVacuumInfo,
            stats: *mut pg_sys::IndexBulkDeleteResult,
            callback: pg_sys::IndexBulkDeleteCallback,
            state: *mut c_void,
        ) -> *mut pg_sys::IndexBulkDeleteResult {
            // SAFETY: the server's own structures of this vacuum.
            raise(unsafe { upkeep::bulk_delete(info, stats, callback, state, vacuum::delete) })
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn amvacuumcleanup(
            info: *mut pg_sys::IndexVacuumInfo,
            stats: *mut pg_sys::IndexBulkDeleteResult,
        ) -> *mut pg_sys::IndexBulkDeleteResult {
            // SAFETY: the server's own structures of this vacuum.
            raise(unsafe { upkeep::cleanup(info, stats, vacuum::clean) })
        }

        #[pg_guard]
        #[allow(clippy::too_many_arguments)]
        unsafe extern "C-unwind" fn amcostestimate(
            root: *mut pg_sys::PlannerInfo,
            path: *mut pg_sys::IndexPath,
            loops: f64,
            startup: *mut pg_sys::Cost,
            total: *mut pg_sys::Cost,
            selectivity: *mut pg_sys::Selectivity,
            correlation: *mut f64,
            pages: *mut f64,
        ) {
            // SAFETY: the planner's structures, and places for the five results.
            unsafe {
                let estimate = cost::estimate(root, path, loops);
                *startup = estimate.startup;
                *total = estimate.total;
                *selectivity = estimate.selectivity;
                *correlation = 0.0;
                *pages = estimate.pages;
            }
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn amoptions(options: pg_sys::Datum, validate: bool) -> *mut pg_sys::bytea {
            raise(options::parse(options, validate))
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn ambuildphasename(phase: i64) -> *mut c_char {
            build::phase_name(phase).map_or(core::ptr::null_mut(), |name| name.as_ptr().cast_mut())
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn amvalidate(class: pg_sys::Oid) -> bool {
            validate::validate(class, METHOD, serves)
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn ambeginscan(
            index: pg_sys::Relation,
            keys: c_int,
            orders: c_int,
        ) -> pg_sys::IndexScanDesc {
            // SAFETY: the server opened the relation for the scan's life.
            unsafe { search::begin::<scan::Searcher>(index, keys, orders) }
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn amrescan(
            scan: pg_sys::IndexScanDesc,
            keys: pg_sys::ScanKey,
            key_count: c_int,
            orders: pg_sys::ScanKey,
            order_count: c_int,
        ) {
            // SAFETY: a scan that `ambeginscan` made, its conditions and its ORDER BY.
            raise(unsafe {
                search::restart::<scan::Searcher>(scan, (keys, key_count), (orders, order_count))
            });
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn amgettuple(
            scan: pg_sys::IndexScanDesc,
            _direction: pg_sys::ScanDirection::Type,
        ) -> bool {
            // SAFETY: a scan that `ambeginscan` made.
            raise(unsafe { search::next::<scan::Searcher>(scan) })
        }

        #[pg_guard]
        unsafe extern "C-unwind" fn amendscan(scan: pg_sys::IndexScanDesc) {
            // SAFETY: a scan that `ambeginscan` made.
            unsafe { search::end::<scan::Searcher>(scan) };
        }
    };
}

pub(super) use access_method;
