//! The background task that owns the database connection. It checks the health at a fixed pace, reads the
//! metrics when a scrape asks for them and once after each (re)connection, and publishes every result as a
//! [`Snapshot`].
//!
//! One question is in flight at a time, however many clients ask. The task never ends by itself: a failing
//! database only makes it wait a little longer (at most [`MAX_BACKOFF`]) before the next attempt.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus::TextEncoder;
use serde_json::Value;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};

use crate::config::Timing;
use crate::database::{ReadError, Source};
use crate::exposition::{self, Sample};
use crate::instruments::{Instruments, is_reserved};

/// First pause after a failure; doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// Longest pause between two attempts to reach the database. With the default connect timeout a returning
/// database is seen within 3 s.
pub const MAX_BACKOFF: Duration = Duration::from_secs(1);

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

/// The values of the last successful read of `castmatch.metrics()`.
#[derive(Debug)]
pub struct Values {
    /// In the text format: encoded once per read, served any number of times.
    pub text: String,
    /// When they were read.
    pub read_at: SystemTime,
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
    /// How long the last read of the metrics took, failed or not.
    pub read_duration: Duration,
    /// Reads of the metrics that ended, failed or not.
    reads: u64,
    /// When the last of them ended.
    read_ended: Option<Instant>,
    /// When the question that is now with the database was asked.
    busy_since: Option<Instant>,
}

impl Snapshot {
    /// Before the first check.
    fn unknown() -> Self {
        Self {
            health: Health::DatabaseDown,
            checked_at: None,
            up: false,
            values: None,
            read_duration: Duration::ZERO,
            reads: 0,
            read_ended: None,
            busy_since: None,
        }
    }

    fn extension_answers(&self) -> bool {
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
    snapshot: watch::Receiver<Arc<Snapshot>>,
    read_wanted: Arc<Notify>,
    scrape_deadline: Duration,
}

impl Observer {
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

/// The task's state.
pub struct Monitor<S> {
    source: S,
    instruments: Arc<Instruments>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    read_wanted: Arc<Notify>,
    probe_interval: Duration,
    backoff: Duration,
    /// The last line about the state: an outage is logged once and not at each attempt, unless its cause
    /// changes.
    logged: String,
}

impl<S: Source> Monitor<S> {
    /// The monitor, to be run as a task, and the handle for its readers.
    pub fn new(source: S, timing: &Timing, instruments: Arc<Instruments>) -> (Self, Observer) {
        let (sender, receiver) = watch::channel(Arc::new(Snapshot::unknown()));
        let read_wanted = Arc::new(Notify::new());
        let observer = Observer {
            snapshot: receiver,
            read_wanted: Arc::clone(&read_wanted),
            scrape_deadline: timing.scrape_deadline,
        };
        let monitor = Self {
            source,
            instruments,
            snapshot: sender,
            read_wanted,
            probe_interval: timing.probe_interval,
            backoff: MIN_BACKOFF,
            logged: String::new(),
        };
        (monitor, observer)
    }

    /// Runs until `stop` is sent or its sender dropped.
    pub async fn run(mut self, stop: oneshot::Receiver<()>) {
        tokio::select! {
            () = self.watch() => {}
            _ = stop => {}
        }
        self.source.close().await;
    }

    async fn watch(&mut self) {
        let mut next_probe = Instant::now();
        loop {
            let probe_due = tokio::select! {
                // A stream of scrapes must not keep the health check from its turn.
                biased;
                () = sleep_until(next_probe) => true,
                () = self.read_wanted.notified() => false,
            };
            if probe_due {
                let was_up = self.snapshot.borrow().extension_answers();
                self.probe().await;
                if !was_up && self.snapshot.borrow().extension_answers() {
                    self.read_metrics().await;
                }
                next_probe = Instant::now() + self.pause();
            } else if self.snapshot.borrow().extension_answers() {
                self.read_metrics().await;
                if self.snapshot.borrow().health == Health::DatabaseDown {
                    next_probe = Instant::now() + self.pause();
                }
            }
        }
    }

    /// The time to the next probe: a fixed pace while the database answers, a growing one while it does not.
    fn pause(&mut self) -> Duration {
        if self.snapshot.borrow().health != Health::DatabaseDown {
            self.backoff = MIN_BACKOFF;
            return self.probe_interval;
        }
        let pause = self.backoff;
        self.backoff = (pause * 2).min(MAX_BACKOFF);
        pause
    }

    async fn probe(&mut self) {
        self.mark_busy();
        match self.source.health().await {
            Ok(report) => {
                let status = report.get("status").and_then(Value::as_str);
                let health = match status {
                    Some("ok") => Health::Ok(report),
                    Some("degraded") => Health::Degraded(report),
                    _ => Health::Failed { sqlstate: None },
                };
                self.publish_health(health, None);
            }
            Err(error) => self.publish_health(health_after(&error), Some(&error)),
        }
    }

    async fn read_metrics(&mut self) {
        self.mark_busy();
        let started = Instant::now();
        let result = self.source.metrics().await;
        let took = started.elapsed();
        let result = result.and_then(|samples| self.encode(&samples));
        if let Err(error) = &result {
            self.instruments.count_read_error();
            if error.database_is_down() {
                self.publish_health(health_after(error), Some(error));
            } else if self.snapshot.borrow().up || self.snapshot.borrow().reads == 0 {
                tracing::warn!("cannot read the metrics: {error}");
            }
        }
        self.update(|snapshot| {
            snapshot.reads += 1;
            snapshot.read_ended = Some(Instant::now());
            snapshot.read_duration = took;
            snapshot.busy_since = None;
            snapshot.up = result.is_ok();
            match result {
                Ok(values) => snapshot.values = Some(Arc::new(values)),
                Err(ReadError::NotInstalled) => snapshot.values = None,
                Err(_) => {}
            }
        });
    }

    fn encode(&self, samples: &[Sample]) -> Result<Values, ReadError> {
        let exposition = exposition::convert(samples, is_reserved);
        self.instruments.count_dropped_rows(exposition.dropped_rows);
        let text = TextEncoder::new().encode_to_string(&exposition.families);
        let text = text.map_err(|error| ReadError::Malformed {
            question: "castmatch.metrics()",
            problem: error.to_string(),
        })?;
        Ok(Values {
            text,
            read_at: SystemTime::now(),
        })
    }

    fn mark_busy(&self) {
        self.update(|snapshot| snapshot.busy_since = Some(Instant::now()));
    }

    fn publish_health(&mut self, health: Health, error: Option<&ReadError>) {
        self.log_change(&health, error);
        self.update(|snapshot| {
            match health {
                Health::DatabaseDown => snapshot.up = false,
                Health::NotInstalled => {
                    snapshot.up = false;
                    snapshot.values = None;
                }
                Health::Failed { .. } | Health::Ok(_) | Health::Degraded(_) => {}
            }
            snapshot.health = health;
            snapshot.busy_since = None;
            snapshot.checked_at = Some(SystemTime::now());
        });
    }

    fn log_change(&mut self, health: &Health, error: Option<&ReadError>) {
        let line = match (health, error) {
            (Health::Ok(_), _) => "castmatch is healthy".to_owned(),
            (Health::Degraded(_), _) => "castmatch is degraded".to_owned(),
            (_, Some(error)) => error.to_string(),
            (_, None) => "castmatch.health() gave no status that this version knows".to_owned(),
        };
        if line == self.logged {
            return;
        }
        if matches!(health, Health::Ok(_)) {
            tracing::info!("{line}");
        } else {
            tracing::warn!("{line}");
        }
        self.logged = line;
    }

    fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        self.snapshot
            .send_modify(|snapshot| change(Arc::make_mut(snapshot)));
    }
}

fn health_after(error: &ReadError) -> Health {
    match error {
        ReadError::Unreachable(_) | ReadError::Deadline { .. } => Health::DatabaseDown,
        ReadError::NotInstalled => Health::NotInstalled,
        ReadError::Rejected { sqlstate, .. } => Health::Failed {
            sqlstate: Some(sqlstate.clone()),
        },
        ReadError::Malformed { .. } => Health::Failed { sqlstate: None },
    }
}
