//! What is in an index, counted: for the function that describes an index to its user.

use crate::index::IndexError;
use crate::index::page::{MAX_LEVEL, NodePage, PAGE_BYTES, SlotState, UpperPage};
use crate::index::storage::PageRead;

use super::Index;
use super::paged::peek_entries;
use super::sweep::{Content, PageCopy, sweep};

/// What one pass over an index counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// The length of the index in blocks, the meta page included.
    pub blocks: u32,
    /// Pages of the center.
    pub center_blocks: u32,
    /// Pages of elements.
    pub node_blocks: u32,
    /// Pages of the lists above level 0.
    pub upper_blocks: u32,
    /// Pages that a crash left unwritten.
    pub new_blocks: u32,
    /// Elements of the graph.
    pub live: u64,
    /// Elements whose rows are gone, until the next vacuum.
    pub dead: u64,
    /// Rows outside the graph, which no distance ranks.
    pub unranked: u64,
    /// Slots with room for an element.
    pub free: u64,
    /// Lists above level 0 in use.
    pub used_records: u64,
    /// Places for lists above level 0.
    pub free_records: u64,
    /// Neighbours of live elements at level 0, all together.
    pub neighbours: u64,
    /// How many live elements have their highest level here, from level 0.
    pub levels: [u64; MAX_LEVEL as usize + 1],
    /// Elements at which searches begin.
    pub entries: u32,
}

impl Statistics {
    /// Counts, in one pass over the pages.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::Corrupt`].
    pub fn take<S: PageRead>(index: &Index, storage: &mut S) -> Result<Self, IndexError> {
        let mut counted = Self {
            center_blocks: index.center_blocks(),
            entries: u32::try_from(peek_entries(storage)?.len()).unwrap_or(u32::MAX),
            ..Self::default()
        };
        let mut copy = PageCopy::new();
        counted.blocks = index.first_node_block();
        sweep(index, storage, &mut copy, |_, copy| {
            counted.blocks = copy.block().saturating_add(1);
            match copy.content(index)? {
                Content::New => counted.new_blocks += 1,
                Content::Nodes(page) => counted.count_nodes(copy.block(), &page)?,
                Content::Uppers(page) => counted.count_uppers(index, &page),
            }
            Ok(())
        })?;
        Ok(counted)
    }

    fn count_nodes(&mut self, block: u32, page: &NodePage<'_>) -> Result<(), IndexError> {
        self.node_blocks += 1;
        for (_, slot) in page.slots() {
            let slot = slot.map_err(|error| error.at(block))?;
            match slot.head.state {
                SlotState::Free => self.free += 1,
                SlotState::Dead => self.dead += 1,
                SlotState::Unranked => self.unranked += 1,
                SlotState::Live => {
                    self.live += 1;
                    self.neighbours += slot.neighbours.len() as u64;
                    if let Some(count) = self.levels.get_mut(usize::from(slot.head.level)) {
                        *count += 1;
                    }
                }
            }
        }
        Ok(())
    }

    fn count_uppers(&mut self, index: &Index, page: &UpperPage<'_>) {
        self.upper_blocks += 1;
        let free = u64::from(page.free_count());
        self.free_records += free;
        self.used_records += u64::from(index.layout.uppers_per_page()).saturating_sub(free);
    }

    /// Neighbours of a live element at level 0 on average; 0 without elements.
    #[must_use]
    pub fn mean_degree(&self) -> f64 {
        ratio(self.neighbours, self.live)
    }

    /// The share of dead elements among those of the graph, 0 to 1.
    #[must_use]
    pub fn dead_share(&self) -> f64 {
        ratio(self.dead, self.live + self.dead)
    }

    /// Bytes of the index for each row in it; 0 without rows.
    #[must_use]
    pub fn bytes_per_row(&self) -> f64 {
        ratio(
            u64::from(self.blocks) * PAGE_BYTES as u64,
            self.live + self.unranked,
        )
    }
}

#[allow(clippy::cast_precision_loss)] // A mean for people to read.
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}
