//! What one call may do, and what it has done.

use crate::maintenance::plan::Plan;
use crate::pg::spi::Access;
use std::time::Instant;

/// Conversations that one call locks at most: each lock is an entry of the server's lock table until the commit.
const MAX_LOCKS: usize = 256;

/// What was deleted, or would be.
#[derive(Default)]
pub struct Tally {
    /// Conversations.
    pub conversations: i64,
    /// Messages.
    pub messages: i64,
    /// Requests.
    pub requests: i64,
    /// Conversations left alone because they are in use.
    pub skipped: i64,
}

/// A call under way.
pub struct Batch<'a> {
    /// What it is held to.
    pub plan: &'a Plan,
    /// Whether it counts only.
    pub dry_run: bool,
    /// What it has done.
    pub tally: Tally,
    /// Rows that it may still delete.
    pub rows_left: usize,
    /// Conversations that it has locked.
    pub locks: usize,
    /// Requests counted by a dry run that go with their conversation and are old besides.
    pub counted_twice: i64,
    started: Instant,
}

impl<'a> Batch<'a> {
    /// A call that began at `started`.
    pub fn new(plan: &'a Plan, dry_run: bool, started: Instant) -> Self {
        Self {
            plan,
            dry_run,
            tally: Tally::default(),
            rows_left: plan.batch_rows,
            locks: 0,
            counted_twice: 0,
            started,
        }
    }

    /// How its statements run.
    pub fn access(&self) -> Access {
        if self.dry_run {
            Access::ReadOnly
        } else {
            Access::ReadWrite
        }
    }

    /// Whether the call has to end here. A dry run goes on to the end of the pass.
    pub fn is_over(&self) -> bool {
        let is_spent = self.rows_left < castmatch_engine::maintenance::MIN_BATCH_ROWS
            || self.locks >= MAX_LOCKS
            || self.started.elapsed() >= self.plan.batch_time;
        is_spent && !self.dry_run
    }

    /// Whether nothing has been deleted yet.
    pub fn is_fresh(&self) -> bool {
        self.rows_left == self.plan.batch_rows
    }

    /// Takes deleted rows off what is left; their number as it is counted.
    pub fn spend(&mut self, rows: usize) -> i64 {
        self.rows_left = self.rows_left.saturating_sub(rows);
        count(rows)
    }
}

/// A number of rows as SQL counts them.
pub fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
