//! Directory pages: the lists of an inverted file.

use crate::index::page::{
    BODY_BYTES, HEADER_BYTES, PageError, PageKind, bytes, init_page, written, written_mut,
};
use crate::kernels::scan::write_row;

use super::super::encode::Coded;
use super::super::layout::{CODE_FACTORS_BYTES, DIRECTORY_HEAD_BYTES, ENTRY_BYTES, Layout};

const COUNT_OFFSET: usize = 4;
const SLOT_OFFSET: usize = 2;
const CENTROID_OFFSET: usize = 4;
const HEAD_OFFSET: usize = 8;
const TAIL_OFFSET: usize = 12;
const GENERATION_OFFSET: usize = 16;
const LEADER_OFFSET: usize = 20;
const STAMP_OFFSET: usize = 24;
const NO_LEADER: u32 = u32::MAX;

/// Where a list is in its life. Lists are replaced by others in one step, which is a change of one entry: that of the *leader*, one of the
/// replaced. The others name it, and what they are depends on its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ListState {
    /// In no use; its place for a centroid is kept.
    Free = 0,
    /// Searched, and rows are added.
    Active = 1,
    /// Searched until its leader is retired; rows are no longer added.
    Closing = 2,
    /// Searched from when its leader is retired.
    Pending = 3,
    /// No longer searched; its pages stay until no scan can have begun before.
    Retired = 4,
}

impl ListState {
    fn from_u8(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Free),
            1 => Some(Self::Active),
            2 => Some(Self::Closing),
            3 => Some(Self::Pending),
            4 => Some(Self::Retired),
            _ => None,
        }
    }
}

/// A list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Where it is in its life.
    pub state: ListState,
    /// The page of its centroid.
    pub centroid_block: u32,
    /// The place of its centroid on that page.
    pub centroid_slot: u16,
    /// Its first posting page, 0 without one.
    pub head: u32,
    /// A page of it near its end.
    pub tail: u32,
    /// Tells apart the lists that had this number.
    pub generation: u32,
    /// The list whose state this one's depends on.
    pub leader: Option<u32>,
    /// Of a retired list: the transaction that was next then, after whose predecessors nobody can see it; 0 where nobody ever saw it. Of
    /// any other: the rows that it was made with, 0 by a build.
    pub stamp: u64,
}

impl Entry {
    /// An active list without pages.
    pub(in crate::index::ivf) const EMPTY: Entry = Entry {
        state: ListState::Active,
        centroid_block: 0,
        centroid_slot: 0,
        head: 0,
        tail: 0,
        generation: 0,
        leader: None,
        stamp: 0,
    };
}

/// An entry in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedEntry {
    /// Its place on the page.
    pub index: usize,
    /// What it says.
    pub entry: Entry,
}

/// A directory page.
#[derive(Debug, Clone, Copy)]
pub struct DirectoryPage<'a> {
    body: &'a [u8],
    layout: &'a Layout,
    count: usize,
}

/// Where block `index / lanes` begins in the body.
fn block_start(layout: &Layout, index: usize) -> usize {
    DIRECTORY_HEAD_BYTES + index / layout.lanes * layout.directory_block_bytes()
}

fn entry_start(layout: &Layout, index: usize) -> usize {
    block_start(layout, index)
        + layout.code_bytes
        + layout.lanes * CODE_FACTORS_BYTES
        + index % layout.lanes * ENTRY_BYTES
}

impl<'a> DirectoryPage<'a> {
    /// Looks at a page.
    ///
    /// # Errors
    /// [`PageError`] if it is none, or says that it has more lists than fit.
    pub fn open(page: &'a [u8], layout: &'a Layout) -> Result<Self, PageError> {
        let body = bytes::range(written(page, PageKind::Directory)?, HEADER_BYTES, BODY_BYTES)?;
        let count = usize::from(bytes::get_u16(body, COUNT_OFFSET)?);
        if count > layout.lists_per_page() {
            return Err(PageError::content(
                "more lists than a directory page has room for",
            ));
        }
        Ok(Self { body, layout, count })
    }

    /// The next page, 0 without one.
    ///
    /// # Errors
    /// None on a page that was opened.
    pub fn next(&self) -> Result<u32, PageError> {
        bytes::get_u32(self.body, 0)
    }

    /// How many lists are on the page.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// The codes and the factors of block `block`.
    ///
    /// # Errors
    /// [`PageError`] for a block that the page has not.
    pub fn block(&self, block: usize) -> Result<(&'a [u8], &'a [u8]), PageError> {
        let start = block_start(self.layout, block * self.layout.lanes);
        let codes = bytes::range(self.body, start, self.layout.code_bytes)?;
        let factors = bytes::range(
            self.body,
            start + self.layout.code_bytes,
            self.layout.lanes * CODE_FACTORS_BYTES,
        )?;
        Ok((codes, factors))
    }

    /// The entry of a list by its place on the page.
    ///
    /// # Errors
    /// [`PageError`] for one that is not there, or a state that is none.
    pub fn entry(&self, index: usize) -> Result<Entry, PageError> {
        if index >= self.count {
            return Err(PageError::content("list beyond the end of its directory page"));
        }
        let bytes = bytes::range(self.body, entry_start(self.layout, index), ENTRY_BYTES)?;
        parse_entry(bytes)
    }

    /// All entries.
    pub fn entries(self) -> impl Iterator<Item = Result<ParsedEntry, PageError>> + 'a {
        (0..self.count).map(move |index| self.entry(index).map(|entry| ParsedEntry { index, entry }))
    }
}

fn parse_entry(bytes: &[u8]) -> Result<Entry, PageError> {
    let leader = bytes::get_u32(bytes, LEADER_OFFSET)?;
    Ok(Entry {
        state: ListState::from_u8(bytes::get_u8(bytes, 0)?)
            .ok_or(PageError::content("unknown state of a list"))?,
        centroid_block: bytes::get_u32(bytes, CENTROID_OFFSET)?,
        centroid_slot: bytes::get_u16(bytes, SLOT_OFFSET)?,
        head: bytes::get_u32(bytes, HEAD_OFFSET)?,
        tail: bytes::get_u32(bytes, TAIL_OFFSET)?,
        generation: bytes::get_u32(bytes, GENERATION_OFFSET)?,
        leader: (leader != NO_LEADER).then_some(leader),
        stamp: bytes::get_u64(bytes, STAMP_OFFSET)?,
    })
}

/// Makes the page an empty directory page.
///
/// # Errors
/// [`PageError`] for bytes of another length than a page.
pub fn init_directory(page: &mut [u8]) -> Result<(), PageError> {
    init_page(page, PageKind::Directory)
}

/// Names the directory page after this one.
///
/// # Errors
/// [`PageError`] if the page is none.
pub fn set_next(page: &mut [u8], next: u32) -> Result<(), PageError> {
    let body = bytes::range_mut(written_mut(page, PageKind::Directory)?, HEADER_BYTES, BODY_BYTES)?;
    bytes::put(body, 0, &next.to_le_bytes())
}

/// Writes the entry of a list that is there, or is the next one.
///
/// # Errors
/// [`PageError`] if the page is none or has no such place.
pub fn write_entry(page: &mut [u8], layout: &Layout, index: usize, entry: &Entry) -> Result<(), PageError> {
    let body = bytes::range_mut(written_mut(page, PageKind::Directory)?, HEADER_BYTES, BODY_BYTES)?;
    let count = usize::from(bytes::get_u16(body, COUNT_OFFSET)?);
    if index > count || index >= layout.lists_per_page() {
        return Err(PageError::content("list beyond the end of its directory page"));
    }
    if index == count {
        let count = u16::try_from(count + 1).map_err(|_| PageError::content("too many lists"))?;
        bytes::put(body, COUNT_OFFSET, &count.to_le_bytes())?;
    }
    let mut bytes = [0; ENTRY_BYTES];
    bytes::put(&mut bytes, 0, &[entry.state as u8])?;
    bytes::put(&mut bytes, SLOT_OFFSET, &entry.centroid_slot.to_le_bytes())?;
    bytes::put(&mut bytes, CENTROID_OFFSET, &entry.centroid_block.to_le_bytes())?;
    bytes::put(&mut bytes, HEAD_OFFSET, &entry.head.to_le_bytes())?;
    bytes::put(&mut bytes, TAIL_OFFSET, &entry.tail.to_le_bytes())?;
    bytes::put(&mut bytes, GENERATION_OFFSET, &entry.generation.to_le_bytes())?;
    bytes::put(
        &mut bytes,
        LEADER_OFFSET,
        &entry.leader.unwrap_or(NO_LEADER).to_le_bytes(),
    )?;
    bytes::put(&mut bytes, STAMP_OFFSET, &entry.stamp.to_le_bytes())?;
    bytes::put(body, entry_start(layout, index), &bytes)
}

/// Writes the entry of a list and the code of its centroid.
///
/// # Errors
/// As [`write_entry`].
pub fn write_list(
    page: &mut [u8],
    layout: &Layout,
    index: usize,
    entry: &Entry,
    code: &Coded,
) -> Result<(), PageError> {
    write_entry(page, layout, index, entry)?;
    let body = bytes::range_mut(written_mut(page, PageKind::Directory)?, HEADER_BYTES, BODY_BYTES)?;
    let (start, row) = (block_start(layout, index), index % layout.lanes);
    write_row(
        bytes::range_mut(body, start, layout.code_bytes)?,
        layout.lanes,
        row,
        &code.bits,
    );
    let factors = start + layout.code_bytes;
    bytes::put(body, factors + 4 * row, &code.scale.to_le_bytes())?;
    bytes::put(
        body,
        factors + 4 * (layout.lanes + row),
        &code.addend.to_le_bytes(),
    )
}
