//! The entry set: the elements at which searches begin.
//!
//! The HNSW paper (Malkov and Yashunin, arXiv 1603.09320) has one entry point. A set of 16 keeps searches going when some of them
//! are removed, and stands for separate regions of the data at the same level.

use super::{HEADER_BYTES, MAX_LEVEL, PageError, bytes};
use crate::index::SlotId;
use crate::index::storage::Place;

/// How many entries there may be.
pub const ENTRY_COUNT: usize = 16;
const ENTRY_BYTES: usize = 8;
const LEVEL_OFFSET: usize = 4;
/// Bytes of the set on the meta page.
pub const ENTRIES_BYTES: usize = ENTRY_COUNT * ENTRY_BYTES;
/// Where the set stands in the body of the meta page.
pub(super) const ENTRIES_OFFSET: usize = 40;
/// Where the set stands, for a peek of [`ENTRIES_BYTES`].
pub const ENTRIES_PLACE: Place = Place { block: 0, offset: 64 };

const _: () = assert!(ENTRIES_PLACE.offset as usize == HEADER_BYTES + ENTRIES_OFFSET);

/// An element at which searches begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The element.
    pub id: SlotId,
    /// Its highest level.
    pub level: u8,
}

/// The elements at which searches begin, at most [`ENTRY_COUNT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntrySet {
    places: [Option<Entry>; ENTRY_COUNT],
}

impl EntrySet {
    /// The set in peeked bytes from [`ENTRIES_PLACE`]. Entries that cannot be (level above [`MAX_LEVEL`], id 0 on the meta page)
    /// are left out, as are those beyond the end of the bytes: what is missing costs some recall, no more.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let mut set = Self::default();
        for (place, entry) in set.places.iter_mut().zip(bytes.as_chunks::<ENTRY_BYTES>().0) {
            let [a, b, c, d, level, _, _, _] = *entry;
            let id = SlotId(u32::from_le_bytes([a, b, c, d]));
            *place = (id != SlotId::NONE && id.0 != 0 && level <= MAX_LEVEL).then_some(Entry { id, level });
        }
        set
    }

    /// Writes the set to its [`ENTRIES_BYTES`].
    pub(super) fn write(&self, out: &mut [u8]) -> Result<(), PageError> {
        for (place, out) in self.places.iter().zip(out.as_chunks_mut::<ENTRY_BYTES>().0) {
            let entry = place.unwrap_or(Entry {
                id: SlotId::NONE,
                level: 0,
            });
            out.fill(0);
            bytes::put(out, 0, &entry.id.0.to_le_bytes())?;
            bytes::put(out, LEVEL_OFFSET, &[entry.level])?;
        }
        Ok(())
    }

    /// The entries.
    pub fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.places.iter().copied().flatten()
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the set names this element.
    #[must_use]
    pub fn contains(&self, id: SlotId) -> bool {
        self.iter().any(|entry| entry.id == id)
    }

    /// The highest level among the entries.
    #[must_use]
    pub fn max_level(&self) -> Option<u8> {
        self.iter().map(|entry| entry.level).max()
    }

    /// The entry that [`EntrySet::offer`] would give up last.
    #[must_use]
    pub fn highest(&self) -> Option<Entry> {
        // Of several of the lowest level the first is given up first.
        self.iter().max_by_key(|entry| entry.level)
    }

    /// Adds an element: at a free place, or else in place of the entry of the lowest level if its own is higher. An element that
    /// is in the set gets this level. Returns whether the set changed; the set is `Copy`, so a copy answers whether it would.
    pub fn offer(&mut self, id: SlotId, level: u8) -> bool {
        if id == SlotId::NONE || id.0 == 0 || level > MAX_LEVEL {
            return false;
        }
        let new = Some(Entry { id, level });
        if let Some(known) = self
            .places
            .iter_mut()
            .find(|place| place.is_some_and(|entry| entry.id == id))
        {
            let changed = *known != new;
            *known = new;
            return changed;
        }
        // A free place counts as lower than level 0.
        let lowest = self
            .places
            .iter_mut()
            .min_by_key(|place| place.map(|entry| entry.level));
        match lowest {
            Some(place) if place.is_none_or(|entry| entry.level < level) => {
                *place = new;
                true
            }
            _ => false,
        }
    }

    /// Takes an element out. Returns whether it was in.
    pub fn remove(&mut self, id: SlotId) -> bool {
        let mut removed = false;
        for place in &mut self.places {
            if place.is_some_and(|entry| entry.id == id) {
                *place = None;
                removed = true;
            }
        }
        removed
    }
}
