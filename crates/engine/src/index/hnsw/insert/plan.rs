//! What is to become of one list that is to name the new element.

use crate::index::hnsw::Index;
use crate::index::hnsw::queue::reserve;
use crate::index::page::{
    NeighbourList, NodePageMut, PageError, PageKind, SlotState, UpperPageMut, page_kind, parse_neighbours,
};
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::back::Named;
use super::codes::Codes;

/// A list that is to name the new element.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub target: u32,
    pub block: u32,
    pub at: u16,
    /// The list as it was read.
    pub old: Vec<SlotId>,
    /// What it is to become.
    pub new: Vec<SlotId>,
    /// How many of these, from the first on, lie in directions of their own.
    pub diverse: usize,
    /// The member that it loses.
    dropped: Option<SlotId>,
    pub outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Outcome {
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

impl Plan {
    pub fn begin(
        &mut self,
        target: SlotId,
        block: u32,
        at: u16,
        list: &[u8],
        id_bound: u32,
    ) -> Result<(), IndexError> {
        (self.target, self.block, self.at) = (target.0, block, at);
        (self.outcome, self.dropped) = (Outcome::Pending, None);
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
    pub fn work_out<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        named: Named<'_>,
        level: u8,
        codes: &mut Codes,
    ) -> Result<(), IndexError> {
        if self.has_place(index, named.id, level) {
            return Ok(());
        }
        self.select(index, storage, named, level, codes)?;
        if self.new.contains(&named.id) {
            self.dropped = codes.left_out(&self.new);
            self.diverse = codes.diverse();
        } else {
            self.outcome = Outcome::Refused;
        }
        Ok(())
    }

    /// Works out a list of level 0 that names the new element, whatever it must drop: of the neighbours of the new element, to which
    /// that leads on, the one that selection would keep last; if there is none, the one of all.
    pub fn insist<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        named: Named<'_>,
        own: &[SlotId],
        codes: &mut Codes,
    ) -> Result<(), IndexError> {
        if self.has_place(index, named.id, 0) {
            return Ok(());
        }
        self.select(index, storage, named, 0, codes)?;
        let left_out = codes.left_out(&self.new);
        if left_out.is_none() && self.new.contains(&named.id) {
            // Another member is gone.
            return Ok(());
        }
        // One of a direction of its own is worth more than the record that it takes to lead on to another.
        let least = left_out.into_iter().chain(self.new.iter().rev().copied());
        let mut least = least.filter(|member| *member != named.id);
        let fillers = self.new.len().saturating_sub(codes.diverse()).saturating_add(1);
        let mut led_to = least.clone().take(fillers).filter(|member| own.contains(member));
        self.dropped = led_to
            .next()
            .or_else(|| least.next())
            .or(self.old.last().copied());
        self.new.clear();
        let kept = self.old.iter().copied();
        self.new
            .extend(kept.filter(|member| Some(*member) != self.dropped));
        self.new.push(named.id);
        Ok(())
    }

    /// Whether the list names the new element, or has room and takes it.
    fn has_place(&mut self, index: &Index, id: SlotId, level: u8) -> bool {
        if self.old.contains(&id) {
            // Another insertion has met it, or vacuum has linked it.
            self.outcome = Outcome::Linked;
            return true;
        }
        let room = self.old.len() < index.layout.max_neighbours(level);
        if room {
            self.new.extend_from_slice(&self.old);
            self.new.push(id);
        }
        room
    }

    /// Selects among the members and the new element.
    fn select<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        named: Named<'_>,
        level: u8,
        codes: &mut Codes,
    ) -> Result<(), IndexError> {
        let target = SlotId(self.target);
        let members = self.old.iter().copied();
        codes.load(&index.layout, storage, members.chain([named.id, target]))?;
        codes.rank_for_owner(index, self.old.len(), named.code, level);
        let limit = index.layout.max_neighbours(level);
        codes.select(target, &index.quantizer, limit, &mut self.new)
    }

    /// The member that is to make room, of a list that is to be written.
    pub fn dropped(&self) -> Option<SlotId> {
        self.dropped.filter(|_| self.outcome == Outcome::Pending)
    }

    /// Whether an element of the new list lies in a direction of its own.
    pub fn is_diverse(&self, id: SlotId) -> bool {
        self.new.iter().take(self.diverse).any(|member| *member == id)
    }

    /// Keeps the member that was to be dropped, in the place of another.
    pub fn drop_instead(&mut self, other: SlotId) {
        if let Some(dropped) = self.dropped.replace(other)
            && let Some(place) = self.new.iter_mut().find(|member| **member == other)
        {
            *place = dropped;
        }
    }

    /// Leaves the list as it is.
    pub fn refuse(&mut self) {
        self.outcome = Outcome::Refused;
    }

    /// Writes the list to its page, if it is still the one that was read.
    pub fn write(
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
