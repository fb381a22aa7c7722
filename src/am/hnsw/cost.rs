//! What the planner is told about a scan.
//!
//! A scan walks the graph once before its first row; each further row costs little in the index, and the server adds the visit to the table
//! itself. So the estimate is a start-up cost by the number of elements that a walk looks at, and a small cost a row; the planner
//! scales with LIMIT and with what other conditions leave over. docs/design/hnsw.md has the numbers.
//!
//! A scan with conditions on filter columns costs more before its first row, but not in the inverse proportion to the rows that pass: it
//! goes round those that do not, and where few pass it reads the keys of all and looks at those few.

use crate::guc;
use crate::pg::planner::IndexPath;
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
/// How many times the looks of a walk a filter can cost: beyond that a scan reads all keys instead.
const FILTER_FACTOR: f64 = 8.0;
/// Cost of testing the keys of an element in page order, likewise.
const KEY_OPERATORS: f64 = 0.25;
/// Share of page reads that miss even if the index fits the cache.
const COLD_SHARE: f64 = 0.01;

/// The estimate for a path.
///
/// # Safety
/// What the server gives to amcostestimate.
pub unsafe fn estimate(root: *mut pg_sys::PlannerInfo, path: *mut pg_sys::IndexPath, loops: f64) -> Estimate {
    // SAFETY: the caller's promise.
    from_path(
        &unsafe { IndexPath::read(root, path, loops) },
        guc::ef_search() as f64,
    )
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
    let cold = if path.pages <= path.cache_pages {
        COLD_SHARE
    } else {
        1.0 - (1.0 - COLD_SHARE) * path.cache_pages / path.pages
    };
    let look = LOOK_OPERATORS * path.operator_cost;
    let hops = (ef + EXTRA_HOPS).min(path.rows);
    let walk = |factor: f64| {
        let looks = (hops * LOOKS_PER_HOP * factor).min(path.rows);
        looks.min(path.pages) * cold * path.random_page_cost + looks * look
    };
    let passing = path.passing.unwrap_or(1.0);
    let rows = path.rows * passing;
    let startup = match path.passing {
        None => walk(1.0),
        Some(passing) => {
            let keys = path.rows * KEY_OPERATORS * path.operator_cost;
            let sweep = path.pages * cold * path.sequential_page_cost + keys + rows * look;
            // A walk finds ef rows that pass only where there are some times as many.
            let factor = 1.0 / passing.max(f64::MIN_POSITIVE);
            if factor > FILTER_FACTOR * FILTER_FACTOR || rows < ef * FILTER_FACTOR {
                sweep
            } else {
                walk(factor.min(FILTER_FACTOR)).min(sweep)
            }
        }
    };
    let total = startup + rows * (path.index_row_cost + path.operator_cost);
    Estimate {
        startup,
        total,
        selectivity: path.selectivity,
        pages: path.pages,
    }
}
