//! What the planner is told about a scan.
//!
//! A scan walks the graph once before its first row; each further row costs little in the index, and the server adds the visit to the table
//! itself. So the estimate is a start-up cost by the number of elements that a walk looks at, and a small cost a row; the planner
//! scales with LIMIT and with what other conditions leave over. docs/design/hnsw.md has the numbers.
//!
//! A scan with conditions on filter columns costs more before its first row, but not in the inverse proportion to the rows that pass: it
//! goes round those that do not, and where few pass it reads the keys of all and looks at those few.

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
/// Microseconds that a walk takes for each result, and for each element that fails beside it; that the key of an element takes in a
/// sweep over all, and the code of one that passes. How the engine decides between the two, see `scan/filtered/share.rs` there.
const RESULT_MICROSECONDS: f64 = 0.84;
const FAILING_MICROSECONDS: f64 = 0.66;
const KEY_MICROSECONDS: f64 = 0.012;
const PASSING_MICROSECONDS: f64 = 0.1;
/// Results that a walk keeps of those that it keeps without conditions: this power of the share that passes, but not fewer than that.
const WINDOW_POWER: f64 = 0.35;
const WINDOW_LEAST: f64 = 12.0;
/// Microseconds that a row of a btree's answer takes when its page is cached, its distance and its place in the sort included.
const ROW_MICROSECONDS: f64 = 0.5;
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
    let cold = if path.pages <= path.cache_pages {
        COLD_SHARE
    } else {
        1.0 - (1.0 - COLD_SHARE) * path.cache_pages / path.pages
    };
    let look = LOOK_OPERATORS * path.operator_cost;
    let hops = (ef + EXTRA_HOPS).min(path.rows);
    let looks = (hops * LOOKS_PER_HOP).min(path.rows);
    let walk = looks.min(path.pages) * cold * path.random_page_cost + looks * look;
    let rows = path.rows * path.passing.unwrap_or(1.0);
    let startup = match path.passing {
        None => walk,
        Some(passing) => {
            let results = (ef * passing.powf(WINDOW_POWER)).max(WINDOW_LEAST);
            let failing = 1.0 / passing.max(f64::MIN_POSITIVE) - 1.0;
            let walking = results * (RESULT_MICROSECONDS + failing * FAILING_MICROSECONDS);
            let sweeping = path.rows * KEY_MICROSECONDS + rows * PASSING_MICROSECONDS;
            if sweeping < walking {
                walk + path.pages * cold * path.sequential_page_cost + sweeping * microsecond_cost(path, rows)
            } else {
                walk + (walking - ef * RESULT_MICROSECONDS).max(0.0) * microsecond_cost(path, rows)
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

/// Cost of a microsecond of a search with conditions. The server counts the pages of the rows that satisfy them, as the answer of a btree
/// reads them, as reads from disk in part, whether they are cached or not; the search is compared with that answer, so its time is
/// weighed as the server weighs that: at 7 for a microsecond where hardly two of the rows share a page, below 1 where many do.
fn microsecond_cost(path: &IndexPath, rows: f64) -> f64 {
    let (rows, pages) = (rows.max(1.0), path.table_pages.max(1.0));
    // As index_pages_fetched and cost_bitmap_heap_scan of the server estimate it (Mackert and Lohman 1989, for a cache that suffices).
    let fetched = (2.0 * pages * rows / (2.0 * pages + rows)).min(pages).max(1.0);
    let in_order = (fetched / pages).sqrt();
    let page_cost = path.random_page_cost - (path.random_page_cost - path.sequential_page_cost) * in_order;
    let answer = fetched * page_cost + rows * (path.index_row_cost + path.operator_cost);
    answer / (rows * ROW_MICROSECONDS)
}
