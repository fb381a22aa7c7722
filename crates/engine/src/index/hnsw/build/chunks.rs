//! Arrays that grow without copying what they hold: a list of chunks of equal size.
//!
//! A vector that doubles needs three times its size at the moment of the copy, and memory is what bounds a build.

// Chunks are sized here and ids come from the build itself, which numbers its elements from 0; an index out of bounds is a
// mistake in the build, not a matter of data.
#![allow(clippy::indexing_slicing)]

use std::sync::atomic::{AtomicU32, Ordering};

use crate::index::hnsw::queue::reserve;
use crate::index::{IndexError, SlotId};

/// How many elements a chunk holds: a power of two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkSize {
    shift: u32,
}

impl ChunkSize {
    /// The largest chunks of at most `chunk_bytes` for elements of `element_bytes`, but of at least 16 elements.
    pub(super) fn for_bytes(chunk_bytes: usize, element_bytes: usize) -> Self {
        let elements = (chunk_bytes / element_bytes.max(1)).clamp(16, 1 << 16);
        ChunkSize {
            shift: elements.ilog2(),
        }
    }

    pub(super) fn elements(self) -> usize {
        1 << self.shift
    }

    #[inline]
    fn chunk(self, id: u32) -> usize {
        (id >> self.shift) as usize
    }

    #[inline]
    fn within(self, id: u32) -> usize {
        id as usize & (self.elements() - 1)
    }
}

/// Records of `stride` items each.
#[derive(Debug)]
pub(super) struct Chunked<T> {
    size: ChunkSize,
    stride: usize,
    chunks: Vec<Chunk<T>>,
}

#[derive(Debug)]
struct Chunk<T> {
    items: Vec<T>,
    /// Items before the first record, so that records begin at a cache line.
    start: usize,
}

const CACHE_LINE: usize = 64;

impl<T: Clone> Chunked<T> {
    pub(super) fn new(size: ChunkSize, stride: usize) -> Self {
        Chunked {
            size,
            stride,
            chunks: Vec::new(),
        }
    }

    /// Bytes that [`Chunked::grow`] will allocate.
    pub(super) fn chunk_bytes(&self) -> usize {
        (self.stride * self.size.elements()) * size_of::<T>() + CACHE_LINE + size_of::<Chunk<T>>()
    }

    /// How many records a chunk holds.
    pub(super) fn chunk_elements(&self) -> usize {
        self.size.elements()
    }

    /// Adds a chunk filled with `item`.
    pub(super) fn grow(&mut self, item: T, what: &'static str) -> Result<(), IndexError> {
        self.grow_with(|| item.clone(), what)
    }
}

impl<T> Chunked<T> {
    fn grow_with(&mut self, item: impl FnMut() -> T, what: &'static str) -> Result<(), IndexError> {
        let count = self.stride * self.size.elements() + CACHE_LINE / size_of::<T>().max(1);
        let mut items: Vec<T> = Vec::new();
        let out_of_memory = |_| IndexError::OutOfMemory {
            what,
            bytes: count.saturating_mul(size_of::<T>()),
        };
        items.try_reserve_exact(count).map_err(out_of_memory)?;
        let start = items
            .as_ptr()
            .align_offset(CACHE_LINE)
            .min(CACHE_LINE / size_of::<T>().max(1));
        items.resize_with(count, item);
        reserve(&mut self.chunks, 1, what)?;
        self.chunks.push(Chunk { items, start });
        Ok(())
    }

    /// How many items a record has.
    pub(super) fn stride(&self) -> usize {
        self.stride
    }

    /// How many records there is room for.
    pub(super) fn capacity(&self) -> usize {
        self.chunks.len() * self.size.elements()
    }

    /// The items of a record.
    #[inline]
    pub(super) fn record(&self, id: u32) -> &[T] {
        let chunk = &self.chunks[self.size.chunk(id)];
        let at = chunk.start + self.size.within(id) * self.stride;
        &chunk.items[at..at + self.stride]
    }

    /// The items of a record, to be changed.
    #[inline]
    pub(super) fn record_mut(&mut self, id: u32) -> &mut [T] {
        let chunk = &mut self.chunks[self.size.chunk(id)];
        let at = chunk.start + self.size.within(id) * self.stride;
        &mut chunk.items[at..at + self.stride]
    }

    /// What the array occupies.
    pub(super) fn memory_bytes(&self) -> usize {
        let chunks: usize = self
            .chunks
            .iter()
            .map(|chunk| chunk.items.capacity() * size_of::<T>())
            .sum();
        chunks + self.chunks.capacity() * size_of::<Chunk<T>>()
    }
}

/// Neighbour lists that many threads read while others write them.
///
/// A list is `degree` ids, filled from the front and ended by [`SlotId::NONE`]. Every id ever stored is valid, so a reader may see
/// a list half old and half new without harm, and relaxed loads and stores suffice. Writers of one list exclude each other by
/// locks of the caller.
#[derive(Debug)]
pub(super) struct Lists {
    lists: Chunked<AtomicU32>,
}

impl Lists {
    pub(super) fn new(size: ChunkSize, degree: usize) -> Self {
        Lists {
            lists: Chunked {
                size,
                stride: degree,
                chunks: Vec::new(),
            },
        }
    }

    pub(super) fn chunk_bytes(&self) -> usize {
        self.lists.stride * self.lists.size.elements() * size_of::<AtomicU32>()
            + CACHE_LINE
            + size_of::<Chunk<AtomicU32>>()
    }

    /// How many lists a chunk holds.
    pub(super) fn chunk_elements(&self) -> usize {
        self.lists.size.elements()
    }

    /// Adds a chunk of empty lists.
    pub(super) fn grow(&mut self) -> Result<(), IndexError> {
        self.lists
            .grow_with(|| AtomicU32::new(SlotId::NONE.0), "neighbour lists")
    }

    pub(super) fn capacity(&self) -> usize {
        self.lists.capacity()
    }

    /// How many ids a list has room for.
    pub(super) fn degree(&self) -> usize {
        self.lists.stride
    }

    /// The list in its places.
    #[inline]
    pub(super) fn places(&self, list: u32) -> &[AtomicU32] {
        self.lists.record(list)
    }

    /// The ids in a list.
    #[inline]
    pub(super) fn iter(&self, list: u32) -> impl Iterator<Item = SlotId> + '_ {
        let ids = self
            .places(list)
            .iter()
            .map(|place| SlotId(place.load(Ordering::Relaxed)));
        ids.take_while(|id| *id != SlotId::NONE)
    }

    /// Replaces a list; ids beyond its room are left out.
    pub(super) fn set(&self, list: u32, ids: impl IntoIterator<Item = SlotId>) {
        let mut ids = ids.into_iter();
        for place in self.places(list) {
            place.store(ids.next().unwrap_or(SlotId::NONE).0, Ordering::Relaxed);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.lists.memory_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn records_are_apart_and_aligned() {
        let size = ChunkSize::for_bytes(10_000, 192);
        assert_eq!(size.elements(), 32);
        let mut codes: Chunked<u8> = Chunked::new(size, 192);
        for _ in 0..4 {
            codes.grow(0, "codes").unwrap();
        }
        assert_eq!(codes.capacity(), 128);
        for id in 0..128 {
            codes.record_mut(id).fill(id as u8);
        }
        for id in 0..128 {
            assert!(codes.record(id).iter().all(|byte| *byte == id as u8));
            assert_eq!(codes.record(id).as_ptr().align_offset(64), 0);
        }
        assert!(codes.memory_bytes() <= 4 * codes.chunk_bytes());
    }

    #[test]
    fn lists_end_where_they_were_set_to_end() {
        let mut lists = Lists::new(ChunkSize::for_bytes(0, 1), 4);
        lists.grow().unwrap();
        lists.set(3, [7, 8, 9].map(SlotId));
        assert_eq!(lists.iter(3).collect::<Vec<_>>(), [7, 8, 9].map(SlotId));
        lists.set(3, [5].map(SlotId));
        assert_eq!(lists.iter(3).collect::<Vec<_>>(), [SlotId(5)]);
        assert_eq!(lists.iter(2).count() + lists.iter(4).count(), 0);
        lists.set(4, (0..9).map(SlotId));
        assert_eq!(lists.iter(4).count(), 4);
        assert_eq!(lists.iter(5).count(), 0);
    }
}
