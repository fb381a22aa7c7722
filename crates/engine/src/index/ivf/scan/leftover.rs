//! A look at all pages, for a scan whose lists have lost some of theirs.

use std::collections::HashSet;

use crate::index::key::Filter;
use crate::index::page::{PageError, PageKind, page_kind};
use crate::index::storage::PageRead;
use crate::index::{HeapTid, IndexError};

use super::super::index::Index;
use super::super::page::PostingPage;
use super::pool::{Pool, Row};

/// How far it is.
#[derive(Debug, Default)]
pub(super) struct Leftover {
    next: u32,
}

impl Leftover {
    /// Puts the rows of the next page that has any that were not returned into the pool. Returns whether there is one.
    pub fn next<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        filter: Option<&Filter>,
        returned: &HashSet<HeapTid>,
        pool: &mut Pool,
    ) -> Result<bool, IndexError> {
        let blocks = storage.blocks()?;
        while self.next < blocks {
            storage.check_interrupts()?;
            let block = self.next;
            self.next += 1;
            pool.reserve(index.layout.rows_per_page())?;
            let mut found = false;
            visit(index, storage, block, |tid, keys| {
                if filter.is_none_or(|filter| filter.matches(keys)) && !returned.contains(&tid) {
                    found = true;
                    pool.push(Row {
                        lower: f32::NEG_INFINITY,
                        block: tid.block,
                        offset: tid.offset,
                        refined: true,
                        page: block,
                        place: 0,
                    });
                }
            })?;
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Shows the rows of a page, if it has any.
fn visit<S: PageRead>(
    index: &Index,
    storage: &mut S,
    block: u32,
    mut look: impl FnMut(HeapTid, &[u8]),
) -> Result<(), IndexError> {
    let read = storage.read(block, |bytes| {
        if page_kind(bytes)? != Some(PageKind::Posting) {
            return Ok(());
        }
        for rows in PostingPage::open(bytes, &index.layout)?.blocks() {
            let rows = rows?;
            for row in 0..rows.count {
                look(rows.tid(row)?, rows.keys(row));
            }
        }
        Ok(())
    })?;
    read.map_err(|error: PageError| error.at(block))
}

/// The first page that names a row.
pub(super) fn find<S: PageRead>(
    index: &Index,
    storage: &mut S,
    wanted: HeapTid,
) -> Result<Option<u32>, IndexError> {
    for block in 0..storage.blocks()? {
        storage.check_interrupts()?;
        let mut found = false;
        visit(index, storage, block, |tid, _| found |= tid == wanted)?;
        if found {
            return Ok(Some(block));
        }
    }
    Ok(None)
}
