//! `castmatch.metrics()` and `castmatch.health()`: everything that is known, in one cheap call.

use crate::error::Result;
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, session};
use crate::shared::shared;
use castmatch_engine::shared::counters::{Counters, Operation};
use castmatch_engine::shared::embedder::Condition;
use core::sync::atomic::Ordering;
use pgrx::JsonB;
use pgrx::prelude::*;
use serde_json::{Value, json};

const REQUESTS: (&str, &str) = (
    "castmatch_requests_total",
    "Calls of castmatch operations, by outcome.",
);
const DURATION: (&str, &str) = (
    "castmatch_request_duration_seconds",
    "Duration of castmatch operations in seconds, failed ones included.",
);

/// One sample: name, kind, help, labels, value.
struct Sample {
    name: String,
    kind: &'static str,
    help: &'static str,
    labels: Value,
    value: f64,
}

impl Sample {
    fn plain(name: &str, kind: &'static str, help: &'static str, value: f64) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            help,
            labels: json!({}),
            value,
        }
    }
}

fn seconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1e6
}

fn operation_samples(counters: &Counters, samples: &mut Vec<Sample>) {
    for operation in Operation::ALL {
        let counters = counters.operation(operation);
        for (outcome, value) in [("ok", counters.succeeded()), ("error", counters.failed())] {
            samples.push(Sample {
                name: REQUESTS.0.to_owned(),
                kind: "counter",
                help: REQUESTS.1,
                labels: json!({"operation": operation.name(), "outcome": outcome}),
                value: value as f64,
            });
        }
    }
    for operation in Operation::ALL {
        let counters = counters.operation(operation);
        let mut sample = |suffix: &str, labels: Value, value: f64| {
            let name = format!("{}{suffix}", DURATION.0);
            samples.push(Sample {
                name,
                kind: "histogram",
                help: DURATION.1,
                labels,
                value,
            });
        };
        let mut count = 0;
        for (bound, cumulative) in counters.cumulative() {
            let bound = bound.map_or("+Inf".to_owned(), |bound| seconds(bound).to_string());
            sample(
                "_bucket",
                json!({"operation": operation.name(), "le": bound}),
                cumulative as f64,
            );
            count = cumulative;
        }
        let labels = json!({"operation": operation.name()});
        sample("_sum", labels.clone(), seconds(counters.total_us()));
        sample("_count", labels, count as f64);
    }
}

/// Pending and failed rows of this database.
fn queue_counts() -> Result<(i64, i64)> {
    let owner = catalog::extension_types()?.owner;
    act_as(owner, Restriction::LocalChange, || {
        session(Access::ReadOnly, |session| {
            let rows = session.run(
                "SELECT count(*) FILTER (WHERE failed_at IS NULL), count(*) FILTER (WHERE failed_at IS NOT NULL)
                 FROM castmatch.queue",
                &[],
            )?;
            Ok((rows.require(0, 1)?, rows.require(0, 2)?))
        })
    })
}

#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)]
fn metrics() -> Result<
    TableIterator<
        'static,
        (
            name!(name, String),
            name!(kind, String),
            name!(help, String),
            name!(labels, JsonB),
            name!(value, f64),
        ),
    >,
> {
    let shared = shared()?;
    let (pending, failed) = queue_counts()?;
    let ready = shared.embedder.condition() == Condition::Ready;
    let counters = &shared.counters;
    let mut samples = vec![
        Sample::plain(
            "castmatch_queue_pending",
            "gauge",
            "Changes of rows in this database that wait for their embedding.",
            pending as f64,
        ),
        Sample::plain(
            "castmatch_queue_dead",
            "gauge",
            "Rows in this database that could not be embedded after all tries.",
            failed as f64,
        ),
        Sample::plain(
            "castmatch_embedder_ready",
            "gauge",
            "1 if the embedding worker has its model loaded, else 0.",
            f64::from(u8::from(ready)),
        ),
        Sample::plain(
            "castmatch_rows_embedded_total",
            "counter",
            "Rows of attached tables whose embedding was written.",
            counters.rows_embedded.load(Ordering::Relaxed) as f64,
        ),
        Sample::plain(
            "castmatch_rows_failed_total",
            "counter",
            "Rows of attached tables that were given up after all tries.",
            counters.rows_failed.load(Ordering::Relaxed) as f64,
        ),
    ];
    operation_samples(counters, &mut samples);
    Ok(TableIterator::new(samples.into_iter().map(|sample| {
        (
            sample.name,
            sample.kind.to_owned(),
            sample.help.to_owned(),
            JsonB(sample.labels),
            sample.value,
        )
    })))
}

#[pg_extern(sql = false)]
fn health() -> Result<JsonB> {
    let shared = shared()?;
    let (pending, failed) = queue_counts()?;
    let condition = shared.embedder.condition();
    let message = shared.embedder.message();
    // Without preload the worker starts with the first text: its absence is no fault then.
    let preloaded = shared.preloaded.load(Ordering::Acquire) == 1;
    let (state, model, failure) = match condition {
        Condition::Ready => ("ready", Some(message), None),
        Condition::Starting => ("starting", None, None),
        Condition::Stopped => ("stopped", None, None),
        Condition::ModelMissing | Condition::Failed => ("failed", None, Some(message)),
    };
    let sound = match condition {
        Condition::Ready | Condition::Starting => true,
        Condition::Stopped => !preloaded,
        Condition::ModelMissing | Condition::Failed => false,
    };
    Ok(JsonB(json!({
        "status": if sound { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "preloaded": preloaded,
        "embedder": {"state": state, "model": model, "error": failure},
        "pending": pending,
        "failed": failed,
    })))
}
