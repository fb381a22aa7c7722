//! The lists of a new index, from a sample of its rows.

use crate::index::IndexError;
use crate::index::hnsw::build::Supervisor;
use crate::index::quantize::{CenterBuilder, SplitMix};
use crate::index::storage::MemoryStorage;

use super::super::directory::{Directory, Finder, UNRANKED, code_of_centroid};
use super::super::index::{Index, IndexOptions};
use super::super::kmeans::{KmeansOptions, Points, kmeans};
use super::super::page::{Entry, RoundedCentroid};

/// Rows of the sample for each list. More make hardly better lists, and clustering takes as much longer.
const SAMPLE_ROWS_PER_LIST: usize = 48;
/// The least number of rows of a sample.
const SAMPLE_ROWS_MIN: usize = 4096;
/// Rounds of Lloyd's algorithm at most.
const ROUNDS: usize = 6;

/// Rows that stand for all, within a limit: of those that it is shown, each is as likely to be in it (algorithm R of Vitter 1985).
#[derive(Debug)]
pub struct Sample {
    values: Vec<f32>,
    dims: usize,
    capacity: usize,
    seen: u64,
    random: SplitMix,
}

impl Sample {
    /// An empty sample of vectors of the dimensions of codes, of at most as many rows as these bytes hold.
    #[must_use]
    pub fn new(dims: usize, memory_bytes: usize, seed: u64) -> Self {
        Self {
            values: Vec::new(),
            dims,
            capacity: (memory_bytes / (dims.max(1) * size_of::<f32>())).max(1),
            seen: 0,
            random: SplitMix(seed),
        }
    }

    /// How many rows are wanted for so many lists.
    #[must_use]
    pub fn wanted(lists: u32) -> usize {
        (lists as usize)
            .saturating_mul(SAMPLE_ROWS_PER_LIST)
            .max(SAMPLE_ROWS_MIN)
    }

    /// Limits the rows to those wanted for so many lists.
    pub fn limit(&mut self, lists: u32) {
        self.capacity = self.capacity.min(Self::wanted(lists));
        let length = self.capacity * self.dims;
        if self.values.len() > length {
            // Rows came in the order of the table: those that stay are to be of all its parts.
            let rows = self.values.len() / self.dims.max(1);
            for to in 0..self.capacity {
                let from = (to as u64 * rows as u64 / self.capacity as u64) as usize;
                self.values
                    .copy_within(from * self.dims..(from + 1) * self.dims, to * self.dims);
            }
            self.values.truncate(length);
        }
    }

    /// Shows it a row.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`].
    pub fn add(&mut self, transformed: &[f32]) -> Result<(), IndexError> {
        self.seen += 1;
        if transformed.len() != self.dims {
            return Ok(());
        }
        if self.values.len() < self.capacity * self.dims {
            self.values
                .try_reserve(self.dims)
                .map_err(|_| IndexError::OutOfMemory {
                    what: "sample of the rows",
                    bytes: (self.values.len() + self.dims) * size_of::<f32>(),
                })?;
            self.values.extend_from_slice(transformed);
            return Ok(());
        }
        let place = self.random.next() % self.seen;
        if let Ok(place) = usize::try_from(place)
            && let Some(row) = self.values.get_mut(place * self.dims..(place + 1) * self.dims)
        {
            row.copy_from_slice(transformed);
        }
        Ok(())
    }

    /// How many rows it was shown.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many rows are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len() / self.dims.max(1)
    }

    /// Whether it has no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The rows, one after the other.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// The lists of a new index.
#[derive(Debug)]
pub struct Model {
    /// As they stand on the pages; that of list 0 is the root.
    pub(super) rounded: Vec<RoundedCentroid>,
    /// The same as numbers, one after the other.
    centroids: Vec<f32>,
    dims: usize,
    /// The directory of an index that has the centroids and nothing else yet.
    directory: Directory,
    pages: MemoryStorage,
}

/// Clusters a sample into so many lists. Returns the parameters of the index as well, whose root is the centre of the sample.
///
/// # Errors
/// [`IndexError::Limit`], [`IndexError::Interrupted`], [`IndexError::OutOfMemory`].
pub fn train(
    options: &IndexOptions,
    sample: Sample,
    lists: u32,
    threads: usize,
    supervisor: &dyn Supervisor,
) -> Result<(Index, Model), IndexError> {
    let bare = Index::new(options, Vec::new())?;
    let dims = bare.layout.dims;
    let mut center = CenterBuilder::new(dims)?;
    for row in sample.values().chunks_exact(dims) {
        center.add(row);
    }
    // As it will be read from its page.
    let root = round(&bare, &center.finish());
    let index = Index::new(options, root.clone())?;
    let mut centroids = if sample.is_empty() {
        vec![0.0; dims]
    } else {
        let points = Points {
            values: sample.values(),
            dims,
        };
        let options = KmeansOptions {
            clusters: lists.max(1) as usize,
            iterations: ROUNDS,
            seed: options.seed,
            threads,
        };
        kmeans(points, &options, supervisor)?
    };
    if centroids.is_empty() {
        centroids = root.clone();
    }
    let mut all = root;
    all.append(&mut centroids);
    drop(sample);
    let model = Model::new(&index, &all)?;
    Ok((index, model))
}

fn round(index: &Index, centroid: &[f32]) -> Vec<f32> {
    let rounded = RoundedCentroid::new(centroid);
    let mut out = vec![0.0; index.layout.dims];
    index
        .kernels
        .decode_centroid(&rounded.numbers, rounded.scale, &mut out);
    out
}

impl Model {
    /// The lists with these centroids, of which the first is the root.
    fn new(index: &Index, centroids: &[f32]) -> Result<Self, IndexError> {
        let dims = index.layout.dims;
        let (mut rounded, mut numbers) = (Vec::new(), Vec::new());
        for centroid in centroids.chunks_exact(dims) {
            rounded.push(RoundedCentroid::new(centroid));
            numbers.extend(round(index, centroid));
        }
        let mut pages = MemoryStorage::new();
        let entries: Vec<Entry> = rounded.iter().map(|_| Entry::EMPTY).collect();
        super::write::write_directory(index, &rounded, &numbers, &entries, &mut |_, bytes| {
            pages.push_page(bytes).map(drop)
        })?;
        let directory = Directory::load(index, &mut pages)?;
        Ok(Self {
            rounded,
            centroids: numbers,
            dims,
            directory,
            pages,
        })
    }

    /// How many lists there are, with list 0.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rounded.len()
    }

    /// Whether there are none, which is never so.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rounded.is_empty()
    }

    /// The centroids as numbers, one after the other.
    pub(super) fn centroids(&self) -> &[f32] {
        &self.centroids
    }

    /// The centroid of a list.
    pub(super) fn centroid(&self, list: u32) -> &[f32] {
        let start = list as usize * self.dims;
        self.centroids.get(start..start + self.dims).unwrap_or_default()
    }

    /// Pages for a [`Finder`] of a thread.
    pub(super) fn pages(&self) -> MemoryStorage {
        self.pages.clone()
    }

    /// The nearest list. `storage` is a copy of [`Model::pages`], made at first.
    pub(super) fn nearest(
        &self,
        index: &Index,
        finder: &mut Finder,
        storage: &mut MemoryStorage,
        vector: &[f32],
    ) -> Result<u32, IndexError> {
        if storage.page(0).is_none() {
            *storage = self.pages();
        }
        let near = finder.nearest(index, &self.directory, storage, vector)?;
        Ok(near.map_or(UNRANKED + 1, |near| near.number))
    }
}

/// The codes of all centroids, relative to the root.
pub(super) fn codes(index: &Index, centroids: &[f32]) -> impl Iterator<Item = super::super::encode::Coded> {
    centroids
        .chunks_exact(index.layout.dims)
        .map(|centroid| code_of_centroid(index, centroid))
}
