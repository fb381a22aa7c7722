//! Searching a built graph while it is still in memory: what tests and measurements of a build do.

use super::Built;
use crate::index::hnsw::queue::{Candidate, reserve};
use crate::index::hnsw::walk::{Beam, Graph, descend};
use crate::index::page::Entry;
use crate::index::quantize::Query;
use crate::index::{HeapTid, IndexError, SlotId};

/// A built graph as a walk sees it. Elements are numbered from 0 as they were pushed.
#[derive(Debug)]
pub struct BuiltGraph<'a> {
    built: &'a Built<'a>,
}

impl Graph for BuiltGraph<'_> {
    type Query = Query;

    fn id_bound(&self) -> u32 {
        self.built.elements.count()
    }

    fn neighbours(&mut self, id: SlotId, level: u8, out: &mut Vec<SlotId>) -> Result<(), IndexError> {
        out.clear();
        if let Some((lists, list)) = self.built.elements.list(id, level) {
            reserve(out, lists.degree(), "neighbours of a search")?;
            out.extend(lists.iter(list));
        }
        Ok(())
    }

    fn estimate(&mut self, query: &Query, ids: &[SlotId], out: &mut Vec<f32>) -> Result<(), IndexError> {
        out.clear();
        reserve(out, ids.len(), "estimates of a search")?;
        ids.iter().for_each(|id| self.built.elements.prefetch_code(*id));
        out.extend(ids.iter().map(|id| query.estimate(self.built.elements.code(*id))));
        Ok(())
    }

    fn will_expand(&mut self, id: SlotId, level: u8) {
        self.built.elements.prefetch_list(id, level);
    }
}

impl<'a> Built<'a> {
    /// The graph, to be searched in memory.
    #[must_use]
    pub fn graph(&'a self) -> BuiltGraph<'a> {
        BuiltGraph { built: self }
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
        let mut graph = BuiltGraph { built: self };
        descend(beam, &mut graph, query, &self.entries, 0, ef)?;
        beam.run(&mut graph, query, 0)?;
        Ok(beam.found())
    }
}
