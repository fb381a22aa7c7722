//! Bringing lists down to what the index keeps.
//!
//! A list may hold more than the index will, see [`slack`](super::elements::slack). Only when it is full a selection brings it
//! down again, and [`Trimmer`] brings down what is left in the end.

use super::elements::Elements;
use super::team::Work;
use crate::index::hnsw::Index;
use crate::index::hnsw::queue::{Candidate, pack, reserve};
use crate::index::hnsw::select::Selector;
use crate::index::quantize::Query;
use crate::index::{IndexError, SlotId};

/// The memory for selections from lists.
#[derive(Debug, Default)]
pub(super) struct Pruner {
    query: Query,
    list: Vec<Candidate>,
    selector: Selector,
}

impl Pruner {
    pub(super) fn new(index: &Index) -> Result<Self, IndexError> {
        let mut pruner = Pruner::default();
        // The longest list, and as many as may be merged with it.
        let longest = 4 * usize::from(index.m) + 2;
        reserve(&mut pruner.list, longest, "neighbour selection")?;
        pruner.selector.reserve(longest)?;
        Ok(pruner)
    }

    /// Replaces the list of `owner` at a level by a selection from it and from `more`, as long as the index keeps. The caller has
    /// the list's lock.
    pub(super) fn prune(
        &mut self,
        elements: &Elements,
        index: &Index,
        owner: SlotId,
        level: u8,
        more: &[SlotId],
    ) {
        let Some((lists, number)) = elements.list(owner, level) else {
            return;
        };
        let known = lists.iter(number).filter(|id| !more.contains(id));
        self.list.clear();
        for id in known.chain(more.iter().copied()) {
            elements.prefetch_code(id);
            self.list.push(Candidate { key: 0.0, id });
        }
        self.query.prepare_code(&index.quantizer, elements.code(owner));
        for candidate in &mut self.list {
            candidate.key = self.query.estimate(elements.code(candidate.id));
        }
        self.list
            .sort_unstable_by_key(|candidate| pack(candidate.key, candidate.id, 0));
        let limit = index.layout.max_neighbours(level);
        let between = |a, b| elements.between(&index.quantizer, a, b);
        let kept = self.selector.select_by(
            owner,
            self.list.iter().copied(),
            limit,
            limit,
            between,
            |candidate| elements.fill_key(&index.quantizer, candidate),
        );
        lists.set(number, kept.iter().map(|candidate| candidate.id));
    }
}

/// Brings every list down to what the index keeps. An item is an element.
pub(super) struct Trimmer<'a> {
    pub(super) elements: &'a Elements,
    pub(super) index: &'a Index,
}

impl Work for Trimmer<'_> {
    type Scratch = Pruner;

    fn scratch(&self) -> Result<Pruner, IndexError> {
        Pruner::new(self.index)
    }

    fn items(&self) -> u64 {
        u64::from(self.elements.count())
    }

    fn share(&self) -> u64 {
        1024
    }

    fn item(&self, item: u64, pruner: &mut Pruner) -> Result<(), IndexError> {
        // Items are below the count, which is a u32.
        let id = SlotId(item as u32);
        for level in 0..=self.elements.row(id).level {
            let limit = self.index.layout.max_neighbours(level);
            if self
                .elements
                .list(id, level)
                .is_some_and(|(lists, number)| lists.iter(number).count() > limit)
            {
                pruner.prune(self.elements, self.index, id, level, &[]);
            }
        }
        Ok(())
    }
}
