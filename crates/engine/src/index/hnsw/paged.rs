//! The graph as it stands on pages, for a walk.
//!
//! All that a walk reads is peeked: it may be torn or out of date, and steers only. Whatever the bytes are, nothing here panics,
//! gives an id that is not below the bound, or grows memory beyond the length of a list. An element that is not in the graph
//! (free, unranked, an unknown state) is infinitely far; a dead one is still a way to others.

#![deny(clippy::indexing_slicing)]

use crate::index::page::{
    ENTRIES_BYTES, ENTRIES_PLACE, ENTRY_COUNT, Entry, EntrySet, FACTORS_BYTES, Layout, NeighbourList,
    SlotHead, SlotState, UpperRecord, parse_neighbours,
};
use crate::index::quantize::{CodeRef, Factors, Quantizer, Query};
use crate::index::storage::{PageRead, Place};
use crate::index::{IndexError, SlotId};

use super::Index;
use super::queue::reserve;
use super::walk::Graph;

/// What keys are measured from.
pub trait Origin {
    /// The key between this and a code; anything but a panic for a code of garbage.
    fn key(&self, quantizer: &Quantizer, code: CodeRef<'_>) -> f32;
}

impl Origin for Query {
    #[inline]
    fn key(&self, _quantizer: &Quantizer, code: CodeRef<'_>) -> f32 {
        self.estimate(code)
    }
}

/// An element of the index as what keys are measured from.
#[derive(Debug, Clone)]
pub struct OwnCode {
    /// Its factors.
    pub factors: Factors,
    /// Its code.
    pub code: Vec<u8>,
}

impl Origin for OwnCode {
    fn key(&self, quantizer: &Quantizer, code: CodeRef<'_>) -> f32 {
        let own = CodeRef {
            factors: self.factors,
            code: &self.code,
        };
        quantizer.between(own, code)
    }
}

/// Memory of a [`PagedGraph`] that outlives it.
#[derive(Debug, Default)]
pub struct PagedScratch {
    places: Vec<Place>,
    bytes: Vec<u8>,
    /// How much of `bytes` the last peek gave.
    peeked: usize,
}

impl PagedScratch {
    /// Peeks `length` bytes of each place; the result holds them one after the other.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`], and those of the storage.
    #[inline]
    pub fn peek<S: PageRead>(
        &mut self,
        storage: &mut S,
        places: impl ExactSizeIterator<Item = Place>,
        length: usize,
    ) -> Result<&[u8], IndexError> {
        self.places.clear();
        reserve(&mut self.places, places.len(), "places of a search")?;
        self.places.extend(places);
        let total = self.places.len().saturating_mul(length);
        if self.bytes.len() < total {
            let additional = total.saturating_sub(self.bytes.len());
            reserve(&mut self.bytes, additional, "codes of a search")?;
            self.bytes.resize(total, 0);
        }
        let out = self.bytes.get_mut(..total).unwrap_or_default();
        self.peeked = 0;
        storage.peek(&self.places, length, out)?;
        self.peeked = total;
        Ok(out)
    }

    /// What the last peek gave, again.
    #[inline]
    #[must_use]
    pub fn peeked(&self) -> &[u8] {
        self.bytes.get(..self.peeked).unwrap_or_default()
    }

    /// Peeks the fronts of the elements, [`Layout::head_bytes`] each.
    ///
    /// # Errors
    /// As [`PagedScratch::peek`].
    #[inline]
    pub fn peek_heads<'s, S: PageRead>(
        &'s mut self,
        storage: &mut S,
        layout: &'s Layout,
        ids: &[SlotId],
    ) -> Result<impl ExactSizeIterator<Item = Option<SlotHead<'s>>> + use<'s, S>, IndexError> {
        let places = ids.iter().map(|id| layout.head_place(*id));
        let length = layout.head_bytes();
        let bytes = self.peek(storage, places, length)?;
        // A head is at least 32 bytes long, see `page`.
        Ok(bytes
            .chunks_exact(length.max(1))
            .map(move |head| SlotHead::parse(head, layout)))
    }

    /// What the scratch occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>() + self.bytes.capacity()
    }
}

/// The factors and the code of a head.
#[inline]
#[must_use]
pub fn code_of<'a>(head: &SlotHead<'a>) -> CodeRef<'a> {
    let factors: &[u8; FACTORS_BYTES] = head.factors;
    CodeRef {
        factors: Factors::from_bytes(factors),
        code: head.code,
    }
}

/// The graph on the pages of a storage, seen from a [`Query`] or from another [`Origin`].
#[derive(Debug)]
pub struct PagedGraph<'a, S, O = Query> {
    index: &'a Index,
    storage: &'a mut S,
    scratch: &'a mut PagedScratch,
    id_bound: u32,
    origin: std::marker::PhantomData<fn(&O)>,
}

impl<'a, S: PageRead, O: Origin> PagedGraph<'a, S, O> {
    /// The graph of the elements whose ids are below `id_bound`, see [`Layout::id_bound`].
    pub fn new(index: &'a Index, storage: &'a mut S, scratch: &'a mut PagedScratch, id_bound: u32) -> Self {
        Self {
            index,
            storage,
            scratch,
            id_bound,
            origin: std::marker::PhantomData,
        }
    }

    /// The list of an element above level 0.
    fn upper_neighbours(&mut self, id: SlotId, level: u8, out: &mut Vec<SlotId>) -> Result<(), IndexError> {
        let layout = &self.index.layout;
        let head = self
            .scratch
            .peek_heads(self.storage, layout, &[id])?
            .next()
            .flatten();
        let Some(record) = head
            .filter(|head| in_graph(head.state) && head.level >= level)
            .and_then(|head| layout.upper_at(head.upper, level))
        else {
            return Ok(());
        };
        let place = std::iter::once(layout.upper_place(record));
        let bytes = self.scratch.peek(self.storage, place, layout.upper_bytes())?;
        // Another owner has the record if the element was freed in between.
        if let Some(list) = UpperRecord::parse(bytes, layout)
            .filter(|record| record.used && record.owner == id && record.level == level)
            .map(|record| record.neighbours)
        {
            take_neighbours(list, self.id_bound, out)?;
        }
        Ok(())
    }
}

/// The entries of the index as they are now.
///
/// # Errors
/// Those of the storage.
pub fn peek_entries<S: PageRead>(storage: &mut S) -> Result<EntrySet, IndexError> {
    let mut bytes = [0; ENTRIES_BYTES];
    storage.peek(&[ENTRIES_PLACE], ENTRIES_BYTES, &mut bytes)?;
    Ok(EntrySet::parse(&bytes))
}

/// The entries of a set in one piece, as [`super::walk::descend`] takes them.
#[derive(Debug)]
pub struct EntryList {
    entries: [Entry; ENTRY_COUNT],
    count: usize,
}

impl EntryList {
    /// The entries of the set.
    #[must_use]
    pub fn new(set: &EntrySet) -> Self {
        let none = Entry {
            id: SlotId::NONE,
            level: 0,
        };
        let mut list = Self {
            entries: [none; ENTRY_COUNT],
            count: 0,
        };
        for (place, entry) in list.entries.iter_mut().zip(set.iter()) {
            *place = entry;
            list.count += 1;
        }
        list
    }

    /// The entries.
    #[must_use]
    pub fn as_slice(&self) -> &[Entry] {
        self.entries.get(..self.count).unwrap_or_default()
    }
}

/// Whether a walk can go through an element of this state.
#[inline]
#[must_use]
pub fn in_graph(state: SlotState) -> bool {
    matches!(state, SlotState::Live | SlotState::Dead)
}

/// The usable ids of a peeked list.
#[inline]
fn take_neighbours(list: NeighbourList<'_>, id_bound: u32, out: &mut Vec<SlotId>) -> Result<(), IndexError> {
    let bytes = list.as_bytes();
    reserve(out, bytes.len() / size_of::<SlotId>(), "neighbours of a search")?;
    parse_neighbours(bytes, id_bound, out);
    Ok(())
}

impl<S: PageRead, O: Origin> Graph for PagedGraph<'_, S, O> {
    type Query = O;

    fn id_bound(&self) -> u32 {
        self.id_bound
    }

    fn neighbours(&mut self, id: SlotId, level: u8, out: &mut Vec<SlotId>) -> Result<(), IndexError> {
        out.clear();
        if level > 0 {
            return self.upper_neighbours(id, level, out);
        }
        let layout = &self.index.layout;
        let length = layout.neighbours_bytes(0);
        let place = std::iter::once(layout.neighbours_place(id));
        let bytes = self.scratch.peek(self.storage, place, length)?;
        reserve(out, bytes.len() / size_of::<SlotId>(), "neighbours of a search")?;
        parse_neighbours(bytes, self.id_bound, out);
        Ok(())
    }

    fn estimate(&mut self, query: &O, ids: &[SlotId], out: &mut Vec<f32>) -> Result<(), IndexError> {
        out.clear();
        reserve(out, ids.len(), "keys of a search")?;
        let heads = self.scratch.peek_heads(self.storage, &self.index.layout, ids)?;
        out.extend(heads.map(|head| match head {
            Some(head) if in_graph(head.state) => query.key(&self.index.quantizer, code_of(&head)),
            _ => f32::INFINITY,
        }));
        Ok(())
    }

    fn check(&mut self) -> Result<(), IndexError> {
        self.storage.check_interrupts()
    }
}
