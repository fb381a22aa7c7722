//! The threads of a clustering.
//!
//! As those of a build of the graph they compute on memory, while the calling thread waits and asks whether to go on. There the
//! items of work are numbers and what comes of them is shared; here each job owns its part of the result, so nothing is shared and
//! the result does not depend on who does which job.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

use crate::index::IndexError;
use crate::index::hnsw::build::Supervisor;
use crate::interrupt::{Interrupt, Interrupted};

/// How long the calling thread sleeps between two questions whether to go on.
const NAP: Duration = Duration::from_millis(20);
/// Jobs that a thread is worth starting for.
const JOBS_PER_THREAD: usize = 4;

/// Who does the jobs.
#[derive(Clone, Copy)]
pub(super) enum Crew<'a> {
    /// The present thread.
    Alone(&'a dyn Interrupt),
    /// At most so many threads, while the present one asks whether to go on. Without any, the present one.
    Team(usize, &'a dyn Supervisor),
}

impl<'a> Crew<'a> {
    /// Whom the present thread asks whether to go on.
    pub(super) fn interrupt(&self) -> &'a dyn Interrupt {
        match *self {
            Crew::Alone(interrupt) => interrupt,
            Crew::Team(_, supervisor) => supervisor,
        }
    }

    /// Does all jobs, in any order, each thread with its own scratch. Long jobs ask the given [`Interrupt`].
    ///
    /// # Errors
    /// [`IndexError::Interrupted`], [`IndexError::Failed`] if a thread panicked, and those of the jobs.
    pub(super) fn each<J, S>(
        &self,
        jobs: impl ExactSizeIterator<Item = J> + Send,
        scratch: impl Fn() -> Result<S, IndexError> + Sync,
        work: impl Fn(J, &mut S, &dyn Interrupt) -> Result<(), IndexError> + Sync,
    ) -> Result<(), IndexError> {
        let useful = jobs.len() / JOBS_PER_THREAD;
        let shared = Shared {
            jobs: Mutex::new(jobs),
            scratch,
            work,
            stop: Stop::default(),
            running: AtomicUsize::new(0),
            caller: thread::current(),
            error: Mutex::new(None),
        };
        match *self {
            Crew::Team(threads, supervisor) if threads.min(useful) > 0 => {
                shared.together(threads.min(useful), supervisor)
            }
            _ => shared.labour(self.interrupt()),
        }
    }
}

/// Set when the threads are to stop.
#[derive(Default)]
struct Stop(AtomicBool);

impl Stop {
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

struct Shared<I, N, W> {
    jobs: Mutex<I>,
    scratch: N,
    work: W,
    stop: Stop,
    running: AtomicUsize,
    caller: Thread,
    error: Mutex<Option<IndexError>>,
}

impl<J, S, I, N, W> Shared<I, N, W>
where
    I: Iterator<Item = J> + Send,
    N: Fn() -> Result<S, IndexError> + Sync,
    W: Fn(J, &mut S, &dyn Interrupt) -> Result<(), IndexError> + Sync,
{
    fn together(&self, threads: usize, supervisor: &dyn Supervisor) -> Result<(), IndexError> {
        let outcome = thread::scope(|scope| {
            let _stop_threads_whatever_happens = StopOnDrop(&self.stop);
            let mut handles = Vec::new();
            supervisor.before_spawn();
            for _ in 0..threads {
                self.running.fetch_add(1, Ordering::Relaxed);
                match thread::Builder::new()
                    .name("castmatch build".into())
                    .spawn_scoped(scope, || self.thread())
                {
                    Ok(handle) => handles.push(handle),
                    Err(_) => {
                        self.running.fetch_sub(1, Ordering::Relaxed);
                        break;
                    }
                }
            }
            supervisor.after_spawn();
            if handles.is_empty() {
                return self.labour(supervisor);
            }
            let mut outcome = self.wait(supervisor);
            if outcome.is_err() {
                self.stop.set();
            }
            for handle in handles {
                if handle.join().is_err() {
                    outcome = outcome.and(Err(IndexError::Failed {
                        what: "a thread of the index build panicked",
                    }));
                }
            }
            outcome
        });
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        outcome.and(error.map_or(Ok(()), Err))
    }

    /// What each started thread does.
    fn thread(&self) {
        let _leaving = Leaving {
            running: &self.running,
            caller: &self.caller,
            stop: &self.stop,
        };
        if let Err(error) = self.labour(&self.stop) {
            self.stop.set();
            let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
            // The others end as interrupted because of the first.
            if first.is_none_or(|known| matches!(known, IndexError::Interrupted(_))) {
                *first = Some(error);
            }
        }
    }

    /// Does jobs until there are none left.
    fn labour(&self, interrupt: &dyn Interrupt) -> Result<(), IndexError> {
        let mut scratch = (self.scratch)()?;
        loop {
            interrupt.check()?;
            // A statement of its own, at whose end the lock is given back.
            let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
            match job {
                Some(job) => (self.work)(job, &mut scratch, interrupt)?,
                None => return Ok(()),
            }
        }
    }

    /// Waits for the threads, on the calling one.
    fn wait(&self, supervisor: &dyn Supervisor) -> Result<(), IndexError> {
        while self.running.load(Ordering::Acquire) > 0 {
            thread::park_timeout(NAP);
            supervisor.check()?;
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
