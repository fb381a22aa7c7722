//! Codes of a set of elements, copied by one peek, and the selection of neighbours among them.
//!
//! Selection works on positions in the set: what it compares are copies, whatever becomes of the elements meanwhile.

use crate::index::hnsw::Index;
use crate::index::hnsw::paged::{PagedScratch, code_of, in_graph};
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::hnsw::select::Selector;
use crate::index::page::{FACTORS_BYTES, Layout, SlotHead};
use crate::index::quantize::{CodeRef, Factors, Quantizer};
use crate::index::storage::PageRead;
use crate::index::{IndexError, SlotId};

/// Added to an id where positions stand for ids, so that it equals none of them.
const OWNER: u32 = 1 << 31;

/// A set of elements by position.
#[derive(Debug, Default)]
pub(super) struct Codes {
    ids: Vec<SlotId>,
    scratch: PagedScratch,
    factors: Vec<Factors>,
    length: usize,
    ranked: Vec<Candidate>,
    selector: Selector,
}

impl Codes {
    /// Copies the fronts of these elements.
    pub fn load<S: PageRead>(
        &mut self,
        layout: &Layout,
        storage: &mut S,
        ids: impl Iterator<Item = SlotId>,
    ) -> Result<(), IndexError> {
        self.ids.clear();
        self.ranked.clear();
        for id in ids {
            reserve(&mut self.ids, 1, "neighbour selection")?;
            self.ids.push(id);
        }
        self.length = layout.head_bytes();
        self.factors.clear();
        reserve(&mut self.factors, self.ids.len(), "neighbour selection")?;
        reserve(&mut self.ranked, self.ids.len(), "neighbour selection")?;
        self.selector.reserve(self.ids.len())?;
        let heads = self.scratch.peek_heads(storage, layout, &self.ids)?;
        self.factors.extend(heads.map(|head| {
            let factors: &[u8; FACTORS_BYTES] = head.map_or(&[0; FACTORS_BYTES], |head| head.factors);
            Factors::from_bytes(factors)
        }));
        Ok(())
    }

    /// The front of the element at a position.
    pub fn head(&self, at: usize, layout: &Layout) -> Option<SlotHead<'_>> {
        head_at(self.scratch.peeked(), at, self.length, layout)
    }

    /// Makes the element at a position a candidate of the next selection, at this distance from the owner.
    pub fn rank(&mut self, at: usize, key: f32) {
        if let Ok(at) = u32::try_from(at)
            && at < OWNER
            && key < f32::INFINITY
        {
            self.ranked.push(Candidate { key, id: SlotId(at) });
        }
    }

    /// Ranks the first `members` elements and the new one after them, by their keys to the one after that, the owner of their list.
    /// The code of the new one is given: what was peeked of it may be older than the element. Members that are not in the graph,
    /// or not at this level, drop out.
    pub fn rank_for_owner(&mut self, index: &Index, members: usize, new: CodeRef<'_>, level: u8) {
        let layout = &index.layout;
        let head = |at: usize| head_at(self.scratch.peeked(), at, self.length, layout);
        let Some(owner) = head(members.saturating_add(1)) else {
            return;
        };
        let owner = code_of(&owner);
        for at in 0..members {
            let member = head(at).filter(|head| in_graph(head.state) && head.level >= level);
            if let (Some(head), Ok(position)) = (member, u32::try_from(at)) {
                let key = index.quantizer.between(owner, code_of(&head));
                self.ranked.push(Candidate {
                    key,
                    id: SlotId(position),
                });
            }
        }
        if let Ok(position) = u32::try_from(members) {
            let key = index.quantizer.between(owner, new);
            self.ranked.push(Candidate {
                key,
                id: SlotId(position),
            });
        }
        self.ranked.sort_unstable_by(|a, b| a.key.total_cmp(&b.key));
    }

    /// Appends at most `limit` of the ranked elements to `out`, see [`Selector::select`]. They were ranked in ascending order.
    pub fn select(
        &mut self,
        owner: SlotId,
        quantizer: &Quantizer,
        limit: usize,
        out: &mut Vec<SlotId>,
    ) -> Result<(), IndexError> {
        let (bytes, length, factors) = (self.scratch.peeked(), self.length, &self.factors);
        let code = |at: SlotId| {
            let at = at.0 as usize;
            let slot = bytes.get(at.checked_mul(length)?..)?;
            Some(CodeRef {
                factors: *factors.get(at)?,
                code: slot.get(crate::index::page::FRONT_BYTES..length)?,
            })
        };
        let between = |a, b| match (code(a), code(b)) {
            (Some(a), Some(b)) => quantizer.between(a, b),
            _ => f32::INFINITY,
        };
        let owner = SlotId(owner.0 | OWNER);
        let ranked = self.ranked.iter().copied();
        let fill_key = |candidate: &Candidate| match code(candidate.id) {
            Some(code) => quantizer.fill_key(candidate.key, code),
            None => f32::INFINITY,
        };
        let kept = self
            .selector
            .select_by(owner, ranked, limit, limit, between, fill_key);
        reserve(out, kept.len(), "neighbour selection")?;
        out.extend(
            kept.iter()
                .filter_map(|candidate| self.ids.get(candidate.id.0 as usize)),
        );
        Ok(())
    }

    /// How many of those that were selected last are diverse; they come first.
    pub fn diverse(&self) -> usize {
        self.selector.diverse()
    }

    /// The farthest of the ranked elements that is not among the selected ones.
    pub fn left_out(&self, selected: &[SlotId]) -> Option<SlotId> {
        let ranked = self.ranked.iter().rev();
        let mut ranked = ranked.filter_map(|candidate| self.ids.get(candidate.id.0 as usize));
        ranked.find(|id| !selected.contains(id)).copied()
    }
}

fn head_at<'b>(heads: &'b [u8], at: usize, length: usize, layout: &Layout) -> Option<SlotHead<'b>> {
    SlotHead::parse(heads.get(at.checked_mul(length)?..)?, layout)
}
