//! A scan: rows in the order of their exact distance, as many as the caller takes.
//!
//! Lists are searched in the order of the distance of their centroids: a first part before the first row, by the hint that
//! `castmatch.probes` gives, and more of them as more rows are taken, until all were searched. The nearest rows of the lists searched so far
//! are in the [`Pool`], by what their distance is at least; exact distances are computed from the table for as few of them as the
//! order needs. When they are used up, the lists are read again for the next. So a scan to the end returns every row once, whatever the lists are
//! like.
//!
//! A scan goes by the directory as it was when it began. Lists that are replaced meanwhile keep their pages until no scan can know them;
//! where they did not (on a standby, whose scans do not hold back the primary), the page says so, and the scan looks at all pages in the end.

#![deny(clippy::indexing_slicing)]

mod leftover;
mod lists;
mod pool;
mod refine;

use std::collections::HashSet;
use std::sync::Arc;

use crate::index::hnsw::scan::{HeapRows, Hit};
use crate::index::key::Filter;
use crate::index::quantize::Query;
use crate::index::storage::PageRead;
use crate::index::{HeapTid, IndexError};
use crate::kernels::scan::Tables;

use super::directory::{Directory, Near, Ranking, prepare};
use super::index::Index;
use leftover::Leftover;
use lists::Cursor;
use pool::{Pool, Row, Step};

/// How a scan is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanOptions {
    /// How many lists are searched before the first row; 0: by their distances.
    pub probes: usize,
    /// How many errors of an estimate its lower bound lies below it, as for the codes of castmatch_hnsw; of the shorter codes here it is
    /// 0.6 as many.
    pub epsilon: f32,
    /// What the rows in the pool may occupy.
    pub memory_limit_bytes: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            probes: 0,
            epsilon: 3.0,
            memory_limit_bytes: 4 << 20,
        }
    }
}

/// Codes of one bit err so much that bounds as wide as those of longer codes would have half of a list fetched from the table; what is
/// lost by narrower ones is a row in a hundred. docs/design/ivf.md has the numbers.
const SHORT_SHARE: f32 = 0.6;
/// Without a hint at least so many lists are searched before the first row...
const PROBES_MIN: usize = 16;
/// ...and those whose centroid is not farther than this much of the nearest one's distance...
const PROBES_RATIO: f32 = 1.17;
/// ...but of many lists not more than this.
const PROBES_MAX: usize = 512;
/// Under the inner product, where distances have no ratio: one list of so many.
const INNER_PRODUCT_SHARE: usize = 12;
/// More lists are searched when one of so many rows of the pool was returned.
const RETURNED_SHARE: usize = 16;
/// With a filter lists are searched until the pool has so many rows.
const FILTERED_ROWS: usize = 512;

/// What a scan does next when the pool is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// To search lists.
    Ranked,
    /// To return the rows without rank.
    Unranked,
    /// To return all rows in any order: list by list.
    Unordered,
    /// To look for rows of lists that have lost their pages.
    Leftover,
    /// Nothing.
    #[default]
    End,
}

/// A scan. Its memory is used again by the next, see [`Scan::rescan`].
#[derive(Debug)]
pub struct Scan {
    index: Arc<Index>,
    options: ScanOptions,
    phase: Phase,
    directory: Option<Arc<Directory>>,
    vector: Vec<f32>,
    tables: Tables,
    /// For the longer codes, where the index has them.
    query: Query,
    ranking: Ranking,
    /// How many lists are to be searched before the next row.
    target: usize,
    /// The lists that were searched.
    searched: Vec<Near>,
    /// The next of them to be read again for the window, and where the window begins.
    widening: Option<(usize, f32)>,
    /// The distance of the nearest list.
    nearest: f32,
    cursor: Option<Cursor>,
    pool: Pool,
    filter: Option<Filter>,
    returned: HashSet<HeapTid>,
    /// Whether a list has lost its pages.
    incomplete: bool,
    /// For [`Phase::Unordered`]: the next list.
    next_list: u32,
    leftover: Leftover,
}

impl Scan {
    /// A scan that has yet to be given its query by [`Scan::rescan`]; before that it has no rows.
    #[must_use]
    pub fn new(index: Arc<Index>, options: ScanOptions) -> Self {
        Self {
            index,
            options,
            phase: Phase::End,
            directory: None,
            vector: Vec::new(),
            tables: Tables::default(),
            query: Query::default(),
            ranking: Ranking::default(),
            target: 0,
            searched: Vec::new(),
            widening: None,
            nearest: 0.0,
            cursor: None,
            pool: Pool::default(),
            filter: None,
            returned: HashSet::new(),
            incomplete: false,
            next_list: 0,
            leftover: Leftover::default(),
        }
    }

    /// Says how the next query is to be searched.
    pub fn set_options(&mut self, options: ScanOptions) {
        self.options = options;
    }

    /// What the scan occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.pool.memory_bytes()
            + self.returned.capacity() * size_of::<HeapTid>()
            + self.searched.capacity() * size_of::<Near>()
    }

    /// Begins anew with this query, by [`Index::transform`]; without one, for a query that is NULL or has no rank, all rows come in any
    /// order. With a filter, only rows whose keys pass it come.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for a query of other dimensions than the index, [`IndexError::Failed`] for a filter on columns that the
    /// index does not have, [`IndexError::OutOfMemory`], those of the storage.
    pub fn rescan<S: PageRead>(
        &mut self,
        storage: &mut S,
        directory: Arc<Directory>,
        transformed: Option<&[f32]>,
        filter: Option<Filter>,
    ) -> Result<(), IndexError> {
        self.phase = Phase::End;
        self.pool.clear(self.options.memory_limit_bytes);
        // Not cleared: that takes as long as the largest scan before.
        self.returned = HashSet::new();
        self.cursor = None;
        self.incomplete = false;
        self.searched.clear();
        self.widening = None;
        (self.target, self.next_list) = (0, 0);
        self.leftover = Leftover::default();
        self.filter = filter.filter(|filter| !filter.is_always());
        if let Some(filter) = &self.filter {
            if !filter.fits(&self.index.options.keys) {
                return Err(IndexError::Failed {
                    what: "filter on a key column that the index does not have",
                });
            }
            if filter.is_never() {
                return Ok(());
            }
        }
        let Some(transformed) = transformed else {
            self.directory = Some(directory);
            self.phase = Phase::Unordered;
            return Ok(());
        };
        if transformed.len() != self.index.layout.dims {
            return Err(IndexError::Limit {
                what: "number of dimensions of the query",
                value: transformed.len() as u64,
                limit: u64::from(self.index.options.dims),
            });
        }
        self.vector.clear();
        self.vector.extend_from_slice(transformed);
        prepare(&mut self.tables, transformed)?;
        if self.index.layout.refine.is_some() {
            self.query.prepare(&self.index.quantizer, transformed);
        }
        self.target = self.first_target(directory.len());
        let wanted = self.target;
        let query = (transformed, &self.tables);
        self.ranking
            .begin(&self.index, &directory, storage, query, wanted, false)?;
        self.nearest = self.ranking.peek().map_or(0.0, |near| near.distance);
        self.directory = Some(directory);
        self.phase = Phase::Ranked;
        Ok(())
    }

    /// How many lists are searched before the first row at least.
    fn first_target(&self, lists: usize) -> usize {
        match self.options.probes {
            0 if self.index.options.metric == crate::index::Metric::InnerProduct => {
                lists.div_ceil(INNER_PRODUCT_SHARE).max(PROBES_MIN)
            }
            0 => PROBES_MIN,
            probes => probes,
        }
    }

    /// Whether the first part of the lists is not yet searched.
    fn wants_more(&self) -> bool {
        if self.searched.len() < self.target {
            return true;
        }
        if self.filter.is_some() && self.pool.total() < FILTERED_ROWS {
            return true;
        }
        if self.pool.returned() >= self.pool.total() / RETURNED_SHARE && self.pool.returned() > 0 {
            return true;
        }
        let by_distance = self.options.probes == 0
            && self.searched.len() < PROBES_MAX
            && self.index.options.metric != crate::index::Metric::InnerProduct;
        by_distance
            && self
                .ranking
                .peek()
                .is_some_and(|near| near.distance <= PROBES_RATIO * self.nearest)
    }

    /// The next row; none when all were returned.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`], after which the scan can go on; [`IndexError::Corrupt`]; [`IndexError::OutOfMemory`]; those of
    /// the storage and of the table.
    pub fn next<S: PageRead, R: HeapRows>(
        &mut self,
        storage: &mut S,
        rows: &mut R,
    ) -> Result<Option<Hit>, IndexError> {
        let Some(directory) = self.directory.clone() else {
            return Ok(None);
        };
        loop {
            storage.check_interrupts()?;
            if self.phase == Phase::Ranked && self.cursor.is_some() {
                self.read_list(storage)?;
                continue;
            }
            if let Some((at, floor)) = self.widening {
                self.widening = self.read_again(&directory, at, floor);
                continue;
            }
            if self.phase == Phase::Ranked && self.wants_more() && self.search_list(&directory, storage)? {
                continue;
            }
            match self.pool.step() {
                Step::Fetch => self.fetch(storage, rows)?,
                Step::Emit(tid, key) => {
                    if self.is_first(tid)? {
                        return Ok(Some(Hit { tid, key }));
                    }
                }
                Step::Widen => self.widening = Some((0, self.pool.widen())),
                Step::Empty => {
                    if !self.refill(&directory, storage)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Whether the row was not returned before: while lists are replaced, two scans of one row may come from both.
    fn is_first(&mut self, tid: HeapTid) -> Result<bool, IndexError> {
        self.returned
            .try_reserve(1)
            .map_err(|_| IndexError::OutOfMemory {
                what: "rows that a search has returned",
                bytes: self.returned.len().saturating_mul(size_of::<HeapTid>()),
            })?;
        Ok(self.returned.insert(tid))
    }

    /// Puts further rows in the empty pool. Returns whether there may be any.
    fn refill<S: PageRead>(&mut self, directory: &Directory, storage: &mut S) -> Result<bool, IndexError> {
        match self.phase {
            Phase::Ranked => {
                if !self.search_list(directory, storage)? {
                    self.phase = Phase::Unranked;
                    self.cursor = Some(Cursor::unranked(directory));
                }
                Ok(true)
            }
            Phase::Unranked => {
                if !self.read_unordered(storage)? {
                    self.phase = Phase::Leftover;
                }
                Ok(true)
            }
            Phase::Unordered => {
                if self.cursor.is_none() {
                    let first = self.next_list;
                    let list = directory.lists().find(|list| list.number >= first);
                    match list {
                        None => {
                            self.phase = Phase::Unranked;
                            self.cursor = Some(Cursor::unranked(directory));
                            return Ok(true);
                        }
                        Some(list) => {
                            self.next_list = list.number + 1;
                            self.cursor = Some(Cursor::unordered(list));
                        }
                    }
                }
                self.read_unordered(storage)?;
                Ok(true)
            }
            Phase::Leftover => {
                if !self.incomplete {
                    self.phase = Phase::End;
                    return Ok(false);
                }
                let filter = self.filter.as_ref();
                let found =
                    self.leftover
                        .next(&self.index, storage, filter, &self.returned, &mut self.pool)?;
                if !found {
                    self.phase = Phase::End;
                }
                Ok(found)
            }
            Phase::End => Ok(false),
        }
    }

    /// Fetches the exact distances of the next rows of the pool.
    fn fetch<S: PageRead, R: HeapRows>(&mut self, storage: &mut S, rows: &mut R) -> Result<(), IndexError> {
        if self.index.layout.refine.is_some() && self.phase == Phase::Ranked && self.refine_next(storage)? {
            return Ok(());
        }
        let batch = self
            .pool
            .take_batch(self.index.layout.refine.is_some() && self.phase == Phase::Ranked)?;
        for row in &batch {
            if !rows.contains(row.tid()) {
                let error = IndexError::Corrupt {
                    block: 0,
                    what: "row is beyond the end of the table",
                };
                return Err(self.locate(storage, row, error)?);
            }
            rows.prefetch(row.tid());
        }
        let mut fetched = 0;
        let outcome = batch.iter().try_for_each(|row| {
            if let Some(key) = rows.exact_key(row.tid())? {
                self.pool.fetched(row.tid(), key)?;
            }
            fetched += 1;
            Ok(())
        });
        self.pool.keep_batch(batch, fetched);
        outcome
    }

    /// The error with the block of the page that names the row.
    fn locate<S: PageRead>(
        &self,
        storage: &mut S,
        row: &Row,
        error: IndexError,
    ) -> Result<IndexError, IndexError> {
        let found = leftover::find(&self.index, storage, row.tid())?;
        Ok(match (error, found) {
            (IndexError::Corrupt { what, .. }, Some(block)) => IndexError::Corrupt { block, what },
            (error, _) => error,
        })
    }

    /// How many lists were searched, and how many rows are known from them.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.searched.len(), self.pool.total())
    }
}
