//! The passes that take dead elements out of all lists.
//!
//! What to write is worked out from a copy of the page. Under the exclusive lock the list as it is then loses its gone members
//! and gains the new ones as far as there is room: right whatever was inserted meanwhile, so nothing has to be done twice. All
//! lists of a page are changed by one log record. A list names no dead element afterwards; a crash between two records leaves
//! lists of both sorts, and the dead elements still lead on, so the index works.

use std::ops::Range;

use crate::index::page::{
    NeighbourList, NodePage, NodePageMut, PageError, SlotState, UpperPage, UpperPageMut,
};
use crate::index::storage::{Change, PageWrite, Position};
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::idset::IdSet;
use super::super::queue::reserve;
use super::super::sweep::{Content, PageCopy, slot_id, sweep};
use super::VacuumStats;
use super::census::{Census, Standing};
use super::mend::Mender;

/// A list that is to be changed.
#[derive(Debug)]
struct Patch {
    /// The slot or record on the page.
    number: u16,
    owner: SlotId,
    level: u8,
    /// Where its new members stand in `Repair::added`.
    added: Range<usize>,
}

/// Repairs lists, page by page.
#[derive(Debug)]
pub(super) struct Repair<'i> {
    index: &'i Index,
    census: &'i Census,
    mender: Mender<'i>,
    list: Vec<SlotId>,
    patches: Vec<Patch>,
    added: Vec<SlotId>,
    gone: Vec<SlotId>,
    arrived: IdSet,
}

impl<'i> Repair<'i> {
    /// Repairs by what the census found.
    ///
    /// # Errors
    /// Those of the storage.
    pub(super) fn new<S: PageWrite>(
        index: &'i Index,
        storage: &mut S,
        census: &'i Census,
    ) -> Result<Self, IndexError> {
        let id_bound = index.layout.id_bound(storage.blocks()?)?;
        Ok(Self {
            index,
            census,
            mender: Mender::new(index, id_bound),
            list: Vec::new(),
            patches: Vec::new(),
            added: Vec::new(),
            gone: Vec::new(),
            arrived: IdSet::default(),
        })
    }

    /// The live elements that the passes met and the census did not.
    pub(super) fn arrived(&self) -> &IdSet {
        &self.arrived
    }

    /// One pass over all pages, or over those that changed since a position.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::Corrupt`], [`IndexError::OutOfMemory`].
    pub(super) fn pass<S: PageWrite>(
        &mut self,
        storage: &mut S,
        since: Option<Position>,
        stats: &mut VacuumStats,
    ) -> Result<(), IndexError> {
        let mut copy = PageCopy::new();
        let index = self.index;
        sweep(index, storage, &mut copy, |storage, copy| {
            if let Some(since) = since
                && !storage.changed_since(copy.block(), since)?
            {
                return Ok(());
            }
            self.patches.clear();
            self.added.clear();
            self.gone.clear();
            match copy.content(index)? {
                Content::New => return Ok(()),
                Content::Nodes(page) => self.look_at_nodes(storage, copy.block(), &page)?,
                Content::Uppers(page) => self.look_at_uppers(storage, copy.block(), &page)?,
            }
            if self.patches.is_empty() {
                return Ok(());
            }
            let repaired = match copy.content(index)? {
                Content::Uppers(_) => self.write_uppers(storage, copy.block())?,
                _ => self.write_nodes(storage, copy.block())?,
            };
            stats.lists_repaired = stats.lists_repaired.saturating_add(repaired);
            Ok(())
        })
    }

    fn look_at_nodes<S: PageWrite>(
        &mut self,
        storage: &mut S,
        block: u32,
        page: &NodePage<'_>,
    ) -> Result<(), IndexError> {
        for (number, slot) in page.slots() {
            let slot = slot.map_err(|error| error.at(block))?;
            if slot.head.state == SlotState::Live {
                let owner = slot_id(self.index, block, number)?;
                if !self.census.live.contains(owner) {
                    self.arrived.insert(owner)?;
                }
                self.look_at_list(storage, number, owner, 0, slot.neighbours)?;
            }
        }
        Ok(())
    }

    fn look_at_uppers<S: PageWrite>(
        &mut self,
        storage: &mut S,
        block: u32,
        page: &UpperPage<'_>,
    ) -> Result<(), IndexError> {
        for (number, record) in page.records() {
            let record = record.map_err(|error| error.at(block))?;
            if record.used && self.census.standing(self.index, record.owner) != Standing::Gone {
                self.look_at_list(storage, number, record.owner, record.level, record.neighbours)?;
            }
        }
        Ok(())
    }

    /// Works out the patch of a list if something in it is not known to be live.
    fn look_at_list<S: PageWrite>(
        &mut self,
        storage: &mut S,
        number: u16,
        owner: SlotId,
        level: u8,
        list: NeighbourList<'_>,
    ) -> Result<(), IndexError> {
        if list
            .iter()
            .all(|id| self.census.standing(self.index, id) == Standing::Live)
        {
            return Ok(());
        }
        self.list.clear();
        reserve(
            &mut self.list,
            self.index.layout.max_neighbours(0),
            "neighbours of a repair",
        )?;
        self.list.extend(list.iter());
        let (first, known) = (self.added.len(), self.gone.len());
        let (gone, added) = (&mut self.gone, &mut self.added);
        self.mender
            .mend(storage, self.census, owner, level, &self.list, gone, added)?;
        let lost = self.gone.len() > known || list.iter().any(|id| self.census.dead.contains(id));
        if lost {
            reserve(&mut self.patches, 1, "lists of a page")?;
            self.patches.push(Patch {
                number,
                owner,
                level,
                added: first..self.added.len(),
            });
        }
        Ok(())
    }

    fn write_nodes<S: PageWrite>(&self, storage: &mut S, block: u32) -> Result<u64, IndexError> {
        let layout = &self.index.layout;
        self.write(storage, block, |bytes, write| {
            let mut page = NodePageMut::open(bytes, layout)?;
            for patch in &self.patches {
                let slot = page.as_ref().slot(patch.number)?;
                if slot.head.state != SlotState::Live {
                    continue;
                }
                if let Some(list) = self.patched(patch, slot.neighbours) {
                    page.set_neighbours(patch.number, &list)?;
                    *write += 1;
                }
            }
            Ok(())
        })
    }

    fn write_uppers<S: PageWrite>(&self, storage: &mut S, block: u32) -> Result<u64, IndexError> {
        let layout = &self.index.layout;
        self.write(storage, block, |bytes, written| {
            let mut page = UpperPageMut::open(bytes, layout)?;
            for patch in &self.patches {
                let record = page.as_ref().record(patch.number)?;
                if !record.used || record.owner != patch.owner || record.level != patch.level {
                    continue;
                }
                if let Some(list) = self.patched(patch, record.neighbours) {
                    page.set_neighbours(patch.number, &list)?;
                    *written += 1;
                }
            }
            Ok(())
        })
    }

    /// Changes a page by one record if `work` counts a list. Returns how many.
    fn write<S: PageWrite>(
        &self,
        storage: &mut S,
        block: u32,
        work: impl FnOnce(&mut [u8], &mut u64) -> Result<(), PageError>,
    ) -> Result<u64, IndexError> {
        let written = storage.update(block, |bytes| {
            let mut count = 0;
            let result = work(bytes, &mut count);
            (
                if count > 0 { Change::Made } else { Change::None },
                result.map(|()| count),
            )
        })?;
        written.map_err(|error| error.at(block))
    }

    /// The list as it is now, without what is gone and with what is new; none if that is the same.
    fn patched(&self, patch: &Patch, now: NeighbourList<'_>) -> Option<Vec<SlotId>> {
        let room = self.index.layout.max_neighbours(patch.level);
        let mut list = Vec::with_capacity(room);
        let added = self.added.get(patch.added.clone()).unwrap_or_default();
        let stays = |id: &SlotId| !self.census.dead.contains(*id) && !self.gone.contains(id);
        for id in now.iter().filter(stays).chain(added.iter().copied()) {
            if list.len() < room && id != patch.owner && !list.contains(&id) {
                list.push(id);
            }
        }
        (!now.equals(&list)).then_some(list)
    }
}
