//! The walk of a scan with a filter.
//!
//! Rows that pass the filter go into the window of results; the walk ends when that is full and nothing nearer is left to expand.
//! It begins through all elements: those that fail are estimated and lead on like the others. What the first ones tell of the share
//! that passes decides how it goes on, as in NaviX (Sehgal and Salihoğlu, arXiv 2506.23397), with other answers, for here an estimate
//! costs little more than the test of a key:
//!
//! * in the same way, with the smaller window of results that suffices then;
//! * where far fewer pass near the query than elsewhere, from some that do pass, through passing elements alone; where an element
//!   has few such neighbours, failing ones are looked through for those behind them (the two hops of ACORN-1, Patel et al., arXiv
//!   2403.04871);
//! * where reading the keys of all slots costs less, not at all: the scan sweeps, see [`super::sweep`].
//!
//! All that is read here is peeked and steers only. docs/design/hnsw.md has the measurements.

mod expand;
mod share;

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::PagedScratch;
use crate::index::hnsw::queue::{Backlog, Candidate, Window, reserve, unpack};
use crate::index::hnsw::visited::VisitedSet;
use crate::index::key::Filter;
use crate::index::quantize::Query;
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::ScanOptions;
use share::{Costs, Share, window_of};

/// How candidates of equal keys order, see [`crate::index::hnsw::queue::pack`].
const SALT: u32 = 0;
/// Below this share of passing elements near the query, it may be that they are elsewhere.
const SAMPLE_BELOW: f32 = 0.05;
/// They are elsewhere if so many times as large a share of the whole index passes, and enough of them would have been met by now if
/// they were everywhere.
const ELSEWHERE: f32 = 4.0;
const EXPECTED_PASSING: f32 = 12.0;
/// How many times as many results a walk by hops keeps.
const HOPS_WINDOW: usize = 12;
/// So many keys are tested before anything is concluded from them.
const WARM_UP_TESTS: u64 = 128;
/// A walk may always use so much memory.
const LEAST_MEMORY_BYTES: usize = 1 << 20;
/// How many pages from all over the index are looked at for passing elements.
const SAMPLE_PAGES: u32 = 24;
/// At how many passing elements of those pages a walk by hops begins, and how many of one page.
const SAMPLE_SEEDS: usize = 32;
const SEEDS_OF_PAGE: usize = 2;

/// How a scan with a filter works; all but the first are for tests and measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Approach {
    /// As the filter suggests.
    #[default]
    Chosen,
    /// A walk through all elements.
    Plain,
    /// A walk through passing elements, and past failing ones.
    TwoHop,
    /// A sweep over the keys of all elements.
    Sweep,
}

/// Why a walk stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The window is full and nothing nearer is left.
    Full,
    /// There is nothing left to expand.
    Exhausted,
    /// A sweep costs less than to go on.
    GivenUp,
}

/// What a walk did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FilterCounts {
    /// Keys that were tested, those of estimated codes included.
    pub tests: u64,
    /// Codes that were estimated.
    pub estimates: u64,
    /// Lists of neighbours that were read.
    pub lists: u64,
    /// Passes over all pages.
    pub sweeps: u64,
}

/// What a walk reads from.
pub(super) struct View<'a, S> {
    pub index: &'a Index,
    pub storage: &'a mut S,
    pub query: &'a Query,
    pub filter: &'a Filter,
    pub id_bound: u32,
    pub approach: Approach,
    /// The window that the caller asked for.
    pub ef: usize,
    pub memory_limit_bytes: usize,
}

impl<'a, S> View<'a, S> {
    /// What the walk of a scan reads from: the index with the bound of its ids, and what is asked of it.
    pub fn new(
        (index, id_bound): (&'a Index, u32),
        storage: &'a mut S,
        query: &'a Query,
        filter: &'a Filter,
        approach: Approach,
        options: &ScanOptions,
    ) -> Self {
        View {
            index,
            storage,
            query,
            filter,
            id_bound,
            approach,
            ef: options.ef.max(1),
            memory_limit_bytes: options.memory_limit_bytes,
        }
    }
}

/// The state of a walk; its memory is used again by the next.
#[derive(Debug, Default)]
pub(super) struct FilteredWalk {
    /// The best passing live elements, and those for which it had no room.
    results: Window,
    spare: Backlog,
    /// What is to be expanded, nearest first; what was farther than all results when it was met waits for the next window.
    candidates: BinaryHeap<Reverse<u64>>,
    later: Vec<u64>,
    /// Elements whose keys were tested; those of them that passed; those that failed and were expanded or looked through.
    visited: VisitedSet,
    passing: VisitedSet,
    opened: VisitedSet,
    window: usize,
    recent: Share,
    /// The share of a sample of the whole index that passes, and some elements of it that do; nothing before a sample is taken.
    anywhere: f32,
    seeds: Vec<SlotId>,
    /// Whether only passing elements are candidates.
    by_hops: bool,
    /// The candidate that was expanded last.
    last: u64,
    /// Whether the walk got past the first elements, and it was decided that it should.
    settled_in: bool,
    scratch: PagedScratch,
    list: Vec<SlotId>,
    gates: Vec<SlotId>,
    fresh: Vec<SlotId>,
    /// Passing elements that are to be estimated.
    good: Vec<SlotId>,
    /// Since the walk began.
    counts: FilterCounts,
}

impl FilteredWalk {
    /// Forgets the last walk and prepares one whose first window keeps the best `window`.
    pub fn reset(&mut self, id_bound: u32, window: usize) -> Result<(), IndexError> {
        self.results.reset(window)?;
        self.window = window;
        self.spare.clear();
        self.candidates.clear();
        self.later.clear();
        for set in [&mut self.visited, &mut self.passing, &mut self.opened] {
            set.reset(id_bound)?;
        }
        self.recent = Share::default();
        self.last = 0;
        self.settled_in = false;
        self.by_hops = false;
        self.anywhere = 0.0;
        self.counts = FilterCounts::default();
        Ok(())
    }

    /// Begins at these elements as well.
    pub fn start<S: PageRead>(
        &mut self,
        view: &mut View<'_, S>,
        starts: impl Iterator<Item = SlotId>,
    ) -> Result<(), IndexError> {
        self.list.clear();
        for id in starts {
            reserve(&mut self.list, 1, "neighbours of a search")?;
            self.list.push(id);
        }
        self.take_all(view)
    }

    /// Expands until the window holds the best that the walk can find.
    pub fn run<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<End, IndexError> {
        loop {
            view.storage.check_interrupts()?;
            let Some(Reverse(next)) = self.candidates.peek().copied() else {
                return Ok(End::Exhausted);
            };
            if next >= self.results.bound() {
                return Ok(End::Full);
            }
            if !self.settled_in {
                self.settled_in = self.counts.tests >= WARM_UP_TESTS && next > self.last;
                if self.settled_in {
                    if !self.settle_in(view)? {
                        return Ok(End::GivenUp);
                    }
                    // The nearest candidate may be another one now.
                    continue;
                }
            } else if self.is_too_long(view) {
                return Ok(End::GivenUp);
            } else if !self.by_hops && self.passes_elsewhere() {
                if !self.go_by_hops(view)? && view.approach == Approach::Chosen {
                    return Ok(End::GivenUp);
                }
                continue;
            }
            self.last = next;
            self.candidates.pop();
            self.expand(view, unpack(next, SALT).id)?;
        }
    }

    /// Decides how to go on, now that the surroundings of the query are known. Returns whether to walk at all.
    fn settle_in<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<bool, IndexError> {
        match view.approach {
            Approach::Plain => return Ok(true),
            Approach::TwoHop => {
                self.sample(view)?;
                self.go_by_hops(view)?;
                return Ok(true);
            }
            Approach::Chosen | Approach::Sweep => {}
        }
        let near = self.recent.share();
        if near < SAMPLE_BELOW {
            self.sample(view)?;
        }
        let share = near.max(self.anywhere);
        self.window = window_of(self.window, share);
        self.results.shrink(self.window, &mut self.spare)?;
        Ok(Costs::of(view.index, view.id_bound).walk_is_worthwhile(self.window, share))
    }

    /// Whether far fewer elements pass near the query than elsewhere, beyond chance.
    fn passes_elsewhere(&self) -> bool {
        let expected = self.counts.tests as f32 * self.anywhere;
        expected >= EXPECTED_PASSING && (self.passing.len() as f32) * ELSEWHERE < expected
    }

    /// Goes on from the seeds, by passing elements alone. Returns whether that costs less than a sweep.
    fn go_by_hops<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<bool, IndexError> {
        self.by_hops = true;
        // What fails fills the surroundings of the query: nothing leads out of it but a walk through all of it.
        self.leave_failing();
        let seeds = std::mem::take(&mut self.seeds);
        let started = self.start(view, seeds.iter().copied());
        self.seeds = seeds;
        started?;
        // Those near the query are far from each other here, and a small window misses many of them.
        self.window = self.window.max(view.ef).saturating_mul(HOPS_WINDOW);
        self.results.grow(self.window)?;
        self.spare.refill(&mut self.results)?;
        Ok(Costs::of(view.index, view.id_bound).hops_are_worthwhile(self.window, self.anywhere))
    }

    /// From here on only passing elements are candidates.
    fn leave_failing(&mut self) {
        self.by_hops = true;
        let passing = &self.passing;
        self.candidates
            .retain(|Reverse(packed)| passing.contains(unpack(*packed, SALT).id));
        self.later
            .retain(|packed| passing.contains(unpack(*packed, SALT).id));
    }

    /// Whether the walk has cost so much that it was a mistake.
    fn is_too_long<S>(&self, view: &View<'_, S>) -> bool {
        if self.memory_bytes() > view.memory_limit_bytes.max(LEAST_MEMORY_BYTES) {
            return true;
        }
        if view.approach != Approach::Chosen {
            return false;
        }
        let missing = if self.by_hops {
            0
        } else {
            self.window.saturating_sub(self.results.len())
        };
        // Of all elements met, not of the last ones: where few pass, these are too few to tell.
        let share = (self.passing.len() as f32 + 0.5) / (self.counts.tests as f32 + 1.0);
        Costs::of(view.index, view.id_bound).walk_is_too_long(&self.counts, missing, share)
    }

    /// Looks at the keys of some pages from all over the index: for the share that passes anywhere, and for some elements that do.
    fn sample<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        let layout = &view.index.layout;
        let slots = layout.slots_per_page();
        let first = view.index.first_node_block();
        let (end, _) = layout.slot(SlotId(view.id_bound));
        let step = (end.saturating_sub(first) / SAMPLE_PAGES).max(1);
        let length = view.filter.reach();
        let (mut tested, mut passed) = (0_u64, 0_u64);
        self.seeds.clear();
        reserve(&mut self.seeds, SAMPLE_SEEDS, "neighbours of a search")?;
        let blocks = (first.saturating_add(step / 2)..end).step_by(step as usize);
        for block in blocks.take(SAMPLE_PAGES as usize) {
            self.fresh.clear();
            reserve(&mut self.fresh, usize::from(slots), "neighbours of a search")?;
            self.fresh
                .extend((0..slots).filter_map(|at| layout.id(block, at)));
            let places = self.fresh.iter().map(|id| layout.keys_place(*id));
            let keys = self.scratch.peek(view.storage, places, length)?;
            let mut of_page = 0;
            for (id, keys) in self.fresh.iter().zip(keys.chunks_exact(length.max(1))) {
                tested += 1;
                if view.filter.matches(keys) {
                    passed += 1;
                    if of_page < SEEDS_OF_PAGE && self.seeds.len() < SAMPLE_SEEDS {
                        self.seeds.push(*id);
                        of_page += 1;
                    }
                }
            }
        }
        self.anywhere = passed as f32 / tested.max(1) as f32;
        Ok(())
    }

    /// Gives the memory back; the walk is over.
    pub fn release(&mut self) {
        *self = Self {
            counts: self.counts,
            ..Self::default()
        };
    }

    /// How many results the window has room for.
    pub fn window(&self) -> usize {
        self.window
    }

    /// The best passing elements found, ascending.
    pub fn found(&self) -> impl ExactSizeIterator<Item = Candidate> + '_ {
        self.results.iter()
    }

    /// Drops what was found and begins the next window. Returns whether there is anything left to find.
    pub fn advance(&mut self, window: usize) -> Result<bool, IndexError> {
        self.window = window;
        self.results.reset(window)?;
        self.spare.refill(&mut self.results)?;
        self.reserve_queues(self.later.len())?;
        self.candidates.extend(self.later.drain(..).map(Reverse));
        Ok(!self.results.is_empty() || !self.candidates.is_empty())
    }

    /// Before a scan that may not walk.
    pub fn forget_counts(&mut self) {
        self.counts = FilterCounts::default();
    }

    /// What the walk did.
    pub fn counts(&self) -> FilterCounts {
        self.counts
    }

    /// What the walk occupies.
    pub fn memory_bytes(&self) -> usize {
        let sets = [&self.visited, &self.passing, &self.opened];
        let lists = [&self.list, &self.gates, &self.fresh, &self.good, &self.seeds];
        self.results.memory_bytes()
            + self.spare.memory_bytes()
            + (self.candidates.capacity() + self.later.capacity()) * size_of::<u64>()
            + sets.iter().map(|set| set.memory_bytes()).sum::<usize>()
            + self.scratch.memory_bytes()
            + lists
                .iter()
                .map(|list| list.capacity() * size_of::<SlotId>())
                .sum::<usize>()
    }
}
