//! What `castmatch.performance()` says now, and what its counters say about the last minutes: `counters` takes
//! an answer apart, `history` keeps the last 15 minutes, `buckets` makes percentiles of differences.

mod buckets;
mod counters;
mod history;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

pub use history::{History, RECENT, SPAN};

/// The last answer of `castmatch.performance()`.
#[derive(Debug)]
pub struct Performance {
    /// Without the counts per bucket, which the percentiles have been made of.
    pub answer: Value,
    /// When it was read.
    pub read_at: SystemTime,
}

impl Performance {
    /// An answer that has just come.
    #[must_use]
    pub fn new(mut answer: Value) -> Self {
        if let Some(fields) = answer.as_object_mut() {
            fields.remove("bucket_bounds_ms");
            let operations = fields.get_mut("operations").and_then(Value::as_object_mut);
            for operation in operations
                .into_iter()
                .flat_map(|operations| operations.values_mut())
            {
                if let Some(operation) = operation.as_object_mut() {
                    operation.remove("buckets");
                }
            }
        }
        Self {
            answer,
            read_at: SystemTime::now(),
        }
    }
}

/// A time as JSON bodies have it: UTC, to milliseconds.
pub(crate) fn rfc3339(time: SystemTime) -> String {
    // Earlier times have no such form.
    humantime::format_rfc3339_millis(time.max(UNIX_EPOCH)).to_string()
}
