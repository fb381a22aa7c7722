//! Deleted rows leave their pages.

use crate::index::page::{PageError, PageKind, page_kind};
use crate::index::storage::{Change, PageWrite};
use crate::index::{HeapTid, IndexError};

use super::super::directory::{Directory, UNRANKED};
use super::super::index::Index;
use super::super::page::{PostingPage, PostingPageMut, read_refine, write_refine};
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

/// Takes rows out of a page. From the last to the first, so that what takes the place of one is none of the others.
fn take_out<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    block: u32,
    dead: &[(usize, HeapTid)],
) -> Result<u64, IndexError> {
    if index.layout.refine.is_some() {
        return take_out_refined(index, storage, block, dead);
    }
    let changed = storage.update(block, |bytes| match remove_all(index, bytes, dead) {
        Ok(removed) => (Change::Made, Ok(removed)),
        Err(error) => (Change::None, Err(error)),
    })?;
    changed.map_err(|error| error.at(block))
}

fn remove_all(index: &Index, bytes: &mut [u8], dead: &[(usize, HeapTid)]) -> Result<u64, PageError> {
    let mut page = PostingPageMut::open(bytes, &index.layout)?;
    let mut removed = 0;
    for (row, _) in dead.iter().rev() {
        page.remove(*row)?;
        removed += 1;
    }
    Ok(removed)
}

/// The same where rows have longer codes, which move first: until the row has followed, the code at its place is another row's, which
/// a search sees by the row that it names.
fn take_out_refined<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    block: u32,
    dead: &[(usize, HeapTid)],
) -> Result<u64, IndexError> {
    let Some(refine) = index.layout.refine else {
        return Ok(0);
    };
    for (row, _) in dead.iter().rev() {
        let places = storage.read(block, |bytes| {
            let page = PostingPage::open(bytes, &index.layout)?;
            let last = page.head().count.saturating_sub(1);
            Ok::<_, PageError>((page.refine_place(last), page.refine_place(*row), last))
        })?;
        let (from, to, last) = places.map_err(|error| error.at(block))?;
        if let (Some((from, from_row)), Some((to, to_row))) = (from, to)
            && *row != last
        {
            let copied = storage.read(from, |bytes| {
                let record = read_refine(bytes, &refine, from_row)?;
                Ok::<_, PageError>(
                    record.map(|record| (record.tid, record.code.factors, record.code.code.to_vec())),
                )
            })?;
            if let Some((tid, factors, code)) = copied.map_err(|error| error.at(from))? {
                use crate::index::quantize::CodeRef;
                let record = super::super::page::RefineRecord {
                    tid,
                    code: CodeRef { factors, code: &code },
                };
                storage.update(to, |bytes| {
                    let written = write_refine(bytes, &refine, to_row, &record).is_ok();
                    (if written { Change::Made } else { Change::None }, ())
                })?;
            }
        }
        let removed = storage.update(block, |bytes| {
            match PostingPageMut::open(bytes, &index.layout).and_then(|mut page| page.remove(*row)) {
                Ok(()) => (Change::Made, Ok(())),
                Err(error) => (Change::None, Err(error)),
            }
        })?;
        removed.map_err(|error| error.at(block))?;
    }
    Ok(dead.len() as u64)
}
