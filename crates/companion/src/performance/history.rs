//! The last 15 minutes of counters, one reading every few seconds, and what they say: rates, percentiles and
//! hit ratios of each interval and of the last minutes.
//!
//! Intervals are measured by the monotonic clock; a clock that is set forward or back moves the times shown
//! and nothing else.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::buckets::quantile;
use super::counters::{Counters, Operation};
use super::rfc3339;

/// How far back the history reaches.
pub const SPAN: Duration = Duration::from_secs(15 * 60);

/// The window of "recent".
pub const RECENT: Duration = Duration::from_secs(5 * 60);

/// Readings that are kept however often they come.
const MAX_READINGS: usize = 256;

#[derive(Debug)]
struct Reading {
    taken: Instant,
    counters: Counters,
}

/// Readings of the counters, the oldest first.
#[derive(Debug, Default)]
pub struct History {
    readings: VecDeque<Reading>,
}

impl History {
    /// Adds what an answer of `castmatch.performance()` says; what is older than [`SPAN`] goes.
    pub fn push(&mut self, answer: &Value) {
        self.push_at(Instant::now(), Counters::of(answer));
    }

    fn push_at(&mut self, taken: Instant, counters: Counters) {
        self.readings.push_back(Reading { taken, counters });
        // One more than the span: the first interval needs its beginning.
        while self.readings.len() > MAX_READINGS
            || self
                .readings
                .get(1)
                .is_some_and(|reading| taken.duration_since(reading.taken) >= SPAN)
        {
            self.readings.pop_front();
        }
    }

    /// Forgets everything: what comes next is another database's.
    pub fn clear(&mut self) {
        self.readings.clear();
    }

    /// One point for each interval between two readings. What an operation or a cache did not do in it has no
    /// key.
    #[must_use]
    pub fn points(&self) -> Vec<Value> {
        let (now, wall) = (Instant::now(), SystemTime::now());
        let pairs = self.readings.iter().zip(self.readings.iter().skip(1));
        pairs
            .map(|(before, after)| {
                let change = after.counters.since(&before.counters);
                let seconds = after.taken.duration_since(before.taken).as_secs_f64();
                let age = now.saturating_duration_since(after.taken);
                point(wall.checked_sub(age).unwrap_or(wall), seconds, &change)
            })
            .collect()
    }

    /// Rates, percentiles and hit ratios of the last [`RECENT`], or of as much of it as is known. `None` before
    /// the second reading.
    #[must_use]
    pub fn recent(&self) -> Option<Value> {
        let last = self.readings.back()?;
        let inside = self
            .readings
            .iter()
            .position(|reading| last.taken.duration_since(reading.taken) <= RECENT)?;
        let readings: Vec<&Reading> = self.readings.iter().skip(inside).collect();
        let first = readings.first().filter(|_| readings.len() > 1)?;
        let mut sum = Counters::default();
        for pair in readings.windows(2) {
            if let [before, after] = pair {
                sum.add(&after.counters.since(&before.counters));
            }
        }
        let seconds = last.taken.duration_since(first.taken).as_secs_f64();
        let operations: Map<String, Value> = sum
            .operations
            .iter()
            .map(|(name, operation)| (name.clone(), summary(operation, &sum.bounds_ms, seconds)))
            .collect();
        let caches: Vec<Value> = sum
            .caches
            .iter()
            .map(|((cache, level), counts)| {
                json!({"cache": cache, "level": level, "requests": counts.requests, "hits": counts.hits,
                       "hit_ratio": ratio(counts.hits, counts.requests)})
            })
            .collect();
        Some(json!({"seconds": rounded(seconds), "operations": operations, "caches": caches}))
    }
}

fn summary(operation: &Operation, bounds_ms: &[f64], seconds: f64) -> Value {
    let percentile = |share| quantile(bounds_ms, &operation.buckets, share).map(rounded);
    json!({
        "requests": operation.requests,
        "errors": operation.errors,
        "rate": rate(operation.requests, seconds),
        "p50_ms": percentile(0.5),
        "p95_ms": percentile(0.95),
        "p99_ms": percentile(0.99),
    })
}

fn point(at: SystemTime, seconds: f64, change: &Counters) -> Value {
    let mut point = Map::new();
    point.insert("at".to_owned(), rfc3339(at).into());
    for (name, operation) in &change.operations {
        if operation.requests == 0 {
            continue;
        }
        point.insert(format!("{name}_rate"), rate(operation.requests, seconds).into());
        if operation.errors > 0 {
            point.insert(format!("{name}_errors"), operation.errors.into());
        }
        for (suffix, share) in [("p50_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)] {
            if let Some(value) = quantile(&change.bounds_ms, &operation.buckets, share) {
                point.insert(format!("{name}_{suffix}"), rounded(value).into());
            }
        }
    }
    for ((cache, level), counts) in &change.caches {
        if let Some(ratio) = ratio(counts.hits, counts.requests) {
            point.insert(format!("cache_{cache}_{level}_hit_ratio"), ratio.into());
        }
    }
    if let Some(pending) = change.pending {
        point.insert("queue_pending".to_owned(), pending.into());
    }
    Value::Object(point)
}

fn rate(count: u64, seconds: f64) -> f64 {
    // Two readings in the same moment have no rate.
    if seconds > 0.0 {
        rounded(count as f64 / seconds)
    } else {
        0.0
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| (part as f64 / whole as f64 * 1e4).round() / 1e4)
}

/// To thousandths: more digits than any chart shows would be most of the answer.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
