//! Posting pages: the rows of a list.

use crate::index::HeapTid;
use crate::index::page::{
    BODY_BYTES, HEADER_BYTES, PageError, PageKind, bytes, init_page, written, written_mut,
};
use crate::kernels::scan::{move_row, read_row, write_row};

use super::super::encode::Coded;
use super::super::layout::{BLOCK_NUMBER_BYTES, CODE_FACTORS_BYTES, Layout, POSTING_HEAD_BYTES, TID_BYTES};
use super::{get_tid, tid_bytes};

const GENERATION_OFFSET: usize = 4;
const NEXT_OFFSET: usize = 8;
const COUNT_OFFSET: usize = 12;
const FLAGS_OFFSET: usize = 14;
/// Flag of the last page of a list to which nothing is added any more.
pub const CLOSED: u16 = 1;

/// What the head of a posting page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PostingHead {
    /// The list.
    pub list: u32,
    /// The generation of the list.
    pub generation: u32,
    /// The next page of the list, 0 without one.
    pub next: u32,
    /// Rows on the page.
    pub count: usize,
    /// [`CLOSED`] or 0.
    pub flags: u16,
}

impl PostingHead {
    /// Whether the page is one of this list.
    #[must_use]
    pub fn is_of(&self, list: u32, generation: u32) -> bool {
        self.list == list && self.generation == generation
    }

    fn parse(body: &[u8], layout: &Layout) -> Result<Self, PageError> {
        let head = Self {
            list: bytes::get_u32(body, 0)?,
            generation: bytes::get_u32(body, GENERATION_OFFSET)?,
            next: bytes::get_u32(body, NEXT_OFFSET)?,
            count: usize::from(bytes::get_u16(body, COUNT_OFFSET)?),
            flags: bytes::get_u16(body, FLAGS_OFFSET)?,
        };
        if head.count > layout.rows_per_page() {
            return Err(PageError::content("more rows than a posting page has room for"));
        }
        Ok(head)
    }
}

/// A posting page.
#[derive(Debug, Clone, Copy)]
pub struct PostingPage<'a> {
    body: &'a [u8],
    layout: &'a Layout,
    head: PostingHead,
}

/// A row as it is added.
#[derive(Debug, Clone, Copy)]
pub struct NewRow<'a> {
    /// Its place in the table.
    pub tid: HeapTid,
    /// Its code.
    pub code: &'a Coded,
    /// Its keys.
    pub keys: &'a [u8],
}

/// Offsets of the parts of a block, in the body.
struct Parts {
    codes: usize,
    factors: usize,
    tids: usize,
    keys: usize,
}

fn parts(layout: &Layout, block: usize) -> Parts {
    let codes = layout.posting_head_bytes() + block * layout.posting_block_bytes();
    let factors = codes + layout.code_bytes;
    let tids = factors + layout.lanes * CODE_FACTORS_BYTES;
    Parts {
        codes,
        factors,
        tids,
        keys: tids + layout.lanes * TID_BYTES,
    }
}

/// A block of a posting page.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// Codes, as [`crate::kernels::scan`] lays them out.
    pub codes: &'a [u8],
    /// Scales and addends.
    pub factors: &'a [u8],
    /// Rows in it.
    pub count: usize,
    tids: &'a [u8],
    keys: &'a [u8],
    key_bytes: usize,
}

impl<'a> Block<'a> {
    /// The place of a row in the table.
    ///
    /// # Errors
    /// [`PageError`] for what can be none.
    pub fn tid(&self, row: usize) -> Result<HeapTid, PageError> {
        get_tid(self.tids, row * TID_BYTES)?.ok_or(PageError::content("a row without a place in the table"))
    }

    /// The keys of a row.
    #[must_use]
    pub fn keys(&self, row: usize) -> &'a [u8] {
        let start = row * self.key_bytes;
        self.keys.get(start..start + self.key_bytes).unwrap_or_default()
    }
}

impl<'a> PostingPage<'a> {
    /// Looks at a page.
    ///
    /// # Errors
    /// [`PageError`] if it is none, or says that it has more rows than fit.
    pub fn open(page: &'a [u8], layout: &'a Layout) -> Result<Self, PageError> {
        let body = bytes::range(written(page, PageKind::Posting)?, HEADER_BYTES, BODY_BYTES)?;
        let head = PostingHead::parse(body, layout)?;
        Ok(Self { body, layout, head })
    }

    /// Its head.
    #[must_use]
    pub fn head(&self) -> PostingHead {
        self.head
    }

    /// The blocks that have rows.
    pub fn blocks(self) -> impl Iterator<Item = Result<Block<'a>, PageError>> {
        let lanes = self.layout.lanes;
        (0..self.head.count.div_ceil(lanes)).map(move |block| {
            let at = parts(self.layout, block);
            let key_bytes = self.layout.key_bytes;
            Ok(Block {
                codes: bytes::range(self.body, at.codes, self.layout.code_bytes)?,
                factors: bytes::range(self.body, at.factors, lanes * CODE_FACTORS_BYTES)?,
                tids: bytes::range(self.body, at.tids, lanes * TID_BYTES)?,
                keys: bytes::range(self.body, at.keys, lanes * key_bytes)?,
                key_bytes,
                count: (self.head.count - block * lanes).min(lanes),
            })
        })
    }

    /// The code of a row.
    ///
    /// # Errors
    /// [`PageError`] for a row that is not there.
    pub fn code(&self, row: usize, out: &mut Coded) -> Result<(), PageError> {
        let (layout, lanes) = (self.layout, self.layout.lanes);
        if row >= self.head.count {
            return Err(PageError::content("row beyond the end of a posting page"));
        }
        let at = parts(layout, row / lanes);
        let row = row % lanes;
        out.bits.resize(layout.bits_bytes(), 0);
        read_row(
            bytes::range(self.body, at.codes, layout.code_bytes)?,
            lanes,
            row,
            &mut out.bits,
        );
        out.scale = f32::from_bits(bytes::get_u32(self.body, at.factors + 4 * row)?);
        out.addend = f32::from_bits(bytes::get_u32(self.body, at.factors + 4 * (lanes + row))?);
        Ok(())
    }

    /// The refine page of a row, and the row's place on it; none without such pages.
    #[must_use]
    pub fn refine_place(&self, row: usize) -> Option<(u32, usize)> {
        let refine = self.layout.refine?;
        let (page, at) = (row / refine.rows_per_page, row % refine.rows_per_page);
        let block = bytes::get_u32(self.body, POSTING_HEAD_BYTES + BLOCK_NUMBER_BYTES * page).ok()?;
        (block != 0 && page < refine.pages).then_some((block, at))
    }

    /// The refine pages.
    pub fn refine_pages(&self) -> impl Iterator<Item = u32> + use<'a> {
        let (body, pages) = (self.body, self.layout.refine.map_or(0, |refine| refine.pages));
        (0..pages)
            .filter_map(move |page| bytes::get_u32(body, POSTING_HEAD_BYTES + BLOCK_NUMBER_BYTES * page).ok())
            .filter(|block| *block != 0)
    }
}

/// Makes the page an empty posting page of a list, with these refine pages.
///
/// # Errors
/// [`PageError`] for bytes of another length than a page.
pub fn init_posting(
    page: &mut [u8],
    list: u32,
    generation: u32,
    refine_pages: &[u32],
) -> Result<(), PageError> {
    init_page(page, PageKind::Posting)?;
    let body = bytes::range_mut(written_mut(page, PageKind::Posting)?, HEADER_BYTES, BODY_BYTES)?;
    bytes::put(body, 0, &list.to_le_bytes())?;
    bytes::put(body, GENERATION_OFFSET, &generation.to_le_bytes())?;
    for (page, block) in refine_pages.iter().enumerate() {
        bytes::put(
            body,
            POSTING_HEAD_BYTES + BLOCK_NUMBER_BYTES * page,
            &block.to_le_bytes(),
        )?;
    }
    Ok(())
}

/// A posting page that is being changed.
#[derive(Debug)]
pub struct PostingPageMut<'a> {
    body: &'a mut [u8],
    layout: &'a Layout,
    head: PostingHead,
}

impl<'a> PostingPageMut<'a> {
    /// Looks at a page.
    ///
    /// # Errors
    /// As [`PostingPage::open`].
    pub fn open(page: &'a mut [u8], layout: &'a Layout) -> Result<Self, PageError> {
        let body = bytes::range_mut(written_mut(page, PageKind::Posting)?, HEADER_BYTES, BODY_BYTES)?;
        let head = PostingHead::parse(body, layout)?;
        Ok(Self { body, layout, head })
    }

    /// Its head.
    #[must_use]
    pub fn head(&self) -> PostingHead {
        self.head
    }

    /// Names the next page of the list.
    ///
    /// # Errors
    /// None on a page that was opened.
    pub fn set_next(&mut self, next: u32) -> Result<(), PageError> {
        self.head.next = next;
        bytes::put(self.body, NEXT_OFFSET, &next.to_le_bytes())
    }

    /// Sets the flags.
    ///
    /// # Errors
    /// None on a page that was opened.
    pub fn set_flags(&mut self, flags: u16) -> Result<(), PageError> {
        self.head.flags = flags;
        bytes::put(self.body, FLAGS_OFFSET, &flags.to_le_bytes())
    }

    fn set_count(&mut self, count: usize) -> Result<(), PageError> {
        let number = u16::try_from(count).map_err(|_| PageError::content("too many rows"))?;
        self.head.count = count;
        bytes::put(self.body, COUNT_OFFSET, &number.to_le_bytes())
    }

    /// Adds a row, if there is room. Returns its place on the page.
    ///
    /// # Errors
    /// [`PageError`] for keys of another length than the index has.
    pub fn push(&mut self, new: &NewRow<'_>) -> Result<Option<usize>, PageError> {
        let (layout, row) = (self.layout, self.head.count);
        if row >= layout.rows_per_page() {
            return Ok(None);
        }
        if new.keys.len() != layout.key_bytes || new.code.bits.len() != layout.bits_bytes() {
            return Err(PageError::content("row does not have the sizes of this index"));
        }
        let at = parts(layout, row / layout.lanes);
        let lane = row % layout.lanes;
        let codes = bytes::range_mut(self.body, at.codes, layout.code_bytes)?;
        write_row(codes, layout.lanes, lane, &new.code.bits);
        bytes::put(self.body, at.factors + 4 * lane, &new.code.scale.to_le_bytes())?;
        bytes::put(
            self.body,
            at.factors + 4 * (layout.lanes + lane),
            &new.code.addend.to_le_bytes(),
        )?;
        bytes::put(self.body, at.tids + TID_BYTES * lane, &tid_bytes(new.tid))?;
        bytes::put(self.body, at.keys + layout.key_bytes * lane, new.keys)?;
        self.set_count(row + 1)?;
        Ok(Some(row))
    }

    /// Takes a row out: the last one takes its place.
    ///
    /// # Errors
    /// [`PageError`] for a row that is not there.
    pub fn remove(&mut self, row: usize) -> Result<(), PageError> {
        let layout = self.layout;
        let last = self.head.count.checked_sub(1).filter(|last| row <= *last);
        let last = last.ok_or(PageError::content("row beyond the end of a posting page"))?;
        if row != last {
            self.copy(last, row)?;
        }
        // What is beyond the end is zero, so that pages of the same rows are the same.
        let at = parts(layout, last / layout.lanes);
        let lane = last % layout.lanes;
        bytes::range_mut(self.body, at.tids + TID_BYTES * lane, TID_BYTES)?.fill(0);
        self.set_count(last)
    }

    fn copy(&mut self, from: usize, to: usize) -> Result<(), PageError> {
        let (layout, lanes) = (self.layout, self.layout.lanes);
        let (source, target) = (parts(layout, from / lanes), parts(layout, to / lanes));
        let (from_lane, to_lane) = (from % lanes, to % lanes);
        if from / lanes == to / lanes {
            let codes = bytes::range_mut(self.body, source.codes, layout.code_bytes)?;
            move_row(codes, lanes, from_lane, to_lane);
        } else {
            let mut bits = [0; super::super::layout::MAX_DIMS.div_ceil(8) + 8];
            let bits = bits.get_mut(..layout.bits_bytes()).unwrap_or_default();
            read_row(
                bytes::range(self.body, source.codes, layout.code_bytes)?,
                lanes,
                from_lane,
                bits,
            );
            write_row(
                bytes::range_mut(self.body, target.codes, layout.code_bytes)?,
                lanes,
                to_lane,
                bits,
            );
        }
        let mut carry = |from: usize, to: usize, length: usize| -> Result<(), PageError> {
            bytes::range(self.body, from, length)?;
            bytes::range(self.body, to, length)?;
            self.body.copy_within(from..from + length, to);
            Ok(())
        };
        carry(source.factors + 4 * from_lane, target.factors + 4 * to_lane, 4)?;
        carry(
            source.factors + 4 * (lanes + from_lane),
            target.factors + 4 * (lanes + to_lane),
            4,
        )?;
        carry(
            source.tids + TID_BYTES * from_lane,
            target.tids + TID_BYTES * to_lane,
            TID_BYTES,
        )?;
        let length = layout.key_bytes;
        carry(
            source.keys + length * from_lane,
            target.keys + length * to_lane,
            length,
        )
    }
}
