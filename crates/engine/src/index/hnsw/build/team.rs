//! The threads of a build.
//!
//! PostgreSQL's functions may be called on the main thread only. So the threads here compute on memory, and the calling thread
//! waits, asks whether to go on, and reports. Whatever ends the calling thread's wait - an interruption, an error, a panic -
//! first stops the others: no thread outlives [`run`].

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::index::IndexError;
use crate::interrupt::{Interrupt, Interrupted};

/// How long the calling thread sleeps between two questions whether to go on.
const NAP: Duration = Duration::from_millis(20);

/// The caller of a build, always asked on its own thread.
pub trait Supervisor: Interrupt {
    /// Told now and then how far the work is.
    fn progress(&self, _done: u64, _total: u64) {}

    /// Called before threads are started: the place to block signals, which new threads inherit.
    fn before_spawn(&self) {}

    /// Called after threads were started, if `before_spawn` was.
    fn after_spawn(&self) {}
}

impl Supervisor for crate::interrupt::NeverInterrupted {}

/// Set when the threads are to stop.
#[derive(Debug, Default)]
pub(in crate::index) struct Stop(AtomicBool);

impl Stop {
    pub(in crate::index) const fn new() -> Self {
        Stop(AtomicBool::new(false))
    }

    #[inline]
    pub(in crate::index) fn check(&self) -> Result<(), IndexError> {
        Ok(Interrupt::check(self)?)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Interrupt for Stop {
    fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }
}

/// Work in independent items.
pub(in crate::index) trait Work: Sync {
    /// The memory that one thread needs.
    type Scratch: Send;

    /// Allocates the memory of one thread.
    fn scratch(&self) -> Result<Self::Scratch, IndexError>;

    /// How many items there are.
    fn items(&self) -> u64;

    /// How many items a thread takes at once.
    fn share(&self) -> u64 {
        16
    }

    /// Does one item. Long items ask [`Stop::check`].
    fn item(&self, item: u64, scratch: &mut Self::Scratch) -> Result<(), IndexError>;
}

/// Does the work on `threads` threads beside the calling one; with none, or if none can be started, on the calling one.
///
/// # Errors
/// [`IndexError::Interrupted`], [`IndexError::Failed`] if a thread panicked, and those of the work.
pub(in crate::index) fn run<W: Work>(
    work: &W,
    threads: usize,
    stop: &Stop,
    supervisor: &dyn Supervisor,
) -> Result<(), IndexError> {
    if threads == 0 || work.items() == 0 {
        return run_alone(work, supervisor);
    }
    let mut scratches = Vec::new();
    for _ in 0..threads {
        scratches.push(work.scratch()?);
    }
    let shared = Shared {
        work,
        stop,
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        running: AtomicUsize::new(0),
        caller: thread::current(),
        error: Mutex::new(None),
    };
    let outcome = thread::scope(|scope| {
        let _stop_threads_whatever_happens = StopOnDrop(stop);
        let mut handles = Vec::new();
        supervisor.before_spawn();
        for scratch in scratches {
            shared.running.fetch_add(1, Ordering::Relaxed);
            let shared = &shared;
            match thread::Builder::new()
                .name("castmatch build".into())
                .spawn_scoped(scope, move || shared.labour(scratch))
            {
                Ok(handle) => handles.push(handle),
                Err(_) => {
                    shared.running.fetch_sub(1, Ordering::Relaxed);
                    break;
                }
            }
        }
        supervisor.after_spawn();
        if handles.is_empty() {
            return run_alone(work, supervisor);
        }
        let waited = shared.wait(supervisor);
        if waited.is_err() {
            stop.set();
        }
        let mut outcome = waited;
        for handle in handles {
            if handle.join().is_err() {
                outcome = outcome.and(Err(IndexError::Failed {
                    what: "a thread of the index build panicked",
                }));
            }
        }
        outcome
    });
    let error = shared.error.lock().unwrap_or_else(PoisonError::into_inner).take();
    outcome.and(error.map_or(Ok(()), Err))
}

fn run_alone<W: Work>(work: &W, supervisor: &dyn Supervisor) -> Result<(), IndexError> {
    let mut scratch = work.scratch()?;
    for item in 0..work.items() {
        supervisor.check()?;
        work.item(item, &mut scratch)?;
        if item % 256 == 255 {
            supervisor.progress(item + 1, work.items());
        }
    }
    supervisor.progress(work.items(), work.items());
    Ok(())
}

struct Shared<'a, W> {
    work: &'a W,
    stop: &'a Stop,
    next: AtomicU64,
    done: AtomicU64,
    running: AtomicUsize,
    caller: Thread,
    error: Mutex<Option<IndexError>>,
}

impl<W: Work> Shared<'_, W> {
    /// What each thread does.
    fn labour(&self, mut scratch: W::Scratch) {
        let _leaving = Leaving {
            running: &self.running,
            caller: &self.caller,
            stop: self.stop,
        };
        if let Err(error) = self.take_items(&mut scratch) {
            self.stop.set();
            let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
            // The others end as interrupted because of the first.
            if first.is_none_or(|known| matches!(known, IndexError::Interrupted(_))) {
                *first = Some(error);
            }
        }
    }

    fn take_items(&self, scratch: &mut W::Scratch) -> Result<(), IndexError> {
        let (items, share) = (self.work.items(), self.work.share());
        loop {
            let start = self.next.fetch_add(share, Ordering::Relaxed);
            if start >= items {
                return Ok(());
            }
            let end = (start + share).min(items);
            for item in start..end {
                self.stop.check()?;
                self.work.item(item, scratch)?;
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Waits for the threads, on the calling one.
    fn wait(&self, supervisor: &dyn Supervisor) -> Result<(), IndexError> {
        while self.running.load(Ordering::Acquire) > 0 {
            thread::park_timeout(NAP);
            supervisor.check()?;
            supervisor.progress(self.done.load(Ordering::Relaxed), self.work.items());
        }
        Ok(())
    }
}

/// Counts a thread out, also when it panics; then the others are to stop.
struct Leaving<'a> {
    running: &'a AtomicUsize,
    caller: &'a Thread,
    stop: &'a Stop,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.stop.set();
        }
        self.running.fetch_sub(1, Ordering::Release);
        self.caller.unpark();
    }
}

/// Stops the threads when the calling thread leaves the scope by a panic; when it leaves normally they have ended.
struct StopOnDrop<'a>(&'a Stop);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.set();
        }
    }
}

#[cfg(test)]
#[path = "team_tests.rs"]
mod tests;
