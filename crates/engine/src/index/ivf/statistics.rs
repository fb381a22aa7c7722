//! What can be said of an inverted file.

use crate::index::IndexError;
use crate::index::page::{PageError, PageKind, page_kind};
use crate::index::storage::PageRead;

use super::directory::Directory;
use super::index::Index;
use super::page::PostingPage;

/// Numbers about an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Lists that are searched.
    pub lists: u64,
    /// Rows in them.
    pub rows: u64,
    /// Rows without rank.
    pub unranked: u64,
    /// Rows of the longest list.
    pub longest: u64,
    /// Posting pages of the lists.
    pub posting_pages: u64,
    /// Pages of lists that are no longer searched, until vacuum gives them back.
    pub retired_pages: u64,
    /// Pages in no use.
    pub unused_pages: u64,
    /// Rows that there is room for on the posting pages of the lists, with those that are there.
    pub room: u64,
}

impl Statistics {
    /// Counts, in one pass over all pages.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`], those of the storage.
    pub fn take<S: PageRead>(index: &Index, storage: &mut S) -> Result<Self, IndexError> {
        let directory = Directory::load(index, storage)?;
        let mut found = Self {
            lists: directory.len() as u64,
            ..Self::default()
        };
        let mut counts = std::collections::HashMap::new();
        let blocks = storage.blocks()?;
        storage.read_in_order(1..blocks);
        for block in 1..blocks {
            storage.check_interrupts()?;
            let read = storage.read(block, |bytes| -> Result<(), PageError> {
                match page_kind(bytes)? {
                    None | Some(PageKind::Unused) => found.unused_pages += 1,
                    Some(PageKind::Posting) => {
                        let head = PostingPage::open(bytes, &index.layout)?.head();
                        let unranked = &directory.unranked;
                        if head.is_of(unranked.number, unranked.generation) {
                            found.unranked += head.count as u64;
                        } else if directory
                            .list(head.list)
                            .is_some_and(|list| head.is_of(list.number, list.generation))
                        {
                            found.rows += head.count as u64;
                            found.posting_pages += 1;
                            *counts.entry(head.list).or_insert(0_u64) += head.count as u64;
                        } else {
                            found.retired_pages += 1;
                        }
                    }
                    Some(_) => {}
                }
                Ok(())
            })?;
            read.map_err(|error| error.at(block))?;
        }
        found.room = found.posting_pages * index.layout.rows_per_page() as u64;
        found.longest = counts.into_values().max().unwrap_or(0);
        Ok(found)
    }
}
