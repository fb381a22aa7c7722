//! The blocks that no entry uses: a stack that needs no lock (Treiber, "Systems Programming: Coping with Parallelism", 1986).
//!
//! Its head carries a count of its changes, so that an exchange succeeds only if nothing happened since it was read.

use super::layout::NONE;
use super::region::{Region, pack, unpack};
use std::sync::atomic::Ordering;

/// Header words of the pool.
pub(super) const HEAD_AT: usize = 1;
pub(super) const FREE_AT: usize = 2;

/// Blocks linked one to the next, owned by whoever holds this.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) first: u32,
    pub(super) last: u32,
    pub(super) length: usize,
}

/// Puts all blocks into the pool. Nobody else may use the memory yet.
pub(super) fn format(region: &Region) {
    let blocks = region.layout.blocks as u32;
    for block in 0..blocks {
        region.set_link(block, (block + 1 < blocks).then_some(block + 1));
    }
    region.store(HEAD_AT, pack(0, 0));
    region.store(FREE_AT, u64::from(blocks));
}

/// Takes up to `most` blocks.
pub(super) fn take(region: &Region, most: usize) -> Option<Chain> {
    let head = region.word(HEAD_AT)?;
    loop {
        let seen = head.load(Ordering::Acquire);
        let (changes, first) = unpack(seen);
        let first = region.existing(first)?;
        let (mut last, mut length) = (first, 1);
        while length < most
            && let Some(next) = region.link(last)
        {
            last = next;
            length += 1;
        }
        let rest = region.link(last).unwrap_or(NONE);
        let exchange = head.compare_exchange(
            seen,
            pack(changes.wrapping_add(1), rest),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if exchange.is_ok() {
            region.set_link(last, None);
            if let Some(free) = region.word(FREE_AT) {
                free.fetch_sub(length as u64, Ordering::Relaxed);
            }
            return Some(Chain { first, last, length });
        }
    }
}

/// Gives blocks back.
pub(super) fn give(region: &Region, chain: &Chain) {
    let Some(head) = region.word(HEAD_AT) else { return };
    loop {
        let seen = head.load(Ordering::Acquire);
        let (changes, first) = unpack(seen);
        region.set_link(chain.last, region.existing(first));
        let exchange = head.compare_exchange(
            seen,
            pack(changes.wrapping_add(1), chain.first),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        if exchange.is_ok() {
            break;
        }
    }
    if let Some(free) = region.word(FREE_AT) {
        free.fetch_add(chain.length as u64, Ordering::Relaxed);
    }
}

impl Chain {
    /// The two chains as one.
    pub(super) fn joined(self, region: &Region, other: Self) -> Self {
        region.set_link(self.last, Some(other.first));
        Self {
            first: self.first,
            last: other.last,
            length: self.length + other.length,
        }
    }

    /// The first `length` blocks, and the others if there are any.
    pub(super) fn split(self, region: &Region, length: usize) -> (Self, Option<Self>) {
        let mut last = self.first;
        for _ in 1..length.min(self.length) {
            last = region.link(last).unwrap_or(last);
        }
        let Some(next) = region.link(last).filter(|_| length < self.length) else {
            return (self, None);
        };
        region.set_link(last, None);
        let rest = Self {
            first: next,
            last: self.last,
            length: self.length - length,
        };
        let kept = Self {
            first: self.first,
            last,
            length,
        };
        (kept, Some(rest))
    }
}
