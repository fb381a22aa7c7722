//! Back links: the neighbours of the new element name it in their lists.
//!
//! What a list becomes is worked out on a peeked copy; then the page is locked and the list compared with the copy. A list that
//! somebody else changed meanwhile is worked out again, a bounded number of times, and after that takes the new element only if it
//! has room. One record serves all targets of a page. A list never names an element twice, nor its own.

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::PagedScratch;
use crate::index::hnsw::queue::reserve;
use crate::index::page::{
    NeighbourList, NodePageMut, PageError, PageKind, SlotState, UpperId, UpperPageMut, UpperRecord,
    page_kind, parse_neighbours,
};
use crate::index::quantize::CodeRef;
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{IndexError, SlotId};

use super::codes::Codes;

/// How often a list that changed is worked out again.
const ROUNDS: usize = 4;

/// A list that is to name the new element.
#[derive(Debug, Default)]
struct Plan {
    target: u32,
    block: u32,
    at: u16,
    /// The list as it was read.
    old: Vec<SlotId>,
    /// What it is to become.
    new: Vec<SlotId>,
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Outcome {
    /// To be written.
    #[default]
    Pending,
    /// The list was another one than that read.
    Changed,
    /// The list names the new element.
    Linked,
    /// The list does not name it: it has better ones, or its owner is gone.
    Refused,
}

/// Makes back links; keeps its memory from one element to the next.
#[derive(Debug, Default)]
pub(super) struct BackLinks {
    plans: Vec<Plan>,
    /// How many of `plans` are in use; the others keep their memory.
    count: usize,
    scratch: PagedScratch,
    records: Vec<Option<UpperId>>,
    targets: Vec<SlotId>,
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

impl Plan {
    fn begin(
        &mut self,
        target: SlotId,
        block: u32,
        at: u16,
        list: &[u8],
        id_bound: u32,
    ) -> Result<(), IndexError> {
        (self.target, self.block, self.at) = (target.0, block, at);
        self.outcome = Outcome::Pending;
        self.old.clear();
        self.new.clear();
        // One place more, for the new element.
        let places = list.len() / size_of::<SlotId>() + 1;
        reserve(&mut self.old, places, "back links")?;
        reserve(&mut self.new, places, "back links")?;
        parse_neighbours(list, id_bound, &mut self.old);
        Ok(())
    }

    /// Works out what the list is to become.
    fn work_out<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        named: Named<'_>,
        level: u8,
        codes: &mut Codes,
    ) -> Result<(), IndexError> {
        let Named { id, code } = named;
        if self.old.contains(&id) {
            self.outcome = Outcome::Refused;
            return Ok(());
        }
        let limit = index.layout.max_neighbours(level);
        if self.old.len() < limit {
            self.new.extend_from_slice(&self.old);
            self.new.push(id);
            return Ok(());
        }
        let target = SlotId(self.target);
        let members = self.old.iter().copied();
        codes.load(&index.layout, storage, members.chain([id, target]))?;
        codes.rank_for_owner(index, self.old.len(), code, level);
        codes.select(target, &index.quantizer, limit, &mut self.new)?;
        if !self.new.contains(&id) {
            self.outcome = Outcome::Refused;
        }
        Ok(())
    }

    /// Writes the list to its page, if it is still the one that was read.
    fn write(
        &mut self,
        bytes: &mut [u8],
        index: &Index,
        id: SlotId,
        level: u8,
        last_round: bool,
    ) -> Result<Outcome, PageError> {
        let wanted = if level == 0 {
            PageKind::Node
        } else {
            PageKind::Upper
        };
        self.outcome = Outcome::Refused;
        // A torn peek can make up a target on a page of another kind.
        if page_kind(bytes)? != Some(wanted) {
            return Ok(self.outcome);
        }
        if level == 0 {
            let mut page = NodePageMut::open(bytes, &index.layout)?;
            let slot = page.as_ref().slot(self.at)?;
            if slot.head.state == SlotState::Live
                && self.agrees(slot.neighbours, index, id, level, last_round)
            {
                page.set_neighbours(self.at, &self.new)?;
                self.outcome = Outcome::Linked;
            }
        } else {
            let mut page = UpperPageMut::open(bytes, &index.layout)?;
            let record = page.as_ref().record(self.at)?;
            let owned = record.used && record.owner.0 == self.target && record.level == level;
            if owned && self.agrees(record.neighbours, index, id, level, last_round) {
                page.set_neighbours(self.at, &self.new)?;
                self.outcome = Outcome::Linked;
            }
        }
        Ok(self.outcome)
    }

    /// Whether the new list can replace this one. In the last round it is made to, where there is room.
    fn agrees(
        &mut self,
        found: NeighbourList<'_>,
        index: &Index,
        id: SlotId,
        level: u8,
        last_round: bool,
    ) -> bool {
        if found.equals(&self.old) {
            return true;
        }
        if found.contains(id) {
            return false;
        }
        if !last_round {
            self.outcome = Outcome::Changed;
            return false;
        }
        if found.len() >= index.layout.max_neighbours(level) {
            return false;
        }
        // Its members and one more fit what `begin` reserved.
        self.new.clear();
        self.new.extend(found.iter());
        self.new.push(id);
        true
    }
}
