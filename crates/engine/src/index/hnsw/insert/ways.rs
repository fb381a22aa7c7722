//! What a full list drops for the new element stays reachable.
//!
//! The link from T to D that is dropped may be the only one to D. So a member is dropped only if another member K of the same list names
//! it, K being the new element or an older one: wherever a way led over T to D, one leads over T and K to it. If the member that
//! selection dropped has no such K, the least of the filling members that have one is dropped in its place. If none has, the list
//! refuses the new element, which some list names in any case ([`super::back::BackLinks::insist`]).
//!
//! One exception: a new element that lies in a direction of its own is not refused if several neighbours of D name D. Where many
//! vectors are identical their lists name each other at random, hardly any has a way around, and those elements are all that leads out.
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
/// So many of its neighbours must name an element that is dropped without a way around.
const ENOUGH: usize = 3;

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
    members: Vec<SlotId>,
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
        if found.is_none() && plan.is_diverse(id) && self.is_named(index, storage, dropped)? {
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

    /// Whether of the neighbours of an element enough name it, after all that is dropped.
    fn is_named<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
        id: SlotId,
    ) -> Result<bool, IndexError> {
        let layout = &index.layout;
        let length = layout.neighbours_bytes(0);
        let id_bound = layout.id_bound(storage.blocks()?)?;
        let place = std::iter::once(layout.neighbours_place(id));
        let list = self.scratch.peek(storage, place, length)?;
        self.members.clear();
        reserve(&mut self.members, layout.max_neighbours(0), "back links")?;
        parse_neighbours(list, id_bound, &mut self.members);
        let places = self.members.iter().map(|member| layout.neighbours_place(*member));
        let lists = self.scratch.peek(storage, places, length)?;
        let lists = self.members.iter().zip(lists.chunks_exact(length.max(1)));
        let naming = lists.filter(|(member, list)| leads(list, id) && !self.drops.contains(&(**member, id)));
        Ok(naming.take(ENOUGH).count() == ENOUGH)
    }
}

/// Whether the peeked list of an element names another.
fn leads(list: &[u8], to: SlotId) -> bool {
    let (places, _) = list.as_chunks::<ID_BYTES>();
    places.contains(&to.0.to_le_bytes())
}
