//! An element of a walk is expanded: who its neighbours are, which of them pass, and how far they are.

use std::cmp::{Ordering, Reverse};

use crate::index::hnsw::paged::{code_of, in_graph};
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::page::{SlotHead, SlotState, parse_neighbours};
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::{FilteredWalk, View};

/// How many passing neighbours, at one hop or two, an expanded element should have.
const PASSING_NEIGHBOURS: f32 = 16.0;

impl FilteredWalk {
    /// Takes in the neighbours of an element, and where only passing ones are wanted, what lies behind failing ones.
    pub(super) fn expand<S: PageRead>(
        &mut self,
        view: &mut View<'_, S>,
        id: SlotId,
    ) -> Result<(), IndexError> {
        self.gates.clear();
        reserve(&mut self.gates, 1, "neighbours of a search")?;
        self.gates.push(id);
        self.open_gates(view)?;
        if self.by_hops {
            self.take_passing(view)
        } else {
            self.take_all(view)
        }
    }

    /// Replaces the list by the neighbours of all gates.
    fn open_gates<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.opened.reserve(self.gates.len())?;
        for gate in &self.gates {
            self.opened.insert(*gate);
        }
        let layout = &view.index.layout;
        let length = layout.neighbours_bytes(0);
        let places = self.gates.iter().map(|id| layout.neighbours_place(*id));
        let bytes = self.scratch.peek(view.storage, places, length)?;
        self.list.clear();
        reserve(
            &mut self.list,
            bytes.len() / size_of::<SlotId>(),
            "neighbours of a search",
        )?;
        for list in bytes.chunks_exact(length.max(1)) {
            parse_neighbours(list, view.id_bound, &mut self.list);
        }
        self.counts.lists += self.gates.len() as u64;
        Ok(())
    }

    /// Puts those of the list that were not met before on the list of fresh ones.
    fn take_fresh(&mut self) -> Result<(), IndexError> {
        self.visited.reserve(self.list.len())?;
        self.passing.reserve(self.list.len())?;
        self.fresh.clear();
        reserve(&mut self.fresh, self.list.len(), "neighbours of a search")?;
        let visited = &mut self.visited;
        self.fresh
            .extend(self.list.iter().filter(|id| visited.insert(**id)));
        self.counts.tests += self.fresh.len() as u64;
        Ok(())
    }

    /// Estimates all of the list, and takes them in.
    pub(super) fn take_all<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.take_fresh()?;
        self.reserve_queues(self.fresh.len())?;
        let layout = &view.index.layout;
        let head_bytes = layout.head_bytes();
        let length = head_bytes.saturating_add(view.filter.reach());
        let places = self.fresh.iter().map(|id| layout.head_place(*id));
        self.scratch.peek(view.storage, places, length)?;
        for at in 0..self.fresh.len() {
            let start = at.saturating_mul(length);
            let slot = self.scratch.peeked().get(start..start.saturating_add(length));
            let (Some(id), Some(slot)) = (self.fresh.get(at).copied(), slot) else {
                break;
            };
            let passes = view.filter.matches(slot.get(head_bytes..).unwrap_or_default());
            self.recent.note(passes);
            if passes {
                self.passing.insert(id);
            }
            let head = slot
                .get(..head_bytes)
                .and_then(|head| SlotHead::parse(head, layout));
            if let Some(head) = head.filter(|head| in_graph(head.state)) {
                let key = view.query.estimate(code_of(&head));
                let live = head.state == SlotState::Live;
                self.admit(Candidate { key, id }, passes && live);
            }
        }
        self.counts.estimates += self.fresh.len() as u64;
        Ok(())
    }

    /// Takes in what passes of the list, and if that is little, what passes of what failing ones of it lead to.
    fn take_passing<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.good.clear();
        self.test_fresh(view)?;
        let (mut near, mut known) = (0.0, 0.0);
        self.gates.clear();
        reserve(&mut self.gates, self.list.len(), "neighbours of a search")?;
        for id in &self.list {
            if self.passing.contains(*id) {
                near += 1.0;
            } else if self.opened.contains(*id) {
                known += 1.0;
            } else {
                self.gates.push(*id);
            }
        }
        // What a failing neighbour leads to, on the average; those looked through before count as having given as much.
        let behind = self.recent.share() * self.list.len() as f32;
        let missing = PASSING_NEIGHBOURS - near - known * behind;
        if missing > 0.0 {
            // Lists have their nearest first.
            self.gates
                .truncate((missing / behind.max(f32::MIN_POSITIVE)).ceil() as usize);
            self.open_gates(view)?;
            self.test_fresh(view)?;
        }
        self.weigh_good(view)
    }

    /// Tests the keys of those of the list that were not met before.
    fn test_fresh<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.take_fresh()?;
        let layout = &view.index.layout;
        let length = view.filter.reach();
        let places = self.fresh.iter().map(|id| layout.keys_place(*id));
        let keys = self.scratch.peek(view.storage, places, length)?;
        reserve(&mut self.good, self.fresh.len(), "neighbours of a search")?;
        for (id, keys) in self.fresh.iter().zip(keys.chunks_exact(length.max(1))) {
            let passes = view.filter.matches(keys);
            self.recent.note(passes);
            if passes {
                self.passing.insert(*id);
                self.good.push(*id);
            }
        }
        Ok(())
    }

    /// Estimates what passed, and takes it in.
    fn weigh_good<S: PageRead>(&mut self, view: &mut View<'_, S>) -> Result<(), IndexError> {
        self.reserve_queues(self.good.len())?;
        let layout = &view.index.layout;
        let length = layout.head_bytes();
        let places = self.good.iter().map(|id| layout.head_place(*id));
        self.scratch.peek(view.storage, places, length)?;
        for at in 0..self.good.len() {
            let start = at.saturating_mul(length);
            let head = self.scratch.peeked().get(start..start.saturating_add(length));
            let head = head.and_then(|head| SlotHead::parse(head, layout));
            if let (Some(id), Some(head)) = (self.good.get(at).copied(), head)
                && in_graph(head.state)
            {
                let key = view.query.estimate(code_of(&head));
                self.admit(Candidate { key, id }, head.state == SlotState::Live);
            }
        }
        self.counts.estimates += self.good.len() as u64;
        Ok(())
    }

    /// Makes room for as many candidates, so that [`FilteredWalk::admit`] does not allocate.
    pub(super) fn reserve_queues(&mut self, additional: usize) -> Result<(), IndexError> {
        self.spare.reserve(additional)?;
        reserve(&mut self.later, additional, "backlog of a search")?;
        self.candidates
            .try_reserve(additional)
            .map_err(|_| IndexError::OutOfMemory {
                what: "candidates of a search",
                bytes: (self.candidates.len() + additional) * size_of::<u64>(),
            })
    }

    #[inline]
    fn admit(&mut self, candidate: Candidate, is_result: bool) {
        // Neither infinity nor what is not a number has a place in the order.
        if candidate.key.partial_cmp(&f32::INFINITY) != Some(Ordering::Less) {
            return;
        }
        let packed = self.results.pack(candidate.key, candidate.id);
        if packed < self.results.bound() {
            self.candidates.push(Reverse(packed));
        } else {
            self.later.push(packed);
        }
        if is_result && let Some(fallen) = self.results.insert(packed) {
            self.spare.push(fallen);
        }
    }
}
