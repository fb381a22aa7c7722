//! A row is added to its nearest list: one page, one record.
//!
//! The list is found in the caller's copy of the directory. That may be old: a list that was replaced meanwhile is known by its last
//! page, which is closed or belongs to another list by then, and the caller reads the directory again. When the last page of a list is
//! full a page is taken, in one record with the row on it, then linked under the lock of the page before it. So a page that is not
//! linked and has no rows is nobody's, which lets a cleanup give it back: what a crash in between leaves has a row that vacuum takes out.

use crate::index::page::PageError;
use crate::index::quantize::{CodeRef, Rankable};
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{HeapTid, IndexError};

use super::directory::{Directory, Finder, List, read_entries};
use super::encode::{Coded, encode};
use super::index::Index;
use super::page::{
    CLOSED, DirectoryPage, Entry, ListState, NewRow, PostingPage, PostingPageMut, RefineRecord, write_entry,
    write_refine,
};
use super::pages::{give_back_posting, take_posting};
use std::sync::atomic::Ordering;

/// A row that is added.
#[derive(Debug, Clone, Copy)]
pub struct NewElement<'a> {
    /// The vector, by [`Index::transform`].
    pub transformed: &'a [f32],
    /// What the transformation said of it.
    pub rankable: Rankable,
    /// The row's place.
    pub tid: HeapTid,
    /// Its keys.
    pub keys: &'a [u8],
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It is in the index.
    Stored,
    /// The directory has changed: read it and try again.
    Stale,
    /// All lists are about to be replaced: wait a moment, read the directory and try again; in the end [`reopen`].
    Busy,
}

/// Adds rows; its memory is used for the next one.
#[derive(Debug, Default)]
pub struct Inserter {
    finder: Finder,
    centroid: Vec<f32>,
    code: Coded,
    refine: Vec<u8>,
}

/// What a look at the end of a list gave.
enum Append {
    Done { block: u32, row: usize },
    Full { next: u32 },
    Closed { flags: u16 },
    Gone,
}

impl Inserter {
    /// Adds a row.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`], [`IndexError::OutOfMemory`], those of the storage.
    pub fn insert<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        directory: &Directory,
        element: &NewElement<'_>,
    ) -> Result<Placed, IndexError> {
        let list = match element.rankable {
            Rankable::No => &directory.unranked,
            Rankable::Yes => {
                let near = self
                    .finder
                    .nearest(index, directory, storage, element.transformed)?;
                match near.and_then(|near| directory.list(near.number)) {
                    Some(list) => list,
                    None => return Ok(Placed::Busy),
                }
            }
        };
        self.code_for(index, storage, list, element)?;
        let row = NewRow {
            tid: element.tid,
            code: &self.code,
            keys: element.keys,
        };
        let Some((block, place)) = add(index, storage, list, &row)? else {
            return Ok(Placed::Stale);
        };
        if index.layout.refine.is_some() && element.rankable == Rankable::Yes {
            self.write_refine(index, storage, element, block, place)?;
        }
        Ok(Placed::Stored)
    }

    /// Codes the row for its list. A row without rank has an empty code.
    fn code_for<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        list: &List,
        element: &NewElement<'_>,
    ) -> Result<(), IndexError> {
        self.code.bits.clear();
        self.code.bits.resize(index.layout.bits_bytes(), 0);
        (self.code.scale, self.code.addend) = (0.0, 0.0);
        if element.rankable == Rankable::Yes {
            self.centroid.resize(index.layout.dims, 0.0);
            // Under the lock of its page: a torn centroid would make a wrong code for good.
            list.centroid(index, storage, &mut self.centroid)?;
            encode(
                index.kernels,
                index.options.metric,
                element.transformed,
                &self.centroid,
                &mut self.code,
            );
        }
        Ok(())
    }

    /// Writes the longer code of a row that was added. Between the two a search has the short one.
    fn write_refine<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        element: &NewElement<'_>,
        block: u32,
        place: usize,
    ) -> Result<(), IndexError> {
        let Some(layout) = index.layout.refine else {
            return Ok(());
        };
        let open = |page: &[u8]| PostingPage::open(page, &index.layout).map(|page| page.refine_place(place));
        // The row may have been copied to another list meanwhile, and its page given to something else: then there is no code to write.
        let Ok(Some((page, at))) = storage.read(block, open)? else {
            return Ok(());
        };
        self.refine.resize(layout.code_bytes, 0);
        let factors = index.quantizer.encode(element.transformed, &mut self.refine);
        let record = RefineRecord {
            tid: element.tid,
            code: CodeRef {
                factors,
                code: &self.refine,
            },
        };
        storage.update(page, |bytes| {
            // The row may have been moved, and its page given to another list: then the code is nobody's.
            let written = write_refine(bytes, &layout, at, &record).is_ok();
            (if written { Change::Made } else { Change::None }, ())
        })
    }
}

/// Adds a row at the end of a list. Returns its page and its place there; none if the list is no longer what the directory says.
pub(super) fn add<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    list: &List,
    row: &NewRow<'_>,
) -> Result<Option<(u32, usize)>, IndexError> {
    let mut block = list.tail();
    let most = storage.blocks()?;
    for _ in 0..=most {
        storage.check_interrupts()?;
        match append(index, storage, block, list, row)? {
            Append::Done { block, row } => return Ok(Some((block, row))),
            Append::Gone => return Ok(None),
            Append::Closed { flags } => {
                if !unclose(index, storage, list, block, flags)? {
                    return Ok(None);
                }
            }
            Append::Full { next: 0 } => match grow(index, storage, block, list, row)? {
                Grown::Done { block, row } => return Ok(Some((block, row))),
                Grown::Other { next } => block = next,
                Grown::Closed => return Ok(None),
            },
            Append::Full { next } => {
                list.tail.store(next, Ordering::Relaxed);
                block = next;
            }
        }
    }
    Err(PageError::content("pages of a list run in a circle").at(block))
}

fn append<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    block: u32,
    list: &List,
    row: &NewRow<'_>,
) -> Result<Append, IndexError> {
    if block == 0 || block >= storage.blocks()? {
        return Ok(Append::Gone);
    }
    let change = |bytes: &mut [u8]| {
        // A page of another kind is one that was given to something else.
        let Ok(mut page) = PostingPageMut::open(bytes, &index.layout) else {
            return (Change::None, Ok(Append::Gone));
        };
        let head = page.head();
        if !head.is_of(list.number, list.generation) {
            return (Change::None, Ok(Append::Gone));
        }
        if head.flags & CLOSED != 0 {
            return (Change::None, Ok(Append::Closed { flags: head.flags }));
        }
        if head.next != 0 {
            return (Change::None, Ok(Append::Full { next: head.next }));
        }
        match page.push(row) {
            Ok(Some(row)) => (Change::Made, Ok(Append::Done { block, row })),
            Ok(None) => (Change::None, Ok(Append::Full { next: 0 })),
            Err(error) => (Change::None, Err(error)),
        }
    };
    storage.update(block, change)?.map_err(|error| error.at(block))
}

/// What came of adding a page to a list.
enum Grown {
    Done {
        block: u32,
        row: usize,
    },
    /// Another backend has added one.
    Other {
        next: u32,
    },
    /// Nothing is added to the list any more.
    Closed,
}

/// Adds a page with the row to a list, after `last`.
fn grow<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    last: u32,
    list: &List,
    row: &NewRow<'_>,
) -> Result<Grown, IndexError> {
    let new = take_posting(index, storage, list.number, list.generation, Some(row))?;
    let linked = storage.update(last, |bytes| {
        let Ok(mut page) = PostingPageMut::open(bytes, &index.layout) else {
            return (Change::None, Ok(Grown::Closed));
        };
        let head = page.head();
        if !head.is_of(list.number, list.generation) || head.flags & CLOSED != 0 {
            return (Change::None, Ok(Grown::Closed));
        }
        if head.next != 0 {
            return (Change::None, Ok(Grown::Other { next: head.next }));
        }
        match page.set_next(new) {
            Ok(()) => (Change::Made, Ok(Grown::Done { block: new, row: 0 })),
            Err(error) => (Change::None, Err(error)),
        }
    })?;
    let linked = linked.map_err(|error| error.at(last))?;
    if matches!(linked, Grown::Done { .. }) {
        list.tail.store(new, Ordering::Relaxed);
        note_tail(index, storage, list, new)?;
    } else {
        give_back_posting(index, storage, new, (list.number, list.generation), false)?;
    }
    Ok(linked)
}

/// The directory page of a list, and the list's place on it.
pub(super) fn entry_place<S: PageRead>(
    index: &Index,
    storage: &mut S,
    number: u32,
) -> Result<(u32, usize), IndexError> {
    let per_page = index.layout.lists_per_page();
    let (mut page, at) = (number as usize / per_page, number as usize % per_page);
    let meta = storage
        .read(0, super::page::Meta::parse)?
        .map_err(|error| error.at(0))?;
    let mut block = meta.directory;
    while page > 0 && block != 0 {
        let open = |bytes: &[u8]| DirectoryPage::open(bytes, &index.layout)?.next();
        block = storage.read(block, open)?.map_err(|error| error.at(block))?;
        page -= 1;
    }
    if block == 0 {
        return Err(PageError::content("directory ends before a list of it").at(0));
    }
    Ok((block, at))
}

/// Has the directory name a page near the end of a list. Only a hint: the list's pages name each other.
fn note_tail<S: PageWrite>(index: &Index, storage: &mut S, list: &List, tail: u32) -> Result<(), IndexError> {
    change_entry(index, storage, list.number, |entry| {
        (entry.generation == list.generation).then_some(Entry { tail, ..entry })
    })
    .map(drop)
}

/// Opens lists again whose replacement has not come for long: whoever was at it is gone, or will see that it is to give up. Only leaders:
/// the lists that depend on one are searched as before, and the next vacuum opens them.
///
/// # Errors
/// [`IndexError::Corrupt`], those of the storage.
pub fn reopen<S: PageWrite>(index: &Index, storage: &mut S) -> Result<(), IndexError> {
    let (_, entries) = read_entries(index, storage, |_, _| Ok(()))?;
    for (number, entry) in (0_u32..).zip(&entries) {
        if entry.state == ListState::Closing && entry.leader == Some(number) {
            reopen_list(index, storage, number)?;
        }
    }
    Ok(())
}

/// Makes a closing list an active one. Of a list that depends on another only vacuum may, which alone retires leaders.
pub(super) fn reopen_list<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    number: u32,
) -> Result<(), IndexError> {
    change_entry(index, storage, number, |entry| {
        (entry.state == ListState::Closing).then_some(Entry {
            state: ListState::Active,
            leader: None,
            ..entry
        })
    })?;
    let (block, at) = entry_place(index, storage, number)?;
    let open = |bytes: &[u8]| DirectoryPage::open(bytes, &index.layout)?.entry(at);
    let entry = storage.read(block, open)?.map_err(|error| error.at(block))?;
    let mut page = entry.tail;
    for _ in 0..=storage.blocks()? {
        if page == 0 {
            break;
        }
        let head = storage.read(page, |bytes| {
            PostingPage::open(bytes, &index.layout).map(|page| page.head())
        })?;
        let Ok(head) = head else { break };
        if head.flags & CLOSED != 0 {
            let list = List::new(number, &entry);
            unclose(index, storage, &list, page, head.flags)?;
        }
        page = head.next;
    }
    Ok(())
}

/// Changes the entry of a list, if `change` gives another. Returns whether it did.
pub(super) fn change_entry<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    number: u32,
    change: impl FnOnce(Entry) -> Option<Entry>,
) -> Result<bool, IndexError> {
    let (block, at) = entry_place(index, storage, number)?;
    let changed = storage.update(block, |bytes| {
        let entry = DirectoryPage::open(bytes, &index.layout).and_then(|page| page.entry(at));
        match entry.map(change) {
            Err(error) => (Change::None, Err(error)),
            Ok(None) => (Change::None, Ok(false)),
            Ok(Some(entry)) => match write_entry(bytes, &index.layout, at, &entry) {
                Ok(()) => (Change::Made, Ok(true)),
                Err(error) => (Change::None, Err(error)),
            },
        }
    })?;
    changed.map_err(|error| error.at(block))
}

/// Takes away the mark of a closed page, seen as `flags`, if its list is an active one: it was opened again, and whoever did so came no
/// further. Each closing leaves another mark, so that one which came after the look at the list stays. Returns whether the list is open.
fn unclose<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    list: &List,
    block: u32,
    flags: u16,
) -> Result<bool, IndexError> {
    let (directory, at) = entry_place(index, storage, list.number)?;
    let open = |bytes: &[u8]| DirectoryPage::open(bytes, &index.layout)?.entry(at);
    let entry = storage
        .read(directory, open)?
        .map_err(|error| error.at(directory))?;
    if entry.state != ListState::Active || entry.generation != list.generation {
        return Ok(false);
    }
    storage.update(block, |bytes| {
        if let Ok(mut page) = PostingPageMut::open(bytes, &index.layout)
            && page.head().is_of(list.number, list.generation)
            && page.head().flags == flags
            && page.set_flags(flags & !CLOSED).is_ok()
        {
            return (Change::Made, true);
        }
        (Change::None, false)
    })
}
