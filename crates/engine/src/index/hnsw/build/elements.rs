//! What a build holds in memory: codes, rows and neighbour lists of its elements.

// Ids come from the build itself, which numbers its elements from 0.
#![allow(clippy::indexing_slicing)]

use super::chunks::{ChunkSize, Chunked, Lists};
use crate::index::hnsw::Index;
use crate::index::hnsw::queue::{Candidate, pack};
use crate::index::quantize::{CodeRef, Factors, Quantizer};
use crate::index::{HeapTid, IndexError, SlotId};
use crate::kernels::prefetch;

/// A chunk takes about a 64th of the memory, within these bounds.
const CHUNK_BYTES: std::ops::RangeInclusive<usize> = 1 << 14..=1 << 21;
const NO_UPPER: u32 = u32::MAX;

/// What is stored per element beside its code, factors and neighbours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    pub(super) tid: HeapTid,
    pub(super) level: u8,
    pub(super) ranked: bool,
    /// The list of level 1 among the upper lists; those of higher levels follow.
    upper: u32,
}

const EMPTY_ROW: Row = Row {
    tid: HeapTid::NONE,
    level: 0,
    ranked: false,
    upper: NO_UPPER,
};

/// The elements of a build, numbered from 0.
#[derive(Debug)]
pub(super) struct Elements {
    count: u32,
    codes: Chunked<u8>,
    factors: Chunked<Factors>,
    rows: Chunked<Row>,
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
    pub(super) fn new(index: &Index, memory_limit_bytes: usize) -> Self {
        let chunk_bytes = (memory_limit_bytes / 64).clamp(*CHUNK_BYTES.start(), *CHUNK_BYTES.end());
        let (code_bytes, m) = (index.quantizer.code_bytes(), usize::from(index.m));
        let (base_degree, upper_degree) = (2 * m + slack(m), m + slack(m));
        let bytes = code_bytes + size_of::<Factors>() + size_of::<Row>() + base_degree * size_of::<u32>();
        let size = ChunkSize::for_bytes(chunk_bytes, bytes);
        let upper_size = ChunkSize::for_bytes(chunk_bytes / 16, upper_degree * size_of::<u32>());
        Elements {
            count: 0,
            codes: Chunked::new(size, code_bytes),
            factors: Chunked::new(size, 1),
            rows: Chunked::new(size, 1),
            base: Lists::new(size, base_degree),
            upper: Lists::new(upper_size, upper_degree),
            upper_count: 0,
        }
    }

    /// What the next [`Elements::push`] of an element of this level allocates.
    pub(super) fn growth_bytes(&self, level: u8) -> usize {
        let mut bytes = 0;
        if self.count as usize == self.rows.capacity() {
            bytes += self.codes.chunk_bytes()
                + self.factors.chunk_bytes()
                + self.rows.chunk_bytes()
                + self.base.chunk_bytes();
        }
        if self.upper_count as usize + usize::from(level) > self.upper.capacity() {
            bytes += self.upper.chunk_bytes();
        }
        bytes
    }

    /// Adds an element.
    pub(super) fn push(
        &mut self,
        code: CodeRef<'_>,
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
        if id as usize == self.rows.capacity() {
            self.codes.grow(0, "codes of an index build")?;
            self.factors
                .grow(Factors::default(), "factors of an index build")?;
            self.base.grow()?;
            self.rows.grow(EMPTY_ROW, "rows of an index build")?;
        }
        while self.upper_count as usize + usize::from(level) > self.upper.capacity() {
            self.upper.grow()?;
        }
        let upper = if level == 0 { NO_UPPER } else { self.upper_count };
        for (to, from) in self.codes.record_mut(id).iter_mut().zip(code.code) {
            *to = *from;
        }
        self.factors.record_mut(id)[0] = code.factors;
        self.rows.record_mut(id)[0] = Row {
            tid,
            level,
            ranked,
            upper,
        };
        self.upper_count += u32::from(level);
        self.count += 1;
        Ok(())
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// How many elements the memory that is allocated has room for.
    pub(super) fn capacity(&self) -> u32 {
        u32::try_from(self.rows.capacity()).unwrap_or(u32::MAX)
    }

    #[inline]
    pub(super) fn code(&self, id: SlotId) -> CodeRef<'_> {
        CodeRef {
            factors: self.factors.record(id.0)[0],
            code: self.codes.record(id.0),
        }
    }

    #[inline]
    pub(super) fn row(&self, id: SlotId) -> Row {
        self.rows.record(id.0)[0]
    }

    /// Announces that the code of an element will be needed.
    #[inline]
    pub(super) fn prefetch_code(&self, id: SlotId) {
        prefetch(self.codes.record(id.0));
        prefetch(self.factors.record(id.0));
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

    /// Where the list of an element at a level is; none if the element does not reach so high.
    #[inline]
    pub(super) fn list(&self, id: SlotId, level: u8) -> Option<(&Lists, u32)> {
        if level == 0 {
            return Some((&self.base, id.0));
        }
        let row = self.row(id);
        (level <= row.level).then(|| (&self.upper, row.upper + u32::from(level) - 1))
    }

    /// Replaces `out` by these elements with their keys from `owner`, ascending.
    pub(super) fn rank(
        &self,
        quantizer: &Quantizer,
        owner: SlotId,
        ids: impl Iterator<Item = SlotId>,
        out: &mut Vec<Candidate>,
    ) {
        out.clear();
        out.extend(ids.map(|id| {
            self.prefetch_code(id);
            Candidate { key: 0.0, id }
        }));
        let code = self.code(owner);
        for candidate in out.iter_mut() {
            candidate.key = quantizer.between(code, self.code(candidate.id));
        }
        out.sort_unstable_by_key(|candidate| pack(candidate.key, candidate.id, 0));
    }

    /// What the elements occupy.
    pub(super) fn memory_bytes(&self) -> usize {
        self.codes.memory_bytes()
            + self.factors.memory_bytes()
            + self.rows.memory_bytes()
            + self.base.memory_bytes()
            + self.upper.memory_bytes()
    }
}
