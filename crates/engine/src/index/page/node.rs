//! Node pages: slots from the front of the body.

use super::neighbours::{check_neighbours, empty_neighbours, write_neighbours};
use super::slot::{
    CODE_OFFSET, FACTORS_OFFSET, LEVEL_OFFSET, STATE_OFFSET, TID_OFFSET, UPPER_OFFSET, tid_to_bytes,
};
use super::{
    Layout, MAX_LEVEL, NewSlot, PageBytes, PageError, PageKind, SPECIAL_BYTES, SPECIAL_OFFSET, SlotRef,
    SlotState, UpperId, bytes, written, written_mut,
};
use crate::index::{HeapTid, SlotId};

/// How many slots of a page are in which state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateCounts {
    /// Slots that hold nothing.
    pub free: u16,
    /// Elements of the graph.
    pub live: u16,
    /// Elements whose row is gone.
    pub dead: u16,
    /// Rows outside the graph.
    pub unranked: u16,
    /// Slots with an unknown state.
    pub unknown: u16,
}

/// A node page to read.
#[derive(Debug, Clone, Copy)]
pub struct NodePage<'a> {
    page: &'a PageBytes,
    layout: Layout,
}

impl<'a> NodePage<'a> {
    /// The page in `bytes`.
    ///
    /// # Errors
    /// [`PageError`] if it is not a written node page; [`super::page_kind`] tells a new one beforehand.
    pub fn open(bytes: &'a [u8], layout: &Layout) -> Result<Self, PageError> {
        Ok(Self {
            page: written(bytes, PageKind::Node)?,
            layout: *layout,
        })
    }

    /// Slot `index`.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such slot or its state is unknown.
    pub fn slot(&self, index: u16) -> Result<SlotRef<'a>, PageError> {
        check_index(index, &self.layout)?;
        let slot = bytes::range(
            self.page,
            self.layout.slot_offset(index),
            self.layout.slot_bytes(),
        )?;
        SlotRef::parse(slot, &self.layout)
    }

    /// All slots with their indexes.
    pub fn slots(&self) -> impl Iterator<Item = (u16, Result<SlotRef<'a>, PageError>)> + use<'a> {
        let page = *self;
        (0..self.layout.slots_per_page()).map(move |index| (index, page.slot(index)))
    }

    /// Copies what stands before the neighbours of the slots whose keys are wanted to the same places of another page, which becomes a
    /// node page. All its other slots become free ones. Returns how many were copied.
    ///
    /// # Errors
    /// [`PageError`] for a layout that no page has.
    pub fn copy_wanted(
        &self,
        to: &mut PageBytes,
        mut wanted: impl FnMut(&[u8]) -> bool,
    ) -> Result<u16, PageError> {
        let layout = &self.layout;
        let (head, length) = (layout.head_bytes(), layout.neighbours_offset());
        let mut copied = 0_u16;
        for index in 0..layout.slots_per_page() {
            let at = layout.slot_offset(index);
            let slot = bytes::range(self.page, at, length)?;
            if wanted(slot.get(head..).unwrap_or_default()) {
                bytes::put(to, at, slot)?;
                copied = copied.saturating_add(1);
            } else {
                bytes::put(to, at.saturating_add(STATE_OFFSET), &[SlotState::Free.to_u8()])?;
            }
        }
        if copied > 0 {
            bytes::put(
                to,
                SPECIAL_OFFSET,
                bytes::range(self.page, SPECIAL_OFFSET, SPECIAL_BYTES)?,
            )?;
        }
        Ok(copied)
    }

    /// How many slots are in which state.
    #[must_use]
    pub fn counts(&self) -> StateCounts {
        let mut counts = StateCounts::default();
        for state in self.states() {
            let count = match state {
                Some(SlotState::Free) => &mut counts.free,
                Some(SlotState::Live) => &mut counts.live,
                Some(SlotState::Dead) => &mut counts.dead,
                Some(SlotState::Unranked) => &mut counts.unranked,
                None => &mut counts.unknown,
            };
            *count = count.saturating_add(1);
        }
        counts
    }

    /// The first slot that holds nothing.
    #[must_use]
    pub fn first_free(&self) -> Option<u16> {
        let index = self.states().position(|state| state == Some(SlotState::Free))?;
        u16::try_from(index).ok()
    }

    fn states(&self) -> impl Iterator<Item = Option<SlotState>> {
        (0..self.layout.slots_per_page()).map(|index| {
            bytes::get_u8(self.page, self.layout.slot_offset(index))
                .ok()
                .and_then(SlotState::from_u8)
        })
    }
}

/// A node page to change. Every setter checks all that it is given first, so that an error leaves the page as it was.
#[derive(Debug)]
pub struct NodePageMut<'a> {
    page: &'a mut PageBytes,
    layout: Layout,
}

impl<'a> NodePageMut<'a> {
    /// The page in `bytes`.
    ///
    /// # Errors
    /// [`PageError`] if it is not a written node page; [`super::init_page`] makes one of a new page.
    pub fn open(bytes: &'a mut [u8], layout: &Layout) -> Result<Self, PageError> {
        Ok(Self {
            page: written_mut(bytes, PageKind::Node)?,
            layout: *layout,
        })
    }

    /// The page to read.
    #[must_use]
    pub fn as_ref(&self) -> NodePage<'_> {
        NodePage {
            page: self.page,
            layout: self.layout,
        }
    }

    /// Writes a whole slot, whatever it held.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such slot, a length is not that of the layout, the level is above [`MAX_LEVEL`], or there
    /// are too many neighbours.
    pub fn write_slot(&mut self, index: u16, new: &NewSlot<'_>) -> Result<(), PageError> {
        let layout = self.layout;
        if new.code.len() != layout.code_bytes() {
            return Err(PageError::content("code does not have the length of this index"));
        }
        if new.keys.len() != layout.key_bytes() {
            return Err(PageError::content("keys do not have the length of this index"));
        }
        if new.level > MAX_LEVEL {
            return Err(PageError::content("level is above the highest"));
        }
        check_neighbours(layout.neighbours_bytes(0), new.neighbours)?;
        let slot = self.slot_mut(index)?;
        bytes::put(slot, STATE_OFFSET, &[new.state.to_u8()])?;
        bytes::put(slot, LEVEL_OFFSET, &[new.level])?;
        bytes::put(slot, TID_OFFSET, &tid_to_bytes(new.tid))?;
        bytes::put(slot, UPPER_OFFSET, &new.upper.0.to_le_bytes())?;
        bytes::put(slot, FACTORS_OFFSET, new.factors)?;
        bytes::put(slot, CODE_OFFSET, new.code)?;
        bytes::put(slot, layout.keys_offset(), new.keys)?;
        write_neighbours(list_mut(slot, &layout)?, new.neighbours)
    }

    /// Sets the state of a slot.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such slot.
    pub fn set_state(&mut self, index: u16, state: SlotState) -> Result<(), PageError> {
        bytes::put(self.slot_mut(index)?, STATE_OFFSET, &[state.to_u8()])
    }

    /// Sets the row of a slot.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such slot.
    pub fn set_tid(&mut self, index: u16, tid: HeapTid) -> Result<(), PageError> {
        bytes::put(self.slot_mut(index)?, TID_OFFSET, &tid_to_bytes(tid))
    }

    /// Sets the level of an element and where its lists above level 0 stand.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such slot, or the level is above [`MAX_LEVEL`].
    pub fn set_upper(&mut self, index: u16, level: u8, upper: UpperId) -> Result<(), PageError> {
        if level > MAX_LEVEL {
            return Err(PageError::content("level is above the highest"));
        }
        let slot = self.slot_mut(index)?;
        bytes::put(slot, LEVEL_OFFSET, &[level])?;
        bytes::put(slot, UPPER_OFFSET, &upper.0.to_le_bytes())
    }

    /// Replaces the keys of a slot.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such slot, or the keys do not have the length of the layout.
    #[cfg(test)]
    pub fn set_keys(&mut self, index: u16, keys: &[u8]) -> Result<(), PageError> {
        let layout = self.layout;
        if keys.len() != layout.key_bytes() {
            return Err(PageError::content("keys do not have the length of this index"));
        }
        bytes::put(self.slot_mut(index)?, layout.keys_offset(), keys)
    }

    /// Replaces the neighbours of level 0.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such slot, or there are more than 2m neighbours.
    pub fn set_neighbours(&mut self, index: u16, neighbours: &[SlotId]) -> Result<(), PageError> {
        let layout = self.layout;
        write_neighbours(list_mut(self.slot_mut(index)?, &layout)?, neighbours)
    }

    /// Frees a slot: state, level, row, upper id, and an empty list. Its code stays until the slot is used again, which keeps the
    /// log record small.
    ///
    /// # Errors
    /// [`PageError`] if the page has no such slot.
    pub fn clear_slot(&mut self, index: u16) -> Result<(), PageError> {
        let layout = self.layout;
        let slot = self.slot_mut(index)?;
        bytes::put(slot, STATE_OFFSET, &[SlotState::Free.to_u8()])?;
        bytes::put(slot, LEVEL_OFFSET, &[0])?;
        bytes::put(slot, TID_OFFSET, &tid_to_bytes(HeapTid::NONE))?;
        bytes::put(slot, UPPER_OFFSET, &UpperId::NONE.0.to_le_bytes())?;
        empty_neighbours(list_mut(slot, &layout)?)
    }

    fn slot_mut(&mut self, index: u16) -> Result<&mut [u8], PageError> {
        check_index(index, &self.layout)?;
        bytes::range_mut(
            self.page,
            self.layout.slot_offset(index),
            self.layout.slot_bytes(),
        )
    }
}

fn list_mut<'s>(slot: &'s mut [u8], layout: &Layout) -> Result<&'s mut [u8], PageError> {
    bytes::range_mut(slot, layout.neighbours_offset(), layout.neighbours_bytes(0))
}

fn check_index(index: u16, layout: &Layout) -> Result<(), PageError> {
    if index < layout.slots_per_page() {
        Ok(())
    } else {
        Err(PageError::content("page does not have so many slots"))
    }
}
