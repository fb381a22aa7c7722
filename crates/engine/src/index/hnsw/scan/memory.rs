//! What a scan occupies, and how it keeps to its limit.
//!
//! The walk has the whole limit to itself but for what a window takes to be read and ordered; the sweep has what the walk leaves, which
//! is mostly all. Beside it there is the set of the rows that were returned.

use crate::index::hnsw::queue::Candidate;
use crate::index::page::FRONT_BYTES;
use crate::index::storage::Place;

use super::shortlist::{Fetched, Listed};
use super::{PagedScratch, Phase, Scan};

/// What the walk leaves is kept during the sweep if it is less than this part of the memory.
const SPARE_SHARE: usize = 8;
/// The least number of rows of a pass of the sweep.
const BATCH_MIN: usize = 64;
/// The least number of rows of the first pass of a sweep with a filter; each further pass takes eight times as many.
const FIRST_BATCH: usize = 512;
/// The largest number of rows of a pass of the sweep.
const BATCH_MAX: usize = 1 << 20;
/// What a row of a pass may occupy: twice on the list (see `sweep`), and once with its exact key.
const BATCH_ROW_BYTES: usize = 2 * size_of::<Listed>() + size_of::<Fetched>();
/// What a row of a window occupies beside the walk: a candidate, then as a row of a pass, once.
const WINDOW_ROW_BYTES: usize = size_of::<Candidate>() + size_of::<Listed>() + size_of::<Fetched>();
/// How many rows of a window are read at once.
pub(super) const ROWS_AT_ONCE: usize = 256;

impl Scan {
    /// What the scan occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.limited_bytes() + self.settled.memory_bytes()
    }

    /// What there is a limit to: all but the set of the rows that were returned, without which none could be returned just once.
    pub(super) fn limited_bytes(&self) -> usize {
        self.walk_bytes() + self.list.memory_bytes() + self.sweep.memory_bytes()
    }

    pub(super) fn walk_bytes(&self) -> usize {
        self.beam.memory_bytes()
            + self.filtered.memory_bytes()
            + self.scratch.memory_bytes()
            + self.found.capacity() * size_of::<Candidate>()
    }

    pub(super) fn release_walk(&mut self) {
        self.beam.release();
        self.filtered.release();
        self.scratch = PagedScratch::default();
        self.found = Vec::new();
    }

    /// Leaves to the beam what a window of so many rows and the neighbours of a step do not need.
    pub(super) fn limit_beam(&mut self, window: usize) {
        let layout = &self.index.layout;
        let step = layout.max_neighbours(0).saturating_mul(layout.head_bytes());
        let reading = ROWS_AT_ONCE * (FRONT_BYTES + size_of::<Place>());
        let others = window
            .saturating_mul(WINDOW_ROW_BYTES)
            .saturating_add(step.max(reading));
        self.beam
            .set_limit(self.options.memory_limit_bytes.saturating_sub(others));
    }

    /// The walk does not come back. Its memory is better used by the sweep, unless it is little, and then by the next scan.
    pub(super) fn begin_sweep(&mut self) {
        if self.walk_bytes() > self.options.memory_limit_bytes / SPARE_SHARE {
            self.release_walk();
        }
        self.phase = Phase::Sweep;
    }

    /// How many rows the next pass of the sweep may take.
    pub(super) fn rows_of_pass(&self) -> usize {
        let others = self.limited_bytes().saturating_sub(self.list.memory_bytes());
        let most = self.options.memory_limit_bytes.saturating_sub(others) / BATCH_ROW_BYTES;
        let most = most.clamp(BATCH_MIN, BATCH_MAX);
        match &self.filter {
            // With a filter a sweep is often all of a scan, and what it has no use for need not be put in order.
            Some(_) => {
                let first = self.options.ef.saturating_mul(4).max(FIRST_BATCH);
                let factor = 8_usize.saturating_pow(self.passes);
                most.min(first.saturating_mul(factor))
            }
            None => most,
        }
    }
}
