//! Linking elements into the graph, from many threads.
//!
//! Algorithm 1 of the paper (arXiv 1603.09320), with all elements known beforehand: they are linked from the highest level
//! downwards, so that the upper levels and the entries are settled before the many elements of level 0 come. At a level the
//! others come in an order that jumps about, since tables are often sorted by something that the vectors know of.
//!
//! A list may hold more than the index will, see [`slack`](super::elements::slack): only when it is full a selection brings it
//! down again, and [`Trimmer`] brings down what is left in the end.

// Ids come from the build itself, which numbers its elements from 0.
#![allow(clippy::indexing_slicing)]

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::elements::Elements;
use super::team::{Stop, Work};
use crate::index::hnsw::Index;
use crate::index::hnsw::hash::mix;
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::hnsw::select::Selector;
use crate::index::hnsw::walk::{Beam, Graph, Overflow, descend};
use crate::index::page::{ENTRY_COUNT, Entry};
use crate::index::{IndexError, SlotId};

/// Locks that writers of lists share by a hash of the owner's id.
const LOCKS: usize = 1 << 12;

/// The elements as a graph. The query is an element.
pub(super) struct ElementGraph<'a> {
    pub(super) elements: &'a Elements,
    pub(super) index: &'a Index,
    pub(super) stop: &'a Stop,
}

impl Graph for ElementGraph<'_> {
    type Query = SlotId;

    fn id_bound(&self) -> u32 {
        self.elements.count()
    }

    #[inline]
    fn neighbours(&mut self, id: SlotId, level: u8, out: &mut Vec<SlotId>) -> Result<(), IndexError> {
        out.clear();
        if let Some((lists, list)) = self.elements.list(id, level) {
            reserve(out, lists.degree(), "neighbours of a search")?;
            out.extend(lists.iter(list));
        }
        Ok(())
    }

    #[inline]
    fn estimate(&mut self, query: &SlotId, ids: &[SlotId], out: &mut Vec<f32>) -> Result<(), IndexError> {
        out.clear();
        reserve(out, ids.len(), "estimates of a search")?;
        // The codes lie anywhere in memory; all are asked for before the first is used.
        ids.iter().for_each(|id| self.elements.prefetch_code(*id));
        let code = self.elements.code(*query);
        out.extend(
            ids.iter()
                .map(|id| self.index.quantizer.between(code, self.elements.code(*id))),
        );
        Ok(())
    }

    #[inline]
    fn will_expand(&mut self, id: SlotId, level: u8) {
        self.elements.prefetch_list(id, level);
    }

    fn check(&mut self) -> Result<(), IndexError> {
        self.stop.check()
    }
}

/// The order in which elements are linked: those above level 0 from the highest level on, then all others.
#[derive(Debug)]
pub(super) struct Order {
    upper: Vec<SlotId>,
    count: u32,
    /// How far the order jumps among the others; has no divisor in common with `count`.
    step: u32,
}

impl Order {
    fn new(elements: &Elements) -> Result<Self, IndexError> {
        let count = elements.count();
        let mut upper = Vec::new();
        for id in (0..count).map(SlotId) {
            let row = elements.row(id);
            if row.ranked && row.level > 0 {
                reserve(&mut upper, 1, "order of an index build")?;
                upper.push(id);
            }
        }
        upper.sort_unstable_by_key(|id| (std::cmp::Reverse(elements.row(*id).level), *id));
        // The golden ratio spreads any first part of the order evenly.
        let golden = (f64::from(count) * 0.618_033_988_75) as u32;
        let step = (golden.max(1)..)
            .find(|step| divisor(*step, count.max(1)) == 1)
            .unwrap_or(1);
        Ok(Order { upper, count, step })
    }

    fn len(&self) -> u64 {
        self.upper.len() as u64 + u64::from(self.count)
    }

    /// The element at a place of the order; none where it came before or has no rank.
    fn get(&self, item: u64, elements: &Elements) -> Option<SlotId> {
        let upper = self.upper.len() as u64;
        if item < upper {
            return Some(self.upper[item as usize]);
        }
        let id = SlotId(((item - upper) * u64::from(self.step) % u64::from(self.count)) as u32);
        let row = elements.row(id);
        (row.ranked && row.level == 0).then_some(id)
    }
}

/// The greatest common divisor.
fn divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { divisor(b, a % b) }
}

/// Links all elements.
pub(super) struct Linker<'a> {
    elements: &'a Elements,
    index: &'a Index,
    stop: &'a Stop,
    order: Order,
    entries: Vec<Entry>,
    locks: Vec<Mutex<()>>,
}

/// The memory of one thread.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    beam: Beam,
    found: Vec<Candidate>,
    list: Vec<Candidate>,
    selector: Selector,
    reselector: Selector,
}

impl Scratch {
    fn new(elements: &Elements, index: &Index) -> Result<Self, IndexError> {
        let ef = usize::from(index.ef_construction);
        let mut scratch = Scratch {
            beam: Beam::new(Overflow::Drop),
            ..Scratch::default()
        };
        scratch.beam.reset(elements.count(), ef)?;
        reserve(&mut scratch.found, ef + ENTRY_COUNT, "neighbour selection")?;
        let list = 4 * usize::from(index.m) + ef;
        reserve(&mut scratch.list, list, "neighbour selection")?;
        scratch.selector.reserve(list)?;
        scratch.reselector.reserve(list)?;
        Ok(scratch)
    }

    /// What one thread will need.
    pub(super) fn estimated_bytes(count: u32, ef_construction: u16, m: u16) -> usize {
        let candidates = 12 * usize::from(m) + 8 * usize::from(ef_construction);
        Beam::estimated_bytes(count, usize::from(ef_construction)) + candidates * size_of::<Candidate>()
    }
}

impl<'a> Linker<'a> {
    pub(super) fn new(elements: &'a Elements, index: &'a Index, stop: &'a Stop) -> Result<Self, IndexError> {
        let order = Order::new(elements)?;
        let mut entries: Vec<Entry> = Vec::new();
        reserve(&mut entries, ENTRY_COUNT, "entries of an index build")?;
        let items = (0..order.len()).filter_map(|item| order.get(item, elements));
        entries.extend(items.take(ENTRY_COUNT).map(|id| Entry {
            id,
            level: elements.row(id).level,
        }));
        let mut locks = Vec::new();
        reserve(&mut locks, LOCKS, "locks of an index build")?;
        locks.resize_with(LOCKS, Mutex::default);
        Ok(Linker {
            elements,
            index,
            stop,
            order,
            entries,
            locks,
        })
    }

    /// The elements of the highest levels.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes that a linker takes beside the elements.
    pub(super) fn estimated_bytes(count: u32, m: u16) -> usize {
        count as usize / usize::from(m.max(2)) * 2 * size_of::<SlotId>() + LOCKS * size_of::<Mutex<()>>()
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
            index: self.index,
            stop: self.stop,
        };
        let level = self.elements.row(id).level;
        let ef = usize::from(self.index.ef_construction);
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
        descend(&mut scratch.beam, &mut graph, &id, &entries[..count], top, ef)?;
        for level in (0..=top).rev() {
            scratch.beam.run(&mut graph, &id, level)?;
            scratch.found.clear();
            scratch.found.extend(scratch.beam.found());
            self.link_at(id, level, scratch);
            if level > 0 {
                scratch.beam.reset(graph.id_bound(), ef)?;
                scratch.beam.seed(scratch.found.iter().copied())?;
                let at_level = entries[..count].iter().filter(|entry| entry.level == level - 1);
                scratch
                    .beam
                    .offer(&mut graph, &id, at_level.map(|entry| entry.id))?;
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
            list,
            selector,
            reselector,
            ..
        } = scratch;
        let chosen = selector.select(id, found.iter().copied(), wanted, wanted, between);
        chosen
            .iter()
            .for_each(|candidate| self.elements.prefetch_list(candidate.id, level));
        self.merge_list(id, level, chosen, list, reselector);
        for candidate in chosen {
            self.add_back_link(
                candidate.id,
                Candidate {
                    key: candidate.key,
                    id,
                },
                level,
                list,
                reselector,
            );
        }
    }

    /// Writes the list of a new element. It is empty but for an entry, which others may have linked to before its turn.
    fn merge_list(
        &self,
        id: SlotId,
        level: u8,
        chosen: &[Candidate],
        list: &mut Vec<Candidate>,
        selector: &mut Selector,
    ) {
        let Some((lists, number)) = self.elements.list(id, level) else {
            return;
        };
        let _lock = self.lock(id);
        let is_new = |other: &SlotId| chosen.iter().all(|candidate| candidate.id != *other);
        let known = lists.iter(number).filter(is_new).count();
        if known == 0 {
            lists.set(number, chosen.iter().map(|candidate| candidate.id));
            return;
        }
        let both = lists
            .iter(number)
            .filter(is_new)
            .chain(chosen.iter().map(|candidate| candidate.id));
        self.elements.rank(&self.index.quantizer, id, both, list);
        let limit = self.index.layout.max_neighbours(level);
        let kept = selector.select(id, list.iter().copied(), limit, limit, |a, b| self.between(a, b));
        lists.set(number, kept.iter().map(|candidate| candidate.id));
    }

    /// Adds `new` to the list of `owner`. A full list is selected from anew.
    fn add_back_link(
        &self,
        owner: SlotId,
        new: Candidate,
        level: u8,
        list: &mut Vec<Candidate>,
        selector: &mut Selector,
    ) {
        let Some((lists, number)) = self.elements.list(owner, level) else {
            return;
        };
        let _lock = self.lock(owner);
        for place in lists.places(number) {
            let id = SlotId(place.load(Ordering::Relaxed));
            if id == new.id {
                return;
            }
            if id == SlotId::NONE {
                place.store(new.id.0, Ordering::Relaxed);
                return;
            }
        }
        let all = lists.iter(number).chain([new.id]);
        self.elements.rank(&self.index.quantizer, owner, all, list);
        let limit = self.index.layout.max_neighbours(level);
        let kept = selector.select(owner, list.iter().copied(), limit, limit, |a, b| {
            self.between(a, b)
        });
        lists.set(number, kept.iter().map(|candidate| candidate.id));
    }
}

impl Work for Linker<'_> {
    type Scratch = Scratch;

    fn scratch(&self) -> Result<Scratch, IndexError> {
        Scratch::new(self.elements, self.index)
    }

    fn items(&self) -> u64 {
        self.order.len()
    }

    fn item(&self, item: u64, scratch: &mut Scratch) -> Result<(), IndexError> {
        match self.order.get(item, self.elements) {
            Some(id) => self.link(id, scratch),
            None => Ok(()),
        }
    }
}

/// Brings every list down to what the index keeps. An item is an element.
pub(super) struct Trimmer<'a> {
    pub(super) elements: &'a Elements,
    pub(super) index: &'a Index,
}

impl Work for Trimmer<'_> {
    type Scratch = (Vec<Candidate>, Selector);

    fn scratch(&self) -> Result<Self::Scratch, IndexError> {
        let mut scratch = Self::Scratch::default();
        reserve(
            &mut scratch.0,
            4 * usize::from(self.index.m),
            "neighbour selection",
        )?;
        scratch.1.reserve(4 * usize::from(self.index.m))?;
        Ok(scratch)
    }

    fn items(&self) -> u64 {
        u64::from(self.elements.count())
    }

    fn item(&self, item: u64, (list, selector): &mut Self::Scratch) -> Result<(), IndexError> {
        // Items are below the count, which is a u32.
        let id = SlotId(item as u32);
        for level in 0..=self.elements.row(id).level {
            let Some((lists, number)) = self.elements.list(id, level) else {
                continue;
            };
            let limit = self.index.layout.max_neighbours(level);
            if lists.iter(number).count() > limit {
                self.elements
                    .rank(&self.index.quantizer, id, lists.iter(number), list);
                let between = |a, b| self.elements.between(&self.index.quantizer, a, b);
                let kept = selector.select(id, list.iter().copied(), limit, limit, between);
                lists.set(number, kept.iter().map(|candidate| candidate.id));
            }
        }
        Ok(())
    }
}
