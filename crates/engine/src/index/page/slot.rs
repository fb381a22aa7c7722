//! One slot of a node page: an element with its row, its code and its neighbours of level 0.

use super::{FACTORS_BYTES, Layout, NeighbourList, PageError, UpperId, bytes};
use crate::index::{HeapTid, SlotId};

pub(super) const STATE_OFFSET: usize = 0;
pub(super) const LEVEL_OFFSET: usize = 1;
pub(super) const TID_OFFSET: usize = 2;
pub(super) const TID_BYTES: usize = 6;
pub(super) const UPPER_OFFSET: usize = 8;
pub(super) const FACTORS_OFFSET: usize = 12;
/// Bytes of a slot before its code.
pub(super) const CODE_OFFSET: usize = 32;
/// Bytes of a slot up to the end of the factors, see [`SlotHead::parse_front`].
pub const FRONT_BYTES: usize = CODE_OFFSET;

const _: () = assert!(TID_OFFSET + TID_BYTES == UPPER_OFFSET);
const _: () = assert!(UPPER_OFFSET + 4 == FACTORS_OFFSET);
const _: () = assert!(FACTORS_OFFSET + FACTORS_BYTES == CODE_OFFSET);

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum SlotState {
    /// Nothing.
    Free = 0,
    /// An element of the graph.
    Live = 1,
    /// An element whose row is gone, still a way to others.
    Dead = 2,
    /// A row that no distance ranks (a zero vector under the cosine metric); not in the graph.
    Unranked = 3,
}

impl SlotState {
    /// The state that stands in a slot as `code`.
    #[must_use]
    #[inline]
    pub fn from_u8(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Free),
            1 => Some(Self::Live),
            2 => Some(Self::Dead),
            3 => Some(Self::Unranked),
            _ => None,
        }
    }

    /// The number that stands for the state in a slot.
    #[must_use]
    pub fn to_u8(self) -> u8 {
        self as u8
    }
}

/// The front of a slot: all but keys and neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotHead<'a> {
    /// What the slot holds.
    pub state: SlotState,
    /// The highest level of the element; as it stands there, possibly above [`super::MAX_LEVEL`] on a damaged page.
    pub level: u8,
    /// The row of the table.
    pub tid: HeapTid,
    /// The record of level 1.
    pub upper: UpperId,
    /// The factors of the code, as the quantiser wrote them.
    pub factors: &'a [u8; FACTORS_BYTES],
    /// The code.
    pub code: &'a [u8],
}

impl<'a> SlotHead<'a> {
    /// Reads peeked bytes from [`Layout::head_place`], [`Layout::head_bytes`] long; none if they are fewer. An unknown state reads
    /// as [`SlotState::Free`]: a search passes it by.
    #[must_use]
    #[inline]
    pub fn parse(bytes: &'a [u8], layout: &Layout) -> Option<Self> {
        let mut head = Self::parse_front(bytes)?;
        head.code = bytes.get(CODE_OFFSET..layout.head_bytes())?;
        Some(head)
    }

    /// Reads peeked bytes from [`Layout::head_place`] that end before the code, [`FRONT_BYTES`] long: all but the code, which
    /// comes out empty.
    #[must_use]
    #[inline]
    pub fn parse_front(bytes: &'a [u8]) -> Option<Self> {
        let head: &[u8; CODE_OFFSET] = bytes.first_chunk()?;
        let state = *head.first()?;
        Some(Self {
            state: SlotState::from_u8(state).unwrap_or(SlotState::Free),
            level: *head.get(LEVEL_OFFSET)?,
            tid: parse_tid(head.get(TID_OFFSET..)?)?,
            upper: UpperId(bytes::get_u32(head, UPPER_OFFSET).ok()?),
            factors: head.last_chunk()?,
            code: &[],
        })
    }
}

/// Bytes of a slot that tell state, level and row: what is looked at again before a row is returned.
pub const ROW_BYTES: usize = TID_OFFSET + TID_BYTES;

/// State and row in [`ROW_BYTES`] peeked bytes from [`Layout::head_place`]; none if they are fewer. An unknown state reads as
/// [`SlotState::Free`].
#[must_use]
#[inline]
pub fn parse_row(bytes: &[u8]) -> Option<(SlotState, HeapTid)> {
    let state = SlotState::from_u8(*bytes.first()?).unwrap_or(SlotState::Free);
    Some((state, parse_tid(bytes.get(TID_OFFSET..)?)?))
}

/// The row in 6 peeked bytes from [`Layout::tid_place`]; none if they are fewer.
#[must_use]
#[inline]
pub fn parse_tid(bytes: &[u8]) -> Option<HeapTid> {
    let [a, b, c, d, e, f] = *bytes.first_chunk::<TID_BYTES>()?;
    Some(HeapTid {
        block: u32::from_le_bytes([a, b, c, d]),
        offset: u16::from_le_bytes([e, f]),
    })
}

pub(super) fn tid_to_bytes(tid: HeapTid) -> [u8; TID_BYTES] {
    let [a, b, c, d] = tid.block.to_le_bytes();
    let [e, f] = tid.offset.to_le_bytes();
    [a, b, c, d, e, f]
}

/// A whole slot, read from a page under its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRef<'a> {
    /// The front of the slot; its state is known to be one of the four.
    pub head: SlotHead<'a>,
    /// The keys.
    pub keys: &'a [u8],
    /// The neighbours of level 0.
    pub neighbours: NeighbourList<'a>,
}

impl<'a> SlotRef<'a> {
    /// Reads the bytes of one slot.
    pub(super) fn parse(slot: &'a [u8], layout: &Layout) -> Result<Self, PageError> {
        let state = bytes::get_u8(slot, STATE_OFFSET)?;
        if SlotState::from_u8(state).is_none() {
            return Err(PageError::content("slot has an unknown state"));
        }
        Ok(Self {
            head: SlotHead::parse(slot, layout).ok_or(PageError::content("slot is cut short"))?,
            keys: bytes::range(slot, layout.keys_offset(), layout.key_bytes())?,
            neighbours: NeighbourList::new(bytes::range(
                slot,
                layout.neighbours_offset(),
                layout.neighbours_bytes(0),
            )?),
        })
    }
}

/// What is to be written to a slot.
#[derive(Debug, Clone, Copy)]
pub struct NewSlot<'a> {
    /// What the slot will hold.
    pub state: SlotState,
    /// The highest level of the element, at most [`super::MAX_LEVEL`].
    pub level: u8,
    /// The row of the table.
    pub tid: HeapTid,
    /// The record of level 1, or [`UpperId::NONE`].
    pub upper: UpperId,
    /// The factors of the code.
    pub factors: &'a [u8; FACTORS_BYTES],
    /// The code, [`Layout::code_bytes`] long.
    pub code: &'a [u8],
    /// The keys, [`Layout::key_bytes`] long.
    pub keys: &'a [u8],
    /// The neighbours of level 0, at most 2m.
    pub neighbours: &'a [SlotId],
}
