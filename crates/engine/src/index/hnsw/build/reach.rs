//! Every element reachable: the last step of a build.
//!
//! Selections drop links, and threads overwrite each other's, so that an element may end up in no list that a search comes by.
//! All that the first entry does not lead to at level 0 gets a link from near.

use super::elements::Elements;
use super::graph::ElementGraph;
use super::team::{Stop, Supervisor};
use crate::index::hnsw::Index;
use crate::index::hnsw::queue::reserve;
use crate::index::hnsw::walk::{Beam, Overflow, descend};
use crate::index::page::Entry;
use crate::index::quantize::Query;
use crate::index::{IndexError, SlotId};

/// Elements looked at between two questions whether to go on.
const STEP: usize = 1 << 12;

/// A set of elements, one bit each.
#[derive(Debug, Default)]
struct Bitmap(Vec<u64>);

impl Bitmap {
    fn new(count: u32) -> Result<Self, IndexError> {
        let words = (count as usize).div_ceil(64);
        let mut bits = Vec::new();
        reserve(&mut bits, words, "reachability of index elements")?;
        bits.resize(words, 0);
        Ok(Bitmap(bits))
    }

    fn contains(&self, id: SlotId) -> bool {
        self.0
            .get(id.0 as usize / 64)
            .is_some_and(|word| word >> (id.0 % 64) & 1 == 1)
    }

    fn insert(&mut self, id: SlotId) {
        if let Some(word) = self.0.get_mut(id.0 as usize / 64) {
            *word |= 1 << (id.0 % 64);
        }
    }
}

/// Which elements can be reached. Needs two bits per element.
#[derive(Debug)]
pub(super) struct Reach<'a> {
    elements: &'a Elements,
    reached: Bitmap,
    expanded: Bitmap,
}

impl<'a> Reach<'a> {
    pub(super) fn new(elements: &'a Elements) -> Result<Self, IndexError> {
        let count = elements.count();
        Ok(Reach {
            elements,
            reached: Bitmap::new(count)?,
            expanded: Bitmap::new(count)?,
        })
    }

    /// What it occupies.
    pub(super) fn estimated_bytes(count: u32) -> usize {
        2 * (count as usize).div_ceil(64) * size_of::<u64>()
    }

    /// Marks all that `start` leads to at level 0. There is no queue: passes over the bitmaps expand what is reached and not
    /// expanded, until nothing is.
    pub(super) fn spread(&mut self, start: SlotId, supervisor: &dyn Supervisor) -> Result<(), IndexError> {
        self.reached.insert(start);
        // Whatever is new lies at these words.
        let (mut first, mut last) = (start.0 as usize / 64, start.0 as usize / 64);
        while first <= last {
            let (mut next_first, mut next_last) = (usize::MAX, 0);
            let (from, to) = (first, last);
            let mut word = from;
            while word <= to {
                if word % STEP == 0 {
                    supervisor.check()?;
                }
                let Some(id) = self.take_new(word) else {
                    word += 1;
                    continue;
                };
                for neighbour in self
                    .elements
                    .list(id, 0)
                    .into_iter()
                    .flat_map(|(lists, list)| lists.iter(list))
                {
                    if !self.reached.contains(neighbour) {
                        self.reached.insert(neighbour);
                        let place = neighbour.0 as usize / 64;
                        // What lies before is for the next pass, what lies behind is still met in this one.
                        if place < word || place > to {
                            (next_first, next_last) = (next_first.min(place), next_last.max(place));
                        }
                    }
                }
            }
            (first, last) = (next_first, next_last);
        }
        Ok(())
    }

    /// An element of this word of the bitmaps that is reached and was not expanded; marks it as expanded.
    fn take_new(&mut self, word: usize) -> Option<SlotId> {
        let (reached, expanded) = (self.reached.0.get(word)?, self.expanded.0.get_mut(word)?);
        let new = reached & !*expanded;
        if new == 0 {
            return None;
        }
        *expanded |= new & new.wrapping_neg();
        // Words cover ids below the count, which is a u32.
        Some(SlotId(word as u32 * 64 + new.trailing_zeros()))
    }

    /// The first element of the graph from `from` on that is not reached. Many may be outside the graph.
    pub(super) fn first_unreached(
        &self,
        from: u32,
        supervisor: &dyn Supervisor,
    ) -> Result<Option<SlotId>, IndexError> {
        let mut id = from;
        let mut looked_at = 0;
        while id < self.elements.count() {
            looked_at += 1;
            if looked_at % STEP == 0 {
                supervisor.check()?;
            }
            if id.is_multiple_of(64) && self.reached.0.get(id as usize / 64) == Some(&u64::MAX) {
                id += 64;
                continue;
            }
            if !self.reached.contains(SlotId(id)) && self.elements.row(SlotId(id)).ranked {
                return Ok(Some(SlotId(id)));
            }
            id += 1;
        }
        Ok(None)
    }
}

/// Links whatever the first entry does not lead to. Returns how many links that took.
pub(super) fn connect(
    elements: &Elements,
    index: &Index,
    entries: &[Entry],
    supervisor: &dyn Supervisor,
) -> Result<u32, IndexError> {
    let Some(root) = entries.first() else {
        return Ok(0);
    };
    let mut reach = Reach::new(elements)?;
    reach.spread(root.id, supervisor)?;
    let mut repaired = 0;
    let mut from = 0;
    let mut beam = Beam::new(Overflow::Drop);
    let stop = Stop::default();
    let mut query = Query::default();
    let mut graph = ElementGraph {
        elements,
        stop: &stop,
    };
    while let Some(lost) = reach.first_unreached(from, supervisor)? {
        supervisor.check()?;
        // From the root alone, so that whatever is found is reached.
        let start = Entry {
            id: root.id,
            level: root.level,
        };
        query.prepare_code(&index.quantizer, elements.code(lost));
        descend(
            &mut beam,
            &mut graph,
            &query,
            &[start],
            0,
            usize::from(index.ef_construction),
        )?;
        beam.run(&mut graph, &query, 0)?;
        let near = beam
            .found()
            .map(|candidate| candidate.id)
            .find(|id| reach.reached.contains(*id) && *id != lost);
        attach(elements, index, near.unwrap_or(root.id), lost);
        repaired += 1;
        reach.spread(lost, supervisor)?;
        from = lost.0 + 1;
    }
    Ok(repaired)
}

/// Puts `lost` into the list of `near`. If that is full its farthest neighbour makes room, and `lost` leads to it instead: all
/// that was reached stays reached.
fn attach(elements: &Elements, index: &Index, near: SlotId, lost: SlotId) {
    let (Some((lists, near_list)), Some((_, lost_list))) = (elements.list(near, 0), elements.list(lost, 0))
    else {
        return;
    };
    let limit = index.layout.max_neighbours(0);
    let mut kept: Vec<SlotId> = lists.iter(near_list).collect();
    if kept.len() < limit {
        kept.push(lost);
        lists.set(near_list, kept);
        return;
    }
    let farthest = |owner: SlotId, ids: &[SlotId]| {
        let key = |id: &SlotId| elements.between(&index.quantizer, owner, *id);
        ids.iter()
            .enumerate()
            .max_by(|(_, a), (_, b)| key(a).total_cmp(&key(b)))
            .map(|(place, _)| place)
    };
    let Some(place) = farthest(near, &kept).and_then(|place| kept.get_mut(place)) else {
        return;
    };
    let displaced = std::mem::replace(place, lost);
    lists.set(near_list, kept);
    let mut of_lost: Vec<SlotId> = lists.iter(lost_list).collect();
    if of_lost.contains(&displaced) {
        return;
    }
    if of_lost.len() >= limit {
        farthest(lost, &of_lost).map(|place| of_lost.swap_remove(place));
    }
    of_lost.push(displaced);
    lists.set(lost_list, of_lost);
}
