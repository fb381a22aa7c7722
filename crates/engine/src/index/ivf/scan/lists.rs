//! The pages of a list are read: its rows go into the pool, or are returned as they are.

use crate::index::page::PageError;
use crate::index::storage::PageRead;
use crate::index::{IndexError, Metric};
use crate::kernels::scan::BLOCK_ROWS;

use super::super::directory::{Directory, List, Near};
use super::super::encode::Estimator;
use super::super::page::PostingPage;
use super::pool::Row;
use super::{SHORT_SHARE, Scan};

/// How far a list was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    list: u32,
    generation: u32,
    /// The next page; 0 at the end.
    next: u32,
    /// Pages so far.
    pages: u32,
    /// None where rows come in any order.
    near: Option<Near>,
}

impl Cursor {
    pub fn unordered(list: &List) -> Self {
        Self {
            list: list.number,
            generation: list.generation,
            next: list.head,
            pages: 0,
            near: None,
        }
    }

    pub fn unranked(directory: &Directory) -> Self {
        Self::unordered(&directory.unranked)
    }
}

/// What a page gave.
enum Page {
    /// Its rows, and the next page.
    Read { next: u32 },
    /// It is no longer of the list.
    Lost,
}

impl Scan {
    /// Reads the next pages into the pool: the rest of the list that was begun, or the next list. Returns whether there was one.
    pub(super) fn search_list<S: PageRead>(
        &mut self,
        directory: &Directory,
        storage: &mut S,
    ) -> Result<bool, IndexError> {
        if self.cursor.is_none() {
            if self.pool.returned() > 0 && self.searched >= self.target {
                // As many again: what was returned shows that the first lists were few for so many rows.
                self.target = self.searched.saturating_mul(2);
            }
            let near = self.ranking.next(&self.index, directory, storage, &self.vector)?;
            let Some(near) = near else { return Ok(false) };
            self.searched += 1;
            let Some(list) = directory.list(near.number) else {
                return Ok(true);
            };
            if let Some(following) = self.ranking.peek().and_then(|near| directory.list(near.number)) {
                storage.prefetch(following.head);
            }
            self.cursor = Some(Cursor {
                near: Some(near),
                ..Cursor::unordered(list)
            });
        }
        while let Some(cursor) = self.cursor.as_mut() {
            let (block, pages) = (cursor.next, cursor.pages);
            if block == 0 {
                self.cursor = None;
                break;
            }
            check_length(storage, block, pages)?;
            storage.check_interrupts()?;
            match self.read_page(storage, block)? {
                Page::Read { next } => {
                    if let Some(cursor) = self.cursor.as_mut() {
                        (cursor.next, cursor.pages) = (next, pages + 1);
                    }
                }
                Page::Lost => {
                    self.incomplete = true;
                    self.cursor = None;
                }
            }
            if self.pool.is_full() {
                break;
            }
        }
        Ok(true)
    }

    /// Puts the rows of a page of the current list into the pool.
    fn read_page<S: PageRead>(&mut self, storage: &mut S, block: u32) -> Result<Page, IndexError> {
        let Some(cursor) = self.cursor else {
            return Ok(Page::Lost);
        };
        let index = &*self.index;
        self.pool.reserve(index.layout.rows_per_page())?;
        let estimator = cursor.near.map(|near| {
            let metric = index.options.metric;
            let shift = if metric == Metric::InnerProduct {
                near.key
            } else {
                near.distance * near.distance
            };
            let epsilon = SHORT_SHARE * self.options.epsilon;
            Estimator::new(metric, &self.tables, shift, near.distance, epsilon)
        });
        let (filter, pool, tables) = (self.filter.as_ref(), &mut self.pool, &self.tables);
        let read = storage.read(block, |bytes| {
            let Ok(page) = PostingPage::open(bytes, &index.layout) else {
                return lost_or_damaged(bytes, index);
            };
            let head = page.head();
            if !head.is_of(cursor.list, cursor.generation) {
                return Ok(Page::Lost);
            }
            let mut keys = [f32::NEG_INFINITY; BLOCK_ROWS];
            let mut place = 0_u16;
            for block_of_rows in page.blocks() {
                let rows = block_of_rows?;
                let first = place;
                place = place.saturating_add(rows.count as u16);
                let passes = |row: usize| filter.is_none_or(|filter| filter.matches(rows.keys(row)));
                if filter.is_some() && !(0..rows.count).any(passes) {
                    continue;
                }
                if let Some(Estimator { shift, a, b }) = estimator {
                    let lanes = index.layout.lanes;
                    index
                        .kernels
                        .keys(tables, rows.codes, rows.factors, lanes, shift, a, b, &mut keys);
                }
                for (row, lower) in keys.into_iter().enumerate().take(rows.count) {
                    if filter.is_some() && !passes(row) {
                        continue;
                    }
                    let tid = rows.tid(row)?;
                    pool.push(Row {
                        lower,
                        block: tid.block,
                        offset: tid.offset,
                        refined: false,
                        page: block,
                        place: first.saturating_add(row as u16),
                    });
                }
            }
            Ok(Page::Read { next: head.next })
        })?;
        read.map_err(|error: PageError| error.at(block))
    }

    /// Puts the rows of the next page of the current list into the pool, as rows of which nothing is known. Returns whether there
    /// was a page.
    pub(super) fn read_unordered<S: PageRead>(&mut self, storage: &mut S) -> Result<bool, IndexError> {
        let Some(cursor) = self.cursor else {
            return Ok(false);
        };
        if cursor.next == 0 {
            self.cursor = None;
            return Ok(false);
        }
        check_length(storage, cursor.next, cursor.pages)?;
        match self.read_page(storage, cursor.next)? {
            Page::Read { next } => {
                self.cursor = Some(Cursor {
                    next,
                    pages: cursor.pages + 1,
                    ..cursor
                });
                Ok(true)
            }
            Page::Lost => {
                self.incomplete = true;
                self.cursor = None;
                Ok(false)
            }
        }
    }
}

/// Now and then: whether a list has more pages than the index.
fn check_length<S: PageRead>(storage: &mut S, block: u32, pages: u32) -> Result<(), IndexError> {
    const EVERY: u32 = 1024;
    if pages > 0 && pages.is_multiple_of(EVERY) && pages > storage.blocks()? {
        return Err(PageError::content("pages of a list run in a circle").at(block));
    }
    Ok(())
}

/// What to make of a page that is no posting page: of another kind it was given to something else, damaged it is an error.
fn lost_or_damaged(bytes: &[u8], index: &super::super::index::Index) -> Result<Page, PageError> {
    use crate::index::page::{PageKind, page_kind};
    match page_kind(bytes)? {
        Some(PageKind::Posting) => PostingPage::open(bytes, &index.layout).map(|_| Page::Lost),
        _ => Ok(Page::Lost),
    }
}
