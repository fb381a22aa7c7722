//! The hit ratio of the shared cache over a trace, beside simulations of other policies, in this process.

use std::sync::RwLock;
use std::sync::atomic::{AtomicU32, AtomicU64};

use castmatch_engine::cache::key::Key;
use castmatch_engine::cache::layout::Layout;
use castmatch_engine::cache::shared::{Cache, Found};
use castmatch_engine::cache::simulate::{arc, hit_ratio, lru, s3_fifo, zipf};
use castmatch_engine::cache::{Kind, Locks};

use super::VALUE_BYTES;
use crate::report::{Bar, Report};

const CACHE_BYTES: usize = 16 << 20;
const SKEW: f64 = 0.99;
/// Keys, and steps, for each entry that the cache has room for.
const KEYS_PER_ENTRY: usize = 10;
const STEPS_PER_ENTRY: usize = 100;

#[derive(Clone, Copy)]
struct ThreadLocks<'a>(&'a [RwLock<()>]);

impl Locks for ThreadLocks<'_> {
    fn shared<R>(&self, partition: usize, f: impl FnOnce() -> R) -> R {
        let _guard = self.0.get(partition).map(RwLock::read);
        f()
    }

    fn exclusive<R>(&self, partition: usize, f: impl FnOnce() -> R) -> R {
        let _guard = self.0.get(partition).map(RwLock::write);
        f()
    }
}

pub(super) fn measure(report: &mut Report) {
    let Some(layout) = Layout::for_bytes(CACHE_BYTES) else {
        return;
    };
    let wide: Vec<AtomicU64> = std::iter::repeat_with(AtomicU64::default)
        .take(layout.wide_words())
        .collect();
    let narrow: Vec<AtomicU32> = std::iter::repeat_with(AtomicU32::default)
        .take(layout.narrow_words())
        .collect();
    let locks: Vec<RwLock<()>> = std::iter::repeat_with(RwLock::default)
        .take(layout.partitions())
        .collect();
    Cache::<ThreadLocks>::format(layout, &wide, &narrow, (3, 5));
    let Some(cache) = Cache::attach(layout, &wide, &narrow, ThreadLocks(&locks)) else {
        return;
    };
    let key = |number: u64| Key::new(Kind::Embedding, 1, 0).with_number(number);
    let is_hit = |number: u64| {
        let key = key(number);
        let hash = cache.hash(&key);
        let hit = matches!(cache.get(hash, &key, 0), Found::Value { .. });
        if !hit {
            cache.put(hash, &key, &[1; VALUE_BYTES], 0);
        }
        hit
    };
    // Full once: so many fit.
    for number in 0..50_000 {
        is_hit(u64::MAX - number);
    }
    let capacity = cache
        .holdings()
        .iter()
        .map(|holding| holding.entries)
        .sum::<u64>() as usize;
    cache.remove_where(|_| true);
    let trace = zipf(KEYS_PER_ENTRY * capacity, SKEW, STEPS_PER_ENTRY * capacity, 42);
    let ours = hit_ratio(&trace, is_hit);
    let others = [
        ("LRU", lru(&trace, capacity)),
        ("S3-FIFO", s3_fifo(&trace, capacity)),
        ("ARC", arc(&trace, capacity)),
    ];
    let best = others.iter().map(|&(_, ratio)| ratio).fold(0.0, f64::max);
    report.add(
        format!("hit ratio, Zipf({SKEW}) over {KEYS_PER_ENTRY} × the {capacity} entries that fit"),
        100.0 * ours,
        "%",
        None,
    );
    for (name, ratio) in others {
        report.add(
            format!("hit ratio of {name} in simulation"),
            100.0 * ratio,
            "%",
            None,
        );
    }
    report.add(
        "behind the best of them",
        100.0 * (best - ours),
        "points",
        Some(Bar::AtMost(2.0)),
    );
}
