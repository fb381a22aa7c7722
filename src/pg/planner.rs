//! What the planner knows of an index path.

use pgrx::pg_sys;

/// An index path that is to be costed.
#[derive(Clone, Copy, Debug)]
pub struct IndexPath {
    /// Whether the statement asks for the order of the index, and for rows that are in it: not for those whose first column is NULL.
    pub ordered: bool,
    /// Rows in the index.
    pub rows: f64,
    /// Pages of the index.
    pub pages: f64,
    /// Share of the table's rows that the index gives, by its conditions and its predicate.
    pub selectivity: f64,
    /// Share of the index's rows that satisfy the conditions; none if there are no conditions.
    pub passing: Option<f64>,
    /// Cost of reading a page out of order.
    pub random_page_cost: f64,
    /// Cost of reading a page in order.
    pub sequential_page_cost: f64,
    /// Cost of an operator.
    pub operator_cost: f64,
    /// Cost of an index row.
    pub index_row_cost: f64,
    /// Pages that the planner believes to be cached.
    pub cache_pages: f64,
    /// Pages of the table.
    pub table_pages: f64,
}

impl IndexPath {
    /// Reads the planner's structures, after conditions that it has left out were added.
    ///
    /// # Safety
    /// What the server gives to amcostestimate.
    pub unsafe fn read(root: *mut pg_sys::PlannerInfo, path: *mut pg_sys::IndexPath, loops: f64) -> Self {
        #[cfg(any(feature = "pg14", feature = "pg15", feature = "pg16"))]
        // SAFETY: the caller's promise.
        unsafe {
            super::planner_conditions::add(root, path);
        }
        // SAFETY: the caller's promise; genericcostestimate fills the zeroed structure.
        unsafe {
            let mut costs: pg_sys::GenericCosts = core::mem::zeroed();
            pg_sys::genericcostestimate(root, path, loops, &mut costs);
            let info = (*path).indexinfo;
            let conditions = conditions(path);
            let first_is_null = conditions
                .iter()
                .any(|&condition| (*condition).indexcol == 0 && is_null_test(condition));
            let filters = conditions.iter().any(|&condition| (*condition).indexcol > 0);
            // Of a partial index the selectivity includes its predicate, and its rows are those that satisfy that.
            let table_rows = (*(*info).rel).tuples;
            let passing = filters
                .then(|| (costs.indexSelectivity * table_rows / (*info).tuples.max(1.0)).clamp(0.0, 1.0));
            let (mut random_page_cost, mut sequential_page_cost) = (0.0, 0.0);
            pg_sys::get_tablespace_page_costs(
                (*info).reltablespace,
                &mut random_page_cost,
                &mut sequential_page_cost,
            );
            Self {
                // Of several keys the scan orders by the first only.
                ordered: pg_sys::list_length((*path).indexorderbys) == 1 && !first_is_null,
                rows: (*info).tuples.max(0.0),
                pages: f64::from((*info).pages),
                selectivity: costs.indexSelectivity,
                passing,
                random_page_cost,
                sequential_page_cost,
                operator_cost: pg_sys::cpu_operator_cost,
                index_row_cost: pg_sys::cpu_index_tuple_cost,
                cache_pages: f64::from(pg_sys::effective_cache_size),
                table_pages: f64::from((*(*info).rel).pages),
            }
        }
    }
}

/// Has the planner take this path only where there is no other, even with `enable_seqscan = off`: PostgreSQL 18 compares the numbers of
/// disabled nodes before it compares costs, so that a sequential scan that is switched off would lose to an infinite cost.
///
/// # Safety
/// What the server gives to amcostestimate.
pub unsafe fn avoid(path: *mut pg_sys::IndexPath) {
    // cost_index has set 0 or 1 by then, and a sequential scan has at most 1.
    // SAFETY: the caller's promise.
    #[cfg(feature = "pg18")]
    unsafe {
        (*path).path.disabled_nodes = 2;
    }
    // Before that, switched off means a cost of 1e10 more.
    #[cfg(not(feature = "pg18"))]
    let _ = path;
}

/// The conditions that the index is to test.
///
/// # Safety
/// A path of the planner.
pub(super) unsafe fn conditions(path: *mut pg_sys::IndexPath) -> Vec<*mut pg_sys::IndexClause> {
    // SAFETY: the caller's promise; the list is one of IndexClause.
    unsafe { pgrx::PgList::<pg_sys::IndexClause>::from_pg((*path).indexclauses) }
        .iter_ptr()
        .collect()
}

/// Whether a condition is IS NULL.
///
/// # Safety
/// A condition of a path of the planner.
unsafe fn is_null_test(condition: *mut pg_sys::IndexClause) -> bool {
    // SAFETY: the caller's promise; the node's tag says what it is.
    unsafe {
        let clause = (*(*condition).rinfo).clause;
        (*clause).type_ == pg_sys::NodeTag::T_NullTest
            && (*clause.cast::<pg_sys::NullTest>()).nulltesttype == pg_sys::NullTestType::IS_NULL
    }
}
