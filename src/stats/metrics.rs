//! `castmatch.metrics()` and `castmatch.health()`: everything that is known, in one cheap call.

use crate::error::Result;
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, session};
use crate::shared::shared;
use crate::stats::{caches, models};
use castmatch_engine::shared::counters::{BUCKET_BOUNDS_US, Operation, StripedCounters};
use castmatch_engine::shared::models::{Condition, ModelRef};
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
pub(super) struct Sample {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) help: &'static str,
    pub(super) labels: Value,
    pub(super) value: f64,
}

impl Sample {
    pub(super) fn plain(name: &str, kind: &'static str, help: &'static str, value: f64) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            help,
            labels: json!({}),
            value,
        }
    }
}

fn operation_samples(counters: &StripedCounters, samples: &mut Vec<Sample>) {
    for operation in Operation::ALL {
        let succeeded = counters.sum(|counters| counters.operation(operation).succeeded());
        let failed = counters.sum(|counters| counters.operation(operation).failed());
        for (outcome, value) in [("ok", succeeded), ("error", failed)] {
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
        let (sum, buckets) = counters.histogram(|counters| &counters.operation(operation).durations);
        histogram_samples(
            samples,
            DURATION,
            &json!({"operation": operation.name()}),
            &Buckets {
                bounds: &BUCKET_BOUNDS_US,
                counts: &buckets,
                sum,
                per_second: 1e6,
            },
        );
    }
}

/// A histogram's numbers, in parts of a second.
pub(super) struct Buckets<'a> {
    pub(super) bounds: &'a [u64],
    /// One more than there are bounds.
    pub(super) counts: &'a [u64],
    pub(super) sum: u64,
    pub(super) per_second: f64,
}

/// The samples of a histogram: its buckets, each with all below it, sum and count.
pub(super) fn histogram_samples(
    samples: &mut Vec<Sample>,
    (name, help): (&str, &'static str),
    labels: &Value,
    buckets: &Buckets,
) {
    let mut sample = |suffix: &str, labels: Value, value: f64| {
        samples.push(Sample {
            name: format!("{name}{suffix}"),
            kind: "histogram",
            help,
            labels,
            value,
        });
    };
    let seconds = |parts: u64| parts as f64 / buckets.per_second;
    let bounds = buckets.bounds.iter().map(|&bound| seconds(bound).to_string());
    let mut count = 0;
    for (bound, bucket) in bounds
        .chain(std::iter::once("+Inf".to_owned()))
        .zip(buckets.counts)
    {
        count += bucket;
        let mut labels = labels.clone();
        if let Value::Object(labels) = &mut labels {
            labels.insert("le".to_owned(), Value::String(bound));
        }
        sample("_bucket", labels, count as f64);
    }
    sample("_sum", labels.clone(), seconds(buckets.sum));
    sample("_count", labels.clone(), count as f64);
}

/// Pending and failed rows of this database.
fn queue_counts() -> Result<(i64, i64)> {
    let owner = catalog::extension_types()?.owner;
    act_as(owner, Restriction::LocalChange, || {
        session(Access::ReadOnly, |session| {
            let rows = session.run(
                "SELECT pg_catalog.count(*) FILTER (WHERE failed_at IS NULL), pg_catalog.count(*) FILTER (WHERE failed_at IS NOT NULL)
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
    let local = shared.embedder.models.all();
    let ready = local
        .first()
        .is_some_and(|(.., facts)| facts.condition == Condition::Ready);
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
            "1 if the embedding worker has the model builtin loaded, else 0.",
            f64::from(u8::from(ready)),
        ),
        Sample::plain(
            "castmatch_rows_embedded_total",
            "counter",
            "Rows of attached tables whose embedding was written.",
            counters.sum(|counters| counters.rows_embedded.load(Ordering::Relaxed)) as f64,
        ),
        Sample::plain(
            "castmatch_rows_failed_total",
            "counter",
            "Rows of attached tables that were given up after all tries.",
            counters.sum(|counters| counters.rows_failed.load(Ordering::Relaxed)) as f64,
        ),
    ];
    samples.extend(local.into_iter().map(|(name, _, facts)| Sample {
        name: "castmatch_model_loaded".to_owned(),
        kind: "gauge",
        help: "1 if the embedding worker has the model loaded, 0 if it was asked for and is not.",
        labels: json!({"model": name}),
        value: f64::from(u8::from(facts.condition == Condition::Ready)),
    }));
    operation_samples(counters, &mut samples);
    caches::samples(counters, &mut samples);
    models::samples(shared, &mut samples);
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
    let models = &shared.embedder.models;
    let condition = models
        .facts(ModelRef::BUILTIN)
        .map_or(Condition::Stopped, |facts| facts.condition);
    let message = models.message(ModelRef::BUILTIN);
    // Without preload the worker starts with the first text: its absence is no fault then.
    let preloaded = shared.preloaded.load(Ordering::Acquire) == 1;
    let (model, failure) = match condition {
        Condition::Ready => (Some(message), None),
        Condition::Starting | Condition::Stopped => (None, None),
        Condition::ModelMissing | Condition::Failed => (None, Some(message)),
    };
    let states: serde_json::Map<String, Value> = models
        .all()
        .into_iter()
        .map(|(name, _, facts)| (name, facts.condition.name().into()))
        .collect();
    let sound = match condition {
        Condition::Ready | Condition::Starting => true,
        Condition::Stopped => !preloaded,
        Condition::ModelMissing | Condition::Failed => false,
    };
    Ok(JsonB(json!({
        "status": if sound { "ok" } else { "degraded" },
        "version": env!("CARGO_PKG_VERSION"),
        "preloaded": preloaded,
        "embedder": {"state": condition.name(), "model": model, "error": failure, "models": states},
        "pending": pending,
        "failed": failed,
    })))
}
