//! What the planner is told about a scan.
//!
//! A scan walks the graph once before its first row; each further row costs little in the index, and the server adds the visit to the table
//! itself. So the estimate is a start-up cost by the number of elements that a walk looks at, and a small cost a row; the planner
//! scales with LIMIT and with what other conditions leave over. docs/design/hnsw.md has the numbers.

use crate::guc;
use crate::pg::planner::{self, IndexPath};
use pgrx::pg_sys;

/// The planner's numbers.
pub struct Estimate {
    /// Cost before the first row.
    pub startup: f64,
    /// Cost of all rows.
    pub total: f64,
    /// Share of the table's rows.
    pub selectivity: f64,
    /// Pages of the index.
    pub pages: f64,
}

/// Elements that a walk looks at for each element it expands, measured with m = 16.
const LOOKS_PER_HOP: f64 = 20.0;
/// Elements expanded beyond ef: the way down to the neighbourhood.
const EXTRA_HOPS: f64 = 10.0;
/// Cost of looking at an element, in units of an operator: an estimate from its code.
const LOOK_OPERATORS: f64 = 1.0;
/// Share of page reads that miss even if the index fits the cache.
const COLD_SHARE: f64 = 0.01;

/// The estimate for a path.
///
/// # Safety
/// What the server gives to amcostestimate.
pub unsafe fn estimate(root: *mut pg_sys::PlannerInfo, path: *mut pg_sys::IndexPath, loops: f64) -> Estimate {
    // SAFETY: the caller's promise.
    let known = unsafe { IndexPath::read(root, path, loops) };
    if !known.ordered {
        // SAFETY: the caller's promise.
        unsafe { planner::avoid(path) };
    }
    from_path(&known, guc::ef_search() as f64)
}

fn from_path(path: &IndexPath, ef: f64) -> Estimate {
    if !path.ordered {
        return Estimate {
            startup: f64::INFINITY,
            total: f64::INFINITY,
            selectivity: path.selectivity,
            pages: path.pages,
        };
    }
    let hops = (ef + EXTRA_HOPS).min(path.rows);
    let looks = (hops * LOOKS_PER_HOP).min(path.rows);
    let cold = if path.pages <= path.cache_pages {
        COLD_SHARE
    } else {
        1.0 - (1.0 - COLD_SHARE) * path.cache_pages / path.pages
    };
    let reads = looks.min(path.pages) * cold;
    let startup = reads * path.random_page_cost + looks * LOOK_OPERATORS * path.operator_cost;
    let total = startup + path.rows * (path.index_row_cost + path.operator_cost);
    Estimate {
        startup,
        total,
        selectivity: path.selectivity,
        pages: path.pages,
    }
}
