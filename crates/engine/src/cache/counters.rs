//! What is counted of the caches. A look-up counts as a hit or as a miss of a level, so that both add up to the look-ups exactly.

use super::Kind;
use crate::shared::histogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};

/// Upper bounds of the buckets of the latency of hits and misses, in nanoseconds; a last bucket holds what is longer.
pub const BOUNDS_NS: [u64; 18] = [
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// A level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Level {
    /// The backend's own.
    Local = 0,
    /// The server's.
    Shared = 1,
}

impl Level {
    /// Both, the nearer first.
    pub const ALL: [Self; 2] = [Self::Local, Self::Shared];

    /// As it is called in SQL and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Shared => "shared",
        }
    }
}

/// What is counted of a kind on a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Event {
    /// A look-up that found the value.
    Hit = 0,
    /// A look-up that did not, for whatever reason.
    Miss = 1,
    /// A miss because the value was too old.
    Expired = 2,
    /// A miss because the table has changed since, or the snapshot is older than the value.
    Outdated = 3,
    /// A miss because the checksum was wrong.
    Damaged = 4,
    /// An entry that made room for others.
    Evicted = 5,
    /// A value that was stored.
    Stored = 6,
    /// A value that was too long.
    Refused = 7,
    /// A miss that waited for another process's value.
    Waited = 8,
    /// A value computed because the process that was to compute it ended without one.
    TakenOver = 9,
    /// A call that was not to be served from the caches: not a look-up.
    Bypassed = 10,
}

const EVENTS: usize = 11;

/// Counters of a kind.
#[repr(C)]
#[derive(Default)]
pub struct KindCounters {
    events: [[AtomicU64; EVENTS]; 2],
    /// Latency of calls that were served from a level.
    hits: Histogram<{ BOUNDS_NS.len() + 1 }>,
    /// Latency of calls that computed the value or waited for it.
    misses: Histogram<{ BOUNDS_NS.len() + 1 }>,
}

impl KindCounters {
    /// Latency of calls that were served from a level, in nanoseconds.
    pub fn hits(&self) -> &Histogram<{ BOUNDS_NS.len() + 1 }> {
        &self.hits
    }

    /// Latency of calls that computed the value or waited for it, in nanoseconds.
    pub fn misses(&self) -> &Histogram<{ BOUNDS_NS.len() + 1 }> {
        &self.misses
    }

    /// Counts so many events.
    pub fn count(&self, level: Level, event: Event, times: u64) {
        let counter = self
            .events
            .get(level as usize)
            .and_then(|level| level.get(event as usize));
        if let Some(counter) = counter {
            counter.fetch_add(times, Ordering::Relaxed);
        }
    }

    /// Events so far.
    pub fn events(&self, level: Level, event: Event) -> u64 {
        self.events
            .get(level as usize)
            .and_then(|level| level.get(event as usize))
            .map_or(0, |counter| counter.load(Ordering::Relaxed))
    }
}

/// Counters of all kinds.
#[repr(C)]
#[derive(Default)]
pub struct CacheCounters {
    kinds: [KindCounters; Kind::ALL.len()],
}

impl CacheCounters {
    /// The counters of a kind.
    pub fn kind(&self, kind: Kind) -> &KindCounters {
        // In range: the array has one entry for each variant, and variants number from 0.
        #[allow(clippy::indexing_slicing)]
        &self.kinds[kind as usize]
    }
}
