//! Counters and histograms in shared memory: cheap to write, read all at once by `monitor`.
//!
//! Everything is an atomic, so that counting needs no lock, works in READ ONLY transactions and on a standby, and may
//! happen while an ERROR unwinds. Numbers start at zero when the server starts.

pub mod attendance;

use crate::error::Result;
use crate::shared::shared;
use castmatch_engine::shared::counters::Counters;
pub use castmatch_engine::shared::counters::Operation;
use std::cell::Cell;
use std::time::Instant;

thread_local! {
    /// The stripe that this process counts in.
    static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// The counters that this process counts in, if there is memory for any.
pub fn counters() -> Option<&'static Counters> {
    let counters = &shared().ok()?.counters;
    let stripe = STRIPE.get().unwrap_or_else(|| counters.assign());
    STRIPE.set(Some(stripe));
    Some(counters.stripe(stripe))
}

/// Counts a run that does not reach its end (an ERROR unwinds) as failed.
struct Run {
    operation: Operation,
    started: Instant,
    succeeded: bool,
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(counters) = counters() {
            counters
                .operation(self.operation)
                .record(self.started.elapsed(), self.succeeded);
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
