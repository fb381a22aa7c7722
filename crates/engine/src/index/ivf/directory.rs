//! The lists of an index, as a backend knows them, and those nearest to a vector.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::index::page::PageError;
use crate::index::storage::{PageRead, Place};
use crate::index::{IndexError, Metric};
use crate::kernels::scan::{BLOCK_ROWS, Tables};

use super::encode::{Coded, Estimator};
use super::index::Index;
use super::layout::CODE_FACTORS_BYTES;
use super::page::{DirectoryPage, Entry, ListState, Meta, RoundedCentroid};

/// The number of the list of rows without rank.
pub const UNRANKED: u32 = 0;

/// A list that is searched.
#[derive(Debug)]
pub struct List {
    /// Its number.
    pub number: u32,
    /// Its generation.
    pub generation: u32,
    /// Its first page, 0 without one.
    pub head: u32,
    /// A page of it near its end; insertions move it on.
    pub tail: AtomicU32,
    /// Whether rows may be added.
    pub open: bool,
    centroid_block: u32,
    centroid_slot: u16,
}

impl List {
    pub(super) fn new(number: u32, entry: &Entry) -> Self {
        Self {
            number,
            generation: entry.generation,
            head: entry.head,
            tail: AtomicU32::new(entry.tail),
            // Pending lists that are searched have taken the place of the old ones, though the cleanup may have crashed before it said so.
            open: entry.state != ListState::Closing,
            centroid_block: entry.centroid_block,
            centroid_slot: entry.centroid_slot,
        }
    }

    /// Reads its centroid under the lock of its page.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`], and those of the storage.
    pub fn centroid(
        &self,
        index: &Index,
        storage: &mut impl PageRead,
        out: &mut [f32],
    ) -> Result<(), IndexError> {
        index.centroid(storage, self.centroid_block, self.centroid_slot, out)
    }

    /// The page on which an insertion begins to look for the end of the list.
    pub fn tail(&self) -> u32 {
        self.tail.load(Ordering::Relaxed)
    }
}

/// The directory at one moment.
#[derive(Debug)]
pub struct Directory {
    /// The version that it was read at. Odd: lists were being replaced, it is not to be kept.
    pub version: u64,
    /// The list of rows without rank.
    pub unranked: List,
    /// Blocks of codes, as on the pages; a place without a list that is searched has none in `lists`.
    codes: Vec<u8>,
    factors: Vec<u8>,
    lists: Vec<Option<List>>,
    searched: usize,
}

/// All entries of the directory, in order, with what `block` is shown of each block of codes.
pub(super) fn read_entries<S: PageRead>(
    index: &Index,
    storage: &mut S,
    mut block: impl FnMut(&[u8], &[u8]) -> Result<(), IndexError>,
) -> Result<(Meta, Vec<Entry>), IndexError> {
    let meta = storage.read(0, Meta::parse)?.map_err(|error| error.at(0))?;
    let blocks = storage.blocks()?;
    let (mut next, mut entries, mut pages) = (meta.directory, Vec::new(), 0_u32);
    while next != 0 {
        storage.check_interrupts()?;
        let at = next;
        pages += 1;
        if pages > blocks {
            return Err(PageError::content("directory runs in a circle").at(at));
        }
        entries
            .try_reserve(index.layout.lists_per_page())
            .map_err(|_| out_of_memory(entries.len()))?;
        let lanes = index.layout.lanes;
        let read = storage.read(at, |page| -> Result<Result<u32, IndexError>, PageError> {
            let page = DirectoryPage::open(page, &index.layout)?;
            if page.count() < index.layout.lists_per_page() && page.next()? != 0 {
                return Err(PageError::content("directory page before the last is not full"));
            }
            for number in 0..page.count().div_ceil(lanes) {
                let (codes, factors) = page.block(number)?;
                if let Err(error) = block(codes, factors) {
                    return Ok(Err(error));
                }
            }
            for parsed in page.entries() {
                entries.push(parsed?.entry);
            }
            page.next().map(Ok)
        })?;
        next = read.map_err(|error| error.at(at))??;
    }
    if entries.is_empty() {
        return Err(PageError::content("directory is empty").at(meta.directory));
    }
    Ok((meta, entries))
}

/// Whether a list is searched, given the entries of all.
pub(super) fn is_searched(entries: &[Entry], entry: &Entry) -> bool {
    let leader_retired = || {
        let leader = entry.leader.and_then(|leader| entries.get(leader as usize));
        leader.is_some_and(|leader| leader.state == ListState::Retired)
    };
    match entry.state {
        ListState::Active => true,
        ListState::Closing => !leader_retired(),
        ListState::Pending => leader_retired(),
        ListState::Free | ListState::Retired => false,
    }
}

fn out_of_memory(lists: usize) -> IndexError {
    IndexError::OutOfMemory {
        what: "lists of an index",
        bytes: lists.saturating_mul(size_of::<Entry>()),
    }
}

impl Directory {
    /// Reads the directory.
    ///
    /// Its pages are read one after the other, and while lists are replaced what they say together may never have been so: the new lists
    /// as they were before, the old ones as they are after. The version changes before each replacement takes effect, so what was
    /// read while it stayed the same was so.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`], [`IndexError::OutOfMemory`], and those of the storage.
    pub fn load<S: PageRead>(index: &Index, storage: &mut S) -> Result<Self, IndexError> {
        loop {
            let directory = Self::load_once(index, storage)?;
            let meta = storage.read(0, Meta::parse)?.map_err(|error| error.at(0))?;
            if meta.version == directory.version {
                return Ok(directory);
            }
        }
    }

    fn load_once<S: PageRead>(index: &Index, storage: &mut S) -> Result<Self, IndexError> {
        let (mut codes, mut factors) = (Vec::new(), Vec::new());
        let (meta, entries) = read_entries(index, storage, |block_codes, block_factors| {
            for (to, from) in [(&mut codes, block_codes), (&mut factors, block_factors)] {
                to.try_reserve(from.len()).map_err(|_| out_of_memory(to.len()))?;
                to.extend_from_slice(from);
            }
            Ok(())
        })?;
        let mut lists = Vec::new();
        lists
            .try_reserve_exact(entries.len())
            .map_err(|_| out_of_memory(entries.len()))?;
        for (number, entry) in (0_u32..).zip(&entries) {
            let searched = number != UNRANKED && is_searched(&entries, entry);
            lists.push(searched.then(|| List::new(number, entry)));
        }
        let first = entries
            .first()
            .ok_or(PageError::content("directory is empty").at(0))?;
        Ok(Self {
            version: meta.version,
            unranked: List::new(UNRANKED, first),
            codes,
            factors,
            searched: lists.iter().flatten().count(),
            lists,
        })
    }

    /// The list with this number, if it is searched.
    #[must_use]
    pub fn list(&self, number: u32) -> Option<&List> {
        self.lists.get(number as usize).and_then(Option::as_ref)
    }

    /// All lists that are searched.
    pub fn lists(&self) -> impl Iterator<Item = &List> {
        self.lists.iter().flatten()
    }

    /// How many lists are searched.
    #[must_use]
    pub fn len(&self) -> usize {
        self.searched
    }

    /// Whether no list is searched.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.searched == 0
    }

    /// What it occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.codes.capacity() + self.factors.capacity() + self.lists.capacity() * size_of::<Option<List>>()
    }
}

/// A list and how far its centroid is from a vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near {
    /// By what lists are ordered: the key of the centroid.
    pub key: f32,
    /// The distance of the centroid, in L2.
    pub distance: f32,
    /// The list.
    pub number: u32,
}

/// The lists in the order of their distance from a vector, as far as they are asked for. First come the codes of all centroids; of the
/// nearest by these the distance is computed.
#[derive(Debug, Default)]
pub struct Ranking {
    coarse: Vec<(f32, u32)>,
    /// How many of `coarse`, from its front, have been moved on.
    exact_to: usize,
    /// With their distances, farthest first.
    near: Vec<Near>,
    /// So many of the farthest of `near` may be farther than some of `coarse`.
    held: usize,
    places: Vec<Place>,
    bytes: Vec<u8>,
}

/// Of so many lists the distance is computed at once, at least.
const EXACT_AT_ONCE: usize = 32;
/// Where there are fewer lists than this, the distance of all is computed.
const FEW_LISTS: usize = 64;

impl Ranking {
    /// Begins for a vector, whose tables are given. `wanted` is how many lists will be asked for at first.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`], those of the storage.
    pub fn begin<S: PageRead>(
        &mut self,
        index: &Index,
        directory: &Directory,
        storage: &mut S,
        (vector, tables): (&[f32], &Tables),
        wanted: usize,
        only_open: bool,
    ) -> Result<(), IndexError> {
        self.coarse.clear();
        self.near.clear();
        (self.exact_to, self.held) = (0, 0);
        self.coarse
            .try_reserve(directory.searched)
            .map_err(|_| out_of_memory(directory.searched))?;
        let layout = &index.layout;
        let metric = index.options.metric;
        // The keys of the root's code are estimates of the distances of centroids, up to what is the same for all.
        let estimator = Estimator::new(metric, tables, 0.0, 0.0, 0.0);
        let blocks = directory
            .codes
            .chunks_exact(layout.code_bytes)
            .zip(directory.factors.chunks_exact(layout.lanes * CODE_FACTORS_BYTES))
            .zip(directory.lists.chunks(layout.lanes));
        let mut keys = [0.0; BLOCK_ROWS];
        for ((codes, factors), lists) in blocks {
            index.kernels.keys(
                tables,
                codes,
                factors,
                layout.lanes,
                estimator.shift,
                estimator.a,
                estimator.b,
                &mut keys,
            );
            for (list, key) in lists.iter().zip(keys) {
                if let Some(list) = list
                    && (list.open || !only_open)
                {
                    self.coarse.push((key, list.number));
                }
            }
        }
        let at_first = if self.coarse.len() <= FEW_LISTS {
            self.coarse.len()
        } else {
            wanted.saturating_mul(2).max(EXACT_AT_ONCE)
        };
        self.refine(index, directory, storage, vector, at_first)
    }

    /// The nearest list that was not returned yet.
    ///
    /// # Errors
    /// Those of the storage.
    pub fn next<S: PageRead>(
        &mut self,
        index: &Index,
        directory: &Directory,
        storage: &mut S,
        vector: &[f32],
    ) -> Result<Option<Near>, IndexError> {
        if self.near.len() <= self.held && self.exact_to < self.coarse.len() {
            self.refine(
                index,
                directory,
                storage,
                vector,
                self.exact_to.max(EXACT_AT_ONCE),
            )?;
        }
        Ok(self.near.pop())
    }

    /// How far the nearest list is that was not returned yet; none where it was not computed.
    #[must_use]
    pub fn peek(&self) -> Option<Near> {
        self.near.last().copied()
    }

    /// Computes the distances of the next `count` lists by their codes.
    fn refine<S: PageRead>(
        &mut self,
        index: &Index,
        directory: &Directory,
        storage: &mut S,
        vector: &[f32],
        count: usize,
    ) -> Result<(), IndexError> {
        let rest = self.coarse.get_mut(self.exact_to..).unwrap_or_default();
        let count = count.min(rest.len());
        if count < rest.len() && count > 0 {
            rest.select_nth_unstable_by(count - 1, |a, b| a.0.total_cmp(&b.0));
        }
        let chosen = rest.get(..count).unwrap_or_default();
        self.places.clear();
        let length = index.layout.centroid_bytes();
        for (_, number) in chosen {
            let Some(list) = directory.list(*number) else {
                continue;
            };
            let offset = super::page::centroid_place(&index.layout, list.centroid_slot);
            self.places.push(Place {
                block: list.centroid_block,
                offset: offset.ok_or(
                    PageError::content("place of a centroid is beyond its page").at(list.centroid_block),
                )?,
            });
        }
        self.near.try_reserve(count).map_err(|_| out_of_memory(count))?;
        let total = self.places.len().saturating_mul(length);
        self.bytes.clear();
        self.bytes
            .try_reserve(total)
            .map_err(|_| IndexError::OutOfMemory {
                what: "centroids of lists",
                bytes: total,
            })?;
        self.bytes.resize(total, 0);
        storage.peek(&self.places, length, &mut self.bytes)?;
        for ((_, number), bytes) in chosen.iter().zip(self.bytes.chunks_exact(length)) {
            let Some((scale, numbers)) = RoundedCentroid::parse(bytes) else {
                continue;
            };
            let squared = index.kernels.centroid_l2_squared(vector, numbers, scale);
            let key = match index.options.metric {
                Metric::InnerProduct => -index.kernels.centroid_inner_product(vector, numbers, scale),
                _ => squared,
            };
            self.near.push(Near {
                key,
                distance: squared.sqrt(),
                number: *number,
            });
        }
        self.exact_to += count;
        // Not a number is farthest: first.
        self.near
            .sort_unstable_by(|a, b| b.key.total_cmp(&a.key).then(b.number.cmp(&a.number)));
        self.held = if self.exact_to < self.coarse.len() {
            self.near.len() / 2
        } else {
            0
        };
        Ok(())
    }
}

/// Finds the nearest list of a vector: for insertions and builds.
#[derive(Debug, Default)]
pub struct Finder {
    tables: Tables,
    ranking: Ranking,
}

impl Finder {
    /// The nearest list to which rows may be added, if there is one.
    ///
    /// # Errors
    /// [`IndexError::OutOfMemory`], those of the storage.
    pub fn nearest<S: PageRead>(
        &mut self,
        index: &Index,
        directory: &Directory,
        storage: &mut S,
        vector: &[f32],
    ) -> Result<Option<Near>, IndexError> {
        prepare(&mut self.tables, vector)?;
        self.ranking
            .begin(index, directory, storage, (vector, &self.tables), 1, true)?;
        self.ranking.next(index, directory, storage, vector)
    }
}

/// Makes the tables of a vector.
pub(super) fn prepare(tables: &mut Tables, vector: &[f32]) -> Result<(), IndexError> {
    tables.prepare(vector).map_err(|bytes| IndexError::OutOfMemory {
        what: "tables of a query",
        bytes,
    })
}

/// The code of a centroid, relative to the root.
#[must_use]
pub(super) fn code_of_centroid(index: &Index, centroid: &[f32]) -> Coded {
    let mut code = Coded::default();
    super::encode::encode(
        index.kernels,
        index.options.metric,
        centroid,
        &index.root,
        &mut code,
    );
    code
}
