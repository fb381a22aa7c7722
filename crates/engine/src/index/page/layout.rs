//! How many elements and upper records a page holds, and where each stands.
//!
//! A [`Layout`] follows from the length of a code, from m and from the length of the keys; it is computed once for an index.
//! Ids number the places densely: block times entries per page plus index, so an id leads to its bytes without a look-up.

use std::num::NonZeroU32;

use super::slot::{CODE_OFFSET, TID_OFFSET};
use super::{BODY_BYTES, HEADER_BYTES, M_MAX, MAX_LEVEL};
use crate::index::key::{MAX_KEYS, key_bytes};
use crate::index::storage::Place;
use crate::index::{IndexError, SlotId};

/// Bytes of an upper record before its neighbours.
pub(super) const UPPER_NEIGHBOURS_OFFSET: usize = 8;
/// Bytes of a neighbour.
pub(super) const ID_BYTES: usize = 4;

// The lists of one element share a page at any legal m.
const _: () =
    assert!((UPPER_NEIGHBOURS_OFFSET + ID_BYTES * M_MAX as usize) * MAX_LEVEL as usize <= BODY_BYTES);

/// The dense number of an upper record: which block and which record of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct UpperId(pub u32);

impl UpperId {
    /// No record: the element is of level 0.
    pub const NONE: UpperId = UpperId(u32::MAX);
}

/// The sizes of slots and upper records of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    m: u16,
    code_bytes: u16,
    key_bytes: u16,
    slot_bytes: u16,
    upper_bytes: u16,
    slots: NonZeroU32,
    uppers: NonZeroU32,
}

impl Layout {
    /// The layout for codes of `code_bytes`, `m` neighbours a list (2m at level 0), and `key_bytes` of keys beside each code.
    ///
    /// # Errors
    /// [`IndexError::Limit`] if `m` is above [`M_MAX`], or a slot is larger than the body of a page.
    pub fn new(code_bytes: usize, m: u16, key_bytes: usize) -> Result<Self, IndexError> {
        if m > M_MAX {
            return Err(limit("m", u64::from(m), u64::from(M_MAX)));
        }
        let links = usize::from(m).saturating_mul(ID_BYTES);
        let slot_bytes = CODE_OFFSET
            .saturating_add(code_bytes)
            .saturating_add(key_bytes)
            .saturating_add(links.saturating_mul(2));
        let too_large = || {
            limit(
                "size of an index element in bytes",
                wide(slot_bytes),
                wide(BODY_BYTES),
            )
        };
        if slot_bytes > BODY_BYTES {
            return Err(too_large());
        }
        let upper_bytes = UPPER_NEIGHBOURS_OFFSET.saturating_add(links);
        let narrow = |length: usize| u16::try_from(length).map_err(|_| too_large());
        Ok(Self {
            m,
            code_bytes: narrow(code_bytes)?,
            key_bytes: narrow(key_bytes)?,
            slot_bytes: narrow(slot_bytes)?,
            upper_bytes: narrow(upper_bytes)?,
            slots: entries_per_page(slot_bytes).ok_or_else(too_large)?,
            uppers: entries_per_page(upper_bytes).ok_or_else(too_large)?,
        })
    }

    /// The most neighbours of an element at each level above 0.
    #[must_use]
    pub fn m(&self) -> u16 {
        self.m
    }

    /// The most neighbours of an element at this level.
    #[must_use]
    pub fn max_neighbours(&self, level: u8) -> usize {
        let m = usize::from(self.m);
        if level == 0 { m.saturating_mul(2) } else { m }
    }

    /// Bytes of a code.
    #[must_use]
    pub fn code_bytes(&self) -> usize {
        usize::from(self.code_bytes)
    }

    /// Bytes of the keys in a slot.
    #[must_use]
    pub fn key_bytes(&self) -> usize {
        usize::from(self.key_bytes)
    }

    /// How many key columns those bytes are for.
    #[must_use]
    pub fn key_count(&self) -> usize {
        (0..=MAX_KEYS)
            .find(|count| key_bytes(*count) >= self.key_bytes())
            .unwrap_or(MAX_KEYS)
    }

    /// Bytes of a slot.
    #[must_use]
    pub fn slot_bytes(&self) -> usize {
        usize::from(self.slot_bytes)
    }

    /// Bytes from the front of a slot to the end of its code: what an estimate reads, see [`super::SlotHead::parse`].
    #[must_use]
    pub fn head_bytes(&self) -> usize {
        CODE_OFFSET.saturating_add(self.code_bytes())
    }

    /// Where the keys stand in a slot.
    #[must_use]
    pub fn keys_offset(&self) -> usize {
        self.head_bytes()
    }

    /// Where the neighbours of level 0 stand in a slot.
    #[must_use]
    pub fn neighbours_offset(&self) -> usize {
        self.head_bytes().saturating_add(self.key_bytes())
    }

    /// Bytes of a list of neighbours at this level: 8m at level 0, 4m above.
    #[must_use]
    pub fn neighbours_bytes(&self, level: u8) -> usize {
        self.max_neighbours(level).saturating_mul(ID_BYTES)
    }

    /// Slots on a node page; at least 1.
    #[must_use]
    pub fn slots_per_page(&self) -> u16 {
        u16::try_from(self.slots.get()).unwrap_or(u16::MAX)
    }

    /// Bytes of an upper record.
    #[must_use]
    pub fn upper_bytes(&self) -> usize {
        usize::from(self.upper_bytes)
    }

    /// Records on an upper page; at least [`MAX_LEVEL`].
    #[must_use]
    pub fn uppers_per_page(&self) -> u16 {
        u16::try_from(self.uppers.get()).unwrap_or(u16::MAX)
    }

    /// The most blocks that the index can have, so that every slot and every upper record has an id.
    #[must_use]
    pub fn max_blocks(&self) -> u32 {
        (u32::MAX / self.slots).min(u32::MAX / self.uppers)
    }

    /// The ids of an index of `blocks` blocks are below this.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for more blocks than [`Layout::max_blocks`]. To be asked with the number after it before the index
    /// is extended.
    pub fn id_bound(&self, blocks: u32) -> Result<u32, IndexError> {
        self.bound(blocks, self.slots)
    }

    /// The ids of upper records of an index of `blocks` blocks are below this.
    ///
    /// # Errors
    /// As [`Layout::id_bound`].
    pub fn upper_bound(&self, blocks: u32) -> Result<u32, IndexError> {
        self.bound(blocks, self.uppers)
    }

    fn bound(&self, blocks: u32, per_page: NonZeroU32) -> Result<u32, IndexError> {
        if blocks > self.max_blocks() {
            return Err(limit(
                "number of index pages",
                u64::from(blocks),
                u64::from(self.max_blocks()),
            ));
        }
        Ok(blocks.saturating_mul(per_page.get()))
    }

    /// The id of a slot; none if the page has no such slot, or the block is above [`Layout::max_blocks`].
    #[must_use]
    pub fn id(&self, block: u32, index: u16) -> Option<SlotId> {
        self.number(block, index, self.slots).map(SlotId)
    }

    /// The id of an upper record; none as for [`Layout::id`].
    #[must_use]
    pub fn upper_id(&self, block: u32, index: u16) -> Option<UpperId> {
        self.number(block, index, self.uppers).map(UpperId)
    }

    fn number(&self, block: u32, index: u16, per_page: NonZeroU32) -> Option<u32> {
        if block >= self.max_blocks() || u32::from(index) >= per_page.get() {
            return None;
        }
        block.checked_mul(per_page.get())?.checked_add(u32::from(index))
    }

    /// The block and the index in it of a slot.
    #[must_use]
    #[inline]
    pub fn slot(&self, id: SlotId) -> (u32, u16) {
        split(id.0, self.slots)
    }

    /// The block and the index in it of an upper record.
    #[must_use]
    #[inline]
    pub fn upper(&self, id: UpperId) -> (u32, u16) {
        split(id.0, self.uppers)
    }

    /// The record of `level` of an element whose list of level 1 is `first`; none at level 0, above [`MAX_LEVEL`], without a
    /// first record, and where it would lie on another page.
    #[must_use]
    pub fn upper_at(&self, first: UpperId, level: u8) -> Option<UpperId> {
        if first == UpperId::NONE || level > MAX_LEVEL {
            return None;
        }
        let id = UpperId(first.0.checked_add(u32::from(level.checked_sub(1)?))?);
        (id != UpperId::NONE && self.upper(id).0 == self.upper(first).0).then_some(id)
    }

    /// Where a slot begins: state, level, row, upper id, factors and code in one piece of [`Layout::head_bytes`].
    #[must_use]
    #[inline]
    pub fn head_place(&self, id: SlotId) -> Place {
        self.slot_place(id, 0)
    }

    /// Where the row of a slot stands (6 bytes).
    #[must_use]
    #[inline]
    pub fn tid_place(&self, id: SlotId) -> Place {
        self.slot_place(id, TID_OFFSET)
    }

    /// Where the keys of a slot stand ([`Layout::key_bytes`]).
    #[must_use]
    #[inline]
    pub fn keys_place(&self, id: SlotId) -> Place {
        self.slot_place(id, self.keys_offset())
    }

    /// Where the neighbours of level 0 stand, [`Layout::neighbours_bytes`] of level 0.
    #[must_use]
    #[inline]
    pub fn neighbours_place(&self, id: SlotId) -> Place {
        self.slot_place(id, self.neighbours_offset())
    }

    /// Where an upper record begins ([`Layout::upper_bytes`]).
    #[must_use]
    #[inline]
    pub fn upper_place(&self, id: UpperId) -> Place {
        let (block, index) = self.upper(id);
        Place {
            block,
            offset: offset_in_page(index, self.upper_bytes, 0),
        }
    }

    #[inline]
    fn slot_place(&self, id: SlotId, within: usize) -> Place {
        let (block, index) = self.slot(id);
        Place {
            block,
            offset: offset_in_page(index, self.slot_bytes, within),
        }
    }

    /// Where slot `index` begins in a page.
    pub(super) fn slot_offset(&self, index: u16) -> usize {
        usize::from(offset_in_page(index, self.slot_bytes, 0))
    }

    /// Where upper record `index` begins in a page.
    pub(super) fn upper_offset(&self, index: u16) -> usize {
        usize::from(offset_in_page(index, self.upper_bytes, 0))
    }
}

fn wide(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn limit(what: &'static str, value: u64, limit: u64) -> IndexError {
    IndexError::Limit { what, value, limit }
}

fn entries_per_page(entry_bytes: usize) -> Option<NonZeroU32> {
    u32::try_from(BODY_BYTES.checked_div(entry_bytes)?)
        .ok()
        .and_then(NonZeroU32::new)
}

#[inline]
fn split(id: u32, per_page: NonZeroU32) -> (u32, u16) {
    (id / per_page, u16::try_from(id % per_page).unwrap_or(u16::MAX))
}

/// Entries fill at most the body, so this stays below 8192 for every index on a page; saturation covers the others.
#[inline]
fn offset_in_page(index: u16, entry_bytes: u16, within: usize) -> u16 {
    let within = u16::try_from(within.saturating_add(HEADER_BYTES)).unwrap_or(u16::MAX);
    index.saturating_mul(entry_bytes).saturating_add(within)
}
