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
use crate::pg::spi::{Access, Session, session};
use blocked::Blocked;
use castmatch_engine::retry::Rate;
use collect::Collected;
use job::Job;
pub use job::other_version;
use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// Tries before a row is given up.
const MAX_TRIES: i32 = 5;
/// Batches at the model: one that it works on, one that waits for it.
const UNDER_WAY: usize = 2;

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
    blocked: Blocked,
    rates: HashMap<pg_sys::Oid, Rate>,
}

impl Queue {
    /// Gives the model what it can take, and writes the oldest batch that it has done.
    ///
    /// # Errors
    /// XX000 for what must not happen; errors of the user's tables are noted with the row.
    pub fn turn(&mut self) -> Result<Outcome> {
        let mut idle = None;
        while self.under_way.len() < UNDER_WAY && idle.is_none() {
            let taken = self.under_way.iter().flat_map(Job::entries).collect();
            match in_transaction(|session| collect::due(session, taken, &self.blocked))? {
                Collected::Works(works) => {
                    for work in works {
                        self.under_way.extend(Job::submit(work, &mut self.blocked));
                    }
                }
                Collected::Nothing(outcome) => idle = Some(outcome),
            }
        }
        match (self.under_way.pop_front(), idle) {
            (Some(job), _) => {
                job.finish(&mut self.blocked, &mut self.rates)?;
                Ok(Outcome::Worked)
            }
            (None, Some(outcome)) => Ok(outcome),
            (None, None) => Ok(Outcome::Worked),
        }
    }
}

/// Runs `f` in a transaction of its own.
pub fn in_transaction<R>(f: impl FnOnce(&Session) -> Result<R>) -> Result<R> {
    BackgroundWorker::transaction(std::panic::AssertUnwindSafe(|| session(Access::ReadWrite, f)))
}
