//! What a scan does when its list is used up: windows of a walk, then passes of the sweep.

use crate::index::IndexError;
use crate::index::hnsw::paged::{EntryList, PagedGraph, peek_entries};
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::hnsw::walk::descend;
use crate::index::page::{FRONT_BYTES, SlotHead, SlotState};
use crate::index::quantize::Factors;
use crate::index::storage::PageRead;

use super::filtered::{Approach, End, View};
use super::memory::ROWS_AT_ONCE;
use super::shortlist::{Listed, Shortlist};
use super::sweep::Ranking;
use super::{Phase, Scan};

/// A later window is twice as large as the one before, up to this (or up to the first one, if that is larger).
const WINDOW_MAX: usize = 2048;
impl Scan {
    /// Takes a step towards more rows on the list.
    pub(super) fn refill<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        match self.phase {
            Phase::Descend => self.descend(storage),
            Phase::Walk => self.walk(storage),
            Phase::Advance => self.advance(),
            _ => self.sweep(storage),
        }
    }

    fn descend<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        let entries = EntryList::new(&peek_entries(storage)?);
        self.limit_beam(self.window);
        let mut graph = PagedGraph::new(&self.index, storage, &mut self.scratch, self.id_bound);
        descend(
            &mut self.beam,
            &mut graph,
            &self.query,
            entries.as_slice(),
            0,
            if self.filter.is_some() { 1 } else { self.window },
        )?;
        if let Some(filter) = &self.filter {
            if self.approach == Approach::Sweep {
                self.begin_sweep();
                return Ok(());
            }
            self.filtered.reset(self.id_bound, self.window)?;
            let graph = (&*self.index, self.id_bound);
            let mut view = View::new(graph, storage, &self.query, filter, self.approach, &self.options);
            let starts = self.beam.found().map(|candidate| candidate.id);
            self.filtered.start(&mut view, starts)?;
        }
        self.phase = Phase::Walk;
        Ok(())
    }

    /// Fills the window, and puts the live ones of it on the list.
    fn walk<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        let worthwhile = if let Some(filter) = &self.filter {
            let graph = (&*self.index, self.id_bound);
            let mut view = View::new(graph, storage, &self.query, filter, self.approach, &self.options);
            let end = self.filtered.run(&mut view)?;
            self.window = self.filtered.window();
            take_found(self.filtered.found(), &mut self.found)?;
            end != End::GivenUp
        } else {
            let mut graph = PagedGraph::new(&self.index, storage, &mut self.scratch, self.id_bound);
            self.beam.run(&mut graph, &self.query, 0)?;
            take_found(self.beam.found(), &mut self.found)?;
            true
        };
        if !worthwhile || (self.found.len() < self.window && self.settled.is_empty()) {
            // The walk could not even fill a window: the index is small, or the graph is not whole. A sweep costs little in the one
            // case and finds what the walk cannot reach in the other.
            self.begin_sweep();
            return Ok(());
        }
        self.list_window(storage)?;
        self.phase = Phase::Advance;
        Ok(())
    }

    fn list_window<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        self.list.clear();
        self.list_is_checked = false;
        self.list.reserve(self.found.len())?;
        let layout = &self.index.layout;
        for found in self.found.chunks(ROWS_AT_ONCE) {
            let places = found.iter().map(|found| layout.head_place(found.id));
            let bytes = self.scratch.peek(storage, places, FRONT_BYTES)?;
            for (front, &Candidate { key, id }) in bytes.chunks_exact(FRONT_BYTES).zip(found) {
                if let Some(head) = SlotHead::parse_front(front).filter(|head| head.state == SlotState::Live)
                {
                    let factors = Factors::from_bytes(head.factors);
                    self.list.push(Listed {
                        packed: Listed::pack(key, id),
                        tid: head.tid,
                        lower: self.query.lower_bound(key, &factors, self.options.epsilon),
                    });
                }
            }
        }
        self.list.seal();
        Ok(())
    }

    fn advance(&mut self) -> Result<(), IndexError> {
        let most = self.options.ef.max(WINDOW_MAX);
        self.window = self.window.saturating_mul(2).min(most);
        // The list is used up. A window's needs other sizes than a pass's.
        self.list = Shortlist::default();
        let more = if self.filter.is_some() {
            // This walk ends where it outgrows its limit, see `filtered`.
            self.walk_bytes() <= self.options.memory_limit_bytes && self.filtered.advance(self.window)?
        } else {
            self.limit_beam(self.window);
            self.beam.advance(self.window)?
        };
        if more {
            self.phase = Phase::Walk;
        } else {
            self.begin_sweep();
        }
        Ok(())
    }

    fn sweep<S: PageRead>(&mut self, storage: &mut S) -> Result<(), IndexError> {
        self.list_is_checked = true;
        let ranking = Ranking {
            query: &self.query,
            epsilon: self.options.epsilon,
            settled: &self.settled,
            filter: self.filter.as_ref(),
            batch: self.rows_of_pass(),
        };
        let more = self
            .sweep
            .pass(&self.index, storage, self.blocks, &ranking, &mut self.list)?;
        self.passes = self.passes.saturating_add(1);
        if !more {
            self.phase = if self.sweep.saw_unranked() {
                Phase::Unranked
            } else {
                Phase::End
            };
        }
        Ok(())
    }
}

/// Replaces `out` by what a walk found.
fn take_found(
    found: impl ExactSizeIterator<Item = Candidate>,
    out: &mut Vec<Candidate>,
) -> Result<(), IndexError> {
    out.clear();
    reserve(out, found.len(), "rows of a search")?;
    out.extend(found);
    Ok(())
}
