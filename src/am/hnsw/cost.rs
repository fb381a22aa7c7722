//! What the planner is told about a scan.
//!
//! A scan walks the graph once before its first row; each further row costs little in the index, and the server adds the visit to the table
//! itself. So the estimate is a start-up cost by the number of elements that a walk looks at, and a small cost a row; the planner
//! scales with LIMIT and with what other conditions leave over. docs/design/hnsw.md has the numbers.
//!
//! A scan with conditions on filter columns costs more before its first row, but not in the inverse proportion to the rows that pass: it
//! goes round those that do not, and where few pass it reads the keys of all and looks at those few.

use crate::am::cost::{Estimate, cold_share, microsecond_cost};
use crate::guc;
use crate::pg::planner::{self, IndexPath};
use pgrx::pg_sys;

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
        return Estimate::impossible(path);
    }
    let cold = cold_share(path);
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
