//! The second pass of a verification: what pages say about each other.
//!
//! Every neighbour is an element of the graph, of the level of the list at least; every element above level 0 has its lists,
//! and every list in use is that of the element which it names as its owner.

use crate::index::page::{
    MAX_LEVEL, NeighbourList, NodePage, SlotHead, SlotState, UpperId, UpperPage, UpperRecord,
};
use crate::index::storage::{PageRead, Place};
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::paged::PagedScratch;
use super::super::queue::reserve;
use super::super::sweep::{Content, PageCopy, sweep};
use super::pages::Pages;
use super::{Check, Findings};

/// The pass and what it found.
#[derive(Debug)]
pub(super) struct Links<'a> {
    index: &'a Index,
    pages: &'a Pages,
    scratch: PagedScratch,
    ids: Vec<SlotId>,
    neighbours: u64,
    to_dead: u64,
    dangling: Findings,
    records: u64,
    ownerless: u64,
    misplaced: Findings,
}

/// A list of the upper levels that an element claims.
struct Claim {
    owner: SlotId,
    level: u8,
    record: UpperId,
}

impl<'a> Links<'a> {
    /// Nothing found yet.
    pub(super) fn new(index: &'a Index, pages: &'a Pages) -> Self {
        Self {
            index,
            pages,
            scratch: PagedScratch::default(),
            ids: Vec::new(),
            neighbours: 0,
            to_dead: 0,
            dangling: Findings::default(),
            records: 0,
            ownerless: 0,
            misplaced: Findings::default(),
        }
    }

    /// Makes the pass. Pages that the pass before could not read are left out.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::OutOfMemory`].
    pub(super) fn look<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        let mut copy = PageCopy::new();
        sweep(self.index, storage, &mut copy, |storage, copy| {
            match copy.content(self.index) {
                Ok(Content::Nodes(page)) => self.look_at_nodes(storage, copy.block(), &page),
                Ok(Content::Uppers(page)) => self.look_at_uppers(storage, copy.block(), &page),
                Ok(Content::New) | Err(_) => Ok(()),
            }
        })
    }

    /// What the pass found.
    pub(super) fn checks(&self) -> [Check; 2] {
        let pending = if self.to_dead > 0 {
            format!(", {} of them to dead elements", self.to_dead)
        } else {
            String::new()
        };
        let lost = if self.ownerless > 0 {
            format!(", {} without an owner", self.ownerless)
        } else {
            String::new()
        };
        [
            self.dangling
                .check("neighbours", &format!("{} links{pending}", self.neighbours)),
            self.misplaced
                .check("upper lists", &format!("{} lists{lost}", self.records)),
        ]
    }

    fn look_at_nodes<S: PageRead>(
        &mut self,
        storage: &mut S,
        block: u32,
        page: &NodePage<'_>,
    ) -> Result<(), IndexError> {
        let mut claims = Vec::new();
        for (number, slot) in page.slots() {
            let (Ok(slot), Some(owner)) = (slot, self.index.layout.id(block, number)) else {
                continue;
            };
            if slot.head.state != SlotState::Live {
                continue;
            }
            for id in slot.neighbours.iter() {
                self.look_at_link(block, number, 0, id, true);
            }
            for level in 1..=slot.head.level.min(MAX_LEVEL) {
                match self.index.layout.upper_at(slot.head.upper, level) {
                    Some(record) => claims.push(Claim { owner, level, record }),
                    None => self
                        .misplaced
                        .add(|| format!("block {block} slot {number} has no list of level {level}")),
                }
            }
        }
        self.look_at_claims(storage, &claims)
    }

    /// Notes a link; `high` tells whether the neighbour has the level of the list.
    fn look_at_link(&mut self, block: u32, number: u16, level: u8, id: SlotId, high: bool) {
        self.neighbours += 1;
        let (of_block, of_slot) = self.index.layout.slot(id);
        if self.pages.dead.contains(id) {
            self.to_dead += 1;
        } else if !self.pages.live.contains(id) {
            self.dangling.add(|| {
                format!("block {block} slot {number} level {level} names block {of_block} slot {of_slot}, which is no element")
            });
        } else if !high {
            self.dangling.add(|| {
                format!("block {block} slot {number} level {level} names block {of_block} slot {of_slot}, which is lower")
            });
        }
    }

    /// Looks whether elements have the lists that they claim.
    fn look_at_claims<S: PageRead>(&mut self, storage: &mut S, claims: &[Claim]) -> Result<(), IndexError> {
        let layout = &self.index.layout;
        let mut places: Vec<Place> = Vec::new();
        reserve(&mut places, claims.len(), "lists of a page")?;
        places.extend(claims.iter().map(|claim| layout.upper_place(claim.record)));
        let bytes = self
            .scratch
            .peek(storage, places.into_iter(), layout.upper_bytes())?;
        for (claim, bytes) in claims.iter().zip(bytes.chunks_exact(layout.upper_bytes().max(1))) {
            let owned = UpperRecord::parse(bytes, layout).is_some_and(|record| {
                record.used && record.owner == claim.owner && record.level == claim.level
            });
            // The bytes of a page of another kind may look like a record.
            let upper_page = !self.pages.holds_elements(layout.upper(claim.record).0);
            if !owned || !upper_page {
                let (block, slot) = layout.slot(claim.owner);
                let level = claim.level;
                self.misplaced
                    .add(|| format!("the list of level {level} of block {block} slot {slot} is not its own"));
            }
        }
        Ok(())
    }

    fn look_at_uppers<S: PageRead>(
        &mut self,
        storage: &mut S,
        block: u32,
        page: &UpperPage<'_>,
    ) -> Result<(), IndexError> {
        for (number, record) in page.records() {
            let Ok(record) = record else { continue };
            if record.used {
                self.records += 1;
                self.look_at_owner(storage, block, number, &record)?;
            }
        }
        Ok(())
    }

    fn look_at_owner<S: PageRead>(
        &mut self,
        storage: &mut S,
        block: u32,
        number: u16,
        record: &UpperRecord<'_>,
    ) -> Result<(), IndexError> {
        let layout = &self.index.layout;
        let own = layout.upper_id(block, number);
        let claims = |head: &SlotHead<'_>| {
            head.level >= record.level && own.is_some() && layout.upper_at(head.upper, record.level) == own
        };
        let in_graph = self.pages.live.contains(record.owner) || self.pages.dead.contains(record.owner);
        let head = self
            .scratch
            .peek_heads(storage, layout, &[record.owner])?
            .next()
            .flatten();
        if !in_graph {
            // An insertion that crashed before it wrote the element.
            self.ownerless += 1;
            return Ok(());
        }
        if !head.is_some_and(|head| claims(&head)) {
            let (owner_block, owner_slot) = layout.slot(record.owner);
            self.misplaced.add(|| {
                format!("block {block} record {number} is not a list of its owner, block {owner_block} slot {owner_slot}")
            });
        }
        if self.pages.live.contains(record.owner) {
            self.look_at_list(storage, block, number, record.level, record.neighbours)?;
        }
        Ok(())
    }

    fn look_at_list<S: PageRead>(
        &mut self,
        storage: &mut S,
        block: u32,
        number: u16,
        level: u8,
        list: NeighbourList<'_>,
    ) -> Result<(), IndexError> {
        let mut ids = std::mem::take(&mut self.ids);
        ids.clear();
        reserve(
            &mut ids,
            self.index.layout.max_neighbours(level),
            "neighbours of a list",
        )?;
        ids.extend(list.iter());
        let heads = self.scratch.peek_heads(storage, &self.index.layout, &ids)?;
        let high: Vec<bool> = heads
            .map(|head| head.is_some_and(|head| head.level >= level))
            .collect();
        for (id, high) in ids.iter().zip(high) {
            self.look_at_link(block, number, level, *id, high);
        }
        self.ids = ids;
        Ok(())
    }
}
