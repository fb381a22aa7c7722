//! A scan of the index: rows in the order of their exact distance, as many as the caller takes.
//!
//! Windows of the walk come first. The walk ranks by estimates; within a window, exact keys from the table put the rows in
//! order ([`shortlist`]), of as few rows as the order needs. When a window is used up the walk goes on with a larger one. When the walk has
//! seen all that it can reach, or has grown to the memory limit, the scan sweeps over the pages ([`sweep`]). So a scan to the end
//! returns every live element once, whatever state the graph is in.
//!
//! What is peeked steers only: a row of a window is returned after its slot was read under the page lock. A slot that was freed
//! and used again meanwhile belongs to a row that the snapshot of the scan cannot see.

#![deny(clippy::indexing_slicing)]

mod filtered;
mod memory;
mod refill;
mod rows;
mod shortlist;
mod sweep;

pub use filtered::{Approach, FilterCounts};
pub use rows::{HeapRows, Hit};

use std::sync::Arc;

use crate::index::IndexError;
use crate::index::key::Filter;
use crate::index::page::SlotState;
use crate::index::quantize::Query;
use crate::index::storage::PageRead;

use super::Index;
use super::paged::PagedScratch;
use super::queue::Candidate;
use super::visited::VisitedSet;
use super::walk::{Beam, Overflow};
use filtered::FilteredWalk;
use rows::{beyond_table, existing, read_row};
use shortlist::{Fetched, Listed, Shortlist, Step};
use sweep::Sweep;

/// How a scan is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanOptions {
    /// How many elements the first window of the walk keeps, at least 1.
    pub ef: usize,
    /// How many errors of an estimate its lower bound lies below it. More fetches more rows, less may put rows out of order.
    pub epsilon: f32,
    /// What the scan may occupy, beside the set of the rows that it has returned. The walk ends before it needs more, but not before
    /// its first window is complete; the sweep has rows to go by for each pass, and not less than some.
    pub memory_limit_bytes: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            ef: 40,
            epsilon: 3.0,
            memory_limit_bytes: 4 << 20,
        }
    }
}

/// What a scan does when its list is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// To begin the walk.
    Descend,
    /// To walk on in the window.
    Walk,
    /// To begin the next window.
    Advance,
    /// To take the next pass of the sweep.
    Sweep,
    /// To return the rows without rank that the sweep met.
    Unranked,
    /// To return all rows in any order.
    Unordered,
    /// Nothing.
    #[default]
    End,
}

/// A scan. Its memory is used again by the next, see [`Scan::rescan`].
#[derive(Debug)]
pub struct Scan {
    index: Arc<Index>,
    options: ScanOptions,
    query: Query,
    phase: Phase,
    /// The length of the index when the scan began; later rows are invisible to its snapshot.
    blocks: u32,
    id_bound: u32,
    window: usize,
    beam: Beam,
    scratch: PagedScratch,
    /// What is to be listed of a window.
    found: Vec<Candidate>,
    list: Shortlist,
    settled: VisitedSet,
    sweep: Sweep,
    /// What rows must satisfy.
    filter: Option<Filter>,
    approach: Approach,
    filtered: FilteredWalk,
    /// Passes of the sweep so far.
    passes: u32,
    /// Whether the rows of the list come from pages under their lock, and not from peeks.
    list_is_checked: bool,
}

impl Scan {
    /// A scan that has yet to be given its query by [`Scan::rescan`]; before that it has no rows.
    #[must_use]
    pub fn new(index: Arc<Index>, options: ScanOptions) -> Self {
        Self {
            index,
            options,
            query: Query::default(),
            phase: Phase::End,
            blocks: 0,
            id_bound: 0,
            window: 0,
            beam: Beam::new(Overflow::Keep),
            scratch: PagedScratch::default(),
            found: Vec::new(),
            list: Shortlist::default(),
            settled: VisitedSet::default(),
            sweep: Sweep::default(),
            filter: None,
            approach: Approach::default(),
            filtered: FilteredWalk::default(),
            passes: 0,
            list_is_checked: false,
        }
    }

    /// Says how the next query is to be searched.
    pub fn set_options(&mut self, options: ScanOptions) {
        self.options = options;
    }

    /// Says how queries with a filter are searched.
    pub fn set_approach(&mut self, approach: Approach) {
        self.approach = approach;
    }

    /// Begins anew with this query, transformed by the quantiser; without one, for a query that is NULL or has no rank, all rows come
    /// in any order. With a filter, only rows whose keys pass it come.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for a query of other dimensions than the index, [`IndexError::Failed`] for a filter on columns that the
    /// index does not have, [`IndexError::OutOfMemory`], those of the storage.
    pub fn rescan<S: PageRead>(
        &mut self,
        storage: &mut S,
        transformed: Option<&[f32]>,
        filter: Option<Filter>,
    ) -> Result<(), IndexError> {
        self.phase = Phase::End;
        self.list.clear();
        if self.limited_bytes() > self.options.memory_limit_bytes {
            // Of a scan with a higher limit.
            self.release_walk();
            self.list = Shortlist::default();
        }
        self.filter = filter.filter(|filter| !filter.is_always());
        if let Some(filter) = &self.filter {
            if !filter.fits(&self.index.keys) {
                return Err(IndexError::Failed {
                    what: "filter on a key column that the index does not have",
                });
            }
            if filter.is_never() {
                return Ok(());
            }
        }
        self.blocks = storage.blocks()?;
        self.id_bound = self.index.layout.id_bound(self.blocks)?;
        self.settled.reset(self.id_bound)?;
        self.sweep.reset(&self.index);
        self.passes = 0;
        self.filtered.forget_counts();
        self.window = self.options.ef.max(1);
        let Some(transformed) = transformed else {
            self.phase = Phase::Unordered;
            return Ok(());
        };
        if transformed.len() != self.index.quantizer.dims() {
            return Err(IndexError::Limit {
                what: "number of dimensions of the query",
                value: transformed.len() as u64,
                limit: u64::from(self.index.coded_dims()),
            });
        }
        self.query.prepare(&self.index.quantizer, transformed);
        self.phase = Phase::Descend;
        Ok(())
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
        loop {
            // Before the step, which takes a row off the list. Rows that the snapshot does not see may be many.
            storage.check_interrupts()?;
            match self.list.step() {
                Step::Fetch(listed) => self.fetch(storage, rows, listed)?,
                Step::Emit(fetched) => {
                    if self.confirm(storage, rows, fetched)? {
                        let Fetched { tid, key, .. } = fetched;
                        return Ok(Some(Hit { tid, key }));
                    }
                }
                Step::Drained => match self.phase {
                    Phase::End => return Ok(None),
                    Phase::Unordered | Phase::Unranked => return self.next_unordered(storage, rows),
                    _ => self.refill(storage)?,
                },
            }
        }
    }

    /// Puts the exact key of a row on the list, if the snapshot sees the row.
    fn fetch<S: PageRead, R: HeapRows>(
        &mut self,
        storage: &mut S,
        rows: &mut R,
        listed: Listed,
    ) -> Result<(), IndexError> {
        let (id, peeked) = (listed.id(), !self.list_is_checked);
        if let Some(tid) = existing(
            &self.index,
            storage,
            rows,
            id,
            listed.tid,
            peeked,
            self.filter.as_ref(),
        )? && let Some(key) = rows.exact_key(tid)?
        {
            self.list.fetched(Fetched { key, id, tid })?;
        }
        Ok(())
    }

    /// Looks under the page lock whether the slot still stands for the row. If it stands for another, that one is fetched instead.
    fn confirm<S: PageRead, R: HeapRows>(
        &mut self,
        storage: &mut S,
        rows: &mut R,
        fetched: Fetched,
    ) -> Result<bool, IndexError> {
        if self.list_is_checked {
            return Ok(true);
        }
        self.settled.reserve(1)?;
        let Some(tid) = read_row(&self.index, storage, fetched.id, self.filter.as_ref())? else {
            return Ok(false);
        };
        if tid == fetched.tid {
            self.settled.insert(fetched.id);
            return Ok(true);
        }
        let id = fetched.id;
        if let Some(tid) = existing(&self.index, storage, rows, id, tid, false, self.filter.as_ref())?
            && let Some(key) = rows.exact_key(tid)?
        {
            self.list.fetched(Fetched { key, id, tid })?;
        }
        Ok(false)
    }

    fn next_unordered<S: PageRead, R: HeapRows>(
        &mut self,
        storage: &mut S,
        rows: &mut R,
    ) -> Result<Option<Hit>, IndexError> {
        let all = self.phase == Phase::Unordered;
        let wanted = |state| state == SlotState::Unranked || (all && state == SlotState::Live);
        let filter = self.filter.as_ref();
        let row = self
            .sweep
            .next_row(&self.index, storage, self.blocks, filter, wanted)?;
        let Some((block, tid)) = row else {
            self.phase = Phase::End;
            return Ok(None);
        };
        if !rows.contains(tid) {
            return Err(beyond_table(block));
        }
        Ok(Some(Hit { tid, key: f64::NAN }))
    }

    /// What scans with a filter did since the last one began.
    #[must_use]
    pub fn filter_counts(&self) -> FilterCounts {
        FilterCounts {
            sweeps: u64::from(self.passes),
            ..self.filtered.counts()
        }
    }

    /// How many elements the walk expanded and estimated since the scan was made.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        self.beam.counts()
    }
}
