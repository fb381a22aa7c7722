//! Counters and histograms of operations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is counted and timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Operation {
    /// `castmatch.embed`
    Embed,
    /// `castmatch.embed_batch`
    EmbedBatch,
    /// `castmatch.match`
    Match,
    /// `castmatch.chat`
    Chat,
    /// A batch of rows of an attached table, embedded in the background.
    Sync,
}

impl Operation {
    /// All operations, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Embed, Self::EmbedBatch, Self::Match, Self::Chat, Self::Sync];

    /// Value of the label `operation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::EmbedBatch => "embed_batch",
            Self::Match => "match",
            Self::Chat => "chat",
            Self::Sync => "sync",
        }
    }
}

/// Upper bounds of the histogram's buckets in microseconds; a last bucket holds what is longer.
pub const BUCKET_BOUNDS_US: [u64; 15] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];

/// Counters of one operation.
#[repr(C)]
#[derive(Default)]
pub struct OperationCounters {
    succeeded: AtomicU64,
    failed: AtomicU64,
    total_us: AtomicU64,
    buckets: [AtomicU64; BUCKET_BOUNDS_US.len() + 1],
}

impl OperationCounters {
    /// Counts one run.
    pub fn record(&self, duration: Duration, succeeded: bool) {
        let elapsed_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let outcome = if succeeded { &self.succeeded } else { &self.failed };
        outcome.fetch_add(1, Ordering::Relaxed);
        self.total_us.fetch_add(elapsed_us, Ordering::Relaxed);
        let bucket = BUCKET_BOUNDS_US.partition_point(|&bound| bound < elapsed_us);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Runs that succeeded.
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Runs that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Duration of all runs, in microseconds.
    pub fn total_us(&self) -> u64 {
        self.total_us.load(Ordering::Relaxed)
    }

    /// Runs that took no longer than each bound, in microseconds, and at last all runs (no bound).
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        self.buckets.iter().enumerate().scan(0, |sum, (index, bucket)| {
            *sum += bucket.load(Ordering::Relaxed);
            Some((BUCKET_BOUNDS_US.get(index).copied(), *sum))
        })
    }
}

/// All counters.
#[repr(C)]
#[derive(Default)]
pub struct Counters {
    operations: [OperationCounters; Operation::ALL.len()],
    /// Rows of attached tables whose embedding was written.
    pub rows_embedded: AtomicU64,
    /// Rows of attached tables that were given up after all tries.
    pub rows_failed: AtomicU64,
}

impl Counters {
    /// The counters of one operation.
    pub fn operation(&self, operation: Operation) -> &OperationCounters {
        // In range: the array has one entry for each variant, and variants number from 0.
        #[allow(clippy::indexing_slicing)]
        &self.operations[operation as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_on_a_bound_counts_in_that_bucket() {
        let counters = OperationCounters::default();
        counters.record(Duration::from_micros(250), true);
        counters.record(Duration::from_micros(251), false);
        counters.record(Duration::from_secs(3600), true);
        let cumulative: Vec<_> = counters.cumulative().collect();
        assert_eq!(cumulative.first(), Some(&(Some(250), 1)));
        assert_eq!(cumulative.get(1), Some(&(Some(500), 2)));
        assert_eq!(cumulative.last(), Some(&(None, 3)));
        assert_eq!((counters.succeeded(), counters.failed()), (2, 1));
        assert_eq!(counters.total_us(), 250 + 251 + 3_600_000_000);
    }

    #[test]
    fn operations_number_from_zero_without_a_gap() {
        let counters = Counters::default();
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index);
            assert_eq!(counters.operation(operation).succeeded(), 0);
        }
    }
}
