//! What `castmatch.metrics()` says of the caches.

use crate::cache::{local_holdings, shared_holdings};
use crate::monitor::sample::{Buckets, Sample, histogram_samples};
use crate::pg::clock::monotonic_ms;
use crate::shared::Shared;
use castmatch_engine::cache::Kind;
use castmatch_engine::cache::counters::{BOUNDS_NS, Event, Level};
use castmatch_engine::measure::share;
use castmatch_engine::shared::counters::StripedCounters;
use core::sync::atomic::Ordering;
use serde_json::{Value as Json, json};

const LATENCY: (&str, &str) = (
    "castmatch_cache_request_duration_seconds",
    "Time in seconds until a call had its value, from a cache or not.",
);

/// What is counted of the caches: name, help, and the event.
const EVENTS: [(&str, &str, Event); 11] = [
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
        "castmatch_cache_stored_total",
        "Values that were stored.",
        Event::Stored,
    ),
    (
        "castmatch_cache_refused_total",
        "Values that were too long to be stored.",
        Event::Refused,
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

/// The samples of the caches.
pub(super) fn samples(counters: &StripedCounters, samples: &mut Vec<Sample>) {
    let labels = |kind: Kind, level: Level| json!({"cache": kind.name(), "level": level.name()});
    for (name, help, event) in EVENTS {
        // These happen on one level only.
        let levels: &[Level] = match event {
            Event::Bypassed => &[Level::Local],
            Event::Waited | Event::TakenOver | Event::Damaged | Event::Refused => &[Level::Shared],
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
    for kind in Kind::ALL {
        for level in Level::ALL {
            samples.push(Sample::labelled(
                "castmatch_cache_requests_total",
                "counter",
                "Look-ups, by kind and level: those that found the value and those that did not.",
                labels(kind, level),
                look_ups(counters, kind, level).0 as f64,
            ));
        }
    }
    let holdings = shared_holdings();
    let now_ms = monotonic_ms();
    for kind in Kind::ALL {
        // Of the local level each session knows its own part only.
        let Some(held) = holdings.and_then(|holdings| holdings.get(kind as usize).copied()) else {
            continue;
        };
        let age = held
            .oldest_ms
            .map_or(0.0, |oldest| now_ms.saturating_sub(oldest) as f64 / 1e3);
        for (name, help, value) in [
            (
                "castmatch_cache_entries",
                "Values that the shared cache holds now, by kind.",
                held.entries as f64,
            ),
            (
                "castmatch_cache_bytes",
                "Bytes of keys and values that the shared cache holds now, by kind.",
                held.bytes as f64,
            ),
            (
                "castmatch_cache_oldest_seconds",
                "Age in seconds of the oldest value in the shared cache.",
                age,
            ),
        ] {
            samples.push(Sample {
                name: name.to_owned(),
                kind: "gauge",
                help,
                labels: labels(kind, Level::Shared),
                value,
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

/// Look-ups of a kind on a level, and how many found the value.
fn look_ups(counters: &StripedCounters, kind: Kind, level: Level) -> (u64, u64) {
    let events = |event| counters.sum(|counters| counters.caches.kind(kind).events(level, event));
    let hits = events(Event::Hit);
    (hits.saturating_add(events(Event::Miss)), hits)
}

/// The caches for `castmatch.performance()`. Of the local level each session knows what it holds itself, which is not told here.
pub(super) fn report(shared: &Shared) -> Json {
    let holdings = shared_holdings();
    let mut caches = Vec::new();
    for kind in Kind::ALL {
        for level in Level::ALL {
            let (requests, hits) = look_ups(&shared.counters, kind, level);
            let held = holdings
                .filter(|_| level == Level::Shared)
                .and_then(|holdings| holdings.get(kind as usize).copied());
            caches.push(json!({
                "cache": kind.name(),
                "level": level.name(),
                "requests": requests,
                "hits": hits,
                "hit_ratio": share(hits, requests),
                "entries": held.map(|held| held.entries),
                "bytes": held.map(|held| held.bytes),
            }));
        }
    }
    Json::Array(caches)
}

/// Bytes of keys and values that this session holds.
pub(super) fn local_bytes(shared: &Shared) -> u64 {
    let generation = shared.cache_generation.load(Ordering::Acquire);
    let holdings = local_holdings(generation);
    holdings.iter().map(|holding| holding.bytes).sum()
}
