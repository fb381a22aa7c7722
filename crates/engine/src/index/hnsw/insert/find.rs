//! The neighbours of a new element: a walk at each of its levels, and a selection of the live ones met.

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::{EntryList, PagedGraph, PagedScratch, peek_entries};
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::hnsw::walk::{Beam, Graph, Overflow, descend};
use crate::index::page::{MAX_LEVEL, NodePage, PageKind, SlotState, page_kind};
use crate::index::quantize::Query;
use crate::index::storage::PageRead;
use crate::index::{HeapTid, IndexError, SlotId};

use super::codes::Codes;

/// Lists of neighbours by level.
pub(super) type Lists = [Vec<SlotId>; MAX_LEVEL as usize + 1];

/// How many windows the walk tries at level 0 while it meets dead elements only; each is twice as large as the one before.
const WINDOWS: usize = 6;
/// How many pages are looked at for a live element where the entries lead to none.
const STRAY_PAGES: u32 = 16;

/// Of how many twins the neighbours are looked at where the walk met nothing but twins.
const TWINS: usize = 8;
/// How many candidates that are no twins those give at most.
const AROUND_TWINS: usize = 64;

/// Finds neighbours; keeps its memory from one element to the next.
#[derive(Debug)]
pub(super) struct Finder {
    beam: Beam,
    graph: PagedScratch,
    found: Vec<Candidate>,
    strays: Vec<SlotId>,
    keys: Vec<f32>,
}

impl Default for Finder {
    fn default() -> Self {
        Self {
            beam: Beam::new(Overflow::Keep),
            graph: PagedScratch::default(),
            found: Vec::new(),
            strays: Vec::new(),
            keys: Vec::new(),
        }
    }
}

/// What neighbours are sought for.
pub(super) struct Sought<'a> {
    pub query: &'a Query,
    pub tid: HeapTid,
    pub level: u8,
    /// The element itself, which may be met once it is on its page.
    pub own: Option<SlotId>,
    pub entropy: u64,
}

impl Finder {
    /// Fills the lists of the levels up to that of the element, nearest and diverse ones first. The list of level 0 is empty only
    /// if no live element was found anywhere.
    pub fn find<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        sought: &Sought<'_>,
        codes: &mut Codes,
        lists: &mut Lists,
    ) -> Result<(), IndexError> {
        let id_bound = index.layout.id_bound(storage.blocks()?)?;
        let ef = usize::from(index.ef_construction);
        self.beam.set_salt((sought.entropy >> 32) as u32);
        let entries = EntryList::new(&peek_entries(storage)?);
        let entries = entries.as_slice();
        let top = entries.iter().map(|entry| entry.level).max().unwrap_or(0);
        let top = top.min(sought.level);
        let mut graph = PagedGraph::new(index, storage, &mut self.graph, id_bound);
        descend(&mut self.beam, &mut graph, sought.query, entries, top, ef)?;
        for level in (0..=top).rev() {
            let mut graph = PagedGraph::new(index, storage, &mut self.graph, id_bound);
            self.beam.run(&mut graph, sought.query, level)?;
            self.take_found()?;
            if level == 0 {
                self.look_around_twins(index, storage, id_bound, sought.query)?;
            }
            self.select(index, storage, sought, level, codes, lists)?;
            if level > 0 {
                let mut graph = PagedGraph::new(index, storage, &mut self.graph, id_bound);
                self.beam.reset(id_bound, ef)?;
                self.beam.seed(self.found.iter().copied())?;
                let below = entries.iter().filter(|entry| entry.level == level - 1);
                self.beam
                    .offer(&mut graph, sought.query, below.map(|entry| entry.id))?;
            }
        }
        self.look_farther(index, storage, id_bound, sought, codes, lists)?;
        if lists.first().is_some_and(Vec::is_empty) {
            self.look_anywhere(index, storage, id_bound, sought, codes, lists)?;
        }
        Ok(())
    }

    fn take_found(&mut self) -> Result<(), IndexError> {
        self.found.clear();
        reserve(&mut self.found, self.beam.found().len(), "neighbour selection")?;
        self.found.extend(self.beam.found());
        Ok(())
    }

    /// Where all that was found is equally far, as in a large group of identical vectors, adds what their lists name farther away.
    /// So each of the group leads out of it, as the others do.
    fn look_around_twins<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        id_bound: u32,
        query: &Query,
    ) -> Result<(), IndexError> {
        let (Some(first), Some(last)) = (self.found.first(), self.found.last()) else {
            return Ok(());
        };
        // A beam rounds keys, by less than this.
        let (twins, key) = (self.found.len(), last.key + last.key.abs() * 2.0 * f32::EPSILON);
        if first.key < last.key || twins < usize::from(index.ef_construction) {
            return Ok(());
        }
        let mut graph = PagedGraph::new(index, storage, &mut self.graph, id_bound);
        for twin in 0..TWINS.min(twins) {
            let Some(id) = self.found.get(twin).map(|twin| twin.id) else {
                break;
            };
            graph.neighbours(id, 0, &mut self.strays)?;
            graph.estimate(query, &self.strays, &mut self.keys)?;
            reserve(&mut self.found, self.strays.len(), "neighbour selection")?;
            let candidates = self.strays.iter().zip(&self.keys);
            let farther = candidates.filter(|(_, other)| **other > key && **other < f32::INFINITY);
            self.found
                .extend(farther.map(|(id, key)| Candidate { key: *key, id: *id }));
        }
        let around = self.found.get_mut(twins..).unwrap_or_default();
        around.sort_unstable_by(|a, b| a.key.total_cmp(&b.key).then(a.id.cmp(&b.id)));
        self.found.dedup_by_key(|candidate| candidate.id);
        self.found.truncate(twins.saturating_add(AROUND_TWINS));
        Ok(())
    }

    /// Selects neighbours from what was found.
    fn select<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        sought: &Sought<'_>,
        level: u8,
        codes: &mut Codes,
        lists: &mut Lists,
    ) -> Result<(), IndexError> {
        let Some(list) = lists.get_mut(usize::from(level)) else {
            return Ok(());
        };
        let layout = &index.layout;
        codes.load(layout, storage, self.found.iter().map(|candidate| candidate.id))?;
        for (at, candidate) in self.found.iter().enumerate() {
            let head = codes
                .head(at, layout)
                .filter(|_| Some(candidate.id) != sought.own);
            if head.is_some_and(|head| head.state == SlotState::Live && head.level >= level) {
                codes.rank(at, candidate.key);
            }
        }
        // Ties are ordered by a hash of both elements; the new one has no id yet.
        let owner = SlotId(sought.tid.block ^ (u32::from(sought.tid.offset) << 20));
        // As many as the list takes, other than in a build: few elements may come after this one to fill it.
        codes.select(owner, &index.quantizer, index.layout.max_neighbours(level), list)
    }

    /// Goes on at level 0 as long as only dead elements were met.
    fn look_farther<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        id_bound: u32,
        sought: &Sought<'_>,
        codes: &mut Codes,
        lists: &mut Lists,
    ) -> Result<(), IndexError> {
        let mut window = usize::from(index.ef_construction);
        for _ in 1..WINDOWS {
            window = window.saturating_mul(2);
            if lists.first().is_none_or(|list| !list.is_empty()) || !self.beam.advance(window)? {
                return Ok(());
            }
            let mut graph = PagedGraph::new(index, storage, &mut self.graph, id_bound);
            self.beam.run(&mut graph, sought.query, 0)?;
            self.take_found()?;
            self.select(index, storage, sought, 0, codes, lists)?;
        }
        Ok(())
    }

    /// Walks from live elements of a few pages, where no entry leads to any.
    fn look_anywhere<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        id_bound: u32,
        sought: &Sought<'_>,
        codes: &mut Codes,
        lists: &mut Lists,
    ) -> Result<(), IndexError> {
        self.find_strays(index, storage, sought)?;
        if self.strays.is_empty() {
            return Ok(());
        }
        let ef = usize::from(index.ef_construction);
        self.beam.reset(id_bound, ef)?;
        let mut graph = PagedGraph::new(index, storage, &mut self.graph, id_bound);
        self.beam
            .offer(&mut graph, sought.query, self.strays.iter().copied())?;
        self.beam.run(&mut graph, sought.query, 0)?;
        self.take_found()?;
        self.select(index, storage, sought, 0, codes, lists)
    }

    /// The live elements of the first page that has any, of a few pages from a random one on.
    fn find_strays<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        sought: &Sought<'_>,
    ) -> Result<(), IndexError> {
        let entropy = sought.entropy;
        self.strays.clear();
        reserve(
            &mut self.strays,
            usize::from(index.layout.slots_per_page()),
            "neighbour selection",
        )?;
        let first = index.first_node_block();
        let count = storage.blocks()?.saturating_sub(first);
        for step in 0..count.min(STRAY_PAGES) {
            storage.check_interrupts()?;
            // Below `count`, which is a u32.
            let offset = ((entropy.wrapping_add(u64::from(step))) % u64::from(count)) as u32;
            let block = first.saturating_add(offset);
            let strays = &mut self.strays;
            storage
                .read(block, |bytes| {
                    if page_kind(bytes)? != Some(PageKind::Node) {
                        return Ok(());
                    }
                    for (at, slot) in NodePage::open(bytes, &index.layout)?.slots() {
                        if slot.is_ok_and(|slot| slot.head.state == SlotState::Live) {
                            strays.extend(index.layout.id(block, at));
                        }
                    }
                    Ok(())
                })?
                .map_err(|error: crate::index::page::PageError| error.at(block))?;
            strays.retain(|id| Some(*id) != sought.own);
            if !strays.is_empty() {
                return Ok(());
            }
        }
        Ok(())
    }
}
