//! What the planner is told about a scan.
//!
//! A scan searches some lists before its first row, and a further part of them when it returns many; the server adds the visits to
//! the table itself. With conditions on filter columns it searches lists until enough rows pass. docs/design/ivf.md has the numbers.

use crate::am::cost::{Estimate, cold_share, microsecond_cost};
use crate::guc;
use crate::pg::planner::{self, IndexPath};
use castmatch_engine::index::ivf::lists_for;
use pgrx::pg_sys;

/// Lists that are searched where nothing is said of them.
const PROBES: f64 = 24.0;
/// Microseconds that a search takes whatever the lists; for each list that there is; for each posting page that it reads; for each row that it
/// fetches to put the first ones in order, and how many these are.
const SEARCH_MICROSECONDS: f64 = 60.0;
const LIST_MICROSECONDS: f64 = 0.003;
const PAGE_MICROSECONDS: f64 = 1.3;
const ROW_MICROSECONDS: f64 = 1.0;
const FIRST_ROWS: f64 = 60.0;
/// Rows that pass which a search with conditions wants before the first, and microseconds that the keys of a row take, and a posting page of a list
/// that is searched for them alone: blocks of which no row passes are left out.
const PASSING_ROWS: f64 = 512.0;
const KEY_MICROSECONDS: f64 = 0.003;
const FURTHER_PAGE_MICROSECONDS: f64 = 0.5;
/// Cost of a microsecond without conditions, in units of an operator: what that of castmatch_hnsw comes to, whose estimate has a share of reads from disk
/// in it also where all is cached. So of two indexes on a column the graph is taken while it is cached, since it is the faster one, and the
/// lists where pages come from disk, since they read a tenth as many.
const MICROSECOND_OPERATORS: f64 = 84.0;

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
    from_path(&known, guc::probes() as f64)
}

fn from_path(path: &IndexPath, probes: f64) -> Estimate {
    if !path.ordered {
        return Estimate::impossible(path);
    }
    let lists = f64::from(lists_for(path.rows as u64));
    let wanted = if probes > 0.0 { probes } else { PROBES };
    let rows = path.rows * path.passing.unwrap_or(1.0);
    let per_list = path.rows / lists;
    let first = wanted.min(lists);
    let searched = match path.passing {
        None => first,
        Some(passing) => first
            .max(PASSING_ROWS / (per_list * passing).max(f64::MIN_POSITIVE))
            .min(lists),
    };
    let pages_of = |searched: f64| path.pages * searched / lists;
    let fetched = FIRST_ROWS.min(rows);
    let microseconds = SEARCH_MICROSECONDS
        + lists * LIST_MICROSECONDS
        + pages_of(first) * PAGE_MICROSECONDS
        + fetched * ROW_MICROSECONDS;
    let cold = pages_of(searched) * cold_share(path) * path.random_page_cost;
    let search = cold + microseconds * MICROSECOND_OPERATORS * path.operator_cost;
    // As for the graph, what conditions add is weighed apart.
    let startup = match path.passing {
        None => search,
        Some(_) => {
            let further = pages_of(searched - first) * FURTHER_PAGE_MICROSECONDS
                + searched * per_list * KEY_MICROSECONDS;
            search + further * microsecond_cost(path, rows)
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
