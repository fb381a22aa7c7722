//! The sweep: all rows of the index, page by page, in constant memory.
//!
//! A walk reaches what the graph connects, and remembers what it has met; neither is enough to hand out every row. A sweep reads
//! all node pages under their locks. Ranked, it makes passes: each takes the next `batch` rows in the order of estimate and id.
//! Codes do not change while a row is visible to the scan, so the passes see the same order and no row comes twice or never.

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::code_of;
use crate::index::hnsw::queue::reserve;
use crate::index::hnsw::visited::VisitedSet;
use crate::index::key::Filter;
use crate::index::page::{NodePage, PAGE_BYTES, PageError, PageKind, SlotState, page_kind};
use crate::index::quantize::Query;
use crate::index::storage::PageRead;
use crate::index::{HeapTid, IndexError};

use super::shortlist::{Listed, Shortlist};

/// Cannot be: the copy of a page is as long as a page.
const NO_ROOM: PageError = PageError::content("page does not fit its copy");

/// Where a sweep is.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    page: Vec<u8>,
    /// The next block of the pass.
    block: u32,
    /// Only rows at or above it belong to this pass or a later one.
    from: u64,
    /// Only rows below it can belong to this pass.
    below: u64,
    /// Whether a later pass has rows.
    more: bool,
    saw_unranked: bool,
    tids: Vec<HeapTid>,
}

/// What a ranked pass ranks by.
pub(super) struct Ranking<'a> {
    pub query: &'a Query,
    pub epsilon: f32,
    /// Rows that were handed out before the sweep.
    pub settled: &'a VisitedSet,
    /// What rows must satisfy.
    pub filter: Option<&'a Filter>,
    /// How many rows a pass takes.
    pub batch: usize,
}

impl Sweep {
    /// Begins at the first page of an index.
    pub fn reset(&mut self, index: &Index) {
        self.block = index.first_node_block();
        self.from = 0;
        self.below = u64::MAX;
        self.more = false;
        self.saw_unranked = false;
        self.tids.clear();
    }

    /// Whether the passes so far met a row that has no rank.
    pub fn saw_unranked(&self) -> bool {
        self.saw_unranked
    }

    /// Makes a pass, or goes on with one that was interrupted, and puts its rows on the list in place of what was there. Returns
    /// whether another pass is to follow.
    pub fn pass<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        blocks: u32,
        ranking: &Ranking<'_>,
        list: &mut Shortlist,
    ) -> Result<bool, IndexError> {
        if self.block <= index.first_node_block() {
            list.clear();
            // A page may come on top before the list is shortened.
            let slots = usize::from(index.layout.slots_per_page());
            let most = ranking.batch.saturating_mul(2).saturating_add(slots);
            list.reserve_all(most.min(index.layout.id_bound(blocks)? as usize))?;
        }
        while self.block < blocks {
            storage.check_interrupts()?;
            if self.copy_page(index, storage, ranking.filter)? {
                self.rank_page(index, ranking, list)?;
            }
            self.block = self.block.saturating_add(1);
        }
        self.shorten(list, ranking.batch);
        let more = std::mem::take(&mut self.more);
        if let Some(last) = list.seal() {
            self.from = last.saturating_add(1);
        }
        self.below = u64::MAX;
        self.block = index.first_node_block();
        Ok(more)
    }

    fn rank_page(
        &mut self,
        index: &Index,
        ranking: &Ranking<'_>,
        list: &mut Shortlist,
    ) -> Result<(), IndexError> {
        let block = self.block;
        let page = NodePage::open(&self.page, &index.layout).map_err(|error| error.at(block))?;
        list.reserve(usize::from(index.layout.slots_per_page()))?;
        for (at, slot) in page.slots() {
            let slot = slot.map_err(|error| error.at(block))?;
            let head = slot.head;
            let Some(id) = index.layout.id(block, at) else {
                continue;
            };
            if ranking.filter.is_some_and(|filter| !filter.matches(slot.keys)) {
                continue;
            }
            self.saw_unranked |= head.state == SlotState::Unranked;
            if head.state != SlotState::Live || ranking.settled.contains(id) {
                continue;
            }
            let code = code_of(&head);
            let key = ranking.query.estimate(code);
            let packed = Listed::pack(key, id);
            if packed >= self.from && packed < self.below {
                let lower = ranking.query.lower_bound(key, &code.factors, ranking.epsilon);
                list.push(Listed {
                    packed,
                    tid: head.tid,
                    lower,
                });
            }
        }
        // Now and then, so that the cost of it is spread over as many rows.
        if list.len() >= ranking.batch.saturating_mul(2) {
            self.shorten(list, ranking.batch);
        }
        Ok(())
    }

    fn shorten(&mut self, list: &mut Shortlist, batch: usize) {
        if let Some(last) = list.keep_nearest(batch) {
            self.more = true;
            self.below = last;
        }
    }

    /// The next row that `wanted` holds for and the filter lets pass, in the order of the pages, and the block that names it.
    pub fn next_row<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        blocks: u32,
        filter: Option<&Filter>,
        wanted: impl Fn(SlotState) -> bool,
    ) -> Result<Option<(u32, HeapTid)>, IndexError> {
        loop {
            if let Some(tid) = self.tids.pop() {
                // All of them are of the page before the next.
                return Ok(Some((self.block.saturating_sub(1), tid)));
            }
            if self.block >= blocks {
                return Ok(None);
            }
            storage.check_interrupts()?;
            if self.copy_page(index, storage, filter)? {
                let block = self.block;
                let page = NodePage::open(&self.page, &index.layout).map_err(|error| error.at(block))?;
                let slots = usize::from(index.layout.slots_per_page());
                reserve(&mut self.tids, slots, "rows of a search")?;
                for (_, slot) in page.slots() {
                    let slot = slot.map_err(|error| error.at(block))?;
                    if wanted(slot.head.state) && filter.is_none_or(|filter| filter.matches(slot.keys)) {
                        self.tids.push(slot.head.tid);
                    }
                }
            }
            self.block = self.block.saturating_add(1);
        }
    }

    /// Copies the page, so that the lock is short. Returns whether it is one of elements, of which the filter lets one pass.
    fn copy_page<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        filter: Option<&Filter>,
    ) -> Result<bool, IndexError> {
        if self.page.is_empty() {
            reserve(&mut self.page, PAGE_BYTES, "page of a search")?;
            self.page.resize(PAGE_BYTES, 0);
        }
        let (block, copy) = (self.block, &mut self.page);
        storage
            .read(block, |bytes| {
                if page_kind(bytes)? != Some(PageKind::Node) {
                    return Ok(false);
                }
                let Some(filter) = filter else {
                    copy.copy_from_slice(bytes);
                    return Ok(true);
                };
                // Few slots of a page, mostly none, are worth the copy.
                let page = NodePage::open(bytes, &index.layout)?;
                let copy = copy.as_mut_slice().try_into().map_err(|_| NO_ROOM)?;
                Ok(page.copy_wanted(copy, |keys| filter.matches(keys))? > 0)
            })?
            .map_err(|error: PageError| error.at(block))
    }

    /// What the sweep occupies.
    pub fn memory_bytes(&self) -> usize {
        self.page.capacity() + self.tids.capacity() * size_of::<HeapTid>()
    }
}
