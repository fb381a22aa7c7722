//! The counters in one answer of `castmatch.performance()`. What comes from the database is bounded and not
//! trusted: what does not fit is left out.

use std::collections::BTreeMap;

use serde_json::Value;

use super::buckets::added;

/// More operations, caches or buckets than castmatch has; the history holds that much for each reading.
const MAX_NAMES: usize = 16;
const MAX_BUCKETS: usize = 64;
const MAX_NAME_CHARS: usize = 64;

/// Totals at one moment, or what was added between two.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Counters {
    /// When the server began to count.
    since: String,
    /// Upper bounds of the buckets, in milliseconds.
    pub bounds_ms: Vec<f64>,
    pub operations: BTreeMap<String, Operation>,
    /// By kind and level.
    pub caches: BTreeMap<(String, String), Cache>,
    /// Rows that wait for their embedding.
    pub pending: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Operation {
    pub requests: u64,
    pub errors: u64,
    /// Not cumulative; one more than there are bounds.
    pub buckets: Vec<u64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Cache {
    pub requests: u64,
    pub hits: u64,
}

impl Counters {
    /// Of an answer of `castmatch.performance()`.
    pub fn of(answer: &Value) -> Self {
        let bounds_ms: Vec<f64> = numbers(&answer["bucket_bounds_ms"], Value::as_f64).unwrap_or_default();
        let rising = bounds_ms
            .iter()
            .zip(bounds_ms.iter().skip(1))
            .all(|(low, high)| low < high);
        let bounds_ms = if rising { bounds_ms } else { Vec::new() };
        Self {
            since: answer["since"].as_str().unwrap_or_default().to_owned(),
            operations: operations(&answer["operations"], bounds_ms.len() + 1),
            bounds_ms,
            caches: caches(&answer["caches"]),
            pending: answer["queue"]["pending"].as_u64(),
        }
    }

    /// What was added since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let same_start = self.since == before.since && self.bounds_ms == before.bounds_ms;
        let mut change = self.clone();
        if !same_start {
            return change;
        }
        for (name, operation) in &mut change.operations {
            if let Some(before) = before.operations.get(name) {
                operation.subtract(before);
            }
        }
        for (place, cache) in &mut change.caches {
            if let Some(before) = before.caches.get(place) {
                let after = [cache.hits, cache.requests];
                if let [hits, requests] = added(&[before.hits, before.requests], &after)[..] {
                    *cache = Cache { requests, hits };
                }
            }
        }
        change
    }

    /// Adds a change to a sum of changes; buckets of other bounds begin the sum again.
    pub fn add(&mut self, change: &Self) {
        if self.bounds_ms != change.bounds_ms {
            self.bounds_ms.clone_from(&change.bounds_ms);
            self.operations.clear();
        }
        for (name, operation) in &change.operations {
            let sum = self.operations.entry(name.clone()).or_default();
            sum.requests += operation.requests;
            sum.errors += operation.errors;
            sum.buckets.resize(operation.buckets.len(), 0);
            for (sum, count) in sum.buckets.iter_mut().zip(&operation.buckets) {
                *sum += count;
            }
        }
        for (place, cache) in &change.caches {
            let sum = self.caches.entry(place.clone()).or_default();
            sum.requests += cache.requests;
            sum.hits += cache.hits;
        }
        self.pending = change.pending;
    }
}

impl Operation {
    fn subtract(&mut self, before: &Self) {
        let total = |operation: &Self| [operation.requests, operation.errors];
        // All counters of an operation begin again together.
        let all = |operation: &Self| [&total(operation)[..], &operation.buckets].concat();
        let change = added(&all(before), &all(self));
        if let [requests, errors, buckets @ ..] = &change[..] {
            (self.requests, self.errors) = (*requests, *errors);
            self.buckets = buckets.to_vec();
        }
    }
}

fn operations(value: &Value, buckets: usize) -> BTreeMap<String, Operation> {
    let Some(fields) = value.as_object() else {
        return BTreeMap::new();
    };
    let named = fields
        .iter()
        .filter(|(name, _)| name.chars().count() <= MAX_NAME_CHARS);
    named
        .take(MAX_NAMES)
        .map(|(name, value)| {
            let counts = numbers(&value["buckets"], Value::as_u64).filter(|counts| counts.len() == buckets);
            let operation = Operation {
                requests: value["requests"].as_u64().unwrap_or_default(),
                errors: value["errors"].as_u64().unwrap_or_default(),
                buckets: counts.unwrap_or_default(),
            };
            (name.clone(), operation)
        })
        .collect()
}

fn caches(value: &Value) -> BTreeMap<(String, String), Cache> {
    let name = |value: &Value| {
        value
            .as_str()
            .filter(|name| name.chars().count() <= MAX_NAME_CHARS)
            .map(str::to_owned)
    };
    let rows = value.as_array().map_or(&[][..], Vec::as_slice);
    rows.iter()
        .take(MAX_NAMES)
        .filter_map(|row| {
            let place = (name(&row["cache"])?, name(&row["level"])?);
            let (requests, hits) = (row["requests"].as_u64()?, row["hits"].as_u64()?);
            Some((place, Cache { requests, hits }))
        })
        .collect()
}

/// `None` when an element is of another kind, or there are too many.
fn numbers<T>(value: &Value, number: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let elements = value
        .as_array()
        .filter(|elements| elements.len() <= MAX_BUCKETS)?;
    elements.iter().map(number).collect()
}
