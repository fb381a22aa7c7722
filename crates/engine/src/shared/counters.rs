//! Counters and histograms of operations and caches.
//!
//! They stand in several stripes; a process counts in one of them and a reader adds them up, so that processes that count all the time
//! do not take the memory from each other.

use super::histogram::Histogram;
pub use super::model_counters::{ChatCounters, MODEL_BOUNDS_US, ModelCounters, ModelOutcome, Part};
use crate::cache::counters::CacheCounters;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
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
    /// `castmatch.generate`
    Generate,
    /// A batch of rows of an attached table, embedded in the background.
    Sync,
}

impl Operation {
    /// All operations, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Embed,
        Self::EmbedBatch,
        Self::Match,
        Self::Chat,
        Self::Generate,
        Self::Sync,
    ];

    /// Value of the label `operation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Embed => "embed",
            Self::EmbedBatch => "embed_batch",
            Self::Match => "match",
            Self::Chat => "chat",
            Self::Generate => "generate",
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
    /// Duration of all runs, in microseconds.
    pub durations: Histogram<{ BUCKET_BOUNDS_US.len() + 1 }>,
}

impl OperationCounters {
    /// Counts one run.
    pub fn record(&self, duration: Duration, succeeded: bool) {
        let elapsed_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let outcome = if succeeded { &self.succeeded } else { &self.failed };
        outcome.fetch_add(1, Ordering::Relaxed);
        self.durations.record(&BUCKET_BOUNDS_US, elapsed_us);
    }

    /// Runs that succeeded.
    pub fn succeeded(&self) -> u64 {
        self.succeeded.load(Ordering::Relaxed)
    }

    /// Runs that failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// All counters of a stripe.
#[repr(C)]
#[derive(Default)]
pub struct Counters {
    operations: [OperationCounters; Operation::ALL.len()],
    /// Those of the caches.
    pub caches: CacheCounters,
    /// Those of models of servers elsewhere.
    pub models: ModelCounters,
    /// Those of chat.
    pub chat: ChatCounters,
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

/// Stripes: more than there are processors on most machines, as small as a server without preloading has room for.
const STRIPES: usize = 16;

/// Counters in a place of their own: no two stripes share a line of a processor's cache.
#[repr(C, align(128))]
#[derive(Default)]
struct Stripe(Counters);

/// The counters of all processes.
#[repr(C)]
#[derive(Default)]
pub struct StripedCounters {
    next: AtomicU32,
    stripes: [Stripe; STRIPES],
}

impl StripedCounters {
    /// The number of the stripe that a process which has none yet is to count in.
    pub fn assign(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) as usize % STRIPES
    }

    /// A stripe.
    pub fn stripe(&self, number: usize) -> &Counters {
        // In range by the remainder; there are stripes.
        #[allow(clippy::indexing_slicing)]
        &self.stripes[number % STRIPES].0
    }

    /// The sum of a number over all stripes.
    pub fn sum(&self, number: impl Fn(&Counters) -> u64) -> u64 {
        self.stripes
            .iter()
            .fold(0, |sum: u64, stripe| sum.wrapping_add(number(&stripe.0)))
    }

    /// The sum of a histogram over all stripes: of its values, and of its buckets.
    pub fn histogram<const BUCKETS: usize>(
        &self,
        histogram: impl Fn(&Counters) -> &Histogram<BUCKETS>,
    ) -> (u64, [u64; BUCKETS]) {
        let mut sum = 0_u64;
        let mut buckets = [0_u64; BUCKETS];
        for stripe in &self.stripes {
            let of_stripe = histogram(&stripe.0);
            sum = sum.wrapping_add(of_stripe.sum());
            for (bucket, count) in buckets.iter_mut().zip(of_stripe.buckets()) {
                *bucket += count;
            }
        }
        (sum, buckets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_on_a_bound_counts_in_that_bucket() {
        let counters = StripedCounters::default();
        let record = |stripe: usize, duration, succeeded| {
            counters
                .stripe(stripe)
                .operation(Operation::Chat)
                .record(duration, succeeded);
        };
        record(0, Duration::from_micros(250), true);
        record(1, Duration::from_micros(251), false);
        record(STRIPES - 1, Duration::from_secs(3600), true);
        let (sum, buckets) = counters.histogram(|counters| &counters.operation(Operation::Chat).durations);
        assert_eq!(buckets.first(), Some(&1));
        assert_eq!(buckets.get(1), Some(&1));
        assert_eq!(buckets.last(), Some(&1));
        assert_eq!(buckets.iter().sum::<u64>(), 3);
        assert_eq!(sum, 250 + 251 + 3_600_000_000);
        let sum = |number: fn(&OperationCounters) -> u64| {
            counters.sum(|counters| number(counters.operation(Operation::Chat)))
        };
        assert_eq!(
            (sum(OperationCounters::succeeded), sum(OperationCounters::failed)),
            (2, 1)
        );
    }

    #[test]
    fn operations_number_from_zero_without_a_gap() {
        let counters = Counters::default();
        for (index, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, index);
            assert_eq!(counters.operation(operation).succeeded(), 0);
        }
    }

    #[test]
    fn processes_are_spread_over_the_stripes_in_turn() {
        let counters = StripedCounters::default();
        let first: Vec<usize> = (0..STRIPES).map(|_| counters.assign()).collect();
        assert_eq!(first, (0..STRIPES).collect::<Vec<_>>());
        assert_eq!(counters.assign(), 0);
    }

    #[test]
    fn all_fits_the_memory_of_a_server_without_preloading() {
        // The server's slack is 100 kB for all extensions.
        assert!(
            size_of::<StripedCounters>() < 64 << 10,
            "{}",
            size_of::<StripedCounters>()
        );
    }
}
