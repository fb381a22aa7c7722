//! Pages are taken for a list and given back.

use crate::index::IndexError;
use crate::index::page::{PageError, PageKind, init_page, page_kind};
use crate::index::storage::{Change, PageWrite};

use super::index::Index;
use super::page::{NewRow, PostingPage, PostingPageMut, init_posting, init_refine};

/// So many hints of unused pages are followed before the file grows.
const TRIES: usize = 8;

/// Takes a page that is in no use, or adds one, and has `fill` make it one.
pub(super) fn take<S: PageWrite>(
    storage: &mut S,
    fill: impl Fn(&mut [u8]) -> Result<(), PageError>,
) -> Result<u32, IndexError> {
    for _ in 0..TRIES {
        let Some(block) = storage.find_room(PageKind::Unused, 1)? else {
            break;
        };
        storage.note_room(block, PageKind::Unused, 0)?;
        if block >= storage.blocks()? {
            continue;
        }
        // Only a hint: it may have been taken meanwhile.
        let taken = storage.update(block, |page| match page_kind(page) {
            Ok(Some(PageKind::Unused)) => match fill(page) {
                Ok(()) => (Change::Made, Ok(true)),
                Err(error) => (Change::None, Err(error)),
            },
            Ok(_) => (Change::None, Ok(false)),
            Err(error) => (Change::None, Err(error)),
        })?;
        if taken.map_err(|error| error.at(block))? {
            return Ok(block);
        }
    }
    let (block, filled) = storage.extend(|_, page| fill(page))?;
    filled.map_err(|error| error.at(block))?;
    Ok(block)
}

/// Makes a page one in no use, if it is still what the caller saw, and says that it can be had.
pub(super) fn give_back<S: PageWrite>(
    storage: &mut S,
    block: u32,
    still: impl Fn(&[u8]) -> bool,
) -> Result<bool, IndexError> {
    let freed = storage.update(block, |page| {
        if !still(page) {
            return (Change::None, Ok(false));
        }
        match init_page(page, PageKind::Unused) {
            Ok(()) => (Change::Made, Ok(true)),
            Err(error) => (Change::None, Err(error)),
        }
    })?;
    let freed = freed.map_err(|error| error.at(block))?;
    if freed {
        storage.note_room(block, PageKind::Unused, 1)?;
    }
    Ok(freed)
}

/// Takes a posting page, with its refine pages, for a list: empty, or with its first row.
pub(super) fn take_posting<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    list: u32,
    generation: u32,
    first: Option<&NewRow<'_>>,
) -> Result<u32, IndexError> {
    let mut refine = Vec::new();
    for _ in 0..index.layout.refine.map_or(0, |refine| refine.pages) {
        refine.push(take(storage, init_refine)?);
    }
    take(storage, |page| {
        init_posting(page, list, generation, &refine)?;
        if let Some(row) = first {
            PostingPageMut::open(page, &index.layout)?.push(row)?;
        }
        Ok(())
    })
}

/// Gives back a posting page of a list, and its refine pages. Returns how many pages, none if the page is not of the list.
pub(super) fn give_back_posting<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    block: u32,
    (list, generation): (u32, u32),
    only_empty: bool,
) -> Result<u32, IndexError> {
    let is_it = |page: &[u8]| {
        PostingPage::open(page, &index.layout).is_ok_and(|page| {
            let head = page.head();
            head.is_of(list, generation) && (head.count == 0 || !only_empty)
        })
    };
    let refine: Vec<u32> = storage.read(block, |page| {
        PostingPage::open(page, &index.layout)
            .map(|page| page.refine_pages().collect())
            .unwrap_or_default()
    })?;
    if !give_back(storage, block, is_it)? {
        return Ok(0);
    }
    let mut freed = 1;
    for block in refine {
        let is_refine = |page: &[u8]| matches!(page_kind(page), Ok(Some(PageKind::Refine)));
        freed += u32::from(give_back(storage, block, is_refine)?);
    }
    Ok(freed)
}
