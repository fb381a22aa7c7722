//! Linking elements into the graph, from many threads.
//!
//! Algorithm 1 of the paper (arXiv 1603.09320), with all elements known beforehand, see [`order`](super::order).
//!
//! Readers of lists take no locks, see [`Lists`]; writers of one list exclude each other.

// Ids come from the build itself, which numbers its elements from 0.
#![allow(clippy::indexing_slicing)]

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::chunks::Lists;
use super::elements::Elements;
use super::graph::ElementGraph;
use super::order::Order;
use super::prune::Pruner;
use super::team::{Stop, Work};
use crate::index::hnsw::Index;
use crate::index::hnsw::hash::mix;
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::hnsw::select::Selector;
use crate::index::hnsw::walk::{Beam, Graph, Overflow, descend};
use crate::index::page::{ENTRY_COUNT, Entry};
use crate::index::quantize::Query;
use crate::index::{IndexError, SlotId};

/// Locks that writers of lists share by a hash of the owner's id.
const LOCKS: usize = 1 << 12;

/// Which elements a [`Linker`] links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Those above level 0.
    Upper,
    /// Those of level 0.
    Base,
}

/// Links elements.
pub(super) struct Linker<'a> {
    elements: &'a Elements,
    index: &'a Index,
    stop: &'a Stop,
    entries: &'a [Entry],
    order: &'a Order,
    part: Part,
    locks: Vec<Mutex<()>>,
}

/// The memory of one thread.
#[derive(Debug)]
pub(super) struct Scratch {
    beam: Beam,
    query: Query,
    found: Vec<Candidate>,
    selector: Selector,
    pruner: Pruner,
}

impl Scratch {
    fn new(elements: &Elements, index: &Index) -> Result<Self, IndexError> {
        let ef = index.build_candidates();
        let mut scratch = Scratch {
            beam: Beam::new(Overflow::Drop),
            query: Query::default(),
            found: Vec::new(),
            selector: Selector::default(),
            pruner: Pruner::new(index)?,
        };
        scratch.beam.reset(elements.count(), ef)?;
        reserve(&mut scratch.found, ef, "neighbour selection")?;
        scratch.selector.reserve(ef)?;
        Ok(scratch)
    }

    /// What one thread will need.
    pub(super) fn estimated_bytes(count: u32, index: &Index) -> usize {
        let (m, ef) = (usize::from(index.m), index.build_candidates());
        let queries = 2 * 4 * usize::from(index.layout.code_bytes().min(1 << 16) as u16);
        Beam::estimated_bytes(count, ef) + (12 * m + 3 * ef) * size_of::<Candidate>() + queries
    }
}

impl<'a> Linker<'a> {
    /// A linker of one part; the part above level 0 comes first.
    pub(super) fn new(
        elements: &'a Elements,
        index: &'a Index,
        stop: &'a Stop,
        entries: &'a [Entry],
        order: &'a Order,
        part: Part,
    ) -> Result<Self, IndexError> {
        let mut locks = Vec::new();
        reserve(&mut locks, LOCKS, "locks of an index build")?;
        locks.resize_with(LOCKS, Mutex::default);
        Ok(Linker {
            elements,
            index,
            stop,
            entries,
            order,
            part,
            locks,
        })
    }

    /// Bytes that a linker takes beside the elements.
    pub(super) fn estimated_bytes() -> usize {
        LOCKS * size_of::<Mutex<()>>()
    }

    fn lock(&self, id: SlotId) -> MutexGuard<'_, ()> {
        let lock = &self.locks[id.0.wrapping_mul(0x9E37_79B1) as usize >> 20];
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn between(&self, a: SlotId, b: SlotId) -> f32 {
        self.elements.between(&self.index.quantizer, a, b)
    }

    /// Finds neighbours for an element at all its levels and links both ways.
    fn link(&self, id: SlotId, scratch: &mut Scratch) -> Result<(), IndexError> {
        let mut graph = ElementGraph {
            elements: self.elements,
            stop: self.stop,
        };
        let level = self.elements.row(id).level;
        let ef = self.index.build_candidates();
        // An entry would find itself.
        let others = self.entries.iter().filter(|entry| entry.id != id).copied();
        let mut entries = [Entry {
            id: SlotId::NONE,
            level: 0,
        }; ENTRY_COUNT];
        let mut count = 0;
        for (place, entry) in entries.iter_mut().zip(others) {
            *place = entry;
            count += 1;
        }
        // Any bits that differ between elements will do.
        scratch.beam.set_salt(mix(u64::from(id.0)) as u32);
        let top = entries[..count]
            .iter()
            .map(|entry| entry.level)
            .max()
            .unwrap_or(0)
            .min(level);
        scratch
            .query
            .prepare_code(&self.index.quantizer, self.elements.code(id));
        descend(
            &mut scratch.beam,
            &mut graph,
            &scratch.query,
            &entries[..count],
            top,
            ef,
        )?;
        for level in (0..=top).rev() {
            scratch.beam.run(&mut graph, &scratch.query, level)?;
            scratch.found.clear();
            scratch.found.extend(scratch.beam.found());
            self.link_at(id, level, scratch);
            if level > 0 {
                scratch.beam.reset(graph.id_bound(), ef)?;
                scratch.beam.seed(scratch.found.iter().copied())?;
                let at_level = entries[..count].iter().filter(|entry| entry.level == level - 1);
                scratch
                    .beam
                    .offer(&mut graph, &scratch.query, at_level.map(|entry| entry.id))?;
            }
        }
        Ok(())
    }

    /// Links an element at one level to the best of `scratch.found`.
    fn link_at(&self, id: SlotId, level: u8, scratch: &mut Scratch) {
        let wanted = self.index.new_neighbours(level);
        let between = |a, b| self.between(a, b);
        let Scratch {
            found,
            selector,
            pruner,
            ..
        } = scratch;
        let fill_key = |candidate: &Candidate| self.elements.fill_key(&self.index.quantizer, candidate);
        let chosen = selector.select_by(id, found.iter().copied(), wanted, wanted, between, fill_key);
        chosen
            .iter()
            .for_each(|candidate| self.elements.prefetch_list(candidate.id, level));
        self.merge_list(id, level, chosen, pruner);
        for candidate in chosen {
            self.add_back_link(candidate.id, id, level, pruner);
        }
    }

    /// Writes the list of a new element. It is empty but for an entry, which others may have linked to before its turn.
    fn merge_list(&self, id: SlotId, level: u8, chosen: &[Candidate], pruner: &mut Pruner) {
        let Some((lists, number)) = self.elements.list(id, level) else {
            return;
        };
        let chosen = chosen.iter().map(|candidate| candidate.id);
        let _lock = self.lock(id);
        if lists.iter(number).next().is_none() {
            lists.set(number, chosen);
            return;
        }
        chosen.for_each(|other| self.insert(lists, number, id, level, other, pruner));
    }

    /// Adds `new` to the list of `owner`.
    fn add_back_link(&self, owner: SlotId, new: SlotId, level: u8, pruner: &mut Pruner) {
        let Some((lists, number)) = self.elements.list(owner, level) else {
            return;
        };
        let _lock = self.lock(owner);
        self.insert(lists, number, owner, level, new, pruner);
    }

    /// Adds `new` to a list. A full one is selected from anew.
    fn insert(&self, lists: &Lists, number: u32, owner: SlotId, level: u8, new: SlotId, pruner: &mut Pruner) {
        for place in lists.places(number) {
            let id = SlotId(place.load(Ordering::Relaxed));
            if id == new {
                return;
            }
            if id == SlotId::NONE {
                place.store(new.0, Ordering::Relaxed);
                return;
            }
        }
        pruner.prune(self.elements, self.index, owner, level, &[new]);
    }
}

impl Work for Linker<'_> {
    type Scratch = Scratch;

    fn scratch(&self) -> Result<Scratch, IndexError> {
        Scratch::new(self.elements, self.index)
    }

    fn items(&self) -> u64 {
        match self.part {
            Part::Upper => self.order.upper().len() as u64,
            Part::Base => self.order.base_len() as u64,
        }
    }

    fn share(&self) -> u64 {
        match self.part {
            Part::Upper => 16,
            // Threads are to work in regions apart: elements that are linked at the same time do not find each other.
            Part::Base => 256,
        }
    }

    fn item(&self, item: u64, scratch: &mut Scratch) -> Result<(), IndexError> {
        let place = item as usize;
        let id = match self.part {
            Part::Upper => self.order.upper()[place],
            Part::Base => self.order.base(place),
        };
        self.link(id, scratch)
    }
}
