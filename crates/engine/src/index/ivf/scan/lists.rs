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
    /// Of a list that is read again: rows that are not above it were in a window before.
    floor: Option<f32>,
}

impl Cursor {
    pub fn unordered(list: &List) -> Self {
        Self {
            list: list.number,
            generation: list.generation,
            next: list.head,
            pages: 0,
            near: None,
            floor: None,
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
    /// Begins to search the next list. Returns whether there was one.
    pub(super) fn search_list<S: PageRead>(
        &mut self,
        directory: &Directory,
        storage: &mut S,
    ) -> Result<bool, IndexError> {
        if self.pool.returned() > 0 && self.searched.len() >= self.target {
            // As many again: what was returned shows that the first lists were few for so many rows.
            self.target = self.searched.len().saturating_mul(2);
        }
        self.searched
            .try_reserve(1)
            .map_err(|_| IndexError::OutOfMemory {
                what: "lists that were searched",
                bytes: self.searched.len().saturating_mul(size_of::<Near>()),
            })?;
        let near = self.ranking.next(&self.index, directory, storage, &self.vector)?;
        let Some(near) = near else { return Ok(false) };
        let Some(list) = directory.list(near.number) else {
            return Ok(true);
        };
        self.searched.push(near);
        if let Some(following) = self.ranking.peek().and_then(|near| directory.list(near.number)) {
            storage.prefetch(following.head);
        }
        self.cursor = Some(Cursor {
            near: Some(near),
            ..Cursor::unordered(list)
        });
        Ok(true)
    }

    /// Begins to read a list that was searched again, for the window that begins above `floor`. Returns the next one to be read.
    pub(super) fn read_again(
        &mut self,
        directory: &Directory,
        at: usize,
        floor: f32,
    ) -> Option<(usize, f32)> {
        let near = self.searched.get(at).copied()?;
        self.cursor = directory.list(near.number).map(|list| Cursor {
            near: Some(near),
            floor: Some(floor),
            ..Cursor::unordered(list)
        });
        Some((at + 1, floor))
    }

    /// Reads the rest of the list that was begun into the pool.
    pub(super) fn read_list<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        while let Some(cursor) = self.cursor {
            if cursor.next == 0 {
                self.cursor = None;
                break;
            }
            check_length(storage, cursor.next, cursor.pages)?;
            storage.check_interrupts()?;
            self.cursor = match self.read_page(storage, cursor)? {
                Page::Read { next } => Some(Cursor {
                    next,
                    pages: cursor.pages + 1,
                    ..cursor
                }),
                Page::Lost => {
                    self.incomplete = true;
                    None
                }
            };
            self.pool.cut();
        }
        Ok(())
    }

    /// Puts the rows of the next page of a list into the pool: those of the window, of a list that is read again; and else those that are not
    /// above the window.
    fn read_page<S: PageRead>(&mut self, storage: &mut S, cursor: Cursor) -> Result<Page, IndexError> {
        let (index, block, floor) = (&*self.index, cursor.next, cursor.floor);
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
            let window = Window {
                floor,
                ceiling: pool.ceiling(),
            };
            let mut keys = [f32::NEG_INFINITY; BLOCK_ROWS];
            let (mut place, mut met) = (0_u16, 0);
            for block_of_rows in page.blocks() {
                let rows = block_of_rows?;
                let first = place;
                place = place.saturating_add(rows.count as u16);
                let mut passing = all_of(rows.count);
                if let Some(filter) = filter {
                    passing = (0..rows.count)
                        .filter(|row| filter.matches(rows.keys(*row)))
                        .fold(0, |bits, row| bits | 1 << row);
                }
                met += passing.count_ones() as usize;
                if passing == 0 {
                    continue;
                }
                if let Some(Estimator { shift, a, b }) = estimator {
                    let lanes = index.layout.lanes;
                    index
                        .kernels
                        .keys(tables, rows.codes, rows.factors, lanes, shift, a, b, &mut keys);
                    passing &= window.of(&mut keys);
                }
                while passing != 0 {
                    let row = passing.trailing_zeros() as usize;
                    passing &= passing - 1;
                    let tid = rows.tid(row)?;
                    pool.push(Row {
                        lower: keys.get(row).copied().unwrap_or(f32::NEG_INFINITY),
                        block: tid.block,
                        offset: tid.offset,
                        refined: false,
                        page: block,
                        place: first.saturating_add(row as u16),
                    });
                }
            }
            if floor.is_none() {
                pool.count(met);
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
        match self.read_page(storage, cursor)? {
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

/// The bounds of the rows that the pool takes.
#[derive(Clone, Copy)]
struct Window {
    /// Rows that are not above it were in a window before.
    floor: Option<f32>,
    ceiling: f32,
}

impl Window {
    /// Which of these bounds are in the window. One that says nothing, because it left the range of numbers, becomes the lowest.
    fn of(self, keys: &mut [f32; BLOCK_ROWS]) -> u32 {
        let mut bits = 0;
        for (row, key) in keys.iter_mut().enumerate() {
            *key = if *key < f32::MAX { *key } else { f32::NEG_INFINITY };
            let above = self.floor.is_none_or(|floor| *key > floor);
            bits |= u32::from(above & (*key <= self.ceiling)) << row;
        }
        bits
    }
}

/// Bits of the first rows of a block.
fn all_of(rows: usize) -> u32 {
    u32::MAX
        .checked_shr((BLOCK_ROWS - rows.min(BLOCK_ROWS)) as u32)
        .unwrap_or(0)
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
