//! The cache's memory as numbers. Whatever is asked of a place that does not exist has no effect: damage must not spread.

use super::layout::{BLOCK_WORDS, Layout, NONE};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The memory. Ordering between processes comes from the locks; the few words used without one say so.
#[derive(Clone, Copy)]
pub(super) struct Region<'a> {
    pub(super) layout: Layout,
    wide: &'a [AtomicU64],
    narrow: &'a [AtomicU32],
}

impl<'a> Region<'a> {
    /// `None` if the memory is smaller than the layout.
    pub(super) fn new(layout: Layout, wide: &'a [AtomicU64], narrow: &'a [AtomicU32]) -> Option<Self> {
        let fits = wide.len() >= layout.wide_words() && narrow.len() >= layout.narrow_words();
        fits.then_some(Self { layout, wide, narrow })
    }

    pub(super) fn word(&self, place: usize) -> Option<&'a AtomicU64> {
        self.wide.get(place)
    }

    pub(super) fn load(&self, place: usize) -> u64 {
        self.wide
            .get(place)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }

    pub(super) fn store(&self, place: usize, value: u64) {
        if let Some(word) = self.wide.get(place) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Changes a word; under the exclusive lock of what it belongs to.
    pub(super) fn update(&self, place: usize, change: impl FnOnce(u64) -> u64) {
        self.store(place, change(self.load(place)));
    }

    fn narrow(&self, place: usize) -> u32 {
        self.narrow
            .get(place)
            .map_or(NONE, |word| word.load(Ordering::Relaxed))
    }

    fn set_narrow(&self, place: usize, value: u32) {
        if let Some(word) = self.narrow.get(place) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The first entry of a bucket.
    pub(super) fn bucket(&self, partition: usize, bucket: usize) -> Option<u32> {
        self.existing(self.narrow(self.layout.bucket_at(partition, bucket)))
    }

    pub(super) fn set_bucket(&self, partition: usize, bucket: usize, entry: Option<u32>) {
        self.set_narrow(self.layout.bucket_at(partition, bucket), entry.unwrap_or(NONE));
    }

    /// The block after this one.
    pub(super) fn link(&self, block: u32) -> Option<u32> {
        self.existing(self.narrow(self.layout.link_at(block)))
    }

    pub(super) fn set_link(&self, block: u32, next: Option<u32>) {
        self.set_narrow(self.layout.link_at(block), next.unwrap_or(NONE));
    }

    /// A block's number if there is such a block.
    pub(super) fn existing(&self, block: u32) -> Option<u32> {
        ((block as usize) < self.layout.blocks).then_some(block)
    }

    /// The words of a block from its word `from` on.
    pub(super) fn block_words(&self, block: u32, from: usize) -> &'a [AtomicU64] {
        let start = self.layout.block_at(block);
        self.wide
            .get(start + from..start + BLOCK_WORDS)
            .unwrap_or_default()
    }
}

/// Two halves as one word.
pub(super) fn pack(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

/// The halves of a word: high and low.
pub(super) fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}
