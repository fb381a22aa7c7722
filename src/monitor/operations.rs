//! The operations: how many calls, how many failed, how long they took.

use super::sample::{Buckets, Sample, histogram_samples};
use castmatch_engine::measure::quantile::of_histogram;
use castmatch_engine::measure::share;
use castmatch_engine::shared::counters::{BUCKET_BOUNDS_US, Operation, OperationCounters, StripedCounters};
use serde_json::{Map, Value as Json, json};

const REQUESTS: (&str, &str) = (
    "castmatch_requests_total",
    "Calls of castmatch operations since the server started, by outcome.",
);
const DURATION: (&str, &str) = (
    "castmatch_request_duration_seconds",
    "Duration of castmatch operations in seconds, failed ones included.",
);

/// What was counted of an operation.
struct Counted {
    succeeded: u64,
    failed: u64,
    sum_us: u64,
    buckets: [u64; BUCKET_BOUNDS_US.len() + 1],
}

impl Counted {
    fn of(counters: &StripedCounters, operation: Operation) -> Self {
        let sum = |number: fn(&OperationCounters) -> u64| {
            counters.sum(|counters| number(counters.operation(operation)))
        };
        let (sum_us, buckets) = counters.histogram(|counters| &counters.operation(operation).durations);
        Self {
            succeeded: sum(OperationCounters::succeeded),
            failed: sum(OperationCounters::failed),
            sum_us,
            buckets,
        }
    }
}

/// The samples of the operations.
pub(super) fn samples(counters: &StripedCounters, samples: &mut Vec<Sample>) {
    for operation in Operation::ALL {
        let counted = Counted::of(counters, operation);
        for (outcome, value) in [("ok", counted.succeeded), ("error", counted.failed)] {
            samples.push(Sample::labelled(
                REQUESTS.0,
                "counter",
                REQUESTS.1,
                json!({"operation": operation.name(), "outcome": outcome}),
                value as f64,
            ));
        }
        histogram_samples(
            samples,
            DURATION,
            &json!({"operation": operation.name()}),
            &Buckets {
                bounds: &BUCKET_BOUNDS_US,
                counts: &counted.buckets,
                sum: counted.sum_us,
                per_second: 1e6,
            },
        );
    }
}

/// A quantile of a histogram of microseconds, in milliseconds to three decimals.
pub(super) fn quantile_ms(bounds_us: &[u64], buckets: &[u64], quantile: f64) -> Option<f64> {
    of_histogram(bounds_us, buckets, quantile).map(|us| us.round() / 1e3)
}

/// The operations for `castmatch.performance()`: all requests, all errors, and each operation by its name.
pub(super) fn report(counters: &StripedCounters) -> (u64, u64, Json) {
    let (mut requests, mut errors) = (0_u64, 0_u64);
    let mut operations = Map::new();
    for operation in Operation::ALL {
        let counted = Counted::of(counters, operation);
        let calls = counted.succeeded.saturating_add(counted.failed);
        requests = requests.saturating_add(calls);
        errors = errors.saturating_add(counted.failed);
        let quantile = |quantile| quantile_ms(&BUCKET_BOUNDS_US, &counted.buckets, quantile);
        operations.insert(
            operation.name().to_owned(),
            json!({
                "requests": calls,
                "errors": counted.failed,
                "average_ms": share(counted.sum_us, calls).map(|us| us.round() / 1e3),
                "p50_ms": quantile(0.5),
                "p95_ms": quantile(0.95),
                "p99_ms": quantile(0.99),
                "buckets": counted.buckets,
            }),
        );
    }
    (requests, errors, Json::Object(operations))
}

/// The bounds of the buckets of durations, in milliseconds.
pub(super) fn bounds_ms() -> Vec<f64> {
    BUCKET_BOUNDS_US.iter().map(|&bound| bound as f64 / 1e3).collect()
}
