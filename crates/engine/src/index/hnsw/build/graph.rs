//! The elements of a build as a graph: to link them, and to search what is built while it is still in memory, as tests and
//! measurements do.

use super::Built;
use super::elements::Elements;
use super::team::Stop;
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::hnsw::walk::{Beam, Graph, descend};
use crate::index::page::Entry;
use crate::index::quantize::Query;
use crate::index::{HeapTid, IndexError, SlotId};

static NEVER: Stop = Stop::new();

/// Elements as a walk sees them, numbered from 0 as they were pushed.
#[derive(Debug)]
pub(super) struct ElementGraph<'a> {
    pub(super) elements: &'a Elements,
    pub(super) stop: &'a Stop,
}

impl Graph for ElementGraph<'_> {
    type Query = Query;

    fn id_bound(&self) -> u32 {
        self.elements.count()
    }

    #[inline]
    fn neighbours(&mut self, id: SlotId, level: u8, out: &mut Vec<SlotId>) -> Result<(), IndexError> {
        out.clear();
        if let Some((lists, list)) = self.elements.list(id, level) {
            reserve(out, lists.degree(), "neighbours of a search")?;
            out.extend(lists.iter(list));
        }
        Ok(())
    }

    #[inline]
    fn estimate(&mut self, query: &Query, ids: &[SlotId], out: &mut Vec<f32>) -> Result<(), IndexError> {
        out.clear();
        reserve(out, ids.len(), "estimates of a search")?;
        // The codes lie anywhere in memory; all are asked for before the first is used.
        ids.iter().for_each(|id| self.elements.prefetch_code(*id));
        out.extend(ids.iter().map(|id| query.estimate(self.elements.code(*id))));
        Ok(())
    }

    #[inline]
    fn will_expand(&mut self, id: SlotId, level: u8) {
        self.elements.prefetch_list(id, level);
    }

    fn check(&mut self) -> Result<(), IndexError> {
        self.stop.check()
    }
}

impl<'a> Built<'a> {
    /// The graph, to be searched in memory.
    pub fn graph(&'a self) -> impl Graph<Query = Query> + 'a {
        ElementGraph {
            elements: &self.elements,
            stop: &NEVER,
        }
    }

    /// Where searches begin.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The row of an element.
    #[must_use]
    pub fn tid(&self, id: SlotId) -> HeapTid {
        self.elements.row(id).tid
    }

    /// The `ef` elements that a search finds, ascending by their estimated keys. They stay in the beam.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn search<'b>(
        &self,
        query: &Query,
        ef: usize,
        beam: &'b mut Beam,
    ) -> Result<impl ExactSizeIterator<Item = Candidate> + 'b, IndexError> {
        let mut graph = ElementGraph {
            elements: &self.elements,
            stop: &NEVER,
        };
        descend(beam, &mut graph, query, &self.entries, 0, ef)?;
        beam.run(&mut graph, query, 0)?;
        Ok(beam.found())
    }
}
