//! Simulations of well-known policies over traces, with entries of one size: what the cache's own hit ratio is compared with, in
//! tests and by `castmatch-bench cache`.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

/// A trace over `keys` keys whose frequencies fall as rank^-skew (Zipf), the same for the same seed.
pub fn zipf(keys: usize, skew: f64, length: usize, seed: u64) -> Vec<u64> {
    let mut sums = Vec::with_capacity(keys);
    let mut sum = 0.0;
    for rank in 1..=keys {
        sum += (rank as f64).powf(-skew);
        sums.push(sum);
    }
    let mut state = seed.max(1);
    (0..length)
        .map(|_| {
            // xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let point = (state >> 11) as f64 / (1_u64 << 53) as f64 * sum;
            sums.partition_point(|&sum| sum < point) as u64
        })
        .collect()
}

/// The share of hits over the second half of a trace; the first fills the cache.
pub fn hit_ratio(trace: &[u64], mut is_hit: impl FnMut(u64) -> bool) -> f64 {
    let (filling, measured) = trace.split_at(trace.len() / 2);
    for &number in filling {
        is_hit(number);
    }
    measured.iter().filter(|&&number| is_hit(number)).count() as f64 / measured.len().max(1) as f64
}

/// What was used least recently goes.
pub fn lru(trace: &[u64], capacity: usize) -> f64 {
    let mut cache = List::default();
    hit_ratio(trace, |number| {
        let hit = cache.remove(number);
        cache.push(number);
        if cache.len() > capacity {
            cache.pop();
        }
        hit
    })
}

/// ARC (Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 2003, figure 4).
pub fn arc(trace: &[u64], capacity: usize) -> f64 {
    let mut arc = Arc::default();
    hit_ratio(trace, |number| arc.request(number, capacity))
}

/// The lists of ARC: seen once and seen again, and the ghosts of both; and how large the first is to be.
#[derive(Default)]
struct Arc {
    once: List,
    again: List,
    once_ghosts: List,
    again_ghosts: List,
    wanted: usize,
}

impl Arc {
    fn request(&mut self, number: u64, capacity: usize) -> bool {
        if self.once.remove(number) || self.again.remove(number) {
            self.again.push(number);
            return true;
        }
        if self.once_ghosts.contains(number) {
            let step = (self.again_ghosts.len() / self.once_ghosts.len().max(1)).max(1);
            self.wanted = (self.wanted + step).min(capacity);
            self.replace(false);
            self.once_ghosts.remove(number);
            self.again.push(number);
            return false;
        }
        if self.again_ghosts.contains(number) {
            let step = (self.once_ghosts.len() / self.again_ghosts.len().max(1)).max(1);
            self.wanted = self.wanted.saturating_sub(step);
            self.replace(true);
            self.again_ghosts.remove(number);
            self.again.push(number);
            return false;
        }
        let all = self.once.len() + self.again.len() + self.once_ghosts.len() + self.again_ghosts.len();
        if self.once.len() + self.once_ghosts.len() == capacity {
            if self.once.len() < capacity {
                self.once_ghosts.pop();
                self.replace(false);
            } else {
                self.once.pop();
            }
        } else if all >= capacity {
            if all == 2 * capacity {
                self.again_ghosts.pop();
            }
            self.replace(false);
        }
        self.once.push(number);
        false
    }

    fn replace(&mut self, from_again_ghosts: bool) {
        let once = self.once.len();
        if once > 0 && (once > self.wanted || (from_again_ghosts && once == self.wanted)) {
            if let Some(gone) = self.once.pop() {
                self.once_ghosts.push(gone);
            }
        } else if let Some(gone) = self.again.pop() {
            self.again_ghosts.push(gone);
        }
    }
}

/// S3-FIFO as published (Yang and others, SOSP 2023, algorithm 1), with one pair of queues.
pub fn s3_fifo(trace: &[u64], capacity: usize) -> f64 {
    let mut cache = S3Fifo::default();
    hit_ratio(trace, |number| cache.request(number, capacity))
}

#[derive(Default)]
struct S3Fifo {
    small: VecDeque<u64>,
    main: VecDeque<u64>,
    ghosts: VecDeque<u64>,
    ghost_set: HashSet<u64>,
    reads: HashMap<u64, u8>,
}

impl S3Fifo {
    fn request(&mut self, number: u64, capacity: usize) -> bool {
        if let Some(reads) = self.reads.get_mut(&number) {
            *reads = (*reads + 1).min(3);
            return true;
        }
        while self.small.len() + self.main.len() >= capacity && self.evict(capacity) {}
        self.reads.insert(number, 0);
        if self.ghost_set.remove(&number) {
            self.ghosts.retain(|&ghost| ghost != number);
            self.main.push_front(number);
        } else {
            self.small.push_front(number);
        }
        false
    }

    /// One step towards room; false if nothing is left.
    fn evict(&mut self, capacity: usize) -> bool {
        let small_size = capacity / 10;
        if self.small.len() >= small_size.max(1) {
            let Some(gone) = self.small.pop_back() else {
                return false;
            };
            if self.reads.get(&gone).is_some_and(|&reads| reads > 1) {
                self.reads.insert(gone, 0);
                self.main.push_front(gone);
                return true;
            }
            self.reads.remove(&gone);
            self.ghosts.push_front(gone);
            self.ghost_set.insert(gone);
            if self.ghosts.len() > capacity - small_size
                && let Some(faded) = self.ghosts.pop_back()
            {
                self.ghost_set.remove(&faded);
            }
            return true;
        }
        let Some(gone) = self.main.pop_back() else {
            return false;
        };
        match self.reads.get(&gone) {
            Some(&reads) if reads > 0 => {
                self.reads.insert(gone, reads - 1);
                self.main.push_front(gone);
            }
            _ => {
                self.reads.remove(&gone);
            }
        }
        true
    }
}

/// A list of numbers in the order of their last use.
#[derive(Default)]
struct List {
    time: u64,
    times: HashMap<u64, u64>,
    order: BTreeMap<u64, u64>,
}

impl List {
    fn len(&self) -> usize {
        self.times.len()
    }

    fn contains(&self, number: u64) -> bool {
        self.times.contains_key(&number)
    }

    fn push(&mut self, number: u64) {
        self.time += 1;
        self.times.insert(number, self.time);
        self.order.insert(self.time, number);
    }

    fn remove(&mut self, number: u64) -> bool {
        self.times
            .remove(&number)
            .is_some_and(|time| self.order.remove(&time).is_some())
    }

    /// The one used longest ago.
    fn pop(&mut self) -> Option<u64> {
        let (_, number) = self.order.pop_first()?;
        self.times.remove(&number);
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::{arc, lru, s3_fifo, zipf};

    #[test]
    fn what_fits_is_always_a_hit() {
        let trace: Vec<u64> = (0..1000).map(|step| step % 50).collect();
        for policy in [lru, arc, s3_fifo] {
            assert!((policy(&trace, 50) - 1.0).abs() < 1e-9);
        }
        // A loop that is a little too long: the last used are never those that come next.
        assert!(lru(&trace, 49) < 1e-9);
    }

    #[test]
    fn a_more_skewed_trace_is_easier() {
        let ratio = |skew| lru(&zipf(10_000, skew, 50_000, 1), 500);
        assert!(ratio(1.2) > ratio(0.8) + 0.1);
    }
}
