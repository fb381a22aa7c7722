//! Scans and insertions over pages in memory.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::needless_range_loop
)]

mod checks;
mod crash;
mod filters;
mod links;
mod recall;
mod scan_end;
pub(super) mod storages;
mod streams;
mod threads;
mod values;

use std::sync::Arc;

use super::insert::{Inserter, NewElement};
use super::scan::{HeapRows, Hit, Scan, ScanOptions};
use super::{Index, IndexOptions};
use crate::index::key::{KeyKinds, RowKeys};
use crate::index::page::{EntrySet, PageKind, init_page};
use crate::index::quantize::{CodeBits, Rankable, exact_key};
use crate::index::storage::{MemoryStorage, PageRead, PageWrite};
use crate::index::{ElementKind, HeapTid, IndexError, Metric, SlotId};

/// Random numbers for test data (splitmix64).
#[derive(Debug, Clone)]
pub(super) struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    pub fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.uniform()).sum::<f32>() - 6.0
    }

    pub fn vectors(&mut self, count: usize, dims: usize) -> Vec<Vec<f32>> {
        (0..count)
            .map(|_| (0..dims).map(|_| self.uniform()).collect())
            .collect()
    }

    pub fn clustered(&mut self, count: usize, dims: usize, clusters: usize) -> Vec<Vec<f32>> {
        let centers: Vec<Vec<f32>> = (0..clusters)
            .map(|_| (0..dims).map(|_| self.normal()).collect())
            .collect();
        (0..count)
            .map(|_| {
                let center = &centers[self.below(clusters)];
                center.iter().map(|x| x + 0.5 * self.normal()).collect()
            })
            .collect()
    }
}

/// What kind of index a test wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    pub metric: Metric,
    pub dims: usize,
    pub bits: CodeBits,
    pub m: u16,
    pub ef_construction: u16,
    pub keys: KeyKinds,
}

impl Kind {
    pub fn new(metric: Metric, dims: usize) -> Self {
        Self {
            metric,
            dims,
            bits: CodeBits::default_for(metric, dims),
            m: 16,
            ef_construction: 64,
            keys: KeyKinds::NONE,
        }
    }
}

/// An index without elements.
pub(super) fn empty_index(kind: Kind) -> (Arc<Index>, MemoryStorage) {
    let options = IndexOptions {
        metric: kind.metric,
        element: ElementKind::Vector,
        bits: kind.bits,
        dims: kind.dims as u32,
        m: kind.m,
        ef_construction: kind.ef_construction,
        seed: 42,
        build_id: 7,
        keys: kind.keys,
    };
    let index = Index::new(&options, Vec::new()).unwrap();
    let mut storage = MemoryStorage::new();
    let meta = index.meta(EntrySet::default());
    storage
        .extend(|_, bytes| {
            init_page(bytes, PageKind::Meta).unwrap();
            meta.write(bytes).unwrap();
        })
        .unwrap();
    assert_eq!(index.center_blocks(), 0);
    (Arc::new(index), storage)
}

pub(super) fn tid_of(row: usize) -> HeapTid {
    HeapTid {
        block: (row / 50) as u32,
        offset: (row % 50) as u16 + 1,
    }
}

pub(super) fn row_of(tid: HeapTid) -> usize {
    tid.block as usize * 50 + usize::from(tid.offset) - 1
}

/// Inserts vectors; keeps what is needed from one to the next.
#[derive(Default)]
pub(super) struct Insertions {
    pub inserter: Inserter,
    /// The keys of a row, in an index that has some.
    pub keys: Option<fn(usize) -> RowKeys>,
    random: Option<Random>,
    transformed: Vec<f32>,
}

impl Insertions {
    pub fn insert<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        vector: &[f32],
        row: usize,
    ) -> Result<SlotId, IndexError> {
        self.transformed.resize(vector.len(), 0.0);
        let rankable = index.quantizer.transform(vector, &mut self.transformed);
        let tid = tid_of(row);
        let keys = self.keys.map_or(RowKeys::new(0), |keys| keys(row));
        let element = NewElement {
            transformed: &self.transformed,
            rankable,
            tid,
            level: index.level(tid),
            keys: keys.as_bytes(),
        };
        let entropy = self.random.get_or_insert(Random(99)).next();
        self.inserter.insert(index, storage, &element, entropy)
    }
}

pub(super) fn insert_all<S: PageWrite>(index: &Index, storage: &mut S, vectors: &[Vec<f32>]) -> Vec<SlotId> {
    let mut insertions = Insertions::default();
    vectors
        .iter()
        .enumerate()
        .map(|(row, vector)| insertions.insert(index, storage, vector, row).unwrap())
        .collect()
}

/// The table and a query.
pub(super) struct Table<'a> {
    pub metric: Metric,
    pub vectors: &'a [Vec<f32>],
    pub query: &'a [f32],
    pub visible: Option<&'a [bool]>,
    /// How long the table is.
    pub blocks: u32,
    pub fetched: usize,
}

impl<'a> Table<'a> {
    pub fn new(metric: Metric, vectors: &'a [Vec<f32>], query: &'a [f32]) -> Self {
        Self {
            metric,
            vectors,
            query,
            visible: None,
            blocks: u32::MAX,
            fetched: 0,
        }
    }

    fn key(&self, row: usize) -> f64 {
        exact_key(self.metric, self.query, &self.vectors[row])
    }

    /// The nearest rows, by comparing with all.
    pub fn nearest(&self, count: usize) -> Vec<usize> {
        let mut keys: Vec<(f64, usize)> = (0..self.vectors.len())
            .filter(|row| self.visible.is_none_or(|visible| visible[*row]))
            .map(|row| (self.key(row), row))
            .collect();
        keys.sort_by(|a, b| a.0.total_cmp(&b.0));
        keys.truncate(count);
        keys.into_iter().map(|(_, row)| row).collect()
    }
}

impl HeapRows for Table<'_> {
    fn contains(&mut self, tid: HeapTid) -> bool {
        tid.block < self.blocks
    }

    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError> {
        self.fetched += 1;
        if tid == HeapTid::NONE {
            return Ok(None);
        }
        let row = row_of(tid);
        let visible = row < self.vectors.len() && self.visible.is_none_or(|visible| visible[row]);
        Ok(visible.then(|| self.key(row)))
    }
}

/// Begins a scan for a vector.
pub(super) fn rescan<S: PageRead>(scan: &mut Scan, index: &Index, storage: &mut S, query: &[f32]) {
    let mut transformed = vec![0.0; query.len()];
    let query = match index.quantizer.transform(query, &mut transformed) {
        Rankable::Yes => Some(transformed.as_slice()),
        Rankable::No => None,
    };
    scan.rescan(storage, query, None).unwrap();
}

/// The first rows of a scan.
pub(super) fn take<S: PageRead>(
    scan: &mut Scan,
    storage: &mut S,
    table: &mut Table<'_>,
    limit: usize,
) -> Vec<Hit> {
    let mut hits = Vec::new();
    while hits.len() < limit
        && let Some(hit) = scan.next(storage, table).unwrap()
    {
        hits.push(hit);
    }
    hits
}

/// The first rows of a new scan.
pub(super) fn search<S: PageRead>(
    index: &Arc<Index>,
    storage: &mut S,
    table: &mut Table<'_>,
    options: ScanOptions,
    limit: usize,
) -> Vec<Hit> {
    let mut scan = Scan::new(Arc::clone(index), options);
    rescan(&mut scan, index, storage, table.query);
    take(&mut scan, storage, table, limit)
}

pub(super) fn rows(hits: &[Hit]) -> Vec<usize> {
    hits.iter().map(|hit| row_of(hit.tid)).collect()
}

pub(super) fn sorted(mut rows: Vec<usize>) -> Vec<usize> {
    rows.sort_unstable();
    rows
}

pub(super) fn with_ef(ef: usize) -> ScanOptions {
    ScanOptions {
        ef,
        ..ScanOptions::default()
    }
}
