//! Hit ratio over traces, beside simulations of LRU, ARC and S3-FIFO as published, with entries of one size.

use super::{Memory, Random, get, key, put};
use crate::cache::Kind;
use std::collections::{HashMap, HashSet, VecDeque};

/// A trace over `keys` keys whose frequencies fall as rank^-skew (Zipf).
fn zipf(keys: usize, skew: f64, length: usize, seed: u64) -> Vec<u64> {
    let mut sums = Vec::with_capacity(keys);
    let mut sum = 0.0;
    for rank in 1..=keys {
        sum += (rank as f64).powf(-skew);
        sums.push(sum);
    }
    let mut random = Random(seed);
    (0..length)
        .map(|_| {
            let point = random.fraction() * sum;
            sums.partition_point(|&sum| sum < point) as u64
        })
        .collect()
}

fn ratio(trace: &[u64], mut is_hit: impl FnMut(u64) -> bool) -> f64 {
    // The first half fills the cache.
    let (filling, measured) = trace.split_at(trace.len() / 2);
    for &number in filling {
        is_hit(number);
    }
    measured.iter().filter(|&&number| is_hit(number)).count() as f64 / measured.len() as f64
}

fn ours(trace: &[u64], memory: &Memory, value: &[u8]) -> f64 {
    let cache = memory.cache();
    ratio(trace, |number| {
        let hit = get(&cache, &key(number)).is_some();
        if !hit {
            put(&cache, &key(number), value, 0);
        }
        hit
    })
}

fn lru(trace: &[u64], capacity: usize) -> f64 {
    let mut cache = lru_list::List::default();
    ratio(trace, |number| {
        let hit = cache.remove(number);
        cache.push(number);
        if cache.len() > capacity {
            cache.pop();
        }
        hit
    })
}

/// ARC (Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003, figure 4).
fn arc(trace: &[u64], capacity: usize) -> f64 {
    let [mut t1, mut t2, mut b1, mut b2] = [(); 4].map(|()| lru_list::List::default());
    let mut p = 0_usize;
    ratio(trace, |x| {
        let replace = |t1: &mut lru_list::List,
                       t2: &mut lru_list::List,
                       b1: &mut lru_list::List,
                       b2: &mut lru_list::List,
                       p: usize,
                       in_b2: bool| {
            if t1.len() > 0 && (t1.len() > p || (in_b2 && t1.len() == p)) {
                if let Some(gone) = t1.pop() {
                    b1.push(gone);
                }
            } else if let Some(gone) = t2.pop() {
                b2.push(gone);
            }
        };
        if t1.remove(x) || t2.remove(x) {
            t2.push(x);
            return true;
        }
        if b1.contains(x) {
            p = (p + (b2.len() / b1.len()).max(1)).min(capacity);
            replace(&mut t1, &mut t2, &mut b1, &mut b2, p, false);
            b1.remove(x);
            t2.push(x);
            return false;
        }
        if b2.contains(x) {
            p = p.saturating_sub((b1.len() / b2.len()).max(1));
            replace(&mut t1, &mut t2, &mut b1, &mut b2, p, true);
            b2.remove(x);
            t2.push(x);
            return false;
        }
        if t1.len() + b1.len() == capacity {
            if t1.len() < capacity {
                b1.pop();
                replace(&mut t1, &mut t2, &mut b1, &mut b2, p, false);
            } else {
                t1.pop();
            }
        } else if t1.len() + t2.len() + b1.len() + b2.len() >= capacity {
            if t1.len() + t2.len() + b1.len() + b2.len() == 2 * capacity {
                b2.pop();
            }
            replace(&mut t1, &mut t2, &mut b1, &mut b2, p, false);
        }
        t1.push(x);
        false
    })
}

/// S3-FIFO as published (algorithm 1), with one pair of queues.
fn s3_fifo(trace: &[u64], capacity: usize) -> f64 {
    let small_size = capacity / 10;
    let (mut small, mut main, mut ghosts) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
    let mut ghost_set: HashSet<u64> = HashSet::new();
    let mut reads: HashMap<u64, u8> = HashMap::new();
    ratio(trace, |x| {
        if let Some(count) = reads.get_mut(&x) {
            *count = (*count + 1).min(3);
            return true;
        }
        while small.len() + main.len() >= capacity {
            if small.len() >= small_size.max(1) {
                let gone: u64 = small.pop_back().unwrap();
                if reads[&gone] > 1 {
                    reads.insert(gone, 0);
                    main.push_front(gone);
                } else {
                    reads.remove(&gone);
                    ghosts.push_front(gone);
                    ghost_set.insert(gone);
                    if ghosts.len() > capacity - small_size {
                        ghost_set.remove(&ghosts.pop_back().unwrap());
                    }
                }
            } else {
                let gone: u64 = main.pop_back().unwrap();
                let count = reads[&gone];
                if count > 0 {
                    reads.insert(gone, count - 1);
                    main.push_front(gone);
                } else {
                    reads.remove(&gone);
                }
            }
        }
        reads.insert(x, 0);
        if ghost_set.remove(&x) {
            ghosts.retain(|&ghost| ghost != x);
            main.push_front(x);
        } else {
            small.push_front(x);
        }
        false
    })
}

/// A list of numbers in the order of their last use.
mod lru_list {
    use std::collections::{BTreeMap, HashMap};

    #[derive(Default)]
    pub(super) struct List {
        time: u64,
        times: HashMap<u64, u64>,
        order: BTreeMap<u64, u64>,
    }

    impl List {
        pub(super) fn len(&self) -> usize {
            self.times.len()
        }

        pub(super) fn contains(&self, number: u64) -> bool {
            self.times.contains_key(&number)
        }

        pub(super) fn push(&mut self, number: u64) {
            self.time += 1;
            self.times.insert(number, self.time);
            self.order.insert(self.time, number);
        }

        pub(super) fn remove(&mut self, number: u64) -> bool {
            self.times
                .remove(&number)
                .is_some_and(|time| self.order.remove(&time).is_some())
        }

        /// The one used longest ago.
        pub(super) fn pop(&mut self) -> Option<u64> {
            let (_, number) = self.order.pop_first()?;
            self.times.remove(&number);
            Some(number)
        }
    }
}

/// What the cache holds of such values when it is full.
fn capacity(memory: &Memory, value: &[u8]) -> usize {
    let cache = memory.cache();
    for number in 0..100_000 {
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
