//! Linking an element to the graph again to which nothing leads: after a deletion that cut it off, or a crashed insertion.
//!
//! The element is searched for by its own code. Its free places go to what is found, and near elements with room in their lists
//! take it in. If none has room it is *spliced* into an edge: z names y; the element takes y into its own list, then z names the
//! element instead of y. Whatever was reachable stays reachable, after each of the two records.

use crate::index::page::{Entry, EntrySet, NodePageMut, PageError, SlotState};
use crate::index::quantize::CodeRef;
use crate::index::storage::{Change, PageRead, PageWrite};
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::idset::IdSet;
use super::super::paged::{OwnCode, PagedGraph, PagedScratch, code_of};
use super::super::queue::{Candidate, reserve};
use super::super::select::Selector;
use super::super::walk::{Beam, Graph, descend};

/// An id that no element has, for the owner of a selection whose members are positions.
const OWNER: SlotId = SlotId(u32::MAX - 1);

/// Links elements again; one is made for a whole cleanup.
#[derive(Debug)]
pub(super) struct Relinker<'i> {
    index: &'i Index,
    entries: Vec<Entry>,
    beam: Beam,
    selector: Selector,
    scratch: PagedScratch,
    heads: PagedScratch,
}

impl<'i> Relinker<'i> {
    /// Searches begin at these entries.
    pub(super) fn new(index: &'i Index, entries: &EntrySet) -> Self {
        Self {
            index,
            entries: entries.iter().collect(),
            beam: Beam::default(),
            selector: Selector::default(),
            scratch: PagedScratch::default(),
            heads: PagedScratch::default(),
        }
    }

    /// Makes a list of one of the elements in `met` name the element. Returns whether it could.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::Corrupt`], [`IndexError::OutOfMemory`].
    pub(super) fn relink<S: PageWrite>(
        &mut self,
        storage: &mut S,
        id: SlotId,
        met: &IdSet,
    ) -> Result<bool, IndexError> {
        let Some(own) = self.own_code(storage, id)? else {
            return Ok(false);
        };
        let near = self.search(storage, id, &own, met)?;
        if near.is_empty() {
            return Ok(false);
        }
        self.fill_own_list(storage, id, &own, &near, met)?;
        let mut linked = 0;
        let wanted = usize::from(self.index.m);
        for candidate in near.iter().take(2 * wanted) {
            if linked == wanted {
                break;
            }
            linked += usize::from(self.link_if_room(storage, candidate.id, id)?);
        }
        if linked > 0 {
            return Ok(true);
        }
        for candidate in &near {
            if self.splice(storage, candidate.id, id, &own)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn own_code<S: PageRead>(&mut self, storage: &mut S, id: SlotId) -> Result<Option<OwnCode>, IndexError> {
        let head = self
            .heads
            .peek_heads(storage, &self.index.layout, &[id])?
            .next()
            .flatten();
        Ok(head.filter(|head| head.state == SlotState::Live).map(|head| {
            let code = code_of(&head);
            OwnCode {
                factors: code.factors,
                code: code.code.to_vec(),
            }
        }))
    }

    /// The live elements near `id` that are in `met`, nearest first; where a whole group was cut off the search may find only its members,
    /// and the entries are all that there is.
    fn search<S: PageRead>(
        &mut self,
        storage: &mut S,
        id: SlotId,
        own: &OwnCode,
        met: &IdSet,
    ) -> Result<Vec<Candidate>, IndexError> {
        let ef = usize::from(self.index.ef_construction).max(self.index.layout.max_neighbours(0));
        let id_bound = self.index.layout.id_bound(storage.blocks()?)?;
        let mut graph = PagedGraph::new(self.index, storage, &mut self.scratch, id_bound);
        descend(&mut self.beam, &mut graph, own, &self.entries, 0, ef)?;
        self.beam.run(&mut graph, own, 0)?;
        let mut near = Vec::new();
        let most = self.beam.found().len().max(self.entries.len());
        reserve(&mut near, most, "elements near another")?;
        near.extend(
            self.beam
                .found()
                .filter(|candidate| candidate.id != id && met.contains(candidate.id)),
        );
        if near.is_empty() {
            let entries = self.entries.iter().map(|entry| Candidate {
                key: f32::INFINITY,
                id: entry.id,
            });
            near.extend(entries.filter(|entry| entry.id != id && met.contains(entry.id)));
        }
        let ids: Vec<SlotId> = near.iter().map(|candidate| candidate.id).collect();
        let mut heads = self.heads.peek_heads(storage, &self.index.layout, &ids)?;
        near.retain(|_| {
            heads
                .next()
                .flatten()
                .is_some_and(|head| head.state == SlotState::Live)
        });
        Ok(near)
    }

    /// Fills the free places in the list of `id`, and sees to it that one member at least is in `met`.
    fn fill_own_list<S: PageWrite>(
        &mut self,
        storage: &mut S,
        id: SlotId,
        own: &OwnCode,
        near: &[Candidate],
        met: &IdSet,
    ) -> Result<(), IndexError> {
        let (places, wanted) = (self.index.layout.max_neighbours(0), self.index.new_neighbours(0));
        let ids: Vec<SlotId> = near.iter().map(|candidate| candidate.id).collect();
        let heads = self.heads.peek_heads(storage, &self.index.layout, &ids)?;
        let codes: Vec<Option<CodeRef<'_>>> = heads.map(|head| head.map(|head| code_of(&head))).collect();
        let quantizer = &self.index.quantizer;
        let own = CodeRef {
            factors: own.factors,
            code: &own.code,
        };
        let positions = codes.iter().enumerate().filter_map(|(at, code)| {
            Some(Candidate {
                key: quantizer.between(own, (*code)?),
                id: SlotId(u32::try_from(at).ok()?),
            })
        });
        let mut positions: Vec<Candidate> = positions.collect();
        positions.sort_unstable_by(|a, b| a.key.total_cmp(&b.key));
        self.selector.reserve(positions.len())?;
        let chosen = self.selector.select(OWNER, positions, wanted, wanted, |a, b| {
            match (
                codes.get(a.0 as usize).copied().flatten(),
                codes.get(b.0 as usize).copied().flatten(),
            ) {
                (Some(a), Some(b)) => quantizer.between(a, b),
                _ => f32::INFINITY,
            }
        });
        let chosen: Vec<SlotId> = chosen
            .iter()
            .filter_map(|at| ids.get(at.id.0 as usize).copied())
            .collect();
        edit_list(self.index, storage, id, |list| {
            let leads_out = list.iter().any(|member| met.contains(*member));
            if list.len() >= places && !leads_out {
                // What it named is not reachable either and comes to be linked in its turn.
                list.pop();
            }
            let full = if leads_out {
                wanted
            } else {
                wanted.max(list.len() + 1)
            };
            for new in &chosen {
                if list.len() < full && !list.contains(new) {
                    list.push(*new);
                }
            }
        })?;
        Ok(())
    }

    /// Has `target` name `id` if its list has room. Returns whether it names it now.
    fn link_if_room<S: PageWrite>(
        &self,
        storage: &mut S,
        target: SlotId,
        id: SlotId,
    ) -> Result<bool, IndexError> {
        let room = self.index.layout.max_neighbours(0);
        let mut named = false;
        edit_list(self.index, storage, target, |list| {
            if list.len() < room && !list.contains(&id) {
                list.push(id);
            }
            named = list.contains(&id);
        })?;
        Ok(named)
    }

    /// Has `target` name `id` in place of one of its neighbours, which `id` names then.
    fn splice<S: PageWrite>(
        &mut self,
        storage: &mut S,
        target: SlotId,
        id: SlotId,
        own: &OwnCode,
    ) -> Result<bool, IndexError> {
        let Some(code) = self.own_code(storage, target)? else {
            return Ok(false);
        };
        let Some(passed) = self.neighbour_to_pass(storage, target, &code, own)? else {
            return Ok(false);
        };
        if passed == id {
            return Ok(true);
        }
        let room = self.index.layout.max_neighbours(0);
        let named = edit_list(self.index, storage, id, |list| {
            if !list.contains(&passed) {
                if list.len() >= room {
                    list.pop();
                }
                list.push(passed);
            }
        })?;
        if !named {
            return Ok(false);
        }
        let mut replaced = false;
        edit_list(self.index, storage, target, |list| {
            if let Some(place) = list.iter_mut().find(|member| **member == passed) {
                *place = id;
                replaced = true;
            }
        })?;
        Ok(replaced)
    }

    /// The neighbour of `target` that loses least by being named by the element `own` instead: the farthest of those that are
    /// nearer to that element than to `target`, or the farthest of all.
    fn neighbour_to_pass<S: PageRead>(
        &mut self,
        storage: &mut S,
        target: SlotId,
        code: &OwnCode,
        own: &OwnCode,
    ) -> Result<Option<SlotId>, IndexError> {
        let id_bound = self.index.layout.id_bound(storage.blocks()?)?;
        let mut list = Vec::new();
        PagedGraph::<S, OwnCode>::new(self.index, storage, &mut self.scratch, id_bound)
            .neighbours(target, 0, &mut list)?;
        let quantizer = &self.index.quantizer;
        let (code, own) = (
            CodeRef {
                factors: code.factors,
                code: &code.code,
            },
            CodeRef {
                factors: own.factors,
                code: &own.code,
            },
        );
        let heads = self.heads.peek_heads(storage, &self.index.layout, &list)?;
        let best = list.iter().zip(heads).filter_map(|(id, head)| {
            let member = code_of(&head?);
            let (from_target, from_own) = (quantizer.between(code, member), quantizer.between(own, member));
            Some((from_own < from_target, from_target, *id))
        });
        let best = best.max_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        Ok(best.map(|(_, _, id)| id))
    }
}

/// Changes the list of level 0 of a live element by one record, if `edit` changes it. Returns whether the element is live.
fn edit_list<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    id: SlotId,
    edit: impl FnOnce(&mut Vec<SlotId>),
) -> Result<bool, IndexError> {
    let (block, number) = index.layout.slot(id);
    let edited = storage.update(block, |bytes| {
        let mut change = Change::None;
        let work = || -> Result<bool, PageError> {
            let mut page = NodePageMut::open(bytes, &index.layout)?;
            let slot = page.as_ref().slot(number)?;
            if slot.head.state != SlotState::Live {
                return Ok(false);
            }
            let mut list: Vec<SlotId> = slot.neighbours.iter().collect();
            edit(&mut list);
            if !page.as_ref().slot(number)?.neighbours.equals(&list) {
                page.set_neighbours(number, &list)?;
                change = Change::Made;
            }
            Ok(true)
        };
        let result = work();
        (change, result)
    })?;
    edited.map_err(|error| error.at(block))
}
