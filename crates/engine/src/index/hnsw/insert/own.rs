//! The lists of the new element itself, once they are written.
//!
//! Between the walk that found the neighbours and the record that names them, vacuum may have freed some. Vacuum repairs every list
//! that was written before it came by; so whoever writes a list looks afterwards whether its members are still there.

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::PagedScratch;
use crate::index::hnsw::queue::reserve;
use crate::index::page::{
    NeighbourList, NodePage, NodePageMut, PageError, ROW_BYTES, SlotState, UpperId, UpperPageMut, parse_row,
};
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{HeapTid, IndexError, SlotId};

/// What becomes of a further neighbour where the list is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IfFull {
    /// It is left out.
    Leave,
    /// It takes the place of the last one.
    Replace,
}

/// The element that is being inserted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Own {
    pub id: SlotId,
    pub tid: HeapTid,
    pub level: u8,
    pub upper: UpperId,
}

impl Own {
    /// Whether the slot still stands for the new element: nobody but vacuum can change that, and vacuum has no reason to.
    fn stands(&self, page: &NodePage<'_>, at: u16) -> Result<bool, PageError> {
        let head = page.slot(at)?.head;
        Ok(head.state == SlotState::Live && head.tid == self.tid)
    }

    /// Links the slot to its upper records, unless vacuum has raised it by then (`vacuum/adopt.rs`): to the same records, or to some
    /// of an earlier element of this slot; these ones may be free then, and the element is taken as vacuum left it.
    pub fn raise<S: PageWrite>(&mut self, index: &Index, storage: &mut S) -> Result<(), IndexError> {
        let mut raised = (self.level, self.upper);
        self.update(index, storage, |page, at| {
            let head = page.as_ref().slot(at)?.head;
            if head.level != 0 || head.upper != UpperId::NONE {
                raised = (head.level, head.upper);
                return Ok(Change::None);
            }
            page.set_upper(at, raised.0, raised.1)?;
            Ok(Change::Made)
        })?;
        (self.level, self.upper) = raised;
        Ok(())
    }

    /// Names more elements at level 0.
    pub fn name<S: PageWrite>(
        &self,
        index: &Index,
        storage: &mut S,
        others: &[SlotId],
        if_full: IfFull,
    ) -> Result<(), IndexError> {
        if others.is_empty() {
            return Ok(());
        }
        let room = index.layout.max_neighbours(0);
        self.update(index, storage, |page, at| {
            let found = page.as_ref().slot(at)?.neighbours;
            let mut list: Vec<SlotId> = found.iter().collect();
            for other in others {
                if *other == self.id || list.contains(other) {
                    continue;
                }
                if if_full == IfFull::Replace {
                    list.truncate(room.saturating_sub(1));
                }
                if list.len() < room {
                    list.push(*other);
                }
            }
            if found.equals(&list) {
                return Ok(Change::None);
            }
            page.set_neighbours(at, &list)?;
            Ok(Change::Made)
        })
    }

    /// Takes those of `lists` that are not live out of the lists of the element, on the pages and here; and the element itself, if its
    /// slot was that of an element which the walk met and vacuum then freed.
    pub fn drop_gone<S: PageWrite>(
        &self,
        index: &Index,
        storage: &mut S,
        lists: &mut [Vec<SlotId>],
        scratch: &mut PagedScratch,
    ) -> Result<(), IndexError> {
        for (level, list) in (0..=self.level).zip(lists) {
            let mut gone = Vec::new();
            reserve(&mut gone, list.len(), "neighbours of an insertion")?;
            gone.extend_from_slice(list);
            list.retain(|member| *member != self.id);
            retain_live(index, storage, list, scratch)?;
            gone.retain(|member| !list.contains(member));
            if gone.is_empty() {
                continue;
            }
            match index.layout.upper_at(self.upper, level) {
                None => self.take_from_slot(index, storage, &gone)?,
                Some(record) => self.take_from_upper(index, storage, record, &gone)?,
            }
        }
        Ok(())
    }

    /// Takes members out of the list as it is now: vacuum may have changed it since.
    fn take_from_slot<S: PageWrite>(
        &self,
        index: &Index,
        storage: &mut S,
        gone: &[SlotId],
    ) -> Result<(), IndexError> {
        self.update(index, storage, |page, at| {
            let list = without(page.as_ref().slot(at)?.neighbours, gone);
            page.set_neighbours(at, &list)?;
            Ok(Change::Made)
        })
    }

    fn take_from_upper<S: PageWrite>(
        &self,
        index: &Index,
        storage: &mut S,
        record: UpperId,
        gone: &[SlotId],
    ) -> Result<(), IndexError> {
        let (block, at) = index.layout.upper(record);
        let done = storage.update(block, |bytes| {
            change_or_error((|| {
                let mut page = UpperPageMut::open(bytes, &index.layout)?;
                let found = page.as_ref().record(at)?;
                if !found.used || found.owner != self.id {
                    return Ok(Change::None);
                }
                let list = without(found.neighbours, gone);
                page.set_neighbours(at, &list)?;
                Ok(Change::Made)
            })())
        })?;
        done.map_err(|error| error.at(block))
    }

    fn update<S: PageWrite>(
        &self,
        index: &Index,
        storage: &mut S,
        change: impl FnOnce(&mut NodePageMut<'_>, u16) -> Result<Change, PageError>,
    ) -> Result<(), IndexError> {
        let (block, at) = index.layout.slot(self.id);
        let done = storage.update(block, |bytes| {
            change_or_error((|| {
                let mut page = NodePageMut::open(bytes, &index.layout)?;
                if self.stands(&page.as_ref(), at)? {
                    change(&mut page, at)
                } else {
                    Ok(Change::None)
                }
            })())
        })?;
        done.map_err(|error| error.at(block))
    }
}

/// A list without some of its members; lists are as short as their pages allow.
fn without(list: NeighbourList<'_>, gone: &[SlotId]) -> Vec<SlotId> {
    list.iter().filter(|id| !gone.contains(id)).collect()
}

/// The result of a closure for [`PageWrite::update`]. Setters check before they write, so an error has changed nothing.
pub(super) fn change_or_error(result: Result<Change, PageError>) -> (Change, Result<(), PageError>) {
    match result {
        Ok(change) => (change, Ok(())),
        Err(error) => (Change::None, Err(error)),
    }
}

/// Keeps the elements of a list that are live now.
fn retain_live<S: PageRead>(
    index: &Index,
    storage: &mut S,
    list: &mut Vec<SlotId>,
    scratch: &mut PagedScratch,
) -> Result<(), IndexError> {
    let places = list.iter().map(|id| index.layout.head_place(*id));
    let rows = scratch.peek(storage, places, ROW_BYTES)?;
    let mut rows = rows.chunks_exact(ROW_BYTES);
    list.retain(|_| {
        let row = rows.next().and_then(parse_row);
        row.is_some_and(|(state, _)| state == SlotState::Live)
    });
    Ok(())
}
