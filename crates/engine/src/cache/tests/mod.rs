//! The cache as a whole, over ordinary memory.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod concurrency;
mod content;
mod flights;
mod trace;

use super::key::Key;
use super::layout::Layout;
use super::shared::{Cache, Found, Stored};
use super::{Kind, Locks};
use std::sync::RwLock;
use std::sync::atomic::{AtomicU32, AtomicU64};

/// Memory and locks of a cache.
pub(super) struct Memory {
    layout: Layout,
    wide: Vec<AtomicU64>,
    narrow: Vec<AtomicU32>,
    locks: Vec<RwLock<()>>,
}

/// Locks of threads.
#[derive(Clone, Copy)]
pub(super) struct ThreadLocks<'a>(&'a [RwLock<()>]);

impl Locks for ThreadLocks<'_> {
    fn shared<R>(&self, partition: usize, f: impl FnOnce() -> R) -> R {
        let _guard = self.0[partition].read().unwrap();
        f()
    }

    fn exclusive<R>(&self, partition: usize, f: impl FnOnce() -> R) -> R {
        let _guard = self.0[partition].write().unwrap();
        f()
    }
}

impl Memory {
    pub(super) fn of_bytes(bytes: usize) -> Self {
        let layout = Layout::for_bytes(bytes).unwrap();
        let memory = Self {
            layout,
            // Whatever stood there before.
            wide: (0..layout.wide_words())
                .map(|word| AtomicU64::new(word as u64 ^ 0x5555))
                .collect(),
            narrow: (0..layout.narrow_words())
                .map(|word| AtomicU32::new(word as u32))
                .collect(),
            locks: (0..layout.partitions()).map(|_| RwLock::new(())).collect(),
        };
        assert!(
            Cache::attach(
                memory.layout,
                &memory.wide,
                &memory.narrow,
                ThreadLocks(&memory.locks)
            )
            .is_none(),
            "it is not formatted yet"
        );
        Cache::<ThreadLocks>::format(layout, &memory.wide, &memory.narrow, (7, 11));
        memory
    }

    pub(super) fn cache(&self) -> Cache<'_, ThreadLocks<'_>> {
        Cache::attach(self.layout, &self.wide, &self.narrow, ThreadLocks(&self.locks)).unwrap()
    }
}

/// A key of its number.
pub(super) fn key(number: u64) -> Key {
    Key::new(Kind::Embedding, 1, 0).with_number(number)
}

pub(super) fn put(cache: &Cache<ThreadLocks>, key: &Key, value: &[u8], now_ms: u64) -> Stored {
    cache.put(cache.hash(key), key, value, now_ms)
}

pub(super) fn get(cache: &Cache<ThreadLocks>, key: &Key) -> Option<Vec<u8>> {
    match cache.get(cache.hash(key), key, 0) {
        Found::Value { value, .. } => Some(value),
        _ => None,
    }
}

/// A row of numbers that look random.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
