//! Hit ratio over traces, beside simulations of other policies.

use super::{Memory, get, key, put};
use crate::cache::Kind;
use crate::cache::simulate::{arc, hit_ratio, lru, s3_fifo, zipf};

fn ours(trace: &[u64], memory: &Memory, value: &[u8]) -> f64 {
    let cache = memory.cache();
    hit_ratio(trace, |number| {
        let hit = get(&cache, &key(number)).is_some();
        if !hit {
            put(&cache, &key(number), value, 0);
        }
        hit
    })
}

/// What the cache holds of such values when it is full.
fn capacity(memory: &Memory, value: &[u8]) -> usize {
    let cache = memory.cache();
    for number in 0..20_000 {
        put(&cache, &key(u64::MAX - number), value, 0);
    }
    let entries = cache.holdings()[Kind::Embedding as usize].entries as usize;
    cache.remove_where(|_| true);
    entries
}

#[test]
fn a_zipf_trace_hits_as_often_as_with_the_best_policy() {
    let value = [1; 1536];
    let capacity = capacity(&Memory::of_bytes(4 << 20), &value);
    let trace = zipf(10 * capacity, 0.99, 60 * capacity, 42);
    let ours = ours(&trace, &Memory::of_bytes(4 << 20), &value);
    let others = [
        lru(&trace, capacity),
        arc(&trace, capacity),
        s3_fifo(&trace, capacity),
    ];
    let best = others.iter().copied().fold(0.0, f64::max);
    assert!(
        ours >= best - 0.02,
        "{ours} with {capacity} entries; LRU, ARC, S3-FIFO: {others:?}"
    );
}

#[test]
fn a_scan_does_not_push_out_what_is_used() {
    let value = [1; 1536];
    let memory = Memory::of_bytes(4 << 20);
    let capacity = capacity(&memory, &value);
    let cache = memory.cache();
    let used = 0..capacity as u64 / 2;
    for _ in 0..4 {
        for number in used.clone() {
            if get(&cache, &key(number)).is_none() {
                put(&cache, &key(number), &value, 0);
            }
        }
    }
    for number in 0..5 * capacity as u64 {
        put(&cache, &key(1_000_000 + number), &value, 0);
    }
    let kept = used
        .clone()
        .filter(|&number| get(&cache, &key(number)).is_some())
        .count();
    assert!(kept * 10 >= capacity / 2 * 9, "{kept} of {}", capacity / 2);
}
