//! What does not change while an index exists.

use super::level::level_of;
use crate::index::key::KeyKinds;
use crate::index::page::{EntrySet, Layout, Meta, center_blocks, center_range, read_center};
use crate::index::project::Projection;
use crate::index::quantize::{CodeBits, Quantizer, Rankable};
use crate::index::storage::PageRead;
use crate::index::value::Value;
use crate::index::{ElementKind, HeapTid, IndexError, Metric};

/// What a new index is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexOptions {
    /// What the index orders by.
    pub metric: Metric,
    /// The type of the column.
    pub element: ElementKind,
    /// Bits of a code per dimension.
    pub bits: CodeBits,
    /// Dimensions of the vectors.
    pub dims: u32,
    /// Neighbours of a list above level 0; twice as many at level 0.
    pub m: u16,
    /// Candidates of an insertion.
    pub ef_construction: u16,
    /// The seed of the rotation and of the levels.
    pub seed: u64,
    /// Random, another one for each build.
    pub build_id: u64,
    /// The key columns.
    pub keys: KeyKinds,
}

/// The parameters of an index with its quantiser; shared by all that work on it.
#[derive(Debug)]
pub struct Index {
    /// Where things are on the pages.
    pub layout: Layout,
    /// How vectors become codes.
    pub quantizer: Quantizer,
    /// What the index orders by.
    pub metric: Metric,
    /// The type of the column.
    pub element: ElementKind,
    /// Dimensions of the vectors; codes of sparse ones may have fewer.
    pub dims: u32,
    /// Neighbours of a list above level 0; twice as many at level 0.
    pub m: u16,
    /// Candidates of an insertion.
    pub ef_construction: u16,
    /// The seed of the rotation, of the levels and of the projection.
    pub seed: u64,
    /// Another one after each build.
    pub build_id: u64,
    /// The key columns.
    pub keys: KeyKinds,
    /// The centre of the vectors in the quantiser's space; empty: zero.
    center: Vec<f32>,
    /// Of sparse vectors of many dimensions.
    projection: Option<Projection>,
}

impl Index {
    /// The parameters of a new index. `center` is that of the quantiser, or empty.
    ///
    /// # Errors
    /// [`IndexError::Limit`] for a vector too long for a page and for other values out of range, [`IndexError::OutOfMemory`].
    pub fn new(options: &IndexOptions, center: Vec<f32>) -> Result<Self, IndexError> {
        let IndexOptions {
            metric,
            element,
            bits,
            dims,
            m,
            ef_construction,
            seed,
            build_id,
            keys,
        } = *options;
        let projection = match element {
            ElementKind::Sparsevec => Projection::new(dims, seed),
            ElementKind::Vector | ElementKind::Halfvec | ElementKind::Bit => None,
        };
        let coded_dims = element.coded_dims(dims) as usize;
        let mut quantizer = Quantizer::new(metric, coded_dims, bits, seed, &center)?;
        if projection.is_some() {
            quantizer = quantizer.of_projected();
        }
        let layout = Layout::new(quantizer.code_bytes(), m, keys.key_bytes())?;
        Ok(Index {
            layout,
            quantizer,
            metric,
            element,
            dims,
            m,
            ef_construction,
            seed,
            build_id,
            keys,
            center,
            projection,
        })
    }

    /// Reads the parameters of an index and its entries.
    ///
    /// # Errors
    /// [`IndexError::Version`] for another format, [`IndexError::Corrupt`], and those of the storage.
    pub fn open(storage: &mut impl PageRead) -> Result<(Self, EntrySet), IndexError> {
        let meta = storage.read(0, Meta::parse)?.map_err(|error| error.at(0))?;
        let coded_dims = meta.element.coded_dims(meta.dims);
        let mut center = Vec::new();
        if meta.center_blocks > 0 {
            // At most MAX_BITS, which `parse` has checked, as it has that the number of blocks fits.
            super::queue::reserve(&mut center, coded_dims as usize, "centre of the vectors")?;
            center.resize(coded_dims as usize, 0.0);
        }
        for page in 0..meta.center_blocks {
            let part = center.get_mut(center_range(coded_dims, page)).unwrap_or_default();
            storage
                .read(page + 1, |bytes| read_center(bytes, part))?
                .map_err(|error| error.at(page + 1))?;
        }
        let corrupt = |what| IndexError::Corrupt { block: 0, what };
        let options = IndexOptions {
            metric: meta.metric,
            element: meta.element,
            bits: CodeBits::from_u8(meta.bits).ok_or(corrupt("unknown number of bits"))?,
            dims: meta.dims,
            m: meta.m,
            ef_construction: meta.ef_construction,
            seed: meta.seed,
            build_id: meta.build_id,
            keys: meta.keys,
        };
        let index = Index::new(&options, center).map_err(|error| match error {
            IndexError::Limit { .. } => corrupt("the meta page names a size that cannot be"),
            other => other,
        })?;
        Ok((index, meta.entries))
    }

    /// Writes a value to `out`, which has the dimensions of the quantiser, as it is coded: projected, normalised under cosine, rotated.
    pub fn transform(&self, value: &(impl Value + ?Sized), out: &mut [f32]) -> Rankable {
        value.widen(self.projection, out);
        self.quantizer.transform_in_place(out)
    }

    /// Dimensions of the codes.
    #[must_use]
    pub fn coded_dims(&self) -> u32 {
        self.element.coded_dims(self.dims)
    }

    /// The level of the element of a row.
    #[must_use]
    pub fn level(&self, tid: HeapTid) -> u8 {
        level_of(self.seed, tid, self.m)
    }

    /// Whether insertions see to it that every element is reachable. Under the inner product short vectors are nobody's neighbours; to keep
    /// them in the lists of long ones, which are the neighbours of all, costs the room that better links need: two points of recall with
    /// vectors of 3 dimensions. They come last in any order, where a scan sweeps.
    pub(super) fn keeps_reachable(&self) -> bool {
        self.metric != Metric::InnerProduct
    }

    /// How many neighbours an element is given at each level when an index is built: m above level 0, half as many again there. Later
    /// elements add to its lists, so that they fill; to give it the 2m of level 0 at once costs more and finds no more per distance of a
    /// search. docs/design/hnsw.md has the numbers, and those of [`Index::build_candidates`].
    #[must_use]
    pub fn new_neighbours(&self, level: u8) -> usize {
        let m = usize::from(self.m);
        let more = if self.is_frugal() { m / 4 } else { m / 2 };
        let wanted = if level == 0 { m.saturating_add(more) } else { m };
        self.layout.max_neighbours(level).min(wanted)
    }

    /// How many candidates a build keeps for each element: twice as many as an insertion. It has the time, since it computes between
    /// codes and on all threads.
    #[must_use]
    pub fn build_candidates(&self) -> usize {
        let ef = usize::from(self.ef_construction);
        ef.saturating_add(if self.is_frugal() { ef / 2 } else { ef })
    }

    /// Whether a build gives half as much more of both. Under the inner product the nearest of many are the same few long vectors, and with
    /// as many more as otherwise groups of identical vectors find less of each other: of 80 at each of 125 points, searches found the
    /// 20 nearest by 0.89 instead of 0.97 or more.
    fn is_frugal(&self) -> bool {
        self.metric == Metric::InnerProduct
    }

    /// The pages that hold the centre, from block 1.
    #[must_use]
    pub fn center_blocks(&self) -> u32 {
        if self.center.is_empty() {
            0
        } else {
            center_blocks(self.coded_dims())
        }
    }

    /// The centre of the vectors in the quantiser's space; empty: zero.
    #[must_use]
    pub fn center(&self) -> &[f32] {
        &self.center
    }

    /// The first block of elements.
    #[must_use]
    pub fn first_node_block(&self) -> u32 {
        self.center_blocks() + 1
    }

    /// The content of the meta page.
    #[must_use]
    pub fn meta(&self, entries: EntrySet) -> Meta {
        Meta {
            metric: self.metric,
            element: self.element,
            bits: self.quantizer.bits().to_u8(),
            dims: self.dims,
            m: self.m,
            ef_construction: self.ef_construction,
            keys: self.keys,
            seed: self.seed,
            build_id: self.build_id,
            center_blocks: self.center_blocks(),
            entries,
        }
    }
}
