//! The first pass of a verification: the form of each page, and which elements there are.

use crate::index::page::{Finding, NodePage, PageChecker, SlotState};
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::idset::IdSet;
use super::super::sweep::PageCopy;
use super::{Check, Findings, IndexedRows};

/// What the pass found.
#[derive(Debug, Default)]
pub(super) struct Pages {
    /// Elements of the graph.
    pub live: IdSet,
    /// Elements whose rows are gone.
    pub dead: IdSet,
    /// The rows of live and unranked elements.
    pub rows: IndexedRows,
    /// Pages of elements, by block.
    node_blocks: IdSet,
    blocks: u32,
    unranked: u64,
    free: u64,
    findings: Findings,
}

impl Pages {
    /// Makes the pass.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::OutOfMemory`], [`IndexError::Limit`] for an impossible length.
    pub(super) fn look<S: PageRead>(index: &Index, storage: &mut S) -> Result<Self, IndexError> {
        let blocks = storage.blocks()?;
        let checker = PageChecker::new(&index.layout, index.center_blocks(), blocks)?;
        let id_bound = index.layout.id_bound(blocks)?;
        let mut pages = Self {
            live: IdSet::with_bound(id_bound)?,
            dead: IdSet::with_bound(id_bound)?,
            blocks,
            ..Self::default()
        };
        let mut copy = PageCopy::new();
        let mut found: Vec<Finding> = Vec::new();
        storage.read_in_order(0..blocks);
        for block in 0..blocks {
            storage.check_interrupts()?;
            copy.load(storage, block)?;
            found.clear();
            checker.check(block, copy.bytes(), &mut found);
            for finding in &found {
                pages.findings.add(|| match finding.index {
                    Some(index) => format!("block {block} slot {index}: {}", finding.problem),
                    None => format!("block {block}: {}", finding.problem),
                });
            }
            if block >= index.first_node_block()
                && let Ok(page) = NodePage::open(copy.bytes(), &index.layout)
            {
                pages.node_blocks.insert(SlotId(block))?;
                pages.count(index, block, &page)?;
            }
        }
        Ok(pages)
    }

    fn count(&mut self, index: &Index, block: u32, page: &NodePage<'_>) -> Result<(), IndexError> {
        for (number, slot) in page.slots() {
            // The checker has reported what cannot be read.
            let (Ok(slot), Some(id)) = (slot, index.layout.id(block, number)) else {
                continue;
            };
            self.count_slot(id, &slot.head, slot.keys)?;
        }
        Ok(())
    }

    fn count_slot(
        &mut self,
        id: SlotId,
        head: &crate::index::page::SlotHead<'_>,
        keys: &[u8],
    ) -> Result<(), IndexError> {
        match head.state {
            SlotState::Free => self.free += 1,
            SlotState::Dead => {
                self.dead.insert(id)?;
            }
            SlotState::Unranked => {
                self.unranked += 1;
                self.rows.push(head.tid, keys)?;
            }
            SlotState::Live => {
                self.live.insert(id)?;
                self.rows.push(head.tid, keys)?;
            }
        }
        Ok(())
    }

    /// Whether the block is a page of elements.
    pub(super) fn holds_elements(&self, block: u32) -> bool {
        self.node_blocks.contains(SlotId(block))
    }

    /// Whether every page is well formed.
    pub(super) fn format_check(&self) -> Check {
        self.findings
            .check("page format", &format!("{} pages", self.blocks))
    }

    /// What there is, for people to read; always passes.
    pub(super) fn content_check(&self) -> Check {
        let (live, dead, unranked, free) = (self.live.len(), self.dead.len(), self.unranked, self.free);
        let pending = if dead > 0 { "; a vacuum is pending" } else { "" };
        Check {
            name: "content",
            ok: true,
            detail: format!(
                "{live} elements live, {dead} dead, {unranked} unranked, {free} slots free{pending}"
            ),
        }
    }
}
