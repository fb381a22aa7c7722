//! The work of the queue: rows are read, their texts given to the model, the vectors written.
//!
//! ```text
//! collect (a transaction) ─► submit ─► … the model works, no transaction … ─► wait ─► write (a transaction)
//! ```
//!
//! While the model works there is neither a snapshot nor a row lock, and the next batch is read and the one before it written
//! meanwhile. A row that another transaction has locked is postponed, not waited for. A row that cannot be written is tried again at
//! growing intervals, alone, and after [`MAX_TRIES`] shown in `castmatch.failures`.

mod blocked;
mod collect;
mod entries;
mod job;
mod write;

use crate::error::Result;
use crate::matching::attachment::Attachment;
use crate::models::client;
use crate::pg::spi::{Access, Session, session};
use blocked::Blocked;
use castmatch_engine::retry::Rate;
use collect::Collected;
use job::Job;
pub use job::other_version;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys;
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Tries before a row is given up.
const MAX_TRIES: i32 = 5;
/// Batches at the model: one that it works on, one that waits for it.
const UNDER_WAY: usize = 2;
/// Batches at servers elsewhere.
const REMOTE_UNDER_WAY: usize = 8;
/// Between two looks at the queue while servers elsewhere work.
const REMOTE_PATIENCE: Duration = Duration::from_millis(200);

/// What came of a turn.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Entries were dealt with; there may be more.
    Worked,
    /// Nothing is due; the next entry is after that time, if there is one.
    Idle(Option<Duration>),
    /// The extension is not in this database (any more).
    NoExtension,
}

/// A queued row with its text.
struct Row {
    key: String,
    /// Entries of the queue that this row settles.
    entries: Vec<i64>,
    /// Its text, if it has any.
    text: Option<String>,
    /// Whether its own embedding is wanted, not only that of the model which the table is switched to.
    for_own: bool,
}

/// Queued rows of one table.
struct Work {
    attachment: Rc<Attachment>,
    rows: Vec<Row>,
}

/// The queue of one database, as its worker sees it.
#[derive(Default)]
pub struct Queue {
    under_way: VecDeque<Job>,
    /// Batches at servers elsewhere, one of a table at a time: no other table waits for them.
    remote: Vec<Job>,
    /// Tables whose latest batch was one of those: passed over while there are enough.
    remote_tables: HashSet<pg_sys::Oid>,
    blocked: Blocked,
    rates: HashMap<pg_sys::Oid, Rate>,
}

impl Queue {
    /// Gives the models what they can take, and writes a batch that is done.
    ///
    /// # Errors
    /// XX000 for what must not happen; errors of the user's tables are noted with the row.
    pub fn turn(&mut self) -> Result<Outcome> {
        let idle = self.take_up()?;
        let done = self.remote.iter_mut().position(Job::is_done);
        let job = match done {
            Some(place) => Some(self.remote.swap_remove(place)),
            None => self.under_way.pop_front(),
        };
        if let Some(job) = job {
            job.finish(&mut self.blocked, &mut self.rates)?;
            return Ok(Outcome::Worked);
        }
        match idle {
            Some(Outcome::NoExtension) => Ok(Outcome::NoExtension),
            _ if !self.remote.is_empty() => {
                client::wait(REMOTE_PATIENCE)?;
                Ok(Outcome::Worked)
            }
            Some(outcome) => Ok(outcome),
            None => Ok(Outcome::Worked),
        }
    }

    /// Reads rows that are due and hands their texts over, as long as there is room; what it means if there are none.
    fn take_up(&mut self) -> Result<Option<Outcome>> {
        while self.under_way.len() < UNDER_WAY {
            let all = self.under_way.iter().chain(&self.remote);
            let taken = all.flat_map(Job::entries).collect();
            let mut busy: Vec<pg_sys::Oid> = self.remote.iter().map(Job::table).collect();
            if busy.len() >= REMOTE_UNDER_WAY {
                busy.extend(&self.remote_tables);
            }
            match in_transaction(|session| collect::due(session, taken, &busy, &self.blocked))? {
                Collected::Works(works) => {
                    for work in works {
                        match Job::submit(work, &mut self.blocked) {
                            Some(job) if job.is_remote() => {
                                self.remote_tables.insert(job.table());
                                self.remote.push(job);
                            }
                            Some(job) => {
                                self.remote_tables.remove(&job.table());
                                self.under_way.push_back(job);
                            }
                            None => {}
                        }
                    }
                }
                Collected::Nothing(outcome) => return Ok(Some(outcome)),
            }
        }
        Ok(None)
    }
}

/// Runs `f` in a transaction of its own.
pub fn in_transaction<R>(f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    BackgroundWorker::transaction(std::panic::AssertUnwindSafe(|| session(Access::ReadWrite, f)))
}
