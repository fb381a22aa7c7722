//! Histograms of fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of values by bucket, and their sum. The bounds are the caller's: one less than there are buckets, the last of which holds
/// what is above them all.
#[repr(C)]
pub struct Histogram<const BUCKETS: usize> {
    sum: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl<const BUCKETS: usize> Default for Histogram<BUCKETS> {
    fn default() -> Self {
        Self {
            sum: AtomicU64::new(0),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

impl<const BUCKETS: usize> Histogram<BUCKETS> {
    /// Counts a value in the first bucket whose bound is not below it.
    pub fn record(&self, bounds: &[u64], value: u64) {
        self.sum.fetch_add(value, Ordering::Relaxed);
        let bucket = bounds.partition_point(|&bound| bound < value);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Forgets all values.
    pub fn clear(&self) {
        self.sum.store(0, Ordering::Relaxed);
        for bucket in &self.buckets {
            bucket.store(0, Ordering::Relaxed);
        }
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// The counts of the buckets.
    pub fn buckets(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| {
            self.buckets
                .get(bucket)
                .map_or(0, |count| count.load(Ordering::Relaxed))
        })
    }
}
