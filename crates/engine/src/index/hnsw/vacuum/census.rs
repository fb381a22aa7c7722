//! The first pass of a cleanup: which elements are live, which dead, which are named in lists, and where there is room.
//!
//! The bitmaps take one bit an element each. Only vacuum makes elements dead and only one vacuum runs at a time, so the set of
//! the dead is exact until the cleanup ends. The set of the live lacks those that are inserted meanwhile; nothing is concluded
//! from an element being in neither.

use crate::index::page::{EntrySet, MAX_LEVEL, NeighbourList, NodePage, PageKind, SlotState, UpperPage};
use crate::index::storage::PageWrite;
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::idset::IdSet;
use super::super::sweep::{Content, PageCopy, slot_id, sweep};

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// All ids were below it when the pass began.
    pub id_bound: u32,
    /// Elements of the graph.
    pub live: IdSet,
    /// Elements whose rows are gone.
    pub dead: IdSet,
    /// Elements below the bound that some list of a live element names.
    pub named: IdSet,
    /// Upper pages, by block. (A new page may become one of elements meanwhile.)
    pub upper_blocks: IdSet,
    /// Live elements of the highest levels.
    pub top: EntrySet,
    /// Rows outside the graph.
    pub unranked: u64,
    /// Upper records that elements claim.
    pub claimed_records: u64,
    /// Upper records that are in use.
    pub used_records: u64,
    /// The length of the index in blocks.
    pub blocks: u32,
}

impl Census {
    /// Makes the pass, and notes the room that it sees.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::Corrupt`], [`IndexError::OutOfMemory`].
    pub(super) fn take<S: PageWrite>(index: &Index, storage: &mut S) -> Result<Self, IndexError> {
        let id_bound = index.layout.id_bound(storage.blocks()?)?;
        let mut census = Self {
            id_bound,
            live: IdSet::with_bound(id_bound)?,
            dead: IdSet::with_bound(id_bound)?,
            named: IdSet::with_bound(id_bound)?,
            ..Self::default()
        };
        let mut copy = PageCopy::new();
        sweep(index, storage, &mut copy, |storage, copy| {
            let block = copy.block();
            census.blocks = block.saturating_add(1);
            let (kind, free) = match copy.content(index)? {
                Content::Nodes(page) => (PageKind::Node, census.count_nodes(index, block, &page)?),
                Content::Uppers(page) => (PageKind::Upper, census.count_uppers(block, &page)?),
                Content::New => (PageKind::Node, index.layout.slots_per_page()),
            };
            if free > 0 {
                storage.note_room(block, kind, free)
            } else {
                Ok(())
            }
        })?;
        Ok(census)
    }

    /// Returns how many slots of the page are free.
    fn count_nodes(&mut self, index: &Index, block: u32, page: &NodePage<'_>) -> Result<u16, IndexError> {
        let mut free = 0u16;
        for (number, slot) in page.slots() {
            let slot = slot.map_err(|error| error.at(block))?;
            let id = slot_id(index, block, number)?;
            match slot.head.state {
                SlotState::Free => {
                    free = free.saturating_add(1);
                    continue;
                }
                SlotState::Unranked => {
                    self.unranked = self.unranked.saturating_add(1);
                    continue;
                }
                SlotState::Dead => {
                    self.dead.insert(id)?;
                }
                SlotState::Live => {
                    self.live.insert(id)?;
                    self.top.offer(id, slot.head.level);
                    self.note_named(slot.neighbours)?;
                }
            }
            let level = slot.head.level.min(MAX_LEVEL);
            self.claimed_records = self.claimed_records.saturating_add(u64::from(level));
        }
        Ok(free)
    }

    /// Returns how many records of the page are free in a row.
    fn count_uppers(&mut self, block: u32, page: &UpperPage<'_>) -> Result<u16, IndexError> {
        self.upper_blocks.insert(SlotId(block))?;
        for (_, record) in page.records() {
            let record = record.map_err(|error| error.at(block))?;
            if record.used {
                self.used_records = self.used_records.saturating_add(1);
                self.note_named(record.neighbours)?;
            }
        }
        Ok(page.longest_free_run())
    }

    fn note_named(&mut self, list: NeighbourList<'_>) -> Result<(), IndexError> {
        for id in list.iter() {
            // The bitmap must not grow by what garbage names.
            if id.0 < self.id_bound {
                self.named.insert(id)?;
            }
        }
        Ok(())
    }

    /// Whether a list names what was no element of the graph when this pass came by: an insertion that is under way, or links
    /// that one left which crashed.
    pub(super) fn has_dangling(&self) -> bool {
        self.named.difference([&self.live, &self.dead]).next().is_some()
    }

    /// Live elements that no list names, other than the highest entry: a search does not meet them, or will not once they are no
    /// entries any more.
    pub(super) fn has_orphans(&self, entries: &EntrySet) -> bool {
        let mut orphans = self.live.difference([&self.named]);
        let highest = entries.highest().map(|entry| entry.id);
        orphans.any(|id| id.0 < self.id_bound && Some(id) != highest)
    }

    /// Whether there are upper records that no element claims.
    pub(super) fn has_lost_records(&self) -> bool {
        self.used_records > self.claimed_records
    }

    /// What is known of an element without looking at it.
    pub(super) fn standing(&self, index: &Index, id: SlotId) -> Standing {
        if self.dead.contains(id) {
            return Standing::Gone;
        }
        if self.live.contains(id) {
            return Standing::Live;
        }
        let (block, _) = index.layout.slot(id);
        if block < index.first_node_block() || self.upper_blocks.contains(SlotId(block)) {
            Standing::Gone
        } else {
            Standing::Unknown
        }
    }
}

/// What a census knows of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// In the graph, and stays there while the cleanup runs.
    Live,
    /// Dead, or nothing that could be an element.
    Gone,
    /// It was free or beyond the end of the index; it may have been inserted since.
    Unknown,
}
