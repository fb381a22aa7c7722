//! Counters and histograms in shared memory: cheap to write, read all at once by `castmatch.metrics()`.
//!
//! Everything is an atomic, so that counting needs no lock, works in READ ONLY transactions and on a standby, and may
//! happen while an ERROR unwinds. Numbers start at zero when the server starts.

mod metrics;

use crate::error::Result;
use crate::shared::shared;
use core::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

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
pub struct OperationCounters {
    succeeded: AtomicU64,
    failed: AtomicU64,
    total_us: AtomicU64,
    buckets: [AtomicU64; BUCKET_BOUNDS_US.len() + 1],
}

/// All counters.
#[repr(C)]
pub struct Counters {
    operations: [OperationCounters; Operation::ALL.len()],
    /// Rows of attached tables whose embedding was written.
    pub rows_embedded: AtomicU64,
    /// Rows of attached tables that were given up after all tries.
    pub rows_failed: AtomicU64,
}

impl Counters {
    fn operation(&self, operation: Operation) -> Option<&OperationCounters> {
        self.operations.get(operation as usize)
    }
}

/// Counts a run that does not reach its end (an ERROR unwinds) as failed.
struct Run {
    operation: Operation,
    started: Instant,
    succeeded: bool,
}

impl Drop for Run {
    fn drop(&mut self) {
        let Ok(shared) = shared() else { return };
        let Some(counters) = shared.counters.operation(self.operation) else {
            return;
        };
        let elapsed_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let outcome = if self.succeeded {
            &counters.succeeded
        } else {
            &counters.failed
        };
        outcome.fetch_add(1, Ordering::Relaxed);
        counters.total_us.fetch_add(elapsed_us, Ordering::Relaxed);
        let bucket = BUCKET_BOUNDS_US.partition_point(|&bound| bound < elapsed_us);
        if let Some(bucket) = counters.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Runs `f` and counts it, with its duration and whether it succeeded.
///
/// # Errors
/// Those of `f`.
pub fn timed<R>(operation: Operation, f: impl FnOnce() -> Result<R>) -> Result<R> {
    // Attached before the run, so that counting in Drop cannot fail for want of memory.
    shared()?;
    let mut run = Run {
        operation,
        started: Instant::now(),
        succeeded: false,
    };
    let result = f();
    run.succeeded = result.is_ok();
    result
}
