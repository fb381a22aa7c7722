//! The order in which elements are linked.
//!
//! Elements above level 0 come first, from the highest level downwards, so that the upper levels and the entries are settled
//! before the many elements of level 0 come. Those come in groups that lie near each other in space, so that one insertion finds
//! in the processor's cache what the insertion before it has read: by the nearest element of level 1, and these by their nearest
//! of level 2. They come twice: first a quarter of each group, then the rest, so that what is linked first does not lack the
//! regions that come last.

// Places are those of arrays made here.
#![allow(clippy::indexing_slicing)]

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use super::elements::Elements;
use super::graph::ElementGraph;
use super::team::{Stop, Supervisor, Work};
use crate::index::hnsw::Index;
use crate::index::hnsw::hash::mix;
use crate::index::hnsw::queue::reserve;
use crate::index::hnsw::sort::sort_by_key;
use crate::index::hnsw::walk::{Beam, Overflow, descend};
use crate::index::page::{ENTRY_COUNT, Entry};
use crate::index::quantize::Query;
use crate::index::{IndexError, SlotId};

/// One of so many elements of level 0 comes before the others.
const EARLY: u64 = 4;
/// Added to the number of a group: of the part that comes after all others. There are fewer groups.
const LATER: u64 = 1 << 31;

/// Elements looked at between two questions whether to go on.
const STEP: u32 = 1 << 14;

const WHAT: &str = "order of an index build";

/// The elements of the graph in the order in which they are linked.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Those above level 0, by descending level.
    upper: Vec<SlotId>,
    /// Of each of them the group, in the upper half, and the place in `upper`.
    upper_groups: Vec<AtomicU64>,
    /// Those of level 0: the group in the upper half, the id in the lower.
    base: Vec<AtomicU64>,
}

impl Order {
    /// All elements of the graph, those of level 0 in one group.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`], [`IndexError::Interrupted`].
    pub(super) fn new(elements: &Elements, supervisor: &dyn Supervisor) -> Result<Self, IndexError> {
        let mut order = Order::default();
        let mut upper_count = 0;
        each_ranked(elements, supervisor, |_, level| {
            upper_count += usize::from(level > 0)
        })?;
        reserve(&mut order.upper, upper_count, WHAT)?;
        // All elements are in it in the end, see `gather`.
        reserve(&mut order.base, elements.count() as usize, WHAT)?;
        each_ranked(elements, supervisor, |id, level| match level {
            0 => order.base.push(AtomicU64::new(u64::from(id.0))),
            _ => order.upper.push(id),
        })?;
        sort_by_key(
            &mut order.upper,
            |id| level_and_id(elements, *id),
            || Ok(supervisor.check()?),
        )?;
        reserve(&mut order.upper_groups, upper_count, WHAT)?;
        order
            .upper_groups
            .extend((0..upper_count as u64).map(|place| AtomicU64::new(place << 32 | place)));
        Ok(order)
    }

    /// What an order of so many elements occupies.
    pub(super) fn estimated_bytes(count: u32, m: u16) -> usize {
        let upper = count as usize / usize::from(m.max(2));
        count as usize * size_of::<u64>() + upper * (size_of::<SlotId>() + 2 * size_of::<u64>())
    }

    /// The elements above level 0, by descending level.
    pub(super) fn upper(&self) -> &[SlotId] {
        &self.upper
    }

    pub(super) fn base_len(&self) -> usize {
        self.base.len()
    }

    /// An element of level 0.
    pub(super) fn base(&self, place: usize) -> SlotId {
        SlotId(lower_half(self.base[place].load(Relaxed)))
    }

    /// The elements of the highest levels.
    pub(super) fn entries(&self, elements: &Elements) -> Result<Vec<Entry>, IndexError> {
        let mut entries = Vec::new();
        reserve(&mut entries, ENTRY_COUNT, WHAT)?;
        let base = (0..self.base.len()).map(|place| self.base(place));
        let ids = self.upper.iter().copied().chain(base).take(ENTRY_COUNT);
        entries.extend(ids.map(|id| Entry {
            id,
            level: elements.row(id).level,
        }));
        Ok(entries)
    }

    /// Numbers the groups of level 0 after those of level 1 are known: a group is what lies nearest to one element of level 1, and
    /// its number the place of that element among the groups of level 1.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`], [`IndexError::Interrupted`].
    pub(super) fn rank_upper(&mut self, supervisor: &dyn Supervisor) -> Result<(), IndexError> {
        let mut sorted: Vec<u64> = Vec::new();
        reserve(&mut sorted, self.upper.len(), WHAT)?;
        sorted.extend(self.upper_groups.iter().map(|group| group.load(Relaxed)));
        sort_by_key(&mut sorted, |group| *group, || Ok(supervisor.check()?))?;
        for (rank, place) in (0..).zip(sorted) {
            self.upper_groups[lower_half(place) as usize].store(rank, Relaxed);
        }
        Ok(())
    }

    /// Brings the elements of level 0 in the order of their groups.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`].
    pub(super) fn sort_base(&mut self, supervisor: &dyn Supervisor) -> Result<(), IndexError> {
        sort_by_key(
            &mut self.base,
            |place| place.load(Relaxed),
            || Ok(supervisor.check()?),
        )
    }

    /// Brings all elements in the order of their groups, those of level 0 with the one they lie around, once linking is over.
    /// Elements that are not in the graph come last.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`].
    pub(super) fn gather(
        &mut self,
        elements: &Elements,
        supervisor: &dyn Supervisor,
    ) -> Result<(), IndexError> {
        for place in &mut self.base {
            *place.get_mut() &= !(LATER << 32);
        }
        // Within what `new` has reserved.
        let upper = self.upper.drain(..).zip(&self.upper_groups);
        let ranked = upper.map(|(id, group)| group.load(Relaxed) << 32 | u64::from(id.0));
        self.base.extend(ranked.map(AtomicU64::new));
        supervisor.check()?;
        let outside = (0..elements.count()).filter(|id| !elements.row(SlotId(*id)).ranked);
        let outside = outside.map(|id| (LATER - 1) << 32 | u64::from(id));
        self.base.extend(outside.map(AtomicU64::new));
        self.sort_base(supervisor)
    }

    /// How many elements there are, after [`Order::gather`].
    pub(super) fn len(&self) -> usize {
        self.base.len()
    }

    /// All elements in order, after [`Order::gather`].
    pub(super) fn gathered(&self) -> impl Iterator<Item = SlotId> + '_ {
        (0..self.base.len()).map(|place| self.base(place))
    }
}

/// Shows the elements of the graph and their levels, by ascending ids.
fn each_ranked(
    elements: &Elements,
    supervisor: &dyn Supervisor,
    mut look: impl FnMut(SlotId, u8),
) -> Result<(), IndexError> {
    for id in 0..elements.count() {
        if id.is_multiple_of(STEP) {
            supervisor.check()?;
        }
        let row = elements.row(SlotId(id));
        if row.ranked {
            look(SlotId(id), row.level);
        }
    }
    Ok(())
}

/// A number that orders by descending levels, then by ascending ids.
fn level_and_id(elements: &Elements, id: SlotId) -> u64 {
    u64::from(u8::MAX - elements.row(id).level) << 32 | u64::from(id.0)
}

/// The part of a packed pair that is below 2^32.
#[allow(clippy::cast_possible_truncation)]
fn lower_half(pair: u64) -> u32 {
    pair as u32
}

/// Finds groups: for elements of one level the nearest element of the level above. Those above are linked.
pub(super) struct Grouper<'a> {
    pub(super) elements: &'a Elements,
    pub(super) index: &'a Index,
    pub(super) stop: &'a Stop,
    pub(super) entries: &'a [Entry],
    pub(super) order: &'a Order,
    /// 0 or 1: the level of the elements to be grouped.
    pub(super) level: u8,
}

impl Grouper<'_> {
    /// The place of an element above level 0.
    fn place(&self, id: SlotId) -> Option<usize> {
        let key = level_and_id(self.elements, id);
        self.order
            .upper
            .binary_search_by_key(&key, |id| level_and_id(self.elements, *id))
            .ok()
    }
}

impl Work for Grouper<'_> {
    type Scratch = (Beam, Query);

    fn scratch(&self) -> Result<(Beam, Query), IndexError> {
        let mut beam = Beam::new(Overflow::Drop);
        beam.reset(self.elements.count(), 1)?;
        Ok((beam, Query::default()))
    }

    fn items(&self) -> u64 {
        if self.level == 0 {
            self.order.base.len() as u64
        } else {
            self.order.upper.len() as u64
        }
    }

    fn item(&self, item: u64, (beam, query): &mut (Beam, Query)) -> Result<(), IndexError> {
        let place = item as usize;
        let id = if self.level == 0 {
            self.order.base(place)
        } else {
            self.order.upper[place]
        };
        if self.elements.row(id).level > self.level {
            return Ok(());
        }
        let mut graph = ElementGraph {
            elements: self.elements,
            stop: self.stop,
        };
        query.prepare_code(&self.index.quantizer, self.elements.code(id));
        descend(beam, &mut graph, query, self.entries, self.level + 1, 1)?;
        beam.run(&mut graph, query, self.level + 1)?;
        let nearest = beam.found().next().and_then(|nearest| self.place(nearest.id));
        let groups = &self.order.upper_groups;
        match nearest {
            Some(nearest) if self.level == 0 => {
                let later = if mix(u64::from(id.0)).is_multiple_of(EARLY) {
                    0
                } else {
                    LATER
                };
                let rank = later | groups[nearest].load(Relaxed);
                self.order.base[place].store(rank << 32 | u64::from(id.0), Relaxed);
            }
            Some(nearest) => groups[place].store((nearest as u64) << 32 | item, Relaxed),
            None => {}
        }
        Ok(())
    }
}
