//! `castmatch.health()`: whether castmatch works, and what is to be done where it does not.
//!
//! An `error` is a fault that users meet: it makes the status `degraded`. A `warning` is something to be looked after.

use super::indexes::invalid_indexes;
use super::models::Models;
use super::process::{Embedder, workers};
use super::queue::Queue;
use crate::error::Result;
use crate::models::registry::as_owner;
use crate::pg::clock::unix_ms;
use crate::pg::snapshot::in_recovery;
use crate::pg::spi::{Access, Session};
use crate::pg::value::Value;
use crate::pg::{catalog, role};
use crate::shared::{Shared, shared};
use castmatch_engine::model_name::BUILTIN;
use castmatch_engine::shared::attendance::WorkerKind;
use castmatch_engine::shared::models::{Condition, ModelRef};
use castmatch_engine::shared::sync::Duty;
use core::sync::atomic::Ordering;
use pgrx::JsonB;
use pgrx::pg_sys;
use pgrx::prelude::*;
use serde_json::{Value as Json, json};

/// A row that waits for longer is worth a word.
const LONG_WAIT_SECONDS: f64 = 300.0;
/// Rows that were embedded within that time say that the queue is worked on.
const LATELY_SECONDS: f64 = 120.0;
/// A want of worker slots that is older is over: the launcher tries again every minute at the latest.
const REFUSAL_MS: u64 = 120_000;
/// Problems of one check that are named one by one.
const NAMED: usize = 10;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Severity {
    Warning,
    Error,
}

struct Problem {
    check: &'static str,
    severity: Severity,
    problem: String,
    remedy: String,
}

impl Problem {
    fn new(
        check: &'static str,
        severity: Severity,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            check,
            severity,
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    fn to_json(&self) -> Json {
        json!({
            "check": self.check,
            "severity": match self.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            },
            "problem": self.problem,
            "remedy": self.remedy,
        })
    }
}

/// Whether a role may know the names of all models: anybody may ask for the health.
fn may_see_all(session: &Session, role: pg_sys::Oid) -> Result<bool> {
    let rows = session.run(
        "SELECT COALESCE(pg_catalog.bool_or(pg_catalog.pg_has_role($1, r.oid, 'USAGE')), false) FROM pg_catalog.pg_roles r
         WHERE r.rolname OPERATOR(pg_catalog.=) ANY ('{castmatch_monitor,castmatch_admin}'::pg_catalog.name[])",
        &[Value::oid(role)],
    )?;
    rows.require(0, 1)
}

/// What is looked at.
struct Examination<'a> {
    shared: &'a Shared,
    preloaded: bool,
    in_recovery: bool,
    embedder: Embedder,
    queue: Queue,
    models: Models,
    problems: Vec<Problem>,
}

impl Examination<'_> {
    fn find(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    fn preload(&mut self) {
        if !self.preloaded {
            self.find(Problem::new(
                "preload",
                Severity::Warning,
                "castmatch is not in shared_preload_libraries: caches are each session's own, and workers start with their first use only",
                "Add castmatch to shared_preload_libraries and restart the server.",
            ));
        }
    }

    fn model(&mut self) {
        let failed: Vec<(String, Condition)> = self
            .models
            .failed()
            .map(|(name, condition, _)| (name.to_owned(), condition))
            .collect();
        for (name, condition) in failed {
            let severity = if name == BUILTIN {
                Severity::Error
            } else {
                Severity::Warning
            };
            let (problem, remedy) = if condition == Condition::ModelMissing {
                (
                    format!("the files of model \"{name}\" are missing"),
                    "Put the model's folder into the folder that castmatch.model_path names, which is looked into again when the model is used next.",
                )
            } else {
                (
                    format!("model \"{name}\" could not be loaded"),
                    "The server's log says why; reload the configuration when that is mended (SELECT pg_reload_conf()).",
                )
            };
            self.find(Problem::new("model", severity, problem, remedy));
        }
    }

    fn worker(&mut self) {
        // Without preloading a worker starts with its first use: its absence is no fault then.
        let is_away = self.embedder.pid == 0 || self.embedder.condition == Condition::Stopped;
        if self.preloaded && is_away {
            self.find(Problem::new(
                "worker",
                Severity::Error,
                "the embedding worker does not run: nothing can be embedded, and no description be searched for",
                "The server starts it again within a second or two. If it stays away, the server's log says why; max_worker_processes may leave no room for it.",
            ));
        }
        let launcher = self.shared.sync.launcher_pid.load(Ordering::Acquire);
        if self.preloaded && !self.in_recovery && launcher == 0 {
            self.find(Problem::new(
                "worker",
                Severity::Error,
                "the launcher does not run: rows that were written are not embedded, and no request of chat_async is answered",
                "The server starts it again within a second or two. If it stays away, the server's log says why; max_worker_processes may leave no room for it.",
            ));
        }
        let refused_ms = self.shared.attendance.refused_ms();
        if refused_ms != 0 && unix_ms().saturating_sub(refused_ms) < REFUSAL_MS {
            self.find(Problem::new(
                "worker",
                Severity::Error,
                "a background worker could not be started: the server has no free slot for it",
                "Increase max_worker_processes and restart the server.",
            ));
        }
    }

    fn queue(&mut self) {
        let queue = &self.queue;
        let (pending, failed) = (queue.pending, queue.failed);
        let waited = queue.oldest_seconds.filter(|&waited| waited > LONG_WAIT_SECONDS);
        // The workers of a standby are the primary's.
        if let Some(waited) = waited.filter(|_| !self.in_recovery) {
            let minutes = (waited / 60.0).floor();
            let problem = match queue.eta_seconds() {
                Some(eta) => Problem::new(
                    "queue",
                    Severity::Warning,
                    format!(
                        "{pending} rows wait for their embedding, the first one for {minutes} minutes; at the present speed it takes another {} minutes",
                        (eta / 60.0).ceil()
                    ),
                    "Nothing, if many rows were written at once. castmatch.embedding_threads lets the worker use more processors.",
                ),
                None if queue.idle_seconds.is_some_and(|idle| idle < LATELY_SECONDS) => Problem::new(
                    "queue",
                    Severity::Warning,
                    format!("{pending} rows wait for their embedding, the first one for {minutes} minutes"),
                    "Nothing, if many rows were written at once. castmatch.embedding_threads lets the worker use more processors.",
                ),
                None => Problem::new(
                    "queue",
                    Severity::Error,
                    format!(
                        "{pending} rows wait for their embedding, the first one for {minutes} minutes, and none is being embedded"
                    ),
                    "castmatch.attachments says of which tables. Their model may not be usable, or a lock on a table keeps the worker waiting: the server's log says why.",
                ),
            };
            self.find(problem);
        }
        if failed > 0 {
            self.find(Problem::new(
                "queue",
                Severity::Warning,
                format!("{failed} rows could not be embedded after all tries"),
                "castmatch.failures says which and why; castmatch.retry_failed('table') queues them again.",
            ));
        }
    }

    fn breaker(&mut self, names: bool) {
        let left_alone = self.models.left_alone(self.shared);
        let remedy = "See that the model's server can be reached and its key and options are right (castmatch.models); it is tried again after castmatch.breaker_seconds.";
        if !names && !left_alone.is_empty() {
            let count = left_alone.len();
            let problem = format!(
                "{count} models of servers elsewhere are left alone because they failed several times in a row"
            );
            self.find(Problem::new("breaker", Severity::Warning, problem, remedy));
            return;
        }
        for model in left_alone.into_iter().take(NAMED) {
            let problem = format!(
                "model \"{}\" is left alone because it failed {} times in a row",
                model.name, model.failures
            );
            self.find(Problem::new("breaker", Severity::Warning, problem, remedy));
        }
    }

    fn indexes(&mut self, session: &Session) -> Result<()> {
        for name in invalid_indexes(session, NAMED as i64)? {
            self.find(Problem::new(
                "index",
                Severity::Warning,
                format!("index {name} is invalid: its build came to nothing, and no search uses it"),
                format!("REINDEX INDEX CONCURRENTLY {name}; or drop it."),
            ));
        }
        Ok(())
    }

    /// Whether a worker of the kind runs, for this database where each has its own.
    fn runs(&self, kind: WorkerKind) -> Option<bool> {
        let sync = &self.shared.sync;
        let database = catalog::my_database().to_u32();
        match kind {
            WorkerKind::Embedder => Some(self.embedder.pid != 0),
            WorkerKind::Launcher => Some(sync.launcher_pid.load(Ordering::Acquire) != 0),
            WorkerKind::Sync => Some(sync.work(Duty::Rows).has_worker(database)),
            WorkerKind::Chat => Some(sync.work(Duty::Replies).has_worker(database)),
            // It is nobody's but the sync worker's, and noted nowhere.
            WorkerKind::Index => None,
        }
    }
}

#[pg_extern(sql = false)]
fn health() -> Result<JsonB> {
    let shared = shared()?;
    let caller = role::current();
    as_owner(Access::ReadOnly, |session| {
        let mut examination = Examination {
            shared,
            preloaded: shared.preloaded.load(Ordering::Acquire) == 1,
            in_recovery: in_recovery(),
            embedder: Embedder::read(shared),
            queue: Queue::read(session)?,
            models: Models::read(session, shared)?,
            problems: Vec::new(),
        };
        examination.preload();
        examination.model();
        examination.worker();
        examination.queue();
        examination.breaker(may_see_all(session, caller)?);
        examination.indexes(session)?;
        let workers = workers(session, shared, |kind| examination.runs(kind))?;
        Ok(JsonB(told(&examination, workers)))
    })
}

fn told(examination: &Examination, workers: Json) -> Json {
    let message = examination.shared.embedder.models.message(ModelRef::BUILTIN);
    let condition = examination.embedder.condition;
    let (model, failure) = match condition {
        Condition::Ready => (Some(message), None),
        Condition::Starting | Condition::Stopped => (None, None),
        Condition::ModelMissing | Condition::Failed => (None, Some(message)),
    };
    let is_degraded = examination
        .problems
        .iter()
        .any(|problem| problem.severity == Severity::Error);
    json!({
        "status": if is_degraded { "degraded" } else { "ok" },
        "version": env!("CARGO_PKG_VERSION"),
        "preloaded": examination.preloaded,
        "in_recovery": examination.in_recovery,
        "embedder": {
            "state": condition.name(), "model": model, "error": failure, "models": examination.models.states(),
        },
        "pending": examination.queue.pending,
        "failed": examination.queue.failed,
        "workers": workers,
        "problems": examination.problems.iter().map(Problem::to_json).collect::<Vec<_>>(),
    })
}
