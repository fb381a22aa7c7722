//! Inserting an element into the graph on pages.
//!
//! Algorithm 1 of the paper (arXiv 1603.09320) without any lock over the walk. One page is locked at a time. What becomes of a
//! page is decided on copies and checked again under its lock. The order of the log records, and what a crash after each leaves:
//!
//! 1. the slot with its neighbours of level 0: an element of level 0 that nothing leads to; vacuum links it again;
//! 2. the upper records, if it has any: records that no slot claims; vacuum raises their element;
//! 3. the slot's level and upper id: as after 1;
//! 4. its own lists again, if members of them were freed meanwhile, or if a second search finds more;
//! 5. the back links, a record a page: the element can be reached from the first one on;
//! 6. the entry set, if the element belongs there.
//!
//! At level 0 a list names the new element in the end, whether any wanted it or not (`back`), and none drops a member that nothing
//! else leads to (`ways`). So what was reachable stays so. Not under the inner product, see [`Index::keeps_reachable`].
//!
//! What is peeked may be torn: then links are poorer than they could be, and nothing else.

#![deny(clippy::indexing_slicing)]

mod back;
mod codes;
mod entry;
mod find;
mod own;
mod place;
mod plan;
mod ways;

use crate::index::key::find_fault;
use crate::index::page::{FACTORS_BYTES, NewSlot, SlotState, UpperId};
use crate::index::quantize::{CodeRef, Factors, Query, Rankable};
use crate::index::storage::PageWrite;
use crate::index::{HeapTid, IndexError, SlotId};

use super::Index;
use super::paged::PagedScratch;
use super::queue::reserve;
use back::{BackLinks, Named};
use codes::Codes;
use find::{Finder, Lists, Sought};
use own::{IfFull, Own};

/// What is inserted.
#[derive(Debug, Clone, Copy)]
pub struct NewElement<'a> {
    /// The vector, transformed by the quantiser.
    pub transformed: &'a [f32],
    /// Whether it has a rank; if not, it is stored outside the graph.
    pub rankable: Rankable,
    /// The row of the table.
    pub tid: HeapTid,
    /// The highest level of the element, see [`Index::level`].
    pub level: u8,
    /// The keys of the row, see [`crate::index::key::RowKeys`]; empty for an index without key columns.
    pub keys: &'a [u8],
}

/// Inserts elements; keeps its memory from one to the next.
#[derive(Debug, Default)]
pub struct Inserter {
    query: Query,
    code: Vec<u8>,
    lists: Lists,
    finder: Finder,
    codes: Codes,
    back_links: BackLinks,
    scratch: PagedScratch,
}

impl Inserter {
    /// Inserts an element. Returns where it is stored. `entropy` is any number, better another one each time: where nothing else
    /// decides, it chooses a page.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for a vector of other dimensions than the index and for an index that is full;
    /// [`IndexError::Interrupted`], [`IndexError::Corrupt`], [`IndexError::OutOfMemory`], and those of the storage. What was written
    /// then stays, and is as good as after a crash.
    pub fn insert<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        element: &NewElement<'_>,
        entropy: u64,
    ) -> Result<SlotId, IndexError> {
        let factors = self.begin(index, element)?;
        if element.rankable == Rankable::No {
            return self.store(index, storage, element, &factors.to_bytes(), entropy);
        }
        self.query.prepare(&index.quantizer, element.transformed);
        let sought = Sought {
            query: &self.query,
            tid: element.tid,
            level: element.level.min(crate::index::page::MAX_LEVEL),
            own: None,
            entropy,
        };
        self.finder
            .find(index, storage, &sought, &mut self.codes, &mut self.lists)?;
        let level = sought.level;
        let id = self.store(index, storage, element, &factors.to_bytes(), entropy)?;
        let own = self.raise(index, storage, id, element.tid, level, entropy)?;
        own.drop_gone(index, storage, &mut self.lists, &mut self.scratch)?;
        let few = self
            .lists
            .first()
            .is_none_or(|list| list.len() < usize::from(index.m));
        if few {
            self.look_again(index, storage, &own, entropy)?;
        }
        if !self.link_back(index, storage, &own, factors)? {
            // All of its neighbours are gone, or there are none.
            self.look_again(index, storage, &own, entropy)?;
            self.link_back(index, storage, &own, factors)?;
        }
        entry::offer_entry(index, storage, id, own.level, &mut self.scratch)?;
        Ok(id)
    }

    /// Stores an element with empty lists, which nothing leads to: for a build, which links all elements at once in the end.
    ///
    /// # Errors
    /// As [`Inserter::insert`].
    pub fn store_unlinked<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        element: &NewElement<'_>,
        entropy: u64,
    ) -> Result<SlotId, IndexError> {
        let factors = self.begin(index, element)?;
        let id = self.store(index, storage, element, &factors.to_bytes(), entropy)?;
        if element.rankable == Rankable::Yes {
            let level = element.level.min(crate::index::page::MAX_LEVEL);
            self.raise(index, storage, id, element.tid, level, entropy)?;
        }
        Ok(id)
    }

    /// Encodes the vector into `self.code`, and clears the lists.
    fn begin(&mut self, index: &Index, element: &NewElement<'_>) -> Result<Factors, IndexError> {
        let transformed = element.transformed;
        if transformed.len() != index.quantizer.dims() {
            return Err(IndexError::Limit {
                what: "number of dimensions of the vector",
                value: transformed.len() as u64,
                limit: u64::from(index.coded_dims()),
            });
        }
        if let Some(what) = find_fault(element.keys, index.keys.count()) {
            return Err(IndexError::Failed { what });
        }
        for list in &mut self.lists {
            list.clear();
        }
        let bytes = index.quantizer.code_bytes();
        self.code.clear();
        reserve(&mut self.code, bytes, "code of a vector")?;
        self.code.resize(bytes, 0);
        Ok(index.quantizer.encode(transformed, &mut self.code))
    }

    /// Writes the slot, as one of level 0.
    fn store<S: PageWrite>(
        &self,
        index: &Index,
        storage: &mut S,
        element: &NewElement<'_>,
        factors: &[u8; FACTORS_BYTES],
        entropy: u64,
    ) -> Result<SlotId, IndexError> {
        let state = match element.rankable {
            Rankable::Yes => SlotState::Live,
            Rankable::No => SlotState::Unranked,
        };
        let slot = NewSlot {
            state,
            level: 0,
            tid: element.tid,
            upper: UpperId::NONE,
            factors,
            code: &self.code,
            keys: element.keys,
            neighbours: self.lists.first().map(Vec::as_slice).unwrap_or_default(),
        };
        place::store_slot(index, storage, &slot, entropy)
    }

    /// Writes the lists above level 0, and only then raises the slot to its level.
    fn raise<S: PageWrite>(
        &self,
        index: &Index,
        storage: &mut S,
        id: SlotId,
        tid: HeapTid,
        level: u8,
        entropy: u64,
    ) -> Result<Own, IndexError> {
        let mut own = Own {
            id,
            tid,
            level,
            upper: UpperId::NONE,
        };
        if level > 0
            && let Some(lists) = self.lists.get(1..=usize::from(level))
        {
            own.upper = place::store_uppers(index, storage, id, lists, entropy)?;
            own.raise(index, storage)?;
        }
        Ok(own)
    }

    /// Searches once more for neighbours at level 0, now that the element is on its page. Of two insertions that begin when neither
    /// element is there, as into an empty index, at least the one that looks last meets the other element.
    fn look_again<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        own: &Own,
        entropy: u64,
    ) -> Result<(), IndexError> {
        let Some(list) = self.lists.first_mut() else {
            return Ok(());
        };
        let first = std::mem::take(list);
        let sought = Sought {
            query: &self.query,
            tid: own.tid,
            level: 0,
            own: Some(own.id),
            entropy,
        };
        self.finder
            .find(index, storage, &sought, &mut self.codes, &mut self.lists)?;
        let Some(list) = self.lists.first_mut() else {
            return Ok(());
        };
        list.retain(|id| !first.contains(id));
        own.name(index, storage, list, IfFull::Leave)?;
        list.splice(..0, first);
        list.truncate(index.layout.max_neighbours(0));
        own.drop_gone(index, storage, &mut self.lists, &mut self.scratch)
    }

    /// Links the neighbours back, from the highest level downwards. Returns false if one at level 0 should
    /// name the element and none does.
    fn link_back<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        own: &Own,
        factors: Factors,
    ) -> Result<bool, IndexError> {
        let named = Named {
            id: own.id,
            code: CodeRef {
                factors,
                code: &self.code,
            },
        };
        let (codes, back_links) = (&mut self.codes, &mut self.back_links);
        let mut linked = 0;
        for (level, targets) in (0..=own.level).zip(&self.lists).rev() {
            linked = back_links.link(index, storage, named, level, targets, codes)?;
        }
        let targets = self.lists.first().map(Vec::as_slice).unwrap_or_default();
        Ok(linked > 0
            || !index.keeps_reachable()
            || back_links.insist(index, storage, own, named, targets, codes)?)
    }
}
