//! The processes of castmatch: the embedding worker's memory and time, when workers were last at work, shared memory.

use super::sample::Sample;
use crate::error::Result;
use crate::pg::json;
use crate::pg::spi::Session;
use crate::pg::value::Value;
use crate::pg::worker::child;
use crate::shared::{self, Shared};
use castmatch_engine::measure::process::Process;
use castmatch_engine::shared::attendance::WorkerKind;
use castmatch_engine::shared::models::{Condition, ModelRef};
use core::sync::atomic::Ordering;
use serde_json::{Map, Value as Json, json};

/// The embedding worker.
pub(super) struct Embedder {
    pub(super) condition: Condition,
    /// 0 if there is none.
    pub(super) pid: i32,
    process: Option<Process>,
}

impl Embedder {
    /// As it is now.
    pub(super) fn read(shared: &Shared) -> Self {
        let pid = shared.embedder.worker_pid.load(Ordering::Acquire);
        Self {
            condition: shared
                .embedder
                .models
                .facts(ModelRef::BUILTIN)
                .map_or(Condition::Stopped, |facts| facts.condition),
            pid,
            process: if pid > 0 { child(pid) } else { None },
        }
    }

    fn samples(&self, samples: &mut Vec<Sample>) {
        samples.push(Sample::gauge(
            "castmatch_embedder_ready",
            "1 if the embedding worker has the model builtin loaded, else 0.",
            f64::from(u8::from(self.condition == Condition::Ready)),
        ));
        let Some(process) = self.process else { return };
        samples.extend([
            Sample::gauge(
                "castmatch_embedder_resident_memory_bytes",
                "Bytes of memory that the embedding worker holds, shared memory that it has touched included; absent while it does not run.",
                process.resident_bytes as f64,
            ),
            Sample::plain(
                "castmatch_embedder_cpu_seconds_total",
                "counter",
                "Processor time in seconds that the embedding worker has used since it started; absent while it does not run.",
                process.cpu_seconds,
            ),
            Sample::gauge(
                "castmatch_embedder_threads",
                "Threads of the embedding worker; absent while it does not run.",
                process.threads as f64,
            ),
        ]);
    }

    pub(super) fn report(&self) -> Json {
        json!({
            "state": self.condition.name(),
            "pid": (self.pid > 0).then_some(self.pid),
            "resident_bytes": self.process.map(|process| process.resident_bytes),
            "cpu_seconds": self.process.map(|process| process.cpu_seconds),
            "threads": self.process.map(|process| process.threads),
        })
    }
}

/// The samples of processes and of memory.
pub(super) fn samples(shared: &Shared, samples: &mut Vec<Sample>) {
    Embedder::read(shared).samples(samples);
    for kind in WorkerKind::ALL {
        samples.push(Sample::labelled(
            "castmatch_worker_last_heartbeat_timestamp_seconds",
            "gauge",
            "When a background worker of the kind was last at work, in seconds since 1970-01-01 UTC; 0 for never since the server started. The embedder and the launcher show themselves every 10 s, the others while there is work.",
            json!({"worker": kind.name()}),
            seconds(shared.attendance.seen_ms(kind)),
        ));
    }
    samples.extend([
        Sample::counter(
            "castmatch_worker_start_failures_total",
            "Background workers that could not be started because no slot of max_worker_processes was free.",
            shared.attendance.refused(),
        ),
        Sample::gauge(
            "castmatch_shared_memory_bytes",
            "Bytes of shared memory that castmatch has taken: counters, requests, and the caches at their full size.",
            shared::bytes() as f64,
        ),
        Sample::gauge(
            "castmatch_start_time_seconds",
            "Since when the counters count, in seconds since 1970-01-01 UTC: the start of the server, after a crash the recovery.",
            seconds(shared.since_ms.load(Ordering::Acquire)),
        ),
    ]);
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

/// Times as JSON has them, null for 0: milliseconds since 1970-01-01 UTC.
pub(super) fn moments(session: &Session, times_ms: &[u64]) -> Result<Vec<Json>> {
    let times: Vec<f64> = times_ms.iter().map(|&ms| seconds(ms)).collect();
    let rows = session.run(
        "SELECT pg_catalog.to_jsonb(pg_catalog.to_timestamp(NULLIF(m.seconds, 0)))
         FROM pg_catalog.unnest($1) WITH ORDINALITY AS m (seconds, place) ORDER BY m.place",
        &[Value::of(times)],
    )?;
    (0..rows.len()).map(|row| json::cell(&rows, row, 1)).collect()
}

/// The workers for `castmatch.health()`, by kind: whether one runs, for this database where each has its own, and when one was last at work.
pub(super) fn workers(
    session: &Session,
    shared: &Shared,
    running: impl Fn(WorkerKind) -> Option<bool>,
) -> Result<Json> {
    let seen = moments(
        session,
        &WorkerKind::ALL.map(|kind| shared.attendance.seen_ms(kind)),
    )?;
    let workers: Map<String, Json> = WorkerKind::ALL
        .into_iter()
        .zip(seen)
        .map(|(kind, seen)| {
            let state = json!({"running": running(kind), "last_heartbeat": seen});
            (kind.name().to_owned(), state)
        })
        .collect();
    Ok(Json::Object(workers))
}
