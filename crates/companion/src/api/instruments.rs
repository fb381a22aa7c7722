//! The metrics of the HTTP front. Operations come from a table and statuses from this service: the series are bounded.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

use super::operation::OPERATIONS;

/// Seconds: a cached match takes milliseconds, a model elsewhere many seconds.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0];

/// Handles into the registry.
#[derive(Debug, Clone)]
pub struct Instruments {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl Instruments {
    /// Registers them.
    ///
    /// # Errors
    /// When a name is used already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests = IntCounterVec::new(
            Opts::new(
                "castmatch_companion_api_requests_total",
                "Requests to the HTTP front that were answered, by operation and HTTP status.",
            ),
            &["operation", "status"],
        )?;
        let duration = HistogramVec::new(
            HistogramOpts::new(
                "castmatch_companion_api_request_duration_seconds",
                "Duration of requests to the HTTP front that had a valid token, failed ones included.",
            )
            .buckets(BUCKETS.to_vec()),
            &["operation"],
        )?;
        for operation in OPERATIONS {
            requests.with_label_values(&[operation.name, "200"]);
            duration.with_label_values(&[operation.name]);
        }
        registry.register(Box::new(requests.clone()))?;
        registry.register(Box::new(duration.clone()))?;
        Ok(Self { requests, duration })
    }

    /// Counts an answer.
    pub fn count(&self, operation: &str, status: u16) {
        self.requests
            .with_label_values(&[operation, &status.to_string()])
            .inc();
    }

    /// Notes how long a request took.
    pub fn observe(&self, operation: &str, duration: Duration) {
        self.duration
            .with_label_values(&[operation])
            .observe(duration.as_secs_f64());
    }
}
