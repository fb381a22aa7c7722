//! What a full list drops for the new element stays reachable.
//!
//! The link from T to D that is dropped may be the only one to D. So a member is dropped only if another member K of the same list names
//! it, K being the new element or an older one: wherever a way led over T to D, one leads over T and K to it. If the member that
//! selection dropped has no such K, the least of the filling members that have one is dropped in its place. If none has, the list
//! refuses the new element, which some list names in any case ([`super::back::BackLinks::insist`]).
//!
//! A new element that lies in a direction of its own is not refused if there is a longer way, over another member K of the list, or the
//! new element, and a neighbour of D to D. Where many vectors are identical their lists name each other at random, hardly any has a
//! short way around, and those elements are all that leads out. That several neighbours of D name D is not enough: they may all be
//! reached over D alone.
//!
//! This is decided on peeked copies, like the lists themselves. Two insertions that at the same moment drop D, one because of the link
//! of the other, still cut it off; vacuum links it again.

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::PagedScratch;
use crate::index::hnsw::queue::reserve;
use crate::index::page::parse_neighbours;
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::plan::Plan;

const ID_BYTES: usize = size_of::<SlotId>();

/// A link, from one element to another.
type Link = (SlotId, SlotId);

/// Looks for ways around dropped links; keeps its memory from one element to the next.
#[derive(Debug, Default)]
pub(super) struct Ways {
    scratch: PagedScratch,
    /// Links that plans drop.
    drops: Vec<Link>,
    /// Links because of which others are dropped.
    relied: Vec<Link>,
    /// Neighbours of a dropped element that name it.
    naming: Vec<SlotId>,
}

impl Ways {
    /// Changes those plans for level 0 that would drop a member which may then be out of reach. `own` are the neighbours of the new
    /// element.
    pub fn keep<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        plans: &mut [Plan],
        id: SlotId,
        own: &[SlotId],
    ) -> Result<(), IndexError> {
        self.drops.clear();
        self.relied.clear();
        reserve(&mut self.drops, plans.len(), "back links")?;
        reserve(&mut self.relied, plans.len(), "back links")?;
        let dropping = plans.iter();
        self.drops
            .extend(dropping.filter_map(|plan| Some((SlotId(plan.target), plan.dropped()?))));
        for plan in plans {
            self.keep_in(index, storage, plan, id, own)?;
        }
        Ok(())
    }

    fn keep_in<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        plan: &mut Plan,
        id: SlotId,
        own: &[SlotId],
    ) -> Result<(), IndexError> {
        let target = SlotId(plan.target);
        let Some(dropped) = plan.dropped().filter(|dropped| !own.contains(dropped)) else {
            return Ok(());
        };
        let layout = &index.layout;
        let places = plan.old.iter().map(|member| layout.neighbours_place(*member));
        let length = layout.neighbours_bytes(0);
        let lists = self.scratch.peek(storage, places, length)?;
        let around = |to: SlotId| {
            let mut members = plan.old.iter().zip(lists.chunks_exact(length.max(1)));
            members.find_map(|(member, list)| {
                let link = (*member, to);
                (*member != to && leads(list, to) && !self.drops.contains(&link)).then_some(link)
            })
        };
        if let Some(link) = around(dropped) {
            self.relied.push(link);
            return Ok(());
        }
        let others = plan.new.iter().skip(plan.diverse).rev().copied();
        let mut others = others.filter(|other| *other != id && !self.relied.contains(&(target, *other)));
        let found = others.find_map(|other| {
            if own.contains(&other) {
                Some((other, None))
            } else {
                around(other).map(|link| (other, Some(link)))
            }
        });
        if found.is_none()
            && plan.is_diverse(id)
            && self.has_longer_way(index, storage, &plan.old, dropped, own)?
        {
            return Ok(());
        }
        self.drops.retain(|(from, _)| *from != target);
        match found {
            Some((other, link)) => {
                self.relied.extend(link);
                self.drops.push((target, other));
                plan.drop_instead(other);
            }
            None => plan.refuse(),
        }
        Ok(())
    }

    /// Whether the new element, whose neighbours are `own`, or another of the members of a list names a neighbour of `dropped` that names
    /// it, after all that is dropped. Notes the links of that way.
    fn has_longer_way<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        members: &[SlotId],
        dropped: SlotId,
        own: &[SlotId],
    ) -> Result<bool, IndexError> {
        let layout = &index.layout;
        let length = layout.neighbours_bytes(0);
        let id_bound = layout.id_bound(storage.blocks()?)?;
        let place = std::iter::once(layout.neighbours_place(dropped));
        let list = self.scratch.peek(storage, place, length)?;
        self.naming.clear();
        reserve(&mut self.naming, layout.max_neighbours(0), "back links")?;
        parse_neighbours(list, id_bound, &mut self.naming);
        let places = self.naming.iter().map(|id| layout.neighbours_place(*id));
        let mut lists = self
            .scratch
            .peek(storage, places, length)?
            .chunks_exact(length.max(1));
        let drops = &self.drops;
        self.naming.retain(|id| {
            lists.next().is_some_and(|list| leads(list, dropped)) && !drops.contains(&(*id, dropped))
        });
        let mut way = self
            .naming
            .iter()
            .find(|id| own.contains(id))
            .map(|id| (None, *id));
        if way.is_none() && !self.naming.is_empty() {
            let places = members.iter().map(|member| layout.neighbours_place(*member));
            let lists = self.scratch.peek(storage, places, length)?;
            let lists = members.iter().zip(lists.chunks_exact(length.max(1)));
            let mut lists = lists.filter(|(member, _)| **member != dropped);
            way = lists.find_map(|(member, list)| {
                let named = |id: &&SlotId| leads(list, **id) && !drops.contains(&(*member, **id));
                self.naming
                    .iter()
                    .find(named)
                    .map(|id| (Some((*member, *id)), *id))
            });
        }
        let Some((first, last)) = way else {
            return Ok(false);
        };
        reserve(&mut self.relied, 2, "back links")?;
        self.relied.extend(first);
        self.relied.push((last, dropped));
        Ok(true)
    }
}

/// Whether the peeked list of an element names another.
fn leads(list: &[u8], to: SlotId) -> bool {
    let (places, _) = list.as_chunks::<ID_BYTES>();
    places.contains(&to.0.to_le_bytes())
}
