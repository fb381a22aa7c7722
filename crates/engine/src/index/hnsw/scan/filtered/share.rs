//! What a scan with a filter knows about it: the share of elements that pass, the window that suffices then, and what each way to go costs.

use crate::index::hnsw::Index;

use super::FilterCounts;

/// How many tests the share is taken from, at most; older ones count less and less.
const MEMORY: f32 = 256.0;

/// The share of the elements met lately that pass.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    passed: f32,
    tested: f32,
}

impl Share {
    /// Counts an element.
    #[inline]
    pub fn note(&mut self, passes: bool) {
        self.tested += 1.0;
        self.passed += f32::from(u8::from(passes));
        if self.tested >= MEMORY {
            self.tested *= 0.5;
            self.passed *= 0.5;
        }
    }

    /// The share, above 0 and below 1; one half before the first.
    #[inline]
    pub fn share(self) -> f32 {
        (self.passed + 0.5) / (self.tested + 1.0)
    }
}

/// The window of results has room for this power of the share, of what is asked for without a filter, but for so many. A larger share
/// than the first of these may be that of a filter that lets pass what is near the query: then a walk goes no deeper than without a
/// filter, and from the second on nothing is taken off.
const WINDOW_POWER: f32 = 0.35;
const MIXED_SHARES: (f32, f32) = (0.3, 0.7);
const WINDOW_LEAST: usize = 12;

/// How many results suffice for the recall that `ef` gives without a filter: to find as many, a walk looks at elements that fail
/// as well, and so at farther ones.
pub(super) fn window_of(ef: usize, share: f32) -> usize {
    let least = ef.min(WINDOW_LEAST);
    let (from, to) = MIXED_SHARES;
    let part = if share <= from {
        share.powf(WINDOW_POWER)
    } else {
        let way = ((share - from) / (to - from)).min(1.0);
        let at_first = from.powf(WINDOW_POWER);
        at_first + (1.0 - at_first) * way
    };
    ((ef as f32 * part) as usize).clamp(least, ef)
}

/// A key that is peeked on its own and tested, in nanoseconds, as are the others.
const TEST: f32 = 30.0;
/// A code that is peeked and estimated, with its key.
const ESTIMATE: f32 = 60.0;
/// A list of neighbours that is peeked.
const LIST: f32 = 60.0;
/// A slot whose key a sweep tests; one whose code it estimates as well, if those are few; and what that is at most if they are many, as
/// then the processor foresees what memory is needed.
const SWEEP_TEST: f32 = 12.0;
const SWEEP_ESTIMATE: f32 = 300.0;
const SWEEP_ESTIMATES: f32 = 30.0;
/// What a walk estimates for each result, and for each element that fails beside it it expands and estimates as many again.
const WALK_RESULT: f32 = 14.0 * ESTIMATE;
const WALK_FAILING: f32 = 10.0 * ESTIMATE + LIST;
/// What a walk by hops costs for each result.
const HOPS_RESULT: f32 = 4_000.0;
/// A walk begins if it is expected to cost at most so much of a sweep, which finds all,
const WALK_BELOW: f32 = 0.6;
/// and gives up when it has cost so much or will have.
const PATIENCE: f32 = 1.0;

/// What is known about the costs of a filtered scan of an index.
pub(super) struct Costs {
    slots: f32,
}

impl Costs {
    pub fn of(index: &Index, id_bound: u32) -> Self {
        let slots_per_page = u32::from(index.layout.slots_per_page());
        let before = index.first_node_block().saturating_mul(slots_per_page);
        Self {
            slots: id_bound.saturating_sub(before) as f32,
        }
    }

    /// Whether to walk for so many results.
    pub fn walk_is_worthwhile(&self, results: usize, share: f32) -> bool {
        walk(results, share) <= WALK_BELOW * self.sweep(share)
    }

    /// Whether to walk by hops with so large a window.
    pub fn hops_are_worthwhile(&self, window: usize, share: f32) -> bool {
        window as f32 * HOPS_RESULT <= WALK_BELOW * self.sweep(share)
    }

    /// Whether a walk that did so much, and has yet to find so many results, was a mistake.
    pub fn walk_is_too_long(&self, counts: &FilterCounts, missing: usize, share: f32) -> bool {
        let tests = counts.tests.saturating_sub(counts.estimates);
        let spent = tests as f32 * TEST + counts.estimates as f32 * ESTIMATE + counts.lists as f32 * LIST;
        spent + walk(missing, share) > PATIENCE * self.sweep(share)
    }

    fn sweep(&self, share: f32) -> f32 {
        self.slots * (SWEEP_TEST + (share * SWEEP_ESTIMATE).min(SWEEP_ESTIMATES))
    }
}

fn walk(results: usize, share: f32) -> f32 {
    results as f32 * (WALK_RESULT + WALK_FAILING / share)
}
