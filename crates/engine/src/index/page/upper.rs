//! Upper pages: the lists of neighbours of the levels above 0.

use super::layout::UPPER_NEIGHBOURS_OFFSET;
use super::neighbours::{check_neighbours, empty_neighbours, write_neighbours};
use super::{Layout, MAX_LEVEL, NeighbourList, PageBytes, PageError, PageKind, bytes, written, written_mut};
use crate::index::SlotId;

const OWNER_OFFSET: usize = 0;
const LEVEL_OFFSET: usize = 4;
const STATE_OFFSET: usize = 5;
const SPARE_OFFSET: usize = 6;
const FREE: u8 = 0;
const USED: u8 = 1;

const _: () = assert!(SPARE_OFFSET + 2 == UPPER_NEIGHBOURS_OFFSET);

/// The list of neighbours of one element at one level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperRecord<'a> {
    /// Whether the record is in use; the rest means nothing if not.
    pub used: bool,
    /// The element whose list this is.
    pub owner: SlotId,
    /// The level of the list, from 1.
    pub level: u8,
    /// The list.
    pub neighbours: NeighbourList<'a>,
}

impl<'a> UpperRecord<'a> {
    /// Reads peeked bytes from [`Layout::upper_place`], [`Layout::upper_bytes`] long; none if they are fewer. An unknown state
    /// reads as free. The list is that of the wanted element only if owner and level are the wanted ones.
    #[must_use]
    pub fn parse(bytes: &'a [u8], layout: &Layout) -> Option<Self> {
        let list = bytes::range(bytes, UPPER_NEIGHBOURS_OFFSET, layout.neighbours_bytes(1)).ok()?;
        Some(Self {
            used: bytes::get_u8(bytes, STATE_OFFSET).ok()? == USED,
            owner: SlotId(bytes::get_u32(bytes, OWNER_OFFSET).ok()?),
            level: bytes::get_u8(bytes, LEVEL_OFFSET).ok()?,
            neighbours: NeighbourList::new(list),
        })
    }
}

/// An upper page to read.
#[derive(Debug, Clone, Copy)]
pub struct UpperPage<'a> {
    page: &'a PageBytes,
    layout: Layout,
}

impl<'a> UpperPage<'a> {
    /// The page in `bytes`.
    ///
    /// # Errors
    /// [`PageError`] if it is not a written upper page.
    pub fn open(bytes: &'a [u8], layout: &Layout) -> Result<Self, PageError> {
        Ok(Self {
            page: written(bytes, PageKind::Upper)?,
            layout: *layout,
        })
    }

    /// Record `index`.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such record or its state is unknown.
    pub fn record(&self, index: u16) -> Result<UpperRecord<'a>, PageError> {
        check_index(index, &self.layout)?;
        let record = bytes::range(
            self.page,
            self.layout.upper_offset(index),
            self.layout.upper_bytes(),
        )?;
        if bytes::get_u8(record, STATE_OFFSET)? > USED {
            return Err(PageError::content("upper record has an unknown state"));
        }
        UpperRecord::parse(record, &self.layout).ok_or(PageError::content("upper record is cut short"))
    }

    /// All records with their indexes.
    pub fn records(&self) -> impl Iterator<Item = (u16, Result<UpperRecord<'a>, PageError>)> + use<'a> {
        let page = *self;
        (0..self.layout.uppers_per_page()).map(move |index| (index, page.record(index)))
    }

    /// The first of `count` free records in a row.
    #[must_use]
    pub fn find_free(&self, count: u16) -> Option<u16> {
        let mut run: u16 = 0;
        (0..self.layout.uppers_per_page()).find_map(|index| {
            run = if self.is_free(index) {
                run.saturating_add(1)
            } else {
                0
            };
            (run > 0 && run >= count).then(|| index.saturating_add(1).saturating_sub(run))
        })
    }

    /// The most free records in a row: the room to be noted for the page.
    #[must_use]
    pub fn longest_free_run(&self) -> u16 {
        let (mut run, mut longest) = (0_u16, 0);
        for index in 0..self.layout.uppers_per_page() {
            run = if self.is_free(index) {
                run.saturating_add(1)
            } else {
                0
            };
            longest = run.max(longest);
        }
        longest
    }

    /// How many records are free.
    #[must_use]
    pub fn free_count(&self) -> u16 {
        let free = (0..self.layout.uppers_per_page())
            .filter(|index| self.is_free(*index))
            .count();
        u16::try_from(free).unwrap_or(u16::MAX)
    }

    fn is_free(&self, index: u16) -> bool {
        let state = self.layout.upper_offset(index).saturating_add(STATE_OFFSET);
        bytes::get_u8(self.page, state) == Ok(FREE)
    }
}

/// An upper page to change. Every setter checks all that it is given first, so that an error leaves the page as it was.
#[derive(Debug)]
pub struct UpperPageMut<'a> {
    page: &'a mut PageBytes,
    layout: Layout,
}

impl<'a> UpperPageMut<'a> {
    /// The page in `bytes`.
    ///
    /// # Errors
    /// [`PageError`] if it is not a written upper page; [`super::init_page`] makes one of a new page.
    pub fn open(bytes: &'a mut [u8], layout: &Layout) -> Result<Self, PageError> {
        Ok(Self {
            page: written_mut(bytes, PageKind::Upper)?,
            layout: *layout,
        })
    }

    /// The page to read.
    #[must_use]
    pub fn as_ref(&self) -> UpperPage<'_> {
        UpperPage {
            page: self.page,
            layout: self.layout,
        }
    }

    /// Writes a whole record, whatever it held.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such record, the level is not 1 to [`MAX_LEVEL`], or there are more than m neighbours.
    pub fn write(
        &mut self,
        index: u16,
        owner: SlotId,
        level: u8,
        neighbours: &[SlotId],
    ) -> Result<(), PageError> {
        if !(1..=MAX_LEVEL).contains(&level) {
            return Err(PageError::content("upper record of an impossible level"));
        }
        let layout = self.layout;
        check_neighbours(layout.neighbours_bytes(level), neighbours)?;
        let record = self.record_mut(index)?;
        bytes::put(record, OWNER_OFFSET, &owner.0.to_le_bytes())?;
        bytes::put(record, LEVEL_OFFSET, &[level])?;
        bytes::put(record, STATE_OFFSET, &[USED])?;
        bytes::put(record, SPARE_OFFSET, &[0, 0])?;
        write_neighbours(list_mut(record, &layout)?, neighbours)
    }

    /// Sets the owner of a record.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such record.
    pub fn set_owner(&mut self, index: u16, owner: SlotId) -> Result<(), PageError> {
        bytes::put(self.record_mut(index)?, OWNER_OFFSET, &owner.0.to_le_bytes())
    }

    /// Replaces the neighbours of a record.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such record, or there are more than m neighbours.
    pub fn set_neighbours(&mut self, index: u16, neighbours: &[SlotId]) -> Result<(), PageError> {
        let layout = self.layout;
        write_neighbours(list_mut(self.record_mut(index)?, &layout)?, neighbours)
    }

    /// Frees a record.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such record.
    pub fn clear(&mut self, index: u16) -> Result<(), PageError> {
        let layout = self.layout;
        let record = self.record_mut(index)?;
        bytes::put(record, OWNER_OFFSET, &SlotId::NONE.0.to_le_bytes())?;
        bytes::put(record, LEVEL_OFFSET, &[0])?;
        bytes::put(record, STATE_OFFSET, &[FREE])?;
        empty_neighbours(list_mut(record, &layout)?)
    }

    fn record_mut(&mut self, index: u16) -> Result<&mut [u8], PageError> {
        check_index(index, &self.layout)?;
        bytes::range_mut(
            self.page,
            self.layout.upper_offset(index),
            self.layout.upper_bytes(),
        )
    }
}

fn list_mut<'r>(record: &'r mut [u8], layout: &Layout) -> Result<&'r mut [u8], PageError> {
    bytes::range_mut(record, UPPER_NEIGHBOURS_OFFSET, layout.neighbours_bytes(1))
}

fn check_index(index: u16, layout: &Layout) -> Result<(), PageError> {
    if index < layout.uppers_per_page() {
        Ok(())
    } else {
        Err(PageError::content("page does not have so many upper records"))
    }
}
