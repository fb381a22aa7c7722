//! Back links: the neighbours of the new element name it in their lists.
//!
//! What a list becomes is worked out on a peeked copy; then the page is locked and the list compared with the copy. A list that
//! somebody else changed meanwhile is worked out again, a bounded number of times, and after that takes the new element only if it
//! has room. One record serves all targets of a page. A list never names an element twice, nor its own.

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::PagedScratch;
use crate::index::hnsw::queue::reserve;
use crate::index::page::{SlotState, UpperId, UpperRecord};
use crate::index::quantize::CodeRef;
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{IndexError, SlotId};

use super::codes::Codes;
use super::own::{IfFull, Own};
use super::plan::{Outcome, Plan};
use super::ways::Ways;

/// How often a list that changed is worked out again.
const ROUNDS: usize = 4;
/// How many lists are asked in turn to name an element that none wanted; more than one only if others change or remove them meanwhile.
const INSISTED: usize = 8;

/// Makes back links; keeps its memory from one element to the next.
#[derive(Debug, Default)]
pub(super) struct BackLinks {
    plans: Vec<Plan>,
    /// How many of `plans` are in use; the others keep their memory.
    count: usize,
    scratch: PagedScratch,
    records: Vec<Option<UpperId>>,
    targets: Vec<SlotId>,
    ways: Ways,
}

/// The element that is to be named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub id: SlotId,
    pub code: CodeRef<'a>,
}

impl BackLinks {
    /// Has the lists of `targets` at `level` name the element. Returns how many do.
    pub fn link<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        named: Named<'_>,
        level: u8,
        targets: &[SlotId],
        codes: &mut Codes,
    ) -> Result<usize, IndexError> {
        self.targets.clear();
        reserve(&mut self.targets, targets.len(), "back links")?;
        self.targets
            .extend(targets.iter().filter(|target| **target != named.id));
        let mut linked = 0;
        for round in 0..ROUNDS {
            if self.targets.is_empty() {
                break;
            }
            storage.check_interrupts()?;
            self.read_lists(index, storage, level)?;
            for plan in self.plans.iter_mut().take(self.count) {
                plan.work_out(index, storage, named, level, codes)?;
            }
            if level == 0 && index.keeps_reachable() {
                let plans = self.plans.get_mut(..self.count).unwrap_or_default();
                self.ways.keep(index, storage, plans, named.id, targets)?;
            }
            self.write_lists(index, storage, named.id, level, round + 1 == ROUNDS)?;
            let plans = self.plans.iter().take(self.count);
            linked += plans.filter(|plan| plan.outcome == Outcome::Linked).count();
            self.targets.clear();
            let plans = self.plans.iter().take(self.count);
            let changed = plans.filter(|plan| plan.outcome == Outcome::Changed);
            self.targets.extend(changed.map(|plan| SlotId(plan.target)));
        }
        Ok(linked)
    }

    /// Has the list of one of `targets`, the neighbours of the new element at level 0, name it, the nearest if possible. Where the
    /// new element does not name what that list drops for it, it does so first, in place of its last neighbour: nothing leads to the
    /// new element yet, so nothing is lost by that. Returns whether a list names it now.
    pub fn insist<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        own: &Own,
        named: Named<'_>,
        targets: &[SlotId],
        codes: &mut Codes,
    ) -> Result<bool, IndexError> {
        for target in targets
            .iter()
            .filter(|target| **target != named.id)
            .take(INSISTED)
        {
            storage.check_interrupts()?;
            self.targets.clear();
            self.targets.push(*target);
            self.read_lists(index, storage, 0)?;
            let Some(plan) = self.plans.first_mut() else {
                break;
            };
            plan.insist(index, storage, named, targets, codes)?;
            if let Some(dropped) = plan.dropped()
                && !targets.contains(&dropped)
            {
                own.name(index, storage, &[dropped], IfFull::Replace)?;
            }
            self.write_lists(index, storage, named.id, 0, false)?;
            if self
                .plans
                .first()
                .is_some_and(|plan| plan.outcome == Outcome::Linked)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Begins a plan for each target, with a copy of its list.
    fn read_lists<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        level: u8,
    ) -> Result<(), IndexError> {
        let missing = self.targets.len().saturating_sub(self.plans.len());
        reserve(&mut self.plans, missing, "back links")?;
        self.plans
            .resize_with(self.plans.len().max(self.targets.len()), Plan::default);
        self.count = 0;
        let id_bound = index.layout.id_bound(storage.blocks()?)?;
        if level == 0 {
            self.read_slots(index, storage, id_bound)
        } else {
            self.read_uppers(index, storage, id_bound, level)
        }
    }

    fn read_slots<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        id_bound: u32,
    ) -> Result<(), IndexError> {
        let layout = &index.layout;
        let length = layout.neighbours_bytes(0);
        let places = self.targets.iter().map(|id| layout.neighbours_place(*id));
        let bytes = self.scratch.peek(storage, places, length)?;
        for (target, list) in self.targets.iter().zip(bytes.chunks_exact(length.max(1))) {
            let (block, at) = layout.slot(*target);
            if let Some(plan) = self.plans.get_mut(self.count) {
                plan.begin(*target, block, at, list, id_bound)?;
                self.count += 1;
            }
        }
        Ok(())
    }

    fn read_uppers<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        id_bound: u32,
        level: u8,
    ) -> Result<(), IndexError> {
        let layout = &index.layout;
        self.records.clear();
        reserve(&mut self.records, self.targets.len(), "back links")?;
        let heads = self.scratch.peek_heads(storage, layout, &self.targets)?;
        self.records.extend(heads.map(|head| {
            let head = head.filter(|head| head.state == SlotState::Live && head.level >= level)?;
            layout.upper_at(head.upper, level)
        }));
        let length = layout.upper_bytes();
        // A target without a record reads one that cannot be; it is passed by below.
        let places = self.records.iter();
        let places = places.map(|record| layout.upper_place(record.unwrap_or(UpperId::NONE)));
        let bytes = self.scratch.peek(storage, places, length)?;
        let read = bytes.chunks_exact(length.max(1));
        for ((target, record), bytes) in self.targets.iter().zip(&self.records).zip(read) {
            let (Some(record), Some(parsed)) = (record, UpperRecord::parse(bytes, layout)) else {
                continue;
            };
            let (block, at) = layout.upper(*record);
            if parsed.used
                && parsed.owner == *target
                && parsed.level == level
                && let Some(plan) = self.plans.get_mut(self.count)
            {
                plan.begin(*target, block, at, parsed.neighbours.as_bytes(), id_bound)?;
                self.count += 1;
            }
        }
        Ok(())
    }

    /// Writes what was worked out, one record a page.
    fn write_lists<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        id: SlotId,
        level: u8,
        last_round: bool,
    ) -> Result<(), IndexError> {
        let plans = self.plans.get_mut(..self.count).unwrap_or_default();
        plans.sort_unstable_by_key(|plan| (plan.block, plan.at));
        for plans in plans.chunk_by_mut(|a, b| a.block == b.block) {
            if plans.iter().all(|plan| plan.outcome != Outcome::Pending) {
                continue;
            }
            let Some(block) = plans.first().map(|plan| plan.block) else {
                continue;
            };
            let done = storage.update(block, |bytes| {
                let mut change = Change::None;
                for plan in plans.iter_mut().filter(|plan| plan.outcome == Outcome::Pending) {
                    match plan.write(bytes, index, id, level, last_round) {
                        Ok(Outcome::Linked) => change = Change::Made,
                        Ok(_) => {}
                        // What was written before stands.
                        Err(error) => return (change, Err(error)),
                    }
                }
                (change, Ok(()))
            })?;
            done.map_err(|error| error.at(block))?;
        }
        Ok(())
    }
}
