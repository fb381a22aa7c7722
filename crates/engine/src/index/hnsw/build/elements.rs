//! What a build holds in memory: codes, rows and neighbour lists of its elements.

// Ids come from the build itself, which numbers its elements from 0.
#![allow(clippy::indexing_slicing)]

use super::chunks::{ChunkSize, Chunked, Lists};
use crate::index::hnsw::Index;
use crate::index::key::key_bytes;
use crate::index::quantize::{CodeRef, Factors, Quantizer};
use crate::index::{HeapTid, IndexError, SlotId};
use crate::kernels::prefetch;

/// A chunk takes about a 64th of the memory, within these bounds.
const CHUNK_BYTES: std::ops::RangeInclusive<usize> = 1 << 14..=1 << 21;
const NO_UPPER: u32 = u32::MAX;

/// What is stored per element beside its code, factors and neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) tid: HeapTid,
    pub(super) level: u8,
    pub(super) ranked: bool,
    /// The list of level 1 among the upper lists; those of higher levels follow.
    upper: u32,
}

/// Bytes of a record before the code: the level (1), whether it has a rank (1), the row (6), the first upper list (4), the factors.
/// Row and code in one piece, as in a slot of the index, cost a search one place in memory and not three.
pub(super) const HEAD_BYTES: usize = 12 + Factors::BYTES;

impl Row {
    fn to_bytes(self, factors: &Factors) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0] = self.level;
        bytes[1] = u8::from(self.ranked);
        bytes[2..6].copy_from_slice(&self.tid.block.to_le_bytes());
        bytes[6..8].copy_from_slice(&self.tid.offset.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.upper.to_le_bytes());
        bytes[12..].copy_from_slice(&factors.to_bytes());
        bytes
    }

    #[inline]
    fn from_bytes(bytes: &[u8; HEAD_BYTES]) -> Self {
        let [level, ranked, a, b, c, d, e, f, g, h, i, j, ..] = *bytes;
        Row {
            tid: HeapTid {
                block: u32::from_le_bytes([a, b, c, d]),
                offset: u16::from_le_bytes([e, f]),
            },
            level,
            ranked: ranked != 0,
            upper: u32::from_le_bytes([g, h, i, j]),
        }
    }
}

/// The elements of a build, numbered from 0.
#[derive(Debug)]
pub(super) struct Elements {
    count: u32,
    /// Head and code of each element.
    records: Chunked<u8>,
    /// Keys of each element: apart, as only the end of a build reads them.
    keys: Chunked<u8>,
    /// Lists of level 0, by element.
    base: Lists,
    /// Lists of the levels above, numbered by [`Row::upper`].
    upper: Lists,
    upper_count: u32,
}

/// Room in a list beyond what an index keeps, so that not every new neighbour of a full list leads to a new selection.
pub(super) fn slack(m: usize) -> usize {
    m.div_ceil(2)
}

impl Elements {
    /// Elements with the keys of so many columns.
    pub(super) fn new(index: &Index, memory_limit_bytes: usize, key_columns: usize) -> Self {
        let chunk_bytes = (memory_limit_bytes / 64).clamp(*CHUNK_BYTES.start(), *CHUNK_BYTES.end());
        let m = usize::from(index.m);
        let record_bytes = HEAD_BYTES + index.quantizer.code_bytes();
        let (base_degree, upper_degree) = (2 * m + slack(m), m + slack(m));
        let key_bytes = key_bytes(key_columns);
        let element_bytes = record_bytes + key_bytes + base_degree * size_of::<u32>();
        let size = ChunkSize::for_bytes(chunk_bytes, element_bytes);
        let upper_size = ChunkSize::for_bytes(chunk_bytes / 16, upper_degree * size_of::<u32>());
        Elements {
            count: 0,
            records: Chunked::new(size, record_bytes),
            keys: Chunked::new(size, key_bytes),
            base: Lists::new(size, base_degree),
            upper: Lists::new(upper_size, upper_degree),
            upper_count: 0,
        }
    }

    /// What the next [`Elements::push`] of an element of this level allocates.
    pub(super) fn growth_bytes(&self, level: u8) -> usize {
        let mut bytes = 0;
        if self.count as usize == self.records.capacity() {
            bytes += self.element_chunk_bytes();
        }
        if self.upper_count as usize + usize::from(level) > self.upper.capacity() {
            bytes += self.upper.chunk_bytes();
        }
        bytes
    }

    /// What a chunk of elements takes beside lists above level 0.
    fn element_chunk_bytes(&self) -> usize {
        let keys = if self.keys.stride() == 0 {
            0
        } else {
            self.keys.chunk_bytes()
        };
        self.records.chunk_bytes() + keys + self.base.chunk_bytes()
    }

    /// Adds an element. Keys of another length than these elements have are filled up or cut off.
    pub(super) fn push(
        &mut self,
        code: CodeRef<'_>,
        keys: &[u8],
        tid: HeapTid,
        level: u8,
        ranked: bool,
    ) -> Result<(), IndexError> {
        // The last number stands for none.
        if self.count == u32::MAX - 1 || self.upper_count >= NO_UPPER - u32::from(level) {
            return Err(IndexError::Limit {
                what: "number of index elements",
                value: u64::from(u32::MAX),
                limit: u64::from(u32::MAX) - 1,
            });
        }
        let id = self.count;
        if id as usize == self.records.capacity() {
            self.records.grow(0, "codes of an index build")?;
            if self.keys.stride() > 0 {
                self.keys.grow(0, "keys of an index build")?;
            }
            self.base.grow()?;
        }
        while self.upper_count as usize + usize::from(level) > self.upper.capacity() {
            self.upper.grow()?;
        }
        let upper = if level == 0 { NO_UPPER } else { self.upper_count };
        let row = Row {
            tid,
            level,
            ranked,
            upper,
        };
        let (head, own_code) = self.records.record_mut(id).split_at_mut(HEAD_BYTES);
        head.copy_from_slice(&row.to_bytes(&code.factors));
        for (to, from) in own_code.iter_mut().zip(code.code) {
            *to = *from;
        }
        if self.keys.stride() > 0 {
            let own_keys = self.keys.record_mut(id);
            for (to, from) in own_keys.iter_mut().zip(keys) {
                *to = *from;
            }
        }
        self.upper_count += u32::from(level);
        self.count += 1;
        Ok(())
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// How many elements the memory that is allocated has room for.
    pub(super) fn capacity(&self) -> u32 {
        u32::try_from(self.records.capacity()).unwrap_or(u32::MAX)
    }

    /// Head and code of an element.
    #[inline]
    pub(super) fn record(&self, id: SlotId) -> (&[u8; HEAD_BYTES], &[u8]) {
        // Records are longer than their heads.
        self.records
            .record(id.0)
            .split_first_chunk()
            .unwrap_or((&[0; HEAD_BYTES], &[]))
    }

    #[inline]
    pub(super) fn code(&self, id: SlotId) -> CodeRef<'_> {
        let (head, code) = self.record(id);
        let factors = head
            .last_chunk()
            .map_or_else(Factors::default, Factors::from_bytes);
        CodeRef { factors, code }
    }

    /// The keys of an element.
    pub(super) fn keys(&self, id: SlotId) -> &[u8] {
        if self.keys.stride() == 0 {
            return &[];
        }
        self.keys.record(id.0)
    }

    #[inline]
    pub(super) fn row(&self, id: SlotId) -> Row {
        Row::from_bytes(self.record(id).0)
    }

    /// Announces that the code of an element will be needed.
    #[inline]
    pub(super) fn prefetch_code(&self, id: SlotId) {
        prefetch(self.records.record(id.0));
    }

    /// Announces that a list will be needed.
    #[inline]
    pub(super) fn prefetch_list(&self, id: SlotId, level: u8) {
        if let Some((lists, list)) = self.list(id, level) {
            prefetch(lists.places(list));
        }
    }

    /// The key between two elements.
    #[inline]
    pub(super) fn between(&self, quantizer: &Quantizer, a: SlotId, b: SlotId) -> f32 {
        quantizer.between(self.code(a), self.code(b))
    }

    /// By what the places of a list are filled that diversity leaves, see [`Quantizer::fill_key`].
    pub(super) fn fill_key(
        &self,
        quantizer: &Quantizer,
        candidate: &crate::index::hnsw::queue::Candidate,
    ) -> f32 {
        quantizer.fill_key(candidate.key, self.code(candidate.id))
    }

    /// Where the list of an element at a level is; none if the element does not reach so high.
    #[inline]
    pub(super) fn list(&self, id: SlotId, level: u8) -> Option<(&Lists, u32)> {
        if level == 0 {
            return Some((&self.base, id.0));
        }
        let row = self.row(id);
        (level <= row.level).then(|| (&self.upper, row.upper + u32::from(level) - 1))
    }

    /// What so many elements will occupy, with lists above level 0 as they are expected, and some more.
    pub(super) fn estimated_bytes(&self, count: u32, index: &Index) -> usize {
        let chunks =
            |count: usize, size: usize, bytes: usize| count.div_ceil(size.max(1)).saturating_mul(bytes);
        let count = count as usize;
        // Levels are geometric: an element has 1 / (m - 1) lists above level 0.
        let upper = count / usize::from(index.m.saturating_sub(1).max(1));
        let upper = upper + upper / 8 + 64;
        chunks(count, self.records.chunk_elements(), self.element_chunk_bytes())
            + chunks(upper, self.upper.chunk_elements(), self.upper.chunk_bytes())
    }

    /// What the elements occupy.
    pub(super) fn memory_bytes(&self) -> usize {
        self.records.memory_bytes()
            + self.keys.memory_bytes()
            + self.base.memory_bytes()
            + self.upper.memory_bytes()
    }
}
