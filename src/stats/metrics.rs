//! `castmatch.metrics()` and `castmatch.health()`: everything that is known, in one cheap call.

use crate::cache::shared_totals;
use crate::error::Result;
use crate::pg::catalog;
use crate::pg::role::{Restriction, act_as};
use crate::pg::spi::{Access, session};
use crate::shared::shared;
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::counters::{BOUNDS_NS, Event, Level};
use castmatch_engine::shared::counters::{BUCKET_BOUNDS_US, Operation, StripedCounters};
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
const LATENCY: (&str, &str) = (
    "castmatch_cache_request_duration_seconds",
    "Time in seconds until a call had its value, from a cache or not.",
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
struct Buckets<'a> {
    bounds: &'a [u64],
    /// One more than there are bounds.
    counts: &'a [u64],
    sum: u64,
    per_second: f64,
}

/// The samples of a histogram: its buckets, each with all below it, sum and count.
fn histogram_samples(
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

/// What is counted of the caches: name, help, and the event.
const CACHE_EVENTS: [(&str, &str, Event); 9] = [
    (
        "castmatch_cache_hits_total",
        "Look-ups that found the value, by kind and level.",
        Event::Hit,
    ),
    (
        "castmatch_cache_misses_total",
        "Look-ups that did not find the value, by kind and level.",
        Event::Miss,
    ),
    (
        "castmatch_cache_expired_total",
        "Misses because the value was too old.",
        Event::Expired,
    ),
    (
        "castmatch_cache_outdated_total",
        "Misses because the table had changed since the value was stored.",
        Event::Outdated,
    ),
    (
        "castmatch_cache_damaged_total",
        "Misses because the value's checksum was wrong.",
        Event::Damaged,
    ),
    (
        "castmatch_cache_evictions_total",
        "Values that made room for others.",
        Event::Evicted,
    ),
    (
        "castmatch_cache_bypasses_total",
        "Calls that were not to be served from the caches.",
        Event::Bypassed,
    ),
    (
        "castmatch_singleflight_waits_total",
        "Misses that waited for another session's value.",
        Event::Waited,
    ),
    (
        "castmatch_singleflight_takeovers_total",
        "Values computed because the session that was to compute them ended without one.",
        Event::TakenOver,
    ),
];

fn cache_samples(counters: &StripedCounters, samples: &mut Vec<Sample>) {
    let labels = |kind: Kind, level: Level| json!({"cache": kind.name(), "level": level.name()});
    for (name, help, event) in CACHE_EVENTS {
        // These happen on one level only.
        let levels: &[Level] = match event {
            Event::Bypassed => &[Level::Local],
            Event::Waited | Event::TakenOver | Event::Damaged => &[Level::Shared],
            _ => &Level::ALL,
        };
        for kind in Kind::ALL {
            for &level in levels {
                let value = counters.sum(|counters| counters.caches.kind(kind).events(level, event));
                samples.push(Sample {
                    name: name.to_owned(),
                    kind: "counter",
                    help,
                    labels: if levels.len() > 1 {
                        labels(kind, level)
                    } else {
                        json!({"cache": kind.name()})
                    },
                    value: value as f64,
                });
            }
        }
    }
    let totals = shared_totals();
    for kind in Kind::ALL {
        // Of the local level each session knows its own part only.
        let Some(held) = totals.and_then(|totals| totals.get(kind as usize).copied()) else {
            continue;
        };
        for (name, help, value) in [
            (
                "castmatch_cache_entries",
                "Values in the shared cache.",
                held.entries,
            ),
            (
                "castmatch_cache_bytes",
                "Bytes of keys and values in the shared cache.",
                held.bytes,
            ),
        ] {
            samples.push(Sample {
                name: name.to_owned(),
                kind: "gauge",
                help,
                labels: labels(kind, Level::Shared),
                value: value as f64,
            });
        }
    }
    for kind in Kind::ALL {
        let hits = counters.histogram(|counters| counters.caches.kind(kind).hits());
        let misses = counters.histogram(|counters| counters.caches.kind(kind).misses());
        for (outcome, (sum, buckets)) in [("hit", hits), ("miss", misses)] {
            histogram_samples(
                samples,
                LATENCY,
                &json!({"cache": kind.name(), "outcome": outcome}),
                &Buckets {
                    bounds: &BOUNDS_NS,
                    counts: &buckets,
                    sum,
                    per_second: 1e9,
                },
            );
        }
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
            counters.sum(|counters| counters.rows_embedded.load(Ordering::Relaxed)) as f64,
        ),
        Sample::plain(
            "castmatch_rows_failed_total",
            "counter",
            "Rows of attached tables that were given up after all tries.",
            counters.sum(|counters| counters.rows_failed.load(Ordering::Relaxed)) as f64,
        ),
    ];
    operation_samples(counters, &mut samples);
    cache_samples(counters, &mut samples);
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
