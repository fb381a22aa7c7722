//! Where what stands in the cache's memory.
//!
//! ```text
//! wide words (8 bytes)    header | partitions | flights | ghosts | blocks
//! narrow words (4 bytes)  buckets | links of blocks
//! ```
//!
//! An entry is a chain of blocks of one size, so that a freed one always fits: nothing is ever too scattered to be used, and what an
//! entry wastes is at most the rest of its last block.

/// Wide words of a block: 128 bytes.
pub const BLOCK_WORDS: usize = 16;
/// Wide words of the header.
pub(super) const HEADER_WORDS: usize = 16;
/// Wide words of a partition.
pub(super) const PARTITION_WORDS: usize = 16;
/// Values that can be in computation at once in a partition.
pub(super) const FLIGHTS: usize = 8;
/// Wide words of a flight.
pub(super) const FLIGHT_WORDS: usize = 3;
/// Ghosts that share a place.
pub(super) const GHOST_WAYS: usize = 4;
/// Blocks for each bucket and each ghost.
const BLOCKS_PER_BUCKET: usize = 4;
/// Partitions of a large cache and of a small one, and where one begins to be large.
const PARTITIONS: usize = 128;
const FEW_PARTITIONS: usize = 64;
const LARGE_BYTES: usize = 16 << 20;
/// The largest part of all blocks that one entry may take.
const LARGEST_PART: usize = 4;
/// No block.
pub(super) const NONE: u32 = u32::MAX;

/// The numbers that everything's place follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) partitions: usize,
    pub(super) blocks: usize,
    /// Buckets of a partition.
    pub(super) buckets: usize,
    /// Ghosts of a partition, a multiple of [`GHOST_WAYS`].
    pub(super) ghosts: usize,
}

impl Layout {
    /// Partitions of a cache of that many bytes.
    pub fn partitions_for(bytes: usize) -> usize {
        if bytes < LARGE_BYTES {
            FEW_PARTITIONS
        } else {
            PARTITIONS
        }
    }

    /// The layout that makes the most of so many bytes; `None` if they hold nothing, or more than can be numbered.
    pub fn for_bytes(bytes: usize) -> Option<Self> {
        let partitions = Self::partitions_for(bytes);
        let fixed = 8
            * (HEADER_WORDS
                + partitions * (PARTITION_WORDS + FLIGHTS * FLIGHT_WORDS + GHOST_WAYS)
                + BLOCK_WORDS)
            + 4 * partitions;
        // A block, its link, and its part of a bucket and a ghost.
        let eight_blocks = 8 * (8 * BLOCK_WORDS + 4) + 8 / BLOCKS_PER_BUCKET * (4 + 8);
        let blocks = bytes.checked_sub(fixed)?.checked_mul(8)? / eight_blocks;
        let per_partition = blocks / partitions / BLOCKS_PER_BUCKET;
        let layout = Self {
            partitions,
            blocks,
            buckets: per_partition.max(1),
            ghosts: (per_partition.next_multiple_of(GHOST_WAYS)).max(GHOST_WAYS),
        };
        (blocks > 0 && u32::try_from(blocks).is_ok_and(|blocks| blocks < NONE)).then_some(layout)
    }

    /// Wide words in all.
    pub fn wide_words(&self) -> usize {
        self.blocks_at() + self.blocks * BLOCK_WORDS
    }

    /// Narrow words in all.
    pub fn narrow_words(&self) -> usize {
        self.links_at() + self.blocks
    }

    /// Bytes in all.
    pub fn bytes(&self) -> usize {
        8 * self.wide_words() + 4 * self.narrow_words()
    }

    /// Number of partitions, and of the locks it takes.
    pub fn partitions(&self) -> usize {
        self.partitions
    }

    /// Bytes that entries can take in all.
    pub fn capacity_bytes(&self) -> usize {
        self.blocks * BLOCK_WORDS * 8
    }

    /// Blocks that one entry may take.
    pub(super) fn most_blocks(&self) -> usize {
        (self.blocks / LARGEST_PART).max(1)
    }

    pub(super) fn partition_at(&self, partition: usize) -> usize {
        HEADER_WORDS + partition * PARTITION_WORDS
    }

    pub(super) fn flights_at(&self, partition: usize) -> usize {
        self.partition_at(self.partitions) + partition * FLIGHTS * FLIGHT_WORDS
    }

    pub(super) fn ghosts_at(&self, partition: usize) -> usize {
        self.flights_at(self.partitions) + partition * self.ghosts
    }

    fn blocks_at(&self) -> usize {
        self.ghosts_at(self.partitions).next_multiple_of(BLOCK_WORDS)
    }

    pub(super) fn block_at(&self, block: u32) -> usize {
        self.blocks_at() + block as usize * BLOCK_WORDS
    }

    pub(super) fn bucket_at(&self, partition: usize, bucket: usize) -> usize {
        partition * self.buckets + bucket
    }

    fn links_at(&self) -> usize {
        self.partitions * self.buckets
    }

    pub(super) fn link_at(&self, block: u32) -> usize {
        self.links_at() + block as usize
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::Layout;

    #[test]
    fn the_budget_is_kept_and_used() {
        for bytes in [1 << 20, 3_333_333, 16 << 20, 64 << 20, 5 << 30] {
            let layout = Layout::for_bytes(bytes).unwrap();
            assert!(layout.bytes() <= bytes, "{bytes}");
            assert!(layout.capacity_bytes() * 100 >= bytes * 90, "{bytes}: {layout:?}");
            assert!(layout.partitions() >= 64);
        }
    }

    #[test]
    fn what_cannot_hold_anything_is_no_layout() {
        assert_eq!(Layout::for_bytes(0), None);
        assert_eq!(Layout::for_bytes(1000), None);
        assert_eq!(Layout::for_bytes(usize::MAX), None);
    }
}
