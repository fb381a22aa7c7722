//! How many rows and pages the lists have, and pages that nobody owns.

use crate::index::page::{PageError, PageKind, page_kind};
use crate::index::storage::PageWrite;
use crate::index::{IndexError, SlotId};

use super::super::directory::read_entries;
use super::super::index::Index;
use super::super::page::{Entry, ListState, PostingPage};
use super::super::pages::{give_back, give_back_posting};
use crate::index::hnsw::idset::IdSet;

/// What a list has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ListCount {
    pub rows: u64,
    pub pages: u64,
}

/// The lists of an index.
#[derive(Debug)]
pub(super) struct Census {
    pub entries: Vec<Entry>,
    pub counts: Vec<ListCount>,
    pub pages_freed: u64,
}

impl Census {
    /// Walks all lists, then looks at all pages, and gives back those that are no list's.
    pub fn take<S: PageWrite>(index: &Index, storage: &mut S) -> Result<Self, IndexError> {
        let blocks = storage.blocks()?;
        let (meta, entries) = read_entries(index, storage, |_, _| Ok(()))?;
        let mut owned = IdSet::with_bound(blocks)?;
        owned.insert(SlotId(0))?;
        let mut next = meta.directory;
        while next != 0 && next < blocks && !owned.contains(SlotId(next)) {
            owned.insert(SlotId(next))?;
            let open = |page: &[u8]| super::super::page::DirectoryPage::open(page, &index.layout)?.next();
            next = storage.read(next, open)?.map_err(|error| error.at(next))?;
        }
        let mut counts = Vec::new();
        counts
            .try_reserve_exact(entries.len())
            .map_err(|_| IndexError::OutOfMemory {
                what: "lists of an index",
                bytes: entries.len().saturating_mul(size_of::<ListCount>()),
            })?;
        for (number, entry) in (0_u32..).zip(&entries) {
            // Damage may name any block, and the set grows to what is put into it.
            if entry.centroid_block < blocks {
                owned.insert(SlotId(entry.centroid_block))?;
            }
            let mut count = ListCount::default();
            if entry.state != ListState::Free {
                let mut block = entry.head;
                // A page that is in the set already ends the list: a circle, or another's.
                while block != 0 && block < blocks && !owned.contains(SlotId(block)) {
                    storage.check_interrupts()?;
                    let read = storage.read(block, |bytes| {
                        let page = PostingPage::open(bytes, &index.layout).ok()?;
                        let head = page.head();
                        head.is_of(number, entry.generation)
                            .then(|| (head, page.refine_pages().collect::<Vec<_>>()))
                    })?;
                    let Some((head, refine)) = read else { break };
                    owned.insert(SlotId(block))?;
                    for page in refine.into_iter().filter(|page| *page < blocks) {
                        owned.insert(SlotId(page))?;
                    }
                    count.rows += head.count as u64;
                    count.pages += 1;
                    block = head.next;
                }
            }
            counts.push(count);
        }
        let mut census = Self {
            entries,
            counts,
            pages_freed: 0,
        };
        for block in 0..blocks {
            if !owned.contains(SlotId(block)) {
                storage.check_interrupts()?;
                census.free_orphan(index, storage, block)?;
            }
        }
        Ok(census)
    }

    /// Gives back a page that no list has: what a crash left. One that an insertion is about to link has the row already, and so has one
    /// that was linked since the list was walked; one of a list that is there and without rows is nobody's.
    fn free_orphan<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        block: u32,
    ) -> Result<(), IndexError> {
        enum Found {
            Unused,
            Posting { list: u32, generation: u32, empty: bool },
            Own(PageKind),
            Other,
        }
        let found = storage.read(block, |bytes| {
            Ok::<_, PageError>(match page_kind(bytes)? {
                // A crash between the growth of the file and the record of the page.
                None => Found::Unused,
                Some(PageKind::Unused) => Found::Unused,
                Some(PageKind::Posting) => {
                    let head = PostingPage::open(bytes, &index.layout)?.head();
                    Found::Posting {
                        list: head.list,
                        generation: head.generation,
                        empty: head.count == 0,
                    }
                }
                // Only cleanups take these, one at a time.
                Some(kind @ (PageKind::Directory | PageKind::Centroids)) => Found::Own(kind),
                // A refine page may be one that an insertion is about to give to its posting page: that of a crashed one is lost.
                Some(_) => Found::Other,
            })
        })?;
        match found.map_err(|error| error.at(block))? {
            Found::Unused => {
                let still = |page: &[u8]| matches!(page_kind(page), Ok(None));
                give_back(storage, block, still)?;
                storage.note_room(block, PageKind::Unused, 1)?;
            }
            Found::Posting {
                list,
                generation,
                empty,
            } => {
                let current = self.entries.get(list as usize);
                let is_current = current
                    .is_some_and(|entry| entry.generation == generation && entry.state != ListState::Free);
                if empty || !is_current {
                    let freed = give_back_posting(index, storage, block, (list, generation), is_current)?;
                    self.pages_freed += u64::from(freed);
                }
            }
            Found::Own(kind) => {
                let still = |page: &[u8]| matches!(page_kind(page), Ok(Some(found)) if found == kind);
                self.pages_freed += u64::from(give_back(storage, block, still)?);
            }
            Found::Other => {}
        }
        Ok(())
    }

    /// Rows of the lists that are searched.
    pub fn rows(&self) -> u64 {
        let searched = |(entry, count): (&Entry, &ListCount)| {
            super::super::directory::is_searched(&self.entries, entry).then_some(count.rows)
        };
        self.entries.iter().zip(&self.counts).filter_map(searched).sum()
    }
}
