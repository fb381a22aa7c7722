//! Calls of models, by model: a table of a fixed number of entries in shared memory.
//!
//! An entry is a model of a database that is reached in one way, as a breaker's is, or a local model. A model that is called while all
//! entries are taken gets that of the one that was called longest ago; what two processes do at such a moment may count for the wrong
//! one of both, which does no harm.

use super::counters::MODEL_BOUNDS_US;
use super::histogram::Histogram;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Models at a time.
const ENTRIES: usize = 48;
/// Upper bounds of the buckets of durations in microseconds: a local model takes some milliseconds for a short text.
pub const BOUNDS_US: [u64; MODEL_BOUNDS_US.len() + 2] = {
    let mut bounds = [1_000; MODEL_BOUNDS_US.len() + 2];
    let mut index = 0;
    // The first is 1 ms.
    bounds[1] = 3_000;
    while index < MODEL_BOUNDS_US.len() {
        bounds[index + 2] = MODEL_BOUNDS_US[index];
        index += 1;
    }
    bounds
};

#[repr(C)]
#[derive(Default)]
struct Entry {
    /// 0 if it is nobody's.
    key: AtomicU64,
    used_ms: AtomicU64,
    failed: AtomicU64,
    durations: Histogram<{ BOUNDS_US.len() + 1 }>,
}

/// The calls of all models.
#[repr(C)]
pub struct ModelCalls {
    entries: [Entry; ENTRIES],
}

impl Default for ModelCalls {
    fn default() -> Self {
        Self {
            entries: std::array::from_fn(|_| Entry::default()),
        }
    }
}

/// What was counted of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Calls, failed ones included.
    pub requests: u64,
    /// Failed ones.
    pub failed: u64,
    /// Durations by bucket of [`BOUNDS_US`].
    pub buckets: [u64; BOUNDS_US.len() + 1],
}

/// The key of a model that the embedding worker holds.
#[must_use]
pub fn local_key(name: &str) -> u64 {
    // Never 0, which is no key.
    xxhash_rust::xxh3::xxh3_64_with_seed(name.as_bytes(), 1) | 1
}

impl ModelCalls {
    fn find(&self, key: u64) -> Option<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.key.load(Ordering::Acquire) == key)
    }

    /// Counts a call.
    pub fn record(&self, key: u64, now_ms: u64, duration: Duration, succeeded: bool) {
        let oldest = || {
            self.entries.iter().min_by_key(|entry| {
                (
                    entry.used_ms.load(Ordering::Relaxed),
                    entry.key.load(Ordering::Relaxed),
                )
            })
        };
        let entry = match self.find(key) {
            Some(entry) => entry,
            None => {
                let Some(entry) = oldest() else { return };
                entry.failed.store(0, Ordering::Relaxed);
                entry.durations.clear();
                entry.key.store(key, Ordering::Release);
                entry
            }
        };
        // Above 0, which is what an entry has that was never used.
        entry.used_ms.store(now_ms.max(1), Ordering::Relaxed);
        if !succeeded {
            entry.failed.fetch_add(1, Ordering::Relaxed);
        }
        let elapsed_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        entry.durations.record(&BOUNDS_US, elapsed_us);
    }

    /// What was counted of a model since it has its entry.
    pub fn of(&self, key: u64) -> Calls {
        self.find(key).map_or_else(Calls::default, |entry| {
            let buckets = entry.durations.buckets();
            Calls {
                requests: buckets.iter().sum(),
                failed: entry.failed.load(Ordering::Relaxed),
                buckets,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_ascend() {
        assert!(BOUNDS_US.is_sorted_by(|a, b| a < b), "{BOUNDS_US:?}");
    }

    #[test]
    fn calls_count_for_their_model() {
        let calls = ModelCalls::default();
        let (here, there) = (local_key("builtin"), local_key("tiny"));
        assert_ne!(here, there);
        calls.record(here, 5, Duration::from_millis(2), true);
        calls.record(here, 6, Duration::from_secs(60), false);
        calls.record(there, 7, Duration::from_micros(10), true);
        let found = calls.of(here);
        assert_eq!((found.requests, found.failed), (2, 1));
        assert_eq!((found.buckets.get(1), found.buckets.last()), (Some(&1), Some(&1)));
        assert_eq!(calls.of(there).requests, 1);
        assert_eq!(calls.of(local_key("other")), Calls::default());
    }

    #[test]
    fn one_model_too_many_takes_the_place_of_the_one_used_longest_ago() {
        let calls = ModelCalls::default();
        for key in 1..=(ENTRIES as u64 + 1) {
            calls.record(key, key, Duration::ZERO, false);
        }
        assert_eq!(calls.of(1).requests, 0);
        assert_eq!(calls.of(2).requests, 1);
        let last = calls.of(ENTRIES as u64 + 1);
        assert_eq!((last.requests, last.failed), (1, 1));
    }
}
