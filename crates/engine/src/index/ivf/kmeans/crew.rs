//! The threads of a clustering: those of a build of the graph. There the items of work are numbers and what comes of them is shared; here
//! each job owns its part of the result, so nothing is shared and the result does not depend on who does which job.

use std::sync::{Mutex, PoisonError};

use crate::index::IndexError;
use crate::index::hnsw::build::Supervisor;
use crate::index::hnsw::build::team::{Stop, Work, run};
use crate::interrupt::{Interrupt, Interrupted};

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
    pub(super) fn each<J, S: Send>(
        &self,
        jobs: impl ExactSizeIterator<Item = J> + Send,
        scratch: impl Fn() -> Result<S, IndexError> + Sync,
        work: impl Fn(J, &mut S, &dyn Interrupt) -> Result<(), IndexError> + Sync,
    ) -> Result<(), IndexError> {
        let useful = jobs.len() / JOBS_PER_THREAD;
        match *self {
            Crew::Team(threads, supervisor) if threads.min(useful) > 0 => {
                let stop = Stop::new();
                let jobs = Jobs {
                    count: jobs.len() as u64,
                    jobs: Mutex::new(jobs),
                    scratch,
                    work,
                    stop: &stop,
                };
                run(&jobs, threads.min(useful), &stop, &Silent(supervisor))
            }
            _ => {
                let (interrupt, mut own) = (self.interrupt(), scratch()?);
                for job in jobs {
                    interrupt.check()?;
                    work(job, &mut own, interrupt)?;
                }
                Ok(())
            }
        }
    }
}

/// A supervisor that is told nothing of jobs: they are no rows.
struct Silent<'a>(&'a dyn Supervisor);

impl Interrupt for Silent<'_> {
    fn check(&self) -> Result<(), Interrupted> {
        self.0.check()
    }
}

impl Supervisor for Silent<'_> {
    fn before_spawn(&self) {
        self.0.before_spawn();
    }

    fn after_spawn(&self) {
        self.0.after_spawn();
    }
}

/// Jobs as items: each item is the next job.
struct Jobs<'a, I, N, W> {
    count: u64,
    jobs: Mutex<I>,
    scratch: N,
    work: W,
    stop: &'a Stop,
}

impl<J, S, I, N, W> Work for Jobs<'_, I, N, W>
where
    S: Send,
    I: Iterator<Item = J> + Send,
    N: Fn() -> Result<S, IndexError> + Sync,
    W: Fn(J, &mut S, &dyn Interrupt) -> Result<(), IndexError> + Sync,
{
    type Scratch = S;

    fn scratch(&self) -> Result<S, IndexError> {
        (self.scratch)()
    }

    fn items(&self) -> u64 {
        self.count
    }

    fn share(&self) -> u64 {
        1
    }

    fn item(&self, _item: u64, scratch: &mut S) -> Result<(), IndexError> {
        let job = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).next();
        match job {
            Some(job) => (self.work)(job, scratch, self.stop),
            None => Ok(()),
        }
    }
}
