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
mod share;
mod shortlist;
mod sweep;

pub use filtered::{Approach, FilterCounts};

use std::sync::Arc;

use crate::index::key::Filter;
use crate::index::page::{FRONT_BYTES, NodePage, PageError, PageKind, SlotHead, SlotState, page_kind};
use crate::index::quantize::{Factors, Query};
use crate::index::storage::PageRead;
use crate::index::{HeapTid, IndexError, SlotId};

use super::Index;
use super::paged::{EntryList, PagedGraph, PagedScratch, peek_entries};
use super::queue::{Candidate, reserve};
use super::visited::VisitedSet;
use super::walk::{Beam, Overflow, descend};
use filtered::{End, FilteredWalk, View};
use shortlist::{Fetched, Listed, Shortlist, Step};
use sweep::{Ranking, Sweep};

/// A later window is twice as large as the one before, up to this (or up to the first one, if that is larger).
const WINDOW_MAX: usize = 2048;
/// The least number of rows of a pass of the sweep.
const BATCH_MIN: usize = 64;
/// The least number of rows of the first pass of a sweep with a filter; each further pass takes eight times as many.
const FIRST_BATCH: usize = 512;
/// The largest number of rows of a pass of the sweep.
const BATCH_MAX: usize = 1 << 20;
/// What a row of a pass may occupy: twice on the list (see [`sweep`]), and once with its exact key.
const BATCH_ROW_BYTES: usize = 2 * size_of::<Listed>() + size_of::<Fetched>();

/// The table, as far as a scan needs it.
pub trait HeapRows {
    /// The exact key between the query and the row, by [`crate::index::quantize::exact_key`]; none if the snapshot sees no row
    /// there.
    ///
    /// # Errors
    /// Those of the table. [`IndexError::Corrupt`] where no row can be; whatever block it names, the scan names that of the element.
    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError>;
}

/// A row that a scan returns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// The row.
    pub tid: HeapTid,
    /// Its exact key; not a number where the row or the query has no rank, and the row was not fetched then.
    pub key: f64,
}

/// How a scan is done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScanOptions {
    /// How many elements the first window of the walk keeps, at least 1.
    pub ef: usize,
    /// How many errors of an estimate its lower bound lies below it. More fetches more rows, less may put rows out of order.
    pub epsilon: f32,
    /// The walk ends when the scan occupies more.
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
        self.window = self.options.ef.max(1);
        let Some(transformed) = transformed else {
            self.phase = Phase::Unordered;
            return Ok(());
        };
        if transformed.len() != self.index.quantizer.dims() {
            return Err(IndexError::Limit {
                what: "number of dimensions of the query",
                value: transformed.len() as u64,
                limit: u64::from(self.index.dims),
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
                Step::Fetch(listed) => {
                    if let Some(key) = self.exact_key(rows, listed.id(), listed.tid)? {
                        self.list.fetched(Fetched {
                            key,
                            id: listed.id(),
                            tid: listed.tid,
                        })?;
                    }
                }
                Step::Emit(fetched) => {
                    if self.confirm(storage, rows, fetched)? {
                        let Fetched { tid, key, .. } = fetched;
                        return Ok(Some(Hit { tid, key }));
                    }
                }
                Step::Drained => match self.phase {
                    Phase::End => return Ok(None),
                    Phase::Unordered | Phase::Unranked => return self.next_unordered(storage),
                    _ => self.refill(storage)?,
                },
            }
        }
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
        if let Some(key) = self.exact_key(rows, fetched.id, tid)? {
            let id = fetched.id;
            self.list.fetched(Fetched { key, id, tid })?;
        }
        Ok(false)
    }

    /// The exact key of an element's row. That the row cannot be there is a fault of the element's page.
    fn exact_key<R: HeapRows>(
        &self,
        rows: &mut R,
        id: SlotId,
        tid: HeapTid,
    ) -> Result<Option<f64>, IndexError> {
        rows.exact_key(tid).map_err(|failure| match failure {
            IndexError::Corrupt { what, .. } => {
                let (block, _) = self.index.layout.slot(id);
                IndexError::Corrupt { block, what }
            }
            failure => failure,
        })
    }

    /// Takes a step towards more rows on the list.
    fn refill<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        match self.phase {
            Phase::Descend => self.descend(storage),
            Phase::Walk => self.walk(storage),
            Phase::Advance => self.advance(),
            _ => self.sweep(storage),
        }
    }

    fn descend<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        let entries = EntryList::new(&peek_entries(storage)?);
        let mut graph = PagedGraph::new(&self.index, storage, &mut self.scratch, self.id_bound);
        descend(
            &mut self.beam,
            &mut graph,
            &self.query,
            entries.as_slice(),
            0,
            if self.filter.is_some() { 1 } else { self.window },
        )?;
        if let Some(filter) = &self.filter {
            if self.approach == Approach::Sweep {
                self.phase = Phase::Sweep;
                return Ok(());
            }
            self.filtered.reset(self.id_bound, self.window)?;
            let mut view = View {
                index: &self.index,
                storage,
                query: &self.query,
                filter,
                id_bound: self.id_bound,
                approach: self.approach,
                memory_limit_bytes: self.options.memory_limit_bytes,
            };
            let starts = self.beam.found().map(|candidate| candidate.id);
            self.filtered.start(&mut view, starts)?;
        }
        self.phase = Phase::Walk;
        Ok(())
    }

    /// Fills the window, and puts the live ones of it on the list.
    fn walk<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        if let Some(filter) = &self.filter {
            let mut view = View {
                index: &self.index,
                storage,
                query: &self.query,
                filter,
                id_bound: self.id_bound,
                approach: self.approach,
                memory_limit_bytes: self.options.memory_limit_bytes,
            };
            let end = self.filtered.run(&mut view)?;
            if end == End::GivenUp || end == End::Exhausted && self.settled.is_empty() {
                self.phase = Phase::Sweep;
                return Ok(());
            }
            let found = self.filtered.found();
            self.found.clear();
            reserve(&mut self.found, found.len(), "rows of a search")?;
            self.found.extend(found);
            self.list_window(storage)?;
            self.phase = Phase::Advance;
            return Ok(());
        }
        let mut graph = PagedGraph::new(&self.index, storage, &mut self.scratch, self.id_bound);
        self.beam.run(&mut graph, &self.query, 0)?;
        if self.beam.found().len() < self.window && self.settled.is_empty() {
            // The walk could not even fill a window: the index is small, or the graph is not whole. A sweep costs little in the one
            // case and finds what the walk cannot reach in the other.
            self.phase = Phase::Sweep;
            return Ok(());
        }
        let found = self.beam.found();
        self.found.clear();
        reserve(&mut self.found, found.len(), "rows of a search")?;
        self.found.extend(found);
        self.list_window(storage)?;
        self.phase = Phase::Advance;
        Ok(())
    }

    fn list_window<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        self.list.clear();
        self.list_is_checked = false;
        self.list.reserve(self.found.len())?;
        let layout = &self.index.layout;
        let places = self.found.iter().map(|found| layout.head_place(found.id));
        let bytes = self.scratch.peek(storage, places, FRONT_BYTES)?;
        for (front, &Candidate { key, id }) in bytes.chunks_exact(FRONT_BYTES).zip(&self.found) {
            if let Some(head) = SlotHead::parse_front(front).filter(|head| head.state == SlotState::Live) {
                let factors = Factors::from_bytes(head.factors);
                self.list.push(Listed {
                    packed: Listed::pack(key, id),
                    tid: head.tid,
                    lower: self.query.lower_bound(key, &factors, self.options.epsilon),
                });
            }
        }
        self.list.seal();
        Ok(())
    }

    fn advance(&mut self) -> Result<(), IndexError> {
        let more = if self.memory_bytes() > self.options.memory_limit_bytes {
            // The walk does not come back, and its memory is better used by the sweep.
            self.beam = Beam::new(Overflow::Keep);
            self.filtered = FilteredWalk::default();
            false
        } else {
            let most = self.options.ef.max(WINDOW_MAX);
            self.window = self.window.saturating_mul(2).min(most);
            if self.filter.is_some() {
                self.filtered.advance(self.window)?
            } else {
                self.beam.advance(self.window)?
            }
        };
        self.phase = if more { Phase::Walk } else { Phase::Sweep };
        Ok(())
    }

    fn sweep<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        self.list_is_checked = true;
        let most = (self.options.memory_limit_bytes / BATCH_ROW_BYTES).clamp(BATCH_MIN, BATCH_MAX);
        let batch = match &self.filter {
            // With a filter a sweep is often all of a scan, and what it has no use for need not be put in order.
            Some(_) => {
                let first = self.options.ef.saturating_mul(4).max(FIRST_BATCH);
                let factor = 8_usize.saturating_pow(self.passes);
                most.min(first.saturating_mul(factor))
            }
            None => most,
        };
        let ranking = Ranking {
            query: &self.query,
            epsilon: self.options.epsilon,
            settled: &self.settled,
            filter: self.filter.as_ref(),
            batch,
        };
        let more = self
            .sweep
            .pass(&self.index, storage, self.blocks, &ranking, &mut self.list)?;
        self.passes = self.passes.saturating_add(1);
        if !more {
            self.phase = if self.sweep.saw_unranked() {
                Phase::Unranked
            } else {
                Phase::End
            };
        }
        Ok(())
    }

    fn next_unordered<S: PageRead>(&mut self, storage: &mut S) -> Result<Option<Hit>, IndexError> {
        let all = self.phase == Phase::Unordered;
        let wanted = |state| state == SlotState::Unranked || (all && state == SlotState::Live);
        let filter = self.filter.as_ref();
        let row = self
            .sweep
            .next_row(&self.index, storage, self.blocks, filter, wanted)?;
        if row.is_none() {
            self.phase = Phase::End;
        }
        Ok(row.map(|tid| Hit { tid, key: f64::NAN }))
    }

    /// What the scan occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.beam.memory_bytes()
            + self.scratch.memory_bytes()
            + self.list.memory_bytes()
            + self.settled.memory_bytes()
            + self.sweep.memory_bytes()
            + self.found.capacity() * size_of::<Candidate>()
            + self.filtered.memory_bytes()
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

/// The row that a slot stands for now; none if it stands for none, or for one that the filter refuses. An id that a torn peek made
/// up may be of a page of another kind.
fn read_row<S: PageRead>(
    index: &Index,
    storage: &mut S,
    id: SlotId,
    filter: Option<&Filter>,
) -> Result<Option<HeapTid>, IndexError> {
    let (block, at) = index.layout.slot(id);
    storage
        .read(block, |bytes| {
            if page_kind(bytes)? != Some(PageKind::Node) {
                return Ok(None);
            }
            let slot = NodePage::open(bytes, &index.layout)?.slot(at)?;
            let passes = filter.is_none_or(|filter| filter.matches(slot.keys));
            Ok((slot.head.state == SlotState::Live && passes).then_some(slot.head.tid))
        })?
        .map_err(|error: PageError| error.at(block))
}
