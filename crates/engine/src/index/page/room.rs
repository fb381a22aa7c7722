//! Upper pages with room, noted on the meta page.
//!
//! The server's free space map knows of a page how much room it has but not what kind it is, and node pages with room are common. Upper
//! lists are needed by one element in m only, so a short list of pages, renewed by each vacuum, serves them. Only hints: whoever
//! follows one looks at the page.

use super::{HEADER_BYTES, PageError, PageKind, bytes, written_mut};
use crate::index::storage::Place;

/// How many pages are noted.
const ROOM_COUNT: usize = 64;
const BLOCK_BYTES: usize = 4;
/// Bytes of the list on the meta page.
pub const UPPER_ROOM_BYTES: usize = ROOM_COUNT * BLOCK_BYTES;
/// Where the list stands in the body of the meta page.
pub(super) const UPPER_ROOM_OFFSET: usize = 168;
/// Where the list stands, for a peek of [`UPPER_ROOM_BYTES`].
pub const UPPER_ROOM_PLACE: Place = Place {
    block: 0,
    offset: 192,
};

const _: () = assert!(UPPER_ROOM_PLACE.offset as usize == HEADER_BYTES + UPPER_ROOM_OFFSET);

/// The blocks of upper pages that probably have room. Zero, the meta page, stands for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpperRoom {
    blocks: [u32; ROOM_COUNT],
}

impl Default for UpperRoom {
    fn default() -> Self {
        Self {
            blocks: [0; ROOM_COUNT],
        }
    }
}

impl UpperRoom {
    /// The list in peeked bytes from [`UPPER_ROOM_PLACE`]; what is missing at the end is left out.
    #[must_use]
    pub fn parse(peeked: &[u8]) -> Self {
        let mut room = Self::default();
        for (block, stored) in room.blocks.iter_mut().zip(peeked.as_chunks::<BLOCK_BYTES>().0) {
            *block = u32::from_le_bytes(*stored);
        }
        room
    }

    /// Writes the list to the meta page.
    ///
    /// # Errors
    /// [`PageError`] if the page is no meta page.
    pub fn write(&self, page: &mut [u8]) -> Result<(), PageError> {
        let body = bytes::range_mut(
            written_mut(page, PageKind::Meta)?,
            HEADER_BYTES + UPPER_ROOM_OFFSET,
            UPPER_ROOM_BYTES,
        )?;
        for (stored, block) in body.as_chunks_mut::<BLOCK_BYTES>().0.iter_mut().zip(self.blocks) {
            *stored = block.to_le_bytes();
        }
        Ok(())
    }

    /// The noted blocks, beginning with another one for each `turn`, so that concurrent insertions spread.
    pub fn from(&self, turn: usize) -> impl Iterator<Item = u32> + '_ {
        self.blocks
            .iter()
            .cycle()
            .skip(turn % ROOM_COUNT)
            .take(ROOM_COUNT)
            .copied()
            .filter(|&block| block != 0)
    }

    /// Notes a block, if there is a place for it and it is not noted yet. Returns whether the list changed.
    pub fn offer(&mut self, block: u32) -> bool {
        if block == 0 || self.blocks.contains(&block) {
            return false;
        }
        match self.blocks.iter_mut().find(|place| **place == 0) {
            Some(place) => {
                *place = block;
                true
            }
            None => false,
        }
    }

    /// Strikes a block off. Returns whether the list changed.
    pub fn remove(&mut self, block: u32) -> bool {
        match self.blocks.iter_mut().find(|place| **place == block) {
            Some(place) if block != 0 => {
                *place = 0;
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation
)]
mod tests {
    use super::*;
    use crate::index::page::{PAGE_BYTES, init_page};

    #[test]
    fn list_on_the_meta_page_is_read_back() {
        let mut page = vec![0; PAGE_BYTES];
        init_page(&mut page, PageKind::Meta).unwrap();
        let mut room = UpperRoom::default();
        assert!(room.offer(7) && room.offer(9) && !room.offer(7) && !room.offer(0));
        room.write(&mut page).unwrap();
        let start = usize::from(UPPER_ROOM_PLACE.offset);
        assert_eq!(UpperRoom::parse(&page[start..start + UPPER_ROOM_BYTES]), room);
        assert_eq!(room.from(1).collect::<Vec<_>>(), [9, 7]);
    }

    #[test]
    fn full_list_takes_no_more_until_one_goes() {
        let mut room = UpperRoom::default();
        for block in 1..=ROOM_COUNT as u32 {
            assert!(room.offer(block));
        }
        assert!(!room.offer(1000));
        assert!(room.remove(5) && !room.remove(5) && !room.remove(0));
        assert!(room.offer(1000));
    }
}
