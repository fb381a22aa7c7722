//! What a scan with a filter knows about it: the share of elements that pass, and what each way to go costs.

use crate::index::hnsw::Index;

use super::filtered::FilterCounts;

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

/// A key that is peeked on its own and tested, in nanoseconds, as are the others.
const TEST: f32 = 25.0;
/// A code that is peeked and estimated.
const ESTIMATE: f32 = 45.0;
/// A list of neighbours that is peeked.
const LIST: f32 = 60.0;
/// A slot whose key a sweep tests.
const SWEEP_TEST: f32 = 15.0;
/// Of the cost of a sweep, how much a walk may cost before it gives up.
const PATIENCE: f32 = 0.5;
/// What a walk costs for each result, and for each element that fails beside it.
const WALK_RESULT: f32 = 600.0;
const WALK_FAILING: f32 = 250.0;

/// What is known about the costs of a filtered scan of an index.
pub(super) struct Costs {
    slots: f32,
}

impl Costs {
    pub fn of(index: &Index, id_bound: u32) -> Self {
        let before = index
            .first_node_block()
            .saturating_mul(u32::from(index.layout.slots_per_page()));
        Self {
            slots: id_bound.saturating_sub(before) as f32,
        }
    }

    /// What a walk has cost.
    pub fn spent(counts: &FilterCounts) -> f32 {
        counts.tests as f32 * TEST + counts.estimates as f32 * ESTIMATE + counts.lists as f32 * LIST
    }

    /// What a walk for so many results will cost.
    pub fn walk(&self, results: usize, share: f32) -> f32 {
        results as f32 * (WALK_RESULT + WALK_FAILING / share)
    }

    /// What a sweep costs.
    pub fn sweep(&self, share: f32) -> f32 {
        self.slots * (SWEEP_TEST + share * ESTIMATE)
    }

    /// What a walk may have cost when it gives up.
    pub fn most_before_sweep(&self, share: f32) -> f32 {
        PATIENCE * self.sweep(share)
    }
}
