//! Passes on several threads, for callers that ask for them.
//!
//! Whole passes are dealt out, so a single text is computed by one thread. The calling thread computes nothing: it
//! waits and asks the interrupt, which may only be called there, and raises a flag that the passes look at between
//! layers. The threads run only this module's work.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::error::{ComputeError, ModelError};
use crate::interrupt::{Interrupt, Interrupted};

/// Time between two questions to the interrupt.
const POLL: Duration = Duration::from_millis(10);

/// Computes the pass over some texts, given by index.
type Pass<'a, T> = dyn Fn(&[usize], &dyn Interrupt) -> Result<Vec<T>, ModelError> + Sync + 'a;

pub(super) struct Workers {
    pool: ThreadPool,
}

/// The interrupt that the threads see.
struct Flag<'a>(&'a AtomicBool);

impl Interrupt for Flag<'_> {
    fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }
}

impl Workers {
    /// Starts the threads; they inherit the signal mask of the calling thread.
    pub(super) fn start(threads: usize) -> Result<Self, ComputeError> {
        ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|index| format!("castmatch-model-{index}"))
            .build()
            .map(|pool| Self { pool })
            .map_err(|error| ComputeError::Threads {
                threads,
                detail: error.to_string(),
            })
    }

    /// Computes all passes; results in the order of `batches`.
    pub(super) fn run<T: Send>(
        &self,
        batches: &[Vec<usize>],
        pass: &Pass<'_, T>,
        interrupt: &dyn Interrupt,
    ) -> Result<Vec<Vec<T>>, ModelError> {
        let stop = AtomicBool::new(false);
        let stop = &stop;
        let (sender, receiver) = mpsc::channel();
        let mut results: Vec<Vec<T>> = Vec::new();
        results.resize_with(batches.len(), Vec::new);
        let mut failure: Option<ModelError> = None;
        self.pool.in_place_scope(|scope| {
            // Longest passes first, so that none is left over at the end.
            for (position, batch) in batches.iter().enumerate().rev() {
                let sender = sender.clone();
                scope.spawn(move |_| {
                    let flag = Flag(stop);
                    let result = flag
                        .check()
                        .map_err(ModelError::from)
                        .and_then(|()| pass(batch, &flag));
                    // The receiver outlives the scope.
                    let _ = sender.send((position, result));
                });
            }
            drop(sender);
            loop {
                match receiver.recv_timeout(POLL) {
                    Ok((position, Ok(vectors))) => results[position] = vectors,
                    Ok((_, Err(error))) => {
                        stop.store(true, Ordering::Relaxed);
                        failure.get_or_insert(error);
                    }
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                }
                if failure.is_none()
                    && let Err(interrupted) = interrupt.check()
                {
                    stop.store(true, Ordering::Relaxed);
                    failure = Some(interrupted.into());
                }
            }
        });
        failure.map_or(Ok(results), Err)
    }
}
