//! Deleted rows leave their pages.

use crate::index::page::{PageError, PageKind, page_kind};
use crate::index::quantize::CodeRef;
use crate::index::storage::{Change, PageWrite};
use crate::index::{HeapTid, IndexError};

use super::super::directory::{Directory, UNRANKED};
use super::super::index::Index;
use super::super::layout::RefineLayout;
use super::super::page::{PostingPage, PostingPageMut, RefineRecord, read_refine, write_refine};
use super::VacuumStats;

/// Takes out all rows that `is_dead` names, also of lists that are no longer searched.
///
/// # Errors
/// Those of the storage, [`IndexError::Corrupt`].
pub fn bulk_delete<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    mut is_dead: impl FnMut(HeapTid) -> bool,
    stats: &mut VacuumStats,
) -> Result<(), IndexError> {
    let directory = Directory::load(index, storage)?;
    stats.rows_remaining = 0;
    let blocks = storage.blocks()?;
    let mut dead = Vec::new();
    storage.read_in_order(0..blocks);
    for block in 0..blocks {
        storage.check_interrupts()?;
        dead.clear();
        let read = storage.read(block, |bytes| -> Result<Option<(u32, u32, usize)>, PageError> {
            if page_kind(bytes)? != Some(PageKind::Posting) {
                return Ok(None);
            }
            let page = PostingPage::open(bytes, &index.layout)?;
            let head = page.head();
            let mut place = 0;
            for rows in page.blocks() {
                let rows = rows?;
                for row in 0..rows.count {
                    let tid = rows.tid(row)?;
                    if is_dead(tid) {
                        dead.push((place, tid));
                    }
                    place += 1;
                }
            }
            Ok(Some((head.list, head.generation, head.count)))
        })?;
        let Some((list, generation, count)) = read.map_err(|error| error.at(block))? else {
            continue;
        };
        let removed = if dead.is_empty() {
            0
        } else {
            take_out(index, storage, block, &dead)?
        };
        let known = match list {
            UNRANKED => Some(&directory.unranked),
            list => directory.list(list),
        };
        if known.is_some_and(|list| list.generation == generation) {
            stats.rows_removed += removed;
            stats.rows_remaining += (count as u64).saturating_sub(removed);
        }
    }
    stats.blocks = blocks;
    Ok(())
}

/// Takes rows out of a page. Returns how many.
fn take_out<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    block: u32,
    dead: &[(usize, HeapTid)],
) -> Result<u64, IndexError> {
    loop {
        // Longer codes move first: until the row has followed, the code at its new place is not that of the dead row there, which a
        // search sees by the row that it names.
        let expected = match index.layout.refine {
            Some(refine) => Some(move_codes(index, storage, &refine, block, dead)?),
            None => None,
        };
        let changed = storage.update(block, |bytes| match remove_all(index, bytes, dead, expected) {
            Ok(true) => (Change::Made, Ok(true)),
            Ok(false) => (Change::None, Ok(false)),
            Err(error) => (Change::None, Err(error)),
        })?;
        // Rows were added meanwhile, and others will take the places of the dead ones. Their codes are where they were.
        if changed.map_err(|error| error.at(block))? {
            return Ok(dead.len() as u64);
        }
    }
}

/// Takes the rows out, from the last to the first, so that what takes the place of one is none of the others. Returns whether the page has as
/// many rows as expected.
fn remove_all(
    index: &Index,
    bytes: &mut [u8],
    dead: &[(usize, HeapTid)],
    expected: Option<usize>,
) -> Result<bool, PageError> {
    let mut page = PostingPageMut::open(bytes, &index.layout)?;
    if expected.is_some_and(|expected| expected != page.head().count) {
        return Ok(false);
    }
    for (row, _) in dead.iter().rev() {
        page.remove(*row)?;
    }
    Ok(true)
}

/// Copies the longer codes of the rows that will take the places of dead ones, a record for each refine page. Returns how many rows the page
/// has, on which it depends which those are.
fn move_codes<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    refine: &RefineLayout,
    block: u32,
    dead: &[(usize, HeapTid)],
) -> Result<usize, IndexError> {
    let read = storage.read(block, |bytes| {
        let page = PostingPage::open(bytes, &index.layout)?;
        let count = page.head().count;
        // As `remove_all` will move the rows: only to places of dead ones.
        let mut rows: Vec<usize> = (0..count).collect();
        for (row, _) in dead.iter().rev().filter(|(row, _)| *row < count) {
            rows.swap_remove(*row);
        }
        let moved = rows.iter().enumerate().filter(|(to, from)| to != *from);
        let places = moved.filter_map(|(to, from)| Some((page.refine_place(*from)?, page.refine_place(to)?)));
        Ok((count, places.collect::<Vec<_>>()))
    })?;
    let (count, places) = read.map_err(|error: PageError| error.at(block))?;
    for places in places.chunk_by(|a, b| a.1.0 == b.1.0) {
        let mut codes = Vec::new();
        for ((from, from_row), (_, to_row)) in places {
            let copied = storage.read(*from, |bytes| {
                let record = read_refine(bytes, refine, *from_row)?;
                Ok::<_, PageError>(
                    record.map(|record| (record.tid, record.code.factors, record.code.code.to_vec())),
                )
            })?;
            codes.extend(
                copied
                    .map_err(|error| error.at(*from))?
                    .map(|code| (*to_row, code)),
            );
        }
        let Some((_, (block, _))) = places.first() else {
            continue;
        };
        let written = storage.update(*block, |bytes| {
            for (row, (tid, factors, code)) in &codes {
                let record = RefineRecord {
                    tid: *tid,
                    code: CodeRef {
                        factors: *factors,
                        code,
                    },
                };
                // Fails for the first one or for none: the page is of another kind.
                if let Err(error) = write_refine(bytes, refine, *row, &record) {
                    return (Change::None, Err(error));
                }
            }
            (
                if codes.is_empty() {
                    Change::None
                } else {
                    Change::Made
                },
                Ok(()),
            )
        })?;
        written.map_err(|error| error.at(*block))?;
    }
    Ok(count)
}
