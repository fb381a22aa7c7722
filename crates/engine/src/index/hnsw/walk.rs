//! The best-first walk over a graph: what searches, inserts and builds share.
//!
//! [`Beam`] is algorithm 2 of the paper (arXiv 1603.09320), with one sorted window instead of two queues, with the neighbours
//! of one expansion estimated in one call, and with a state that outlives the window, so that a scan can ask for more.
//! [`descend`] goes down the levels from a set of entries instead of a single entry point.

use super::queue;
use super::queue::{Backlog, Candidate, Window};
use super::visited::VisitedSet;
use crate::index::page::{Entry, MAX_LEVEL};
use crate::index::{IndexError, SlotId};

/// What a walk needs of a graph.
pub trait Graph {
    /// What distances are measured from.
    type Query: ?Sized;

    /// All ids are below it.
    fn id_bound(&self) -> u32;

    /// Replaces `out` by the neighbours of `id` at `level`, all below [`Graph::id_bound`]. None for an element that is not there.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::OutOfMemory`].
    fn neighbours(&mut self, id: SlotId, level: u8, out: &mut Vec<SlotId>) -> Result<(), IndexError>;

    /// Replaces `out` by the keys of the elements, infinity for one that is not there or has no distance.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::OutOfMemory`].
    fn estimate(&mut self, query: &Self::Query, ids: &[SlotId], out: &mut Vec<f32>)
    -> Result<(), IndexError>;

    /// Told that the neighbours of `id` are likely to be asked for next: the time to ask the processor for the memory.
    #[inline]
    fn will_expand(&mut self, _id: SlotId, _level: u8) {}

    /// Asked before each expansion whether the walk may go on.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`].
    fn check(&mut self) -> Result<(), IndexError> {
        Ok(())
    }
}

/// Whether a [`Beam`] keeps what does not fit the window for later windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// A search that may be continued.
    Keep,
    /// A search that ends with its first window.
    #[default]
    Drop,
}

/// The state of a best-first walk at one level.
///
/// Use: [`Beam::reset`], [`Beam::seed`] or [`Beam::offer`] where to begin, [`Beam::run`], read [`Beam::found`]; to go on,
/// [`Beam::advance`] and `run` again. Memory is reused from walk to walk.
#[derive(Debug, Default)]
pub struct Beam {
    window: Window,
    backlog: Backlog,
    visited: VisitedSet,
    overflow: Overflow,
    /// See [`Beam::set_limit`].
    limit_bytes: Option<usize>,
    /// Whether the overflow of this walk was given up for the limit.
    given_up: bool,
    /// Whether the first window is past.
    advanced: bool,
    ids: Vec<SlotId>,
    keys: Vec<f32>,
    expansions: u64,
    estimates: u64,
}

impl Beam {
    /// A beam that keeps or drops what its first window has no room for.
    #[must_use]
    pub fn new(overflow: Overflow) -> Self {
        Beam {
            overflow,
            ..Beam::default()
        }
    }

    /// Sets how candidates of equal keys order in the walks to come. An insertion takes another salt for each element, so that
    /// many identical vectors link to each other evenly and not all to the same few.
    pub fn set_salt(&mut self, salt: u32) {
        self.window.set_salt(salt);
    }

    /// Forgets the last walk and prepares one whose first window keeps the best `ef`.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn reset(&mut self, id_bound: u32, ef: usize) -> Result<(), IndexError> {
        self.window.reset(ef)?;
        self.backlog.clear();
        (self.given_up, self.advanced) = (false, false);
        self.visited.reset(id_bound)
    }

    /// Begins at elements whose keys are known.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn seed(&mut self, starts: impl IntoIterator<Item = Candidate>) -> Result<(), IndexError> {
        for start in starts {
            self.visited.reserve(1)?;
            if start.key < f32::INFINITY && self.visited.insert(start.id) {
                self.backlog.reserve(1)?;
                self.admit(start.key, start.id);
            }
        }
        Ok(())
    }

    /// Begins at these elements as well, where they are not yet visited.
    ///
    /// # Errors
    /// Those of [`Graph::estimate`].
    pub fn offer<G: Graph>(
        &mut self,
        graph: &mut G,
        query: &G::Query,
        ids: impl IntoIterator<Item = SlotId>,
    ) -> Result<(), IndexError> {
        self.ids.clear();
        for id in ids {
            queue::reserve(&mut self.ids, 1, "neighbours of a search")?;
            self.ids.push(id);
        }
        self.take_ids(graph, query)
    }

    /// Expands until the window holds the best that this walk can find: no candidate in it is left to expand.
    ///
    /// # Errors
    /// Those of the graph, and [`IndexError::Interrupted`] of [`Graph::check`]. The walk can then be continued.
    pub fn run<G: Graph>(&mut self, graph: &mut G, query: &G::Query, level: u8) -> Result<(), IndexError> {
        loop {
            graph.check()?;
            let Some(nearest) = self.window.take_nearest() else {
                return Ok(());
            };
            self.expansions += 1;
            graph.neighbours(nearest.id, level, &mut self.ids)?;
            if self.outgrows_limit() {
                return Ok(());
            }
            self.take_ids(graph, query)?;
            if let Some(next) = self.window.nearest() {
                graph.will_expand(next, level);
            }
        }
    }

    /// Whether the walk is to end for its limit. Gives up the overflow first.
    #[inline]
    fn outgrows_limit(&mut self) -> bool {
        let more = self.ids.len();
        match self.limit_bytes {
            None => false,
            Some(_) if self.visited.has_room(more) && (self.given_up || self.backlog.has_room(more)) => false,
            Some(limit) => self.grown_bytes() > limit && self.ends_for_limit(limit),
        }
    }

    #[cold]
    fn ends_for_limit(&mut self, limit: usize) -> bool {
        self.give_up_overflow();
        self.advanced && self.grown_bytes() > limit
    }

    /// What the beam will occupy with `self.ids` taken in.
    fn grown_bytes(&self) -> usize {
        let backlog = if self.given_up {
            self.backlog.memory_bytes()
        } else {
            self.backlog.grown_bytes(self.ids.len())
        };
        self.visited.grown_bytes(self.ids.len()) + backlog + self.lists_bytes()
    }

    fn give_up_overflow(&mut self) {
        self.given_up = true;
        self.backlog = Backlog::default();
    }

    /// Estimates those of `self.ids` that were not visited and takes them in.
    #[inline]
    fn take_ids<G: Graph>(&mut self, graph: &mut G, query: &G::Query) -> Result<(), IndexError> {
        self.visited.reserve(self.ids.len())?;
        let visited = &mut self.visited;
        self.ids.retain(|id| visited.insert(*id));
        if self.ids.is_empty() {
            return Ok(());
        }
        graph.estimate(query, &self.ids, &mut self.keys)?;
        self.estimates += self.ids.len() as u64;
        if !self.given_up {
            self.backlog.reserve(self.ids.len())?;
        }
        for at in 0..self.ids.len().min(self.keys.len()) {
            let (id, key) = (self.ids[at], self.keys[at]);
            if key < f32::INFINITY {
                self.admit(key, id);
            }
        }
        Ok(())
    }

    #[inline]
    fn admit(&mut self, key: f32, id: SlotId) {
        let packed = self.window.pack(key, id);
        let out = if packed < self.window.bound() {
            self.window.insert(packed)
        } else {
            Some(packed)
        };
        if let (Some(packed), Overflow::Keep, false) = (out, self.overflow, self.given_up) {
            self.backlog.push(packed);
        }
    }

    /// The best elements found, ascending.
    pub fn found(&self) -> impl ExactSizeIterator<Item = Candidate> + '_ {
        self.window.iter()
    }

    /// Drops what was found and begins the next window, of `ef`, with the best of what the windows before had no room for.
    /// Returns whether there is anything; if not, the walk has seen all that it can reach.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn advance(&mut self, ef: usize) -> Result<bool, IndexError> {
        self.advanced = true;
        self.window.reset(ef)?;
        let refilled = self.visited.memory_bytes() + self.backlog.refilled_bytes() + self.lists_bytes();
        if self.limit_bytes.is_some_and(|limit| refilled > limit) {
            self.give_up_overflow();
        }
        self.backlog.refill(&mut self.window)?;
        Ok(!self.window.is_empty())
    }

    /// Whether the walk has met the element.
    pub fn has_visited(&self, id: SlotId) -> bool {
        self.visited.contains(id)
    }

    /// How many elements were expanded and how many estimated since the beam was made.
    pub fn counts(&self) -> (u64, u64) {
        (self.expansions, self.estimates)
    }

    /// What a beam that drops its overflow occupies after searches of this size, roughly.
    #[must_use]
    pub fn estimated_bytes(id_bound: u32, ef: usize) -> usize {
        ef * size_of::<u64>() + VisitedSet::estimated_bytes(id_bound, 64 * ef)
    }

    /// Sets what the beam may occupy in the walks to come. When it comes to that, it gives up what its windows so far had no room for, and
    /// is past its last window; one after the first ends there. The first is walked to its end whatever that takes.
    pub fn set_limit(&mut self, bytes: usize) {
        self.limit_bytes = Some(bytes);
    }

    /// Gives the memory back; the walk is over.
    pub fn release(&mut self) {
        *self = Beam {
            overflow: self.overflow,
            limit_bytes: self.limit_bytes,
            expansions: self.expansions,
            estimates: self.estimates,
            ..Beam::default()
        };
    }

    /// What the beam occupies.
    pub fn memory_bytes(&self) -> usize {
        self.backlog.memory_bytes() + self.visited.memory_bytes() + self.lists_bytes()
    }

    #[inline]
    fn lists_bytes(&self) -> usize {
        self.window.memory_bytes()
            + self.ids.capacity() * size_of::<SlotId>()
            + self.keys.capacity() * size_of::<f32>()
    }
}

/// Goes down to `level` from the entries, greedily, and prepares `beam` there: reset with `ef`, seeded with what was found above
/// and with the entries of this level. The walk at `level` itself is the caller's [`Beam::run`].
///
/// At each level the entries of it join. Entries that are gone do no harm. If the beam is left empty there is no usable
/// entry.
///
/// # Errors
/// Those of the graph.
pub fn descend<G: Graph>(
    beam: &mut Beam,
    graph: &mut G,
    query: &G::Query,
    entries: &[Entry],
    level: u8,
    ef: usize,
) -> Result<(), IndexError> {
    let top = entries
        .iter()
        .map(|entry| entry.level.min(MAX_LEVEL))
        .max()
        .unwrap_or(0);
    let mut nearest: Option<Candidate> = None;
    for above in (level.saturating_add(1)..=top).rev() {
        beam.reset(graph.id_bound(), 1)?;
        enter(beam, graph, query, entries, above, nearest)?;
        beam.run(graph, query, above)?;
        nearest = beam.found().next();
    }
    beam.reset(graph.id_bound(), ef)?;
    match nearest {
        Some(_) => enter(beam, graph, query, entries, level, nearest),
        // Nothing usable lies higher: whatever entry is at this level or was thought to be higher has to do.
        None => beam.offer(
            graph,
            query,
            entries
                .iter()
                .filter(|entry| entry.level >= level)
                .map(|entry| entry.id),
        ),
    }
}

/// Seeds the beam with the entries of one level and the nearest found above.
fn enter<G: Graph>(
    beam: &mut Beam,
    graph: &mut G,
    query: &G::Query,
    entries: &[Entry],
    level: u8,
    nearest: Option<Candidate>,
) -> Result<(), IndexError> {
    beam.seed(nearest)?;
    beam.offer(
        graph,
        query,
        entries
            .iter()
            .filter(|entry| entry.level.min(MAX_LEVEL) == level)
            .map(|entry| entry.id),
    )
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
