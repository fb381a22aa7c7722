//! From the lists of a shard to those on the pages.

use super::levels_of;
use crate::index::hnsw::Index;
use crate::index::hnsw::build::Built;
use crate::index::hnsw::paged::{OwnCode, PagedGraph, PagedScratch, code_of};
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::hnsw::select::Selector;
use crate::index::hnsw::walk::Graph;
use crate::index::page::{NodePageMut, PageError, UpperPageMut};
use crate::index::quantize::CodeRef;
use crate::index::storage::{Change, PageWrite};
use crate::index::{IndexError, SlotId};

const WHAT: &str = "neighbours of an index build";

/// Merges lists; keeps its memory from one to the next.
#[derive(Debug)]
pub(super) struct Merger<'a> {
    index: &'a Index,
    graph: PagedScratch,
    heads: PagedScratch,
    selector: Selector,
    /// The list that becomes that of an element.
    list: Vec<SlotId>,
    /// The owner, then the list.
    ids: Vec<SlotId>,
    candidates: Vec<Candidate>,
}

impl<'a> Merger<'a> {
    pub(super) fn new(index: &'a Index) -> Self {
        Merger {
            index,
            graph: PagedScratch::default(),
            heads: PagedScratch::default(),
            selector: Selector::default(),
            list: Vec::new(),
            ids: Vec::new(),
            candidates: Vec::new(),
        }
    }

    /// Merges the lists of a shard that was built of elements with these ids; its level 0 is `level` of the index.
    pub(super) fn merge<S: PageWrite>(
        &mut self,
        storage: &mut S,
        built: &Built<'_>,
        ids: &[SlotId],
        level: u8,
        all_levels: bool,
    ) -> Result<(), IndexError> {
        let id_bound = self.index.layout.id_bound(storage.blocks()?)?;
        for (local, id) in (0..).map(SlotId).zip(ids) {
            storage.check_interrupts()?;
            for own in levels_of(built, local, all_levels) {
                let target = level + own;
                PagedGraph::<S, OwnCode>::new(self.index, storage, &mut self.graph, id_bound).neighbours(
                    *id,
                    target,
                    &mut self.list,
                )?;
                let (lists, number) = match built.elements.list(local, own) {
                    Some(found) => found,
                    None => continue,
                };
                reserve(&mut self.list, lists.degree(), WHAT)?;
                for neighbour in lists.iter(number) {
                    match ids.get(neighbour.0 as usize) {
                        Some(other) if !self.list.contains(other) => self.list.push(*other),
                        _ => {}
                    }
                }
                self.shorten(storage, *id, target)?;
                self.write(storage, *id, target)?;
            }
        }
        Ok(())
    }

    /// Selects as many of the list as a list of the level has room for.
    fn shorten<S: PageWrite>(&mut self, storage: &mut S, id: SlotId, level: u8) -> Result<(), IndexError> {
        let limit = self.index.layout.max_neighbours(level);
        if self.list.len() <= limit {
            return Ok(());
        }
        self.ids.clear();
        reserve(&mut self.ids, self.list.len() + 1, WHAT)?;
        self.ids.push(id);
        self.ids.extend_from_slice(&self.list);
        let heads = self.heads.peek_heads(storage, &self.index.layout, &self.ids)?;
        let mut codes: Vec<Option<CodeRef<'_>>> = Vec::new();
        reserve(&mut codes, self.ids.len(), WHAT)?;
        codes.extend(heads.map(|head| head.map(|head| code_of(&head))));
        let quantizer = &self.index.quantizer;
        let code = |at: SlotId| codes.get(at.0 as usize).copied().flatten();
        let key = |a: SlotId, b: SlotId| match (code(a), code(b)) {
            (Some(a), Some(b)) => quantizer.between(a, b),
            _ => f32::INFINITY,
        };
        let fill_key = |candidate: &Candidate| {
            code(candidate.id).map_or(f32::INFINITY, |code| quantizer.fill_key(candidate.key, code))
        };
        // The candidates are places in `ids`.
        self.candidates.clear();
        reserve(&mut self.candidates, self.list.len(), WHAT)?;
        let places = (1..).map(SlotId).take(self.list.len());
        self.candidates.extend(places.map(|id| Candidate {
            key: key(SlotId(0), id),
            id,
        }));
        self.candidates
            .sort_unstable_by(|a, b| a.key.total_cmp(&b.key).then(a.id.cmp(&b.id)));
        // The owner's complement: another order among equals for each owner, and no place.
        let chosen = self.selector.select_by(
            SlotId(!id.0),
            self.candidates.iter().copied(),
            limit,
            limit,
            key,
            fill_key,
        );
        self.list.clear();
        self.list.extend(
            chosen
                .iter()
                .filter_map(|candidate| self.ids.get(candidate.id.0 as usize)),
        );
        Ok(())
    }

    /// Writes the list of an element.
    fn write<S: PageWrite>(&mut self, storage: &mut S, id: SlotId, level: u8) -> Result<(), IndexError> {
        let layout = &self.index.layout;
        let list = &self.list;
        let made = |result: Result<(), PageError>| match result {
            Ok(()) => (Change::Made, Ok(())),
            Err(error) => (Change::None, Err(error)),
        };
        if level == 0 {
            let (block, slot) = layout.slot(id);
            let written = storage.update(block, |bytes| {
                made(NodePageMut::open(bytes, layout).and_then(|mut page| page.set_neighbours(slot, list)))
            })?;
            return written.map_err(|error| error.at(block));
        }
        let head = self.heads.peek_heads(storage, layout, &[id])?.next().flatten();
        let Some(record) = head.and_then(|head| layout.upper_at(head.upper, level)) else {
            return Ok(());
        };
        let (block, number) = layout.upper(record);
        let written = storage.update(block, |bytes| {
            made(UpperPageMut::open(bytes, layout).and_then(|mut page| page.set_neighbours(number, list)))
        })?;
        written.map_err(|error| error.at(block))
    }
}
