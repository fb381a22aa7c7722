//! What the estimates of both access methods have in common.

use crate::pg::planner::IndexPath;

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

impl Estimate {
    /// Of a path that the index cannot serve.
    pub fn impossible(path: &IndexPath) -> Self {
        Self {
            startup: f64::INFINITY,
            total: f64::INFINITY,
            selectivity: path.selectivity,
            pages: path.pages,
        }
    }
}

/// Microseconds that a row of a btree's answer takes when its page is cached, its distance and its place in the sort included.
const ROW_MICROSECONDS: f64 = 0.5;
/// Share of page reads that miss even if the index fits the cache.
const COLD_SHARE: f64 = 0.01;

/// Share of page reads of the index that miss the cache.
pub fn cold_share(path: &IndexPath) -> f64 {
    if path.pages <= path.cache_pages {
        COLD_SHARE
    } else {
        1.0 - (1.0 - COLD_SHARE) * path.cache_pages / path.pages
    }
}

/// Cost of a microsecond of a search with conditions. The server counts the pages of the rows that satisfy them, as the answer of a btree
/// reads them, as reads from disk in part, whether they are cached or not; the search is compared with that answer, so its time is
/// weighed as the server weighs that: at 7 for a microsecond where hardly two of the rows share a page, below 1 where many do.
pub fn microsecond_cost(path: &IndexPath, rows: f64) -> f64 {
    let (rows, pages) = (rows.max(1.0), path.table_pages.max(1.0));
    // As index_pages_fetched and cost_bitmap_heap_scan of the server estimate it (Mackert and Lohman 1989, for a cache that suffices).
    let fetched = (2.0 * pages * rows / (2.0 * pages + rows)).min(pages).max(1.0);
    let in_order = (fetched / pages).sqrt();
    let page_cost = path.random_page_cost - (path.random_page_cost - path.sequential_page_cost) * in_order;
    let answer = fetched * page_cost + rows * (path.index_row_cost + path.operator_cost);
    answer / (rows * ROW_MICROSECONDS)
}
