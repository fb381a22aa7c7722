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
use super::super::select::scatter_ties;
use super::super::visited::VisitedSet;
use super::super::walk::Graph;
use super::census::{Census, Standing};

/// The most candidates that are looked at for one list.
const MAX_CANDIDATES: usize = 640;
/// The most dead elements whose neighbours become candidates for one list.
const MAX_FOLLOWED: usize = 96;
/// Candidates for each lost neighbour. With half as many, lists that lost a fifth led searches 1 to 2 points of recall worse.
const CANDIDATES: usize = 32;
/// New neighbours for each lost one, as far as there is room. Candidates come from the lists of the lost ones, not from a search,
/// so one of them is worth less than one chosen by the build: with one for one, 2 000 vectors of 40 dimensions lost 2.6 points of
/// recall by the deletion of a fifth, with two for one nothing.
const GROWTH: usize = 2;

/// A list that lost neighbours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Torn<'a> {
    /// Whose list it is.
    pub owner: SlotId,
    /// Its level.
    pub level: u8,
    /// The list as it was read.
    pub list: &'a [SlotId],
}

/// What is to become of lists, one after the other.
#[derive(Debug, Default)]
pub(super) struct Mended {
    /// New neighbours.
    pub added: Vec<SlotId>,
    /// Neighbours that do not exist and are not in the set of the dead.
    pub gone: Vec<SlotId>,
}

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

    /// Appends to `mended` what may fill the places that the gone members of a list leave, and those gone ones that are not in
    /// the set of the dead.
    ///
    /// # Errors
    /// Those of the storage, [`IndexError::OutOfMemory`].
    pub(super) fn mend<S: PageRead>(
        &mut self,
        storage: &mut S,
        census: &Census,
        torn: Torn<'_>,
        mended: &mut Mended,
    ) -> Result<(), IndexError> {
        self.split(storage, census, torn, &mut mended.gone)?;
        let places = self.index.layout.max_neighbours(torn.level);
        // Growth leaves a quarter of the places to the back links of insertions.
        let growth = (places - places / 4).saturating_sub(self.kept);
        let lost = self.follow.len();
        let room = places
            .saturating_sub(self.kept)
            .min(lost.saturating_mul(GROWTH).min(growth).max(lost));
        if room == 0 {
            return Ok(());
        }
        self.collect(storage, census, torn.level)?;
        if self.ids.len() > self.kept.saturating_add(1) {
            self.choose(storage, torn.level, room, &mut mended.added)?;
        }
        Ok(())
    }

    /// Splits a list into what it keeps and the dead ones to follow.
    fn split<S: PageRead>(
        &mut self,
        storage: &mut S,
        census: &Census,
        Torn { owner, list, .. }: Torn<'_>,
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

    /// Collects the live neighbours of the lost ones.
    fn collect<S: PageRead>(
        &mut self,
        storage: &mut S,
        census: &Census,
        level: u8,
    ) -> Result<(), IndexError> {
        let lost = self.follow.len();
        let limit = lost.saturating_mul(CANDIDATES).min(MAX_CANDIDATES);
        let mut next = 0;
        while let Some(dead) = self.follow.get(next).copied() {
            if self.ids.len() > self.kept + limit {
                break;
            }
            next += 1;
            PagedGraph::<S, OwnCode>::new(self.index, storage, &mut self.graph, self.id_bound).neighbours(
                dead,
                level,
                &mut self.list,
            )?;
            let mut taken = 0;
            self.seen.reserve(self.list.len())?;
            for id in &self.list {
                if taken == CANDIDATES || self.ids.len() > self.kept + limit {
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
        let quantizer = &self.index.quantizer;
        let code = |at: usize| codes.get(at).copied().flatten();
        let key = |a: usize, b: usize| match (code(a), code(b)) {
            (Some(a), Some(b)) => quantizer.between(a, b),
            _ => f32::INFINITY,
        };
        // The members of a list in here are positions in `ids`.
        let place = |at: usize| Candidate {
            key: key(0, at),
            id: SlotId(u32::try_from(at).unwrap_or(u32::MAX)),
        };
        let mut chosen: Vec<Candidate> = (1..=self.kept).map(place).collect();
        let mut candidates: Vec<Candidate> = (self.kept + 1..self.ids.len())
            .map(place)
            .filter(|candidate| candidate.key < f32::INFINITY)
            .collect();
        for list in [&mut chosen, &mut candidates] {
            list.sort_unstable_by(|a, b| a.key.total_cmp(&b.key));
        }
        let (kept, full) = (chosen.len(), chosen.len() + room);
        let mut others = Vec::new();
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
        let fill_key = |candidate: &Candidate| match code(candidate.id.0 as usize) {
            Some(code) => quantizer.fill_key(candidate.key, code),
            None => f32::INFINITY,
        };
        others.sort_by(|a, b| fill_key(a).total_cmp(&fill_key(b)));
        scatter_ties(self.ids.first().copied().unwrap_or(SlotId::NONE), &mut others);
        let filling = others.into_iter().take(full.saturating_sub(chosen.len()));
        let new = chosen.iter().skip(kept).copied().chain(filling);
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
