//! Which elements a search can come to from the entries.
//!
//! The upper levels hold few elements and are walked by peeks. Level 0 is spread over in passes over the pages: a pass visits
//! the pages on which an element was met whose neighbours were not yet, in ascending order, and carries on within a page as far
//! as it leads; some four to eight passes end it, all but the first two over few pages. Memory: two bits an element, and four
//! bytes for each element above level 0.

use crate::index::page::{EntrySet, SlotState};
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::Index;
use super::idset::IdSet;
use super::paged::{OwnCode, PagedGraph, PagedScratch};
use super::queue::reserve;
use super::sweep::{Content, PageCopy};
use super::walk::Graph;

/// The elements that were met.
#[derive(Debug)]
pub(crate) struct Reach<'i> {
    index: &'i Index,
    id_bound: u32,
    met: IdSet,
    /// Those whose neighbours at level 0 were met too.
    expanded: IdSet,
    scratch: PagedScratch,
    list: Vec<SlotId>,
    open: Vec<SlotId>,
}

impl<'i> Reach<'i> {
    /// Nothing met yet, of the elements that the index has now.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::OutOfMemory`].
    pub(crate) fn new<S: PageRead>(index: &'i Index, storage: &mut S) -> Result<Self, IndexError> {
        let id_bound = index.layout.id_bound(storage.blocks()?)?;
        Ok(Self {
            index,
            id_bound,
            met: IdSet::with_bound(id_bound)?,
            expanded: IdSet::with_bound(id_bound)?,
            scratch: PagedScratch::default(),
            list: Vec::new(),
            open: Vec::new(),
        })
    }

    /// Whatever was met: live elements, dead ones, and what lists name wrongly.
    pub(crate) fn met(&self) -> &IdSet {
        &self.met
    }

    /// Spreads from the entries over all levels.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::OutOfMemory`].
    pub(crate) fn spread_from_entries<S: PageRead>(
        &mut self,
        storage: &mut S,
        entries: &EntrySet,
    ) -> Result<(), IndexError> {
        for level in (1..=entries.max_level().unwrap_or(0)).rev() {
            self.open.clear();
            reserve(&mut self.open, self.met.len(), "elements of a level")?;
            self.open.extend(self.met.iter());
            for entry in entries.iter().filter(|entry| entry.level == level) {
                self.meet(entry.id)?;
            }
            self.follow(storage, level)?;
        }
        for entry in entries.iter() {
            self.meet(entry.id)?;
        }
        self.open.clear();
        self.pass_over_pages(storage)
    }

    /// Spreads from one element over level 0 alone.
    ///
    /// # Errors
    /// As [`Reach::spread_from_entries`].
    pub(crate) fn spread_at_level_0<S: PageRead>(
        &mut self,
        storage: &mut S,
        id: SlotId,
    ) -> Result<(), IndexError> {
        self.meet(id)?;
        self.open.clear();
        self.pass_over_pages(storage)
    }

    /// Spreads at level 0 from one more element, by peeks: for what little the passes did not meet.
    ///
    /// # Errors
    /// As [`Reach::spread_from_entries`].
    pub(crate) fn spread_from_element<S: PageRead>(
        &mut self,
        storage: &mut S,
        id: SlotId,
    ) -> Result<(), IndexError> {
        self.open.clear();
        self.meet(id)?;
        self.follow(storage, 0)
    }

    /// Notes an element; if it is new it will be expanded.
    fn meet(&mut self, id: SlotId) -> Result<(), IndexError> {
        if id.0 < self.id_bound && self.met.insert(id)? {
            reserve(&mut self.open, 1, "elements to follow")?;
            self.open.push(id);
        }
        Ok(())
    }

    /// Follows the lists of a level from all that is open.
    fn follow<S: PageRead>(&mut self, storage: &mut S, level: u8) -> Result<(), IndexError> {
        let mut list = std::mem::take(&mut self.list);
        while let Some(id) = self.open.pop() {
            storage.check_interrupts()?;
            if level == 0 {
                self.expanded.insert(id)?;
            }
            PagedGraph::<S, OwnCode>::new(self.index, storage, &mut self.scratch, self.id_bound)
                .neighbours(id, level, &mut list)?;
            for neighbour in &list {
                self.meet(*neighbour)?;
            }
        }
        self.list = list;
        Ok(())
    }

    /// Spreads over level 0 from all that was met.
    fn pass_over_pages<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        let mut copy = PageCopy::new();
        let blocks = storage.blocks()?;
        let mut from = 0;
        loop {
            let Some(id) = self.met.next_not_in(&self.expanded, from) else {
                if from == 0 {
                    return Ok(());
                }
                from = 0;
                continue;
            };
            let (block, _) = self.index.layout.slot(id);
            storage.check_interrupts()?;
            if block >= self.index.first_node_block() && block < blocks {
                copy.load(storage, block)?;
                self.spread_on_page(&copy)?;
            }
            // What the page does not hold cannot be expanded.
            let slots = u32::from(self.index.layout.slots_per_page());
            let end = block.saturating_add(1).saturating_mul(slots);
            let mut rest = id;
            while rest.0 < end {
                self.expanded.insert(rest)?;
                match self.met.next_not_in(&self.expanded, rest.0) {
                    Some(next) => rest = next,
                    None => break,
                }
            }
            from = end;
        }
    }

    /// Expands all elements on a page that are met, and those on it that are met thereby.
    fn spread_on_page(&mut self, copy: &PageCopy) -> Result<(), IndexError> {
        // A damaged page leads nowhere; that it is damaged is for others to say.
        let Ok(Content::Nodes(page)) = copy.content(self.index) else {
            return Ok(());
        };
        let mut again = true;
        while again {
            again = false;
            for (number, slot) in page.slots() {
                let Some(id) = self.index.layout.id(copy.block(), number) else {
                    continue;
                };
                if !self.met.contains(id) || !self.expanded.insert(id)? {
                    continue;
                }
                let Ok(slot) = slot else { continue };
                if !matches!(slot.head.state, SlotState::Live | SlotState::Dead) {
                    continue;
                }
                for neighbour in slot.neighbours.iter().filter(|id| id.0 < self.id_bound) {
                    // On this page the loop may have gone past it.
                    again |=
                        self.met.insert(neighbour)? && self.index.layout.slot(neighbour).0 == copy.block();
                }
            }
        }
        Ok(())
    }
}
