//! The background task that owns the database connection. It checks the health and asks for the performance at
//! fixed paces, reads the metrics when a scrape asks for them and once after each (re)connection, and publishes
//! every result as a [`Snapshot`].
//!
//! One question is in flight at a time, however many clients ask. The task never ends by itself: a failing
//! database only makes it wait a little longer (at most [`MAX_BACKOFF`]) before the next attempt.

mod snapshot;

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use prometheus::TextEncoder;
use serde_json::Value;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::config::Timing;
use crate::database::{ReadError, Source};
use crate::exposition::{self, Sample};
use crate::instruments::{Instruments, is_reserved};
use crate::performance::{History, Performance};

pub use snapshot::{Health, MIN_READ_INTERVAL, Observer, Problem, Snapshot, Values};

/// First pause after a failure; doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(100);

/// Longest pause between two attempts to reach the database. With the default connect timeout a returning
/// database is seen within 3 s.
pub const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// The task's state.
pub struct Monitor<S> {
    source: S,
    instruments: Arc<Instruments>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    history: Arc<Mutex<History>>,
    read_wanted: Arc<Notify>,
    probe_interval: Duration,
    performance_interval: Duration,
    backoff: Duration,
    /// The last line about the state: an outage is logged once and not at each attempt, unless its cause
    /// changes.
    logged: String,
}

/// Which question comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Probe,
    Performance,
    Metrics,
}

impl<S: Source> Monitor<S> {
    /// The monitor, to be run as a task, and the handle for its readers.
    pub fn new(source: S, timing: &Timing, instruments: Arc<Instruments>) -> (Self, Observer) {
        let (sender, receiver) = watch::channel(Arc::new(Snapshot::unknown()));
        let read_wanted = Arc::new(Notify::new());
        let history = Arc::new(Mutex::new(History::default()));
        let observer = Observer {
            snapshot: receiver,
            history: Arc::clone(&history),
            read_wanted: Arc::clone(&read_wanted),
            scrape_deadline: timing.scrape_deadline,
        };
        let monitor = Self {
            source,
            instruments,
            snapshot: sender,
            history,
            read_wanted,
            probe_interval: timing.probe_interval,
            performance_interval: timing.performance_interval,
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
        let mut next_performance = next_probe;
        loop {
            let answers = self.snapshot.borrow().extension_answers();
            let due = tokio::select! {
                // A stream of scrapes must not keep the questions with a pace of their own from their turn.
                biased;
                () = sleep_until(next_probe) => Due::Probe,
                () = sleep_until(next_performance), if answers => Due::Performance,
                () = self.read_wanted.notified() => Due::Metrics,
            };
            match due {
                Due::Probe => {
                    self.probe().await;
                    if !answers && self.snapshot.borrow().extension_answers() {
                        self.read_metrics().await;
                        next_performance = Instant::now();
                    }
                }
                Due::Performance => {
                    self.read_performance().await;
                    next_performance = Instant::now() + self.performance_interval;
                }
                Due::Metrics if answers => self.read_metrics().await,
                Due::Metrics => {}
            }
            if due == Due::Probe || (answers && self.snapshot.borrow().health == Health::DatabaseDown) {
                next_probe = Instant::now() + self.pause();
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
            Err(error) => self.publish_health(Health::after(&error), Some(&error)),
        }
    }

    async fn read_performance(&mut self) {
        self.mark_busy();
        let answer = self.source.performance().await;
        let error = match answer {
            Ok(answer) if answer.is_object() => {
                snapshot::lock(&self.history).push(&answer);
                let performance = Arc::new(Performance::new(answer));
                return self.update(|snapshot| {
                    snapshot.busy_since = None;
                    snapshot.performance = Some(performance);
                    snapshot.performance_problem = None;
                });
            }
            Ok(_) => ReadError::Malformed {
                question: "castmatch.performance()",
                problem: "no object".to_owned(),
            },
            Err(error) => error,
        };
        if error.database_is_down() {
            return self.publish_health(Health::after(&error), Some(&error));
        }
        let problem = match &error {
            // The health check says whether the extension as a whole is there.
            ReadError::NotInstalled => Problem::Absent,
            ReadError::Rejected { sqlstate, .. } => Problem::Rejected(sqlstate.clone()),
            _ => Problem::Malformed,
        };
        let known = self.snapshot.borrow().performance_problem.as_ref() == Some(&problem);
        match problem {
            _ if known => {}
            Problem::Absent => tracing::info!("this castmatch has no castmatch.performance()"),
            _ => tracing::warn!("cannot read the performance: {error}"),
        }
        self.update(|snapshot| {
            snapshot.busy_since = None;
            snapshot.performance_problem = Some(problem);
        });
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
                self.publish_health(Health::after(error), Some(error));
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
        let openmetrics = exposition::openmetrics(&exposition.families);
        Ok(Values {
            text,
            openmetrics,
            read_at: SystemTime::now(),
        })
    }

    fn mark_busy(&self) {
        self.update(|snapshot| snapshot.busy_since = Some(Instant::now()));
    }

    fn publish_health(&mut self, health: Health, error: Option<&ReadError>) {
        self.log_change(&health, error);
        if health == Health::NotInstalled {
            snapshot::lock(&self.history).clear();
        }
        self.update(|snapshot| {
            match health {
                Health::DatabaseDown => snapshot.up = false,
                Health::NotInstalled => {
                    snapshot.up = false;
                    snapshot.values = None;
                    snapshot.performance = None;
                    snapshot.performance_problem = None;
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
