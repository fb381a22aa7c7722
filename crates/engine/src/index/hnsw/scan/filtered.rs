//! The walk of a scan with a filter.
//!
//! Rows that pass the filter go into the window of results; the walk ends when that is full and nothing nearer is left to expand.
//! How an element is expanded depends on the share of the elements met lately that pass, as in NaviX (Sehgal and Salihoğlu,
//! arXiv 2506.23397): where many pass, all neighbours are estimated, and those that fail lead on like the others; where few pass,
//! keys are tested first, only passing neighbours are estimated, and failing ones are looked through for passing ones behind them
//! (the two hops of ACORN-1, Patel et al., arXiv 2403.04871). Where so few pass that reading the keys of all slots costs less,
//! the walk gives up and the scan sweeps, see [`super::sweep`].
//!
//! All that is read here is peeked and steers only.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::{PagedScratch, code_of, in_graph};
use crate::index::hnsw::queue::{Backlog, Candidate, Window, reserve, unpack};
use crate::index::hnsw::visited::VisitedSet;
use crate::index::key::Filter;
use crate::index::page::{SlotHead, SlotState, parse_neighbours};
use crate::index::quantize::Query;
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::share::{Costs, Share};

/// How candidates of equal keys order, see [`crate::index::hnsw::queue::pack`].
const SALT: u32 = 0;
/// From this share of passing elements on, failing ones are estimated and lead on like the others.
const PLAIN_SHARE: f32 = 0.35;
/// How many passing neighbours, at one hop or two, an expanded element should have.
const PASSING_NEIGHBOURS: f32 = 16.0;
/// So many keys are tested before anything is concluded from them.
const WARM_UP_TESTS: u64 = 128;
/// A walk may always use so much memory.
const LEAST_MEMORY_BYTES: usize = 1 << 20;
/// Below this share near the query, pages from all over the index are looked at for passing elements.
const SAMPLE_BELOW: f32 = 0.05;
/// How many pages are looked at.
const SAMPLE_PAGES: u32 = 24;
/// At how many passing elements of those pages the walk begins as well.
const SAMPLE_SEEDS: usize = 16;

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
    /// Keys that were tested.
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
    pub memory_limit_bytes: usize,
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
                if self.settled_in && !self.is_worthwhile(view)? {
                    return Ok(End::GivenUp);
                }
            } else if self.is_too_long(view) {
                return Ok(End::GivenUp);
            }
            self.last = next;
            self.candidates.pop();
            self.expand(view, unpack(next, SALT).id)?;
        }
    }

    /// Whether to walk at all, now that the surroundings of the query are known.
    fn is_worthwhile<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<bool, IndexError> {
        if view.approach != Approach::Chosen {
            return Ok(true);
        }
        let mut share = self.recent.share();
        if share < SAMPLE_BELOW {
            // Passing elements may begin farther off. Walks from some of them come nearer to the query by passing ones alone.
            share = share.max(self.sample(view)?);
        }
        let costs = Costs::of(view.index, view.id_bound);
        Ok(costs.walk(self.window, share) <= costs.sweep(share))
    }

    /// Whether the walk has cost so much that it was a mistake.
    fn is_too_long<S>(&self, view: &View<'_, S>) -> bool {
        if self.memory_bytes() > view.memory_limit_bytes.max(LEAST_MEMORY_BYTES) {
            return true;
        }
        view.approach == Approach::Chosen
            && Costs::spent(&self.counts)
                > Costs::of(view.index, view.id_bound).most_before_sweep(self.recent.share())
    }

    fn expand<S: PageRead>(&mut self, view: &mut View<'_, S>, id: SlotId) -> Result<(), IndexError> {
        self.gates.clear();
        reserve(&mut self.gates, 1, "neighbours of a search")?;
        self.gates.push(id);
        self.open_gates(view)?;
        let all = match view.approach {
            Approach::Chosen => !self.settled_in || self.recent.share() >= PLAIN_SHARE,
            approach => approach == Approach::Plain,
        };
        if all {
            self.take_all(view)
        } else {
            self.take_passing(view)
        }
    }

    /// Replaces the list by the neighbours of all gates.
    fn open_gates<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.opened.reserve(self.gates.len())?;
        for gate in &self.gates {
            self.opened.insert(*gate);
        }
        let layout = &view.index.layout;
        let length = layout.neighbours_bytes(0);
        let places = self.gates.iter().map(|id| layout.neighbours_place(*id));
        let bytes = self.scratch.peek(view.storage, places, length)?;
        self.list.clear();
        reserve(
            &mut self.list,
            bytes.len() / size_of::<SlotId>(),
            "neighbours of a search",
        )?;
        for list in bytes.chunks_exact(length.max(1)) {
            parse_neighbours(list, view.id_bound, &mut self.list);
        }
        self.counts.lists += self.gates.len() as u64;
        Ok(())
    }

    /// Puts those of the list that were not met before on the list of fresh ones.
    fn take_fresh(&mut self) -> Result<(), IndexError> {
        self.visited.reserve(self.list.len())?;
        self.passing.reserve(self.list.len())?;
        self.fresh.clear();
        reserve(&mut self.fresh, self.list.len(), "neighbours of a search")?;
        let visited = &mut self.visited;
        self.fresh
            .extend(self.list.iter().filter(|id| visited.insert(**id)));
        self.counts.tests += self.fresh.len() as u64;
        Ok(())
    }

    /// Estimates all of the list, and takes them in.
    fn take_all<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.take_fresh()?;
        self.reserve_queues(self.fresh.len())?;
        let layout = &view.index.layout;
        let head_bytes = layout.head_bytes();
        let length = head_bytes.saturating_add(view.filter.reach());
        let places = self.fresh.iter().map(|id| layout.head_place(*id));
        self.scratch.peek(view.storage, places, length)?;
        for at in 0..self.fresh.len() {
            let start = at.saturating_mul(length);
            let slot = self.scratch.peeked().get(start..start.saturating_add(length));
            let (Some(id), Some(slot)) = (self.fresh.get(at).copied(), slot) else {
                break;
            };
            let passes = view.filter.matches(slot.get(head_bytes..).unwrap_or_default());
            self.recent.note(passes);
            if passes {
                self.passing.insert(id);
            }
            let head = slot
                .get(..head_bytes)
                .and_then(|head| SlotHead::parse(head, layout));
            if let Some(head) = head.filter(|head| in_graph(head.state)) {
                let key = view.query.estimate(code_of(&head));
                let live = head.state == SlotState::Live;
                self.admit(Candidate { key, id }, passes && live);
            }
        }
        self.counts.estimates += self.fresh.len() as u64;
        Ok(())
    }

    /// Takes in what passes of the list, and if that is little, what passes of what failing ones of it lead to.
    fn take_passing<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.good.clear();
        self.test_fresh(view)?;
        let (mut near, mut known) = (0.0, 0.0);
        self.gates.clear();
        reserve(&mut self.gates, self.list.len(), "neighbours of a search")?;
        for id in &self.list {
            if self.passing.contains(*id) {
                near += 1.0;
            } else if self.opened.contains(*id) {
                known += 1.0;
            } else {
                self.gates.push(*id);
            }
        }
        // What a failing neighbour leads to, on the average; those looked through before count as having given as much.
        let behind = self.recent.share() * self.list.len() as f32;
        let missing = PASSING_NEIGHBOURS - near - known * behind;
        if missing > 0.0 {
            // Lists have their nearest first.
            self.gates
                .truncate((missing / behind.max(f32::MIN_POSITIVE)).ceil() as usize);
            self.open_gates(view)?;
            self.test_fresh(view)?;
        }
        self.weigh_good(view)
    }

    /// Tests the keys of those of the list that were not met before.
    fn test_fresh<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.take_fresh()?;
        let layout = &view.index.layout;
        let length = view.filter.reach();
        let places = self.fresh.iter().map(|id| layout.keys_place(*id));
        let keys = self.scratch.peek(view.storage, places, length)?;
        reserve(&mut self.good, self.fresh.len(), "neighbours of a search")?;
        for (id, keys) in self.fresh.iter().zip(keys.chunks_exact(length.max(1))) {
            let passes = view.filter.matches(keys);
            self.recent.note(passes);
            if passes {
                self.passing.insert(*id);
                self.good.push(*id);
            }
        }
        Ok(())
    }

    /// Estimates what passed, and takes it in.
    fn weigh_good<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.reserve_queues(self.good.len())?;
        let layout = &view.index.layout;
        let length = layout.head_bytes();
        let places = self.good.iter().map(|id| layout.head_place(*id));
        self.scratch.peek(view.storage, places, length)?;
        for at in 0..self.good.len() {
            let start = at.saturating_mul(length);
            let head = self.scratch.peeked().get(start..start.saturating_add(length));
            let head = head.and_then(|head| SlotHead::parse(head, layout));
            if let (Some(id), Some(head)) = (self.good.get(at).copied(), head)
                && in_graph(head.state)
            {
                let key = view.query.estimate(code_of(&head));
                self.admit(Candidate { key, id }, head.state == SlotState::Live);
            }
        }
        self.counts.estimates += self.good.len() as u64;
        Ok(())
    }

    /// Makes room for as many candidates, so that [`FilteredWalk::admit`] does not allocate.
    fn reserve_queues(&mut self, additional: usize) -> Result<(), IndexError> {
        self.spare.reserve(additional)?;
        reserve(&mut self.later, additional, "backlog of a search")?;
        self.candidates
            .try_reserve(additional)
            .map_err(|_| IndexError::OutOfMemory {
                what: "candidates of a search",
                bytes: (self.candidates.len() + additional) * size_of::<u64>(),
            })
    }

    #[inline]
    fn admit(&mut self, candidate: Candidate, is_result: bool) {
        // Neither infinity nor what is not a number has a place in the order.
        if candidate.key.partial_cmp(&f32::INFINITY) != Some(std::cmp::Ordering::Less) {
            return;
        }
        let packed = self.results.pack(candidate.key, candidate.id);
        if packed < self.results.bound() {
            self.candidates.push(Reverse(packed));
        } else {
            self.later.push(packed);
        }
        if is_result && let Some(fallen) = self.results.insert(packed) {
            self.spare.push(fallen);
        }
    }

    /// Looks at the keys of some pages from all over the index. Begins at some elements of them that pass, and returns the share of
    /// those.
    fn sample<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<f32, IndexError> {
        let layout = &view.index.layout;
        let slots = layout.slots_per_page();
        let first = view.index.first_node_block();
        let (end, _) = layout.slot(SlotId(view.id_bound));
        let step = (end.saturating_sub(first) / SAMPLE_PAGES).max(1);
        let length = view.filter.reach();
        let (mut tested, mut passed) = (0_u64, 0_u64);
        self.good.clear();
        reserve(&mut self.good, SAMPLE_SEEDS, "neighbours of a search")?;
        let blocks = (first.saturating_add(step / 2)..end).step_by(step as usize);
        for block in blocks.take(SAMPLE_PAGES as usize) {
            self.fresh.clear();
            reserve(&mut self.fresh, usize::from(slots), "neighbours of a search")?;
            self.fresh
                .extend((0..slots).filter_map(|at| layout.id(block, at)));
            let places = self.fresh.iter().map(|id| layout.keys_place(*id));
            let keys = self.scratch.peek(view.storage, places, length)?;
            let mut seeds_of_page = 0;
            for (id, keys) in self.fresh.iter().zip(keys.chunks_exact(length.max(1))) {
                tested += 1;
                if view.filter.matches(keys) {
                    passed += 1;
                    if seeds_of_page < 2 && self.good.len() < SAMPLE_SEEDS {
                        self.good.push(*id);
                        seeds_of_page += 1;
                    }
                }
            }
        }
        self.counts.tests += tested;
        let recent = self.recent;
        let seeds = std::mem::take(&mut self.good);
        let started = self.start(view, seeds.iter().copied());
        self.good = seeds;
        started?;
        // The seeds were chosen, and say nothing about the surroundings.
        self.recent = recent;
        Ok(passed as f32 / tested.max(1) as f32)
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

    /// What the walk did.
    pub fn counts(&self) -> FilterCounts {
        self.counts
    }

    /// What the walk occupies.
    pub fn memory_bytes(&self) -> usize {
        let sets = [&self.visited, &self.passing, &self.opened];
        let lists = [&self.list, &self.gates, &self.fresh, &self.good];
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
