//! What the monitor has found out, and the handle by which the HTTP side reads it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

use crate::database::ReadError;
use crate::performance::{History, Performance};

/// Scrapes within this time share one read, so HTTP clients cannot make the database answer more often.
pub const MIN_READ_INTERVAL: Duration = Duration::from_millis(200);

/// What is known of the database and the extension in it.
#[derive(Debug, Clone, PartialEq)]
pub enum Health {
    /// No connection, or no answer in time; also the state before the first check.
    DatabaseDown,
    /// The database answers, the extension is not in it.
    NotInstalled,
    /// The database answers, `castmatch.health()` does not.
    Failed {
        /// The server's code, when it was the server that refused.
        sqlstate: Option<String>,
    },
    /// What `castmatch.health()` said, with the status `ok`.
    Ok(Value),
    /// What `castmatch.health()` said, with the status `degraded`.
    Degraded(Value),
}

impl Health {
    /// After a failed question.
    pub(super) fn after(error: &ReadError) -> Self {
        match error {
            ReadError::Unreachable(_) | ReadError::Deadline { .. } => Self::DatabaseDown,
            ReadError::NotInstalled => Self::NotInstalled,
            ReadError::Rejected { sqlstate, .. } => Self::Failed {
                sqlstate: Some(sqlstate.clone()),
            },
            ReadError::Malformed { .. } => Self::Failed { sqlstate: None },
        }
    }
}

/// The values of the last successful read of `castmatch.metrics()`, encoded once per read, served any number of
/// times.
#[derive(Debug)]
pub struct Values {
    /// The families in the text format.
    pub text: String,
    /// The same in the format of OpenMetrics, without its end mark.
    pub openmetrics: String,
    /// When they were read.
    pub read_at: SystemTime,
}

/// Why `castmatch.performance()` gives no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// This version of the extension does not have it.
    Absent,
    /// It failed with this SQLSTATE.
    Rejected(String),
    /// Its answer is no JSON object.
    Malformed,
}

/// All that the HTTP side knows.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Result of the last health check.
    pub health: Health,
    /// When that check ended; `None` before the first.
    pub checked_at: Option<SystemTime>,
    /// Whether the last read of the metrics succeeded and the database has not been lost since.
    pub up: bool,
    /// Kept when the database goes away; dropped when the extension does.
    pub values: Option<Arc<Values>>,
    /// What `castmatch.performance()` said last; kept and dropped as the values are.
    pub performance: Option<Arc<Performance>>,
    /// Why the last question for it has no answer, although the database is there.
    pub performance_problem: Option<Problem>,
    /// How long the last read of the metrics took, failed or not.
    pub read_duration: Duration,
    /// Reads of the metrics that ended, failed or not.
    pub(super) reads: u64,
    /// When the last of them ended.
    pub(super) read_ended: Option<Instant>,
    /// When the question that is now with the database was asked.
    pub(super) busy_since: Option<Instant>,
}

impl Snapshot {
    /// Before the first check.
    pub(super) fn unknown() -> Self {
        Self {
            health: Health::DatabaseDown,
            checked_at: None,
            up: false,
            values: None,
            performance: None,
            performance_problem: None,
            read_duration: Duration::ZERO,
            reads: 0,
            read_ended: None,
            busy_since: None,
        }
    }

    pub(super) fn extension_answers(&self) -> bool {
        matches!(
            self.health,
            Health::Ok(_) | Health::Degraded(_) | Health::Failed { .. }
        )
    }

    fn is_fresh(&self) -> bool {
        self.read_ended
            .is_some_and(|ended| ended.elapsed() < MIN_READ_INTERVAL)
    }
}

/// The side of the HTTP handlers: cheap to clone, never waits on the database beyond the scrape deadline.
#[derive(Debug, Clone)]
pub struct Observer {
    pub(super) snapshot: watch::Receiver<Arc<Snapshot>>,
    pub(super) history: Arc<Mutex<History>>,
    pub(super) read_wanted: Arc<Notify>,
    pub(super) scrape_deadline: Duration,
}

impl Observer {
    /// The last minutes of `castmatch.performance()`. To be held briefly: the monitor waits for it.
    pub fn history(&self) -> MutexGuard<'_, History> {
        lock(&self.history)
    }

    /// The last known state, at once.
    #[must_use]
    pub fn latest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Asks for a new read of the metrics and waits for it, at most until the scrape deadline; then whatever
    /// is known. The read itself goes on in the background and serves the next scrape. A database that
    /// already keeps the monitor waiting is waited for no longer by each further scrape.
    pub async fn scrape(&self) -> Arc<Snapshot> {
        let known = self.latest();
        if known.is_fresh() || !known.extension_answers() {
            return known;
        }
        self.read_wanted.notify_one();
        let mut snapshot = self.snapshot.clone();
        let answered = snapshot.wait_for(|now| now.reads > known.reads || !now.extension_answers());
        // Past the deadline, or when the monitor is gone, the last snapshot is the answer.
        let waited = known.busy_since.map_or(Duration::ZERO, |since| since.elapsed());
        let _ = timeout(self.scrape_deadline.saturating_sub(waited), answered).await;
        self.latest()
    }
}

/// Whoever panicked while holding it has left whole readings.
pub(super) fn lock(history: &Mutex<History>) -> MutexGuard<'_, History> {
    history.lock().unwrap_or_else(PoisonError::into_inner)
}
