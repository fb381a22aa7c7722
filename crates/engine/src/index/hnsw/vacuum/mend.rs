//! New neighbours for a list that lost some.
//!
//! Candidates are the live neighbours of the lost ones, as in FreshDiskANN (Singh et al., arXiv 2105.09613, section 4.2), through
//! chains of dead elements where whole neighbourhoods were deleted. What is left of the list stays, so that nothing becomes
//! unreachable by a repair; the free places go to the candidates by diversity (see [`super::super::select`]). All keys are
//! symmetric estimates between codes: no search, and no vector from the table.

use crate::index::page::{SlotHead, SlotState};
use crate::index::quantize::CodeRef;
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

use super::super::Index;
use super::super::paged::{OwnCode, PagedGraph, PagedScratch, code_of};
use super::super::queue::{Candidate, reserve};
use super::super::visited::VisitedSet;
use super::super::walk::Graph;
use super::census::{Census, Standing};

/// The most candidates that are looked at for one list.
const MAX_CANDIDATES: usize = 64;
/// The most dead elements whose neighbours become candidates for one list.
const MAX_FOLLOWED: usize = 48;

/// Finds new neighbours; one is made for a whole cleanup.
#[derive(Debug)]
pub(super) struct Mender<'i> {
    index: &'i Index,
    id_bound: u32,
    graph: PagedScratch,
    heads: PagedScratch,
    seen: VisitedSet,
    /// The list of a dead element.
    list: Vec<SlotId>,
    /// The dead elements to follow.
    follow: Vec<SlotId>,
    /// The owner, then what it keeps, then the candidates.
    ids: Vec<SlotId>,
    /// How many of `ids` are kept.
    kept: usize,
}

impl<'i> Mender<'i> {
    /// A mender for elements below `id_bound`.
    pub(super) fn new(index: &'i Index, id_bound: u32) -> Self {
        Self {
            index,
            id_bound,
            graph: PagedScratch::default(),
            heads: PagedScratch::default(),
            seen: VisitedSet::default(),
            list: Vec::new(),
            follow: Vec::new(),
            ids: Vec::new(),
            kept: 0,
        }
    }

    /// Appends to `added` what may fill the places that the gone members of the list of `owner` at `level` leave; to `gone`
    /// those gone ones that are not in the set of the dead.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::OutOfMemory`].
    pub(super) fn mend<S: PageRead>(
        &mut self,
        storage: &mut S,
        census: &Census,
        owner: SlotId,
        level: u8,
        list: &[SlotId],
        gone: &mut Vec<SlotId>,
        added: &mut Vec<SlotId>,
    ) -> Result<(), IndexError> {
        self.split(storage, census, owner, list, gone)?;
        let room = self.index.layout.max_neighbours(level).saturating_sub(self.kept);
        if self.follow.is_empty() || room == 0 {
            return Ok(());
        }
        self.collect(storage, census, level)?;
        if self.ids.len() > self.kept.saturating_add(1) {
            self.choose(storage, level, room, added)?;
        }
        Ok(())
    }

    /// Splits a list into what it keeps and the dead ones to follow.
    fn split<S: PageRead>(
        &mut self,
        storage: &mut S,
        census: &Census,
        owner: SlotId,
        list: &[SlotId],
        gone: &mut Vec<SlotId>,
    ) -> Result<(), IndexError> {
        self.seen.reset(self.id_bound)?;
        self.follow.clear();
        self.ids.clear();
        let places = list.len().saturating_add(MAX_CANDIDATES).saturating_add(1);
        reserve(&mut self.ids, places, "neighbours of a repair")?;
        reserve(
            &mut self.follow,
            list.len().saturating_add(MAX_FOLLOWED),
            "neighbours of a repair",
        )?;
        self.seen.reserve(places.saturating_add(MAX_FOLLOWED))?;
        self.ids.push(owner);
        self.see(owner);
        for id in list {
            let live = match census.standing(self.index, *id) {
                Standing::Live => true,
                Standing::Gone => false,
                Standing::Unknown => is_live(self.index, storage, &mut self.graph, *id)?,
            };
            if !self.see(*id) {
                continue;
            }
            if live {
                self.ids.push(*id);
            } else if census.dead.contains(*id) {
                self.follow.push(*id);
            } else {
                reserve(gone, 1, "links that lead nowhere")?;
                gone.push(*id);
            }
        }
        self.kept = self.ids.len().saturating_sub(1);
        Ok(())
    }

    /// Marks an id; true if it is new and can be an element.
    fn see(&mut self, id: SlotId) -> bool {
        id.0 >= self.id_bound || self.seen.insert(id)
    }

    /// Collects the live neighbours of the lost ones. Each of them contributes about as many as the others.
    fn collect<S: PageRead>(
        &mut self,
        storage: &mut S,
        census: &Census,
        level: u8,
    ) -> Result<(), IndexError> {
        let share = (MAX_CANDIDATES / self.follow.len().max(1)).max(4);
        let mut next = 0;
        while let Some(dead) = self.follow.get(next).copied() {
            next += 1;
            PagedGraph::<S, OwnCode>::new(self.index, storage, &mut self.graph, self.id_bound).neighbours(
                dead,
                level,
                &mut self.list,
            )?;
            let mut taken = 0;
            self.seen.reserve(self.list.len())?;
            for id in &self.list {
                let full = self.ids.len() > self.kept + MAX_CANDIDATES;
                if full || taken == share {
                    break;
                }
                if !self.seen.insert(*id) {
                    continue;
                }
                match census.standing(self.index, *id) {
                    Standing::Live | Standing::Unknown => {
                        self.ids.push(*id);
                        taken += 1;
                    }
                    Standing::Gone if census.dead.contains(*id) && self.follow.len() < MAX_FOLLOWED => {
                        self.follow.push(*id);
                    }
                    Standing::Gone => {}
                }
            }
        }
        Ok(())
    }

    /// Chooses at most `room` of the candidates, diverse ones first.
    fn choose<S: PageRead>(
        &mut self,
        storage: &mut S,
        level: u8,
        room: usize,
        added: &mut Vec<SlotId>,
    ) -> Result<(), IndexError> {
        let heads = self.heads.peek_heads(storage, &self.index.layout, &self.ids)?;
        let mut codes: Vec<Option<CodeRef<'_>>> = Vec::new();
        reserve(&mut codes, self.ids.len(), "codes of a repair")?;
        let usable = |head: &SlotHead<'_>| head.state == SlotState::Live && head.level >= level;
        codes.extend(heads.map(|head| head.filter(usable).map(|head| code_of(&head))));
        let key =
            |a: usize, b: usize| match (codes.get(a).copied().flatten(), codes.get(b).copied().flatten()) {
                (Some(a), Some(b)) => self.index.quantizer.between(a, b),
                _ => f32::INFINITY,
            };
        // The members of a list in here are positions in `ids`.
        let place = |at: usize| Candidate {
            key: key(0, at),
            id: SlotId(u32::try_from(at).unwrap_or(u32::MAX)),
        };
        let mut chosen: Vec<Candidate> = (1..=self.kept).map(place).collect();
        chosen.sort_unstable_by(|a, b| a.key.total_cmp(&b.key));
        let mut candidates: Vec<Candidate> = (self.kept + 1..self.ids.len())
            .map(place)
            .filter(|candidate| candidate.key < f32::INFINITY)
            .collect();
        candidates.sort_unstable_by(|a, b| a.key.total_cmp(&b.key));
        let full = chosen.len() + room;
        let mut others = Vec::new();
        let first = chosen.len();
        for candidate in candidates {
            if chosen.len() >= full {
                break;
            }
            // As in `Selector::select`: a twin shadows its twins only.
            let shadowed = chosen.iter().any(|kept| {
                let between = key(candidate.id.0 as usize, kept.id.0 as usize);
                between < candidate.key || (between == candidate.key && candidate.key == kept.key)
            });
            if shadowed {
                others.push(candidate)
            } else {
                chosen.push(candidate)
            }
        }
        let filling = others.into_iter().take(full.saturating_sub(chosen.len()));
        let new = chosen.iter().skip(first).copied().chain(filling);
        reserve(added, room, "neighbours of a repair")?;
        added.extend(new.filter_map(|candidate| self.ids.get(candidate.id.0 as usize).copied()));
        Ok(())
    }
}

/// Whether an element is in the graph now.
pub(super) fn is_live<S: PageRead>(
    index: &Index,
    storage: &mut S,
    scratch: &mut PagedScratch,
    id: SlotId,
) -> Result<bool, IndexError> {
    let head = scratch
        .peek_heads(storage, &index.layout, &[id])?
        .next()
        .flatten();
    Ok(head.is_some_and(|head| head.state == SlotState::Live))
}
