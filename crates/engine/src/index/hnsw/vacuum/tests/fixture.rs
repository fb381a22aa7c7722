//! An index in memory with the vectors that are in it, and searches whose results are held against the exact ones.

use std::collections::BTreeMap;

use crate::index::hnsw::build::{Builder, PageSink, Pushed};
use crate::index::hnsw::insert::{Inserter, NewElement};
use crate::index::hnsw::paged::{PagedGraph, PagedScratch, peek_entries};
use crate::index::hnsw::statistics::Statistics;
use crate::index::hnsw::sweep::{Content, PageCopy, sweep};
use crate::index::hnsw::vacuum::{VacuumStats, bulk_delete, cleanup};
use crate::index::hnsw::verify::{Verification, verify};
use crate::index::hnsw::walk::{Beam, descend};
use crate::index::hnsw::{Index, IndexOptions};
use crate::index::key::{KeyKind, KeyKinds, RowKeys, hash_bytes};
use crate::index::page::{Entry, PageBytes, SlotState};
use crate::index::quantize::{CodeBits, CodeRef, exact_key};
use crate::index::storage::{MemoryStorage, PageRead, PageWrite};
use crate::index::{ElementKind, HeapTid, IndexError, Metric, SlotId};
use crate::interrupt::NeverInterrupted;

/// Small and reproducible: xorshift64*.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    pub fn vector(&mut self, dims: usize) -> Vec<f32> {
        (0..dims).map(|_| self.unit()).collect()
    }
}

/// The row of a number.
pub fn tid(row: u32) -> HeapTid {
    HeapTid {
        block: row / 100,
        offset: (row % 100) as u16 + 1,
    }
}

/// The number of a row; some number for one that is damaged.
pub fn row_of(tid: HeapTid) -> u32 {
    tid.block
        .wrapping_mul(100)
        .wrapping_add(u32::from(tid.offset))
        .wrapping_sub(1)
}

/// The keys of the row of a number: the number itself, and a hash of it that is now and then NULL.
pub fn keys_of(row: u32) -> RowKeys {
    let mut keys = RowKeys::new(2);
    keys.set(0, Some(u64::from(row)));
    keys.set(
        1,
        (!row.is_multiple_of(3)).then(|| hash_bytes(&row.to_le_bytes())),
    );
    keys
}

pub struct Sink<'a>(pub &'a mut MemoryStorage);

impl PageSink for Sink<'_> {
    fn page(&mut self, _block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        self.0.push_page(bytes).map(|_| ())
    }
}

/// What is to be built.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub metric: Metric,
    pub dims: usize,
    pub m: u16,
    pub ef_construction: u16,
}

impl Shape {
    pub fn small(dims: usize) -> Self {
        Self {
            metric: Metric::L2,
            dims,
            m: 4,
            ef_construction: 8,
        }
    }

    pub fn index(self) -> Index {
        let options = IndexOptions {
            metric: self.metric,
            element: ElementKind::Vector,
            bits: CodeBits::default_for(self.metric, self.dims),
            dims: self.dims as u32,
            m: self.m,
            ef_construction: self.ef_construction,
            seed: 42,
            build_id: 1,
            keys: KeyKinds::new(&[KeyKind::Ordered, KeyKind::Hashed]).unwrap(),
        };
        Index::new(&options, Vec::new()).unwrap()
    }
}

/// An index and what is in it.
pub struct Fixture {
    pub index: Index,
    pub storage: MemoryStorage,
    pub rows: BTreeMap<u32, Vec<f32>>,
}

impl Fixture {
    pub fn build(shape: Shape, rows: BTreeMap<u32, Vec<f32>>) -> Self {
        let index = shape.index();
        let mut builder = Builder::new(&index, 1 << 30, 2);
        let mut transformed = vec![0.0; shape.dims];
        let mut code = vec![0; index.quantizer.code_bytes()];
        for (row, vector) in &rows {
            let rank = index.quantizer.transform(vector, &mut transformed);
            let factors = index.quantizer.encode(&transformed, &mut code);
            let pushed = builder
                .push(
                    CodeRef { factors, code: &code },
                    keys_of(*row).as_bytes(),
                    tid(*row),
                    rank,
                )
                .unwrap();
            assert_eq!(pushed, Pushed::Stored);
        }
        let mut storage = MemoryStorage::new();
        builder
            .finish(&NeverInterrupted)
            .unwrap()
            .write_index(&mut Sink(&mut storage))
            .unwrap();
        Self { index, storage, rows }
    }

    pub fn random(shape: Shape, count: u32, seed: u64) -> Self {
        let mut random = Random(seed);
        Self::build(
            shape,
            (0..count).map(|row| (row, random.vector(shape.dims))).collect(),
        )
    }

    /// Inserts a row into the table and the index, at the level that its number gives.
    pub fn insert(&mut self, row: u32, vector: Vec<f32>) -> Result<SlotId, IndexError> {
        let level = self.index.level(tid(row));
        let inserted = insert(&self.index, &mut self.storage, row, &vector, level);
        // The table has the row whatever became of the index: after a crash nobody sees it, and vacuum removes it.
        self.rows.insert(row, vector);
        inserted
    }

    /// Deletes rows from the table; the index learns of it by a vacuum.
    pub fn delete(&mut self, mut dead: impl FnMut(u32) -> bool) {
        self.rows.retain(|row, _| !dead(*row));
    }

    pub fn bulk_delete(&mut self) -> Result<VacuumStats, IndexError> {
        let mut stats = VacuumStats::default();
        let rows = &self.rows;
        bulk_delete(
            &self.index,
            &mut self.storage,
            |tid| !rows.contains_key(&row_of(tid)),
            &mut stats,
        )?;
        Ok(stats)
    }

    pub fn vacuum(&mut self) -> Result<VacuumStats, IndexError> {
        let mut stats = self.bulk_delete()?;
        cleanup(&self.index, &mut self.storage, &mut stats)?;
        Ok(stats)
    }

    /// The rows nearest to a vector, by a walk with `ef` and exact distances of what it finds.
    pub fn search(&mut self, query: &[f32], ef: usize, k: usize) -> Vec<u32> {
        let found = search_tids(&self.index, &mut self.storage, query, ef);
        let mut rows: Vec<(f64, u32)> = found
            .into_iter()
            .filter_map(|tid| {
                let row = row_of(tid);
                Some((exact_key(self.index.metric, query, self.rows.get(&row)?), row))
            })
            .collect();
        rows.sort_by(|a, b| a.0.total_cmp(&b.0));
        rows.truncate(k);
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// The share of the `k` nearest rows that searches find; of rows at equal distance any counts.
    pub fn recall(&mut self, k: usize, ef: usize, queries: usize, seed: u64) -> f64 {
        let mut random = Random(seed);
        let mut found = 0;
        let mut wanted = 0;
        for _ in 0..queries {
            let query = random.vector(self.index.dims as usize);
            let mut exact: Vec<f64> = self
                .rows
                .values()
                .map(|vector| exact_key(self.index.metric, &query, vector))
                .collect();
            exact.sort_by(f64::total_cmp);
            exact.truncate(k);
            let bound = exact.last().copied().unwrap_or(0.0);
            let rows = self.search(&query, ef, k);
            let near = |row: &&u32| exact_key(self.index.metric, &query, &self.rows[row]) <= bound;
            found += rows.iter().filter(near).count();
            wanted += exact.len();
        }
        if wanted == 0 {
            1.0
        } else {
            found as f64 / wanted as f64
        }
    }

    /// Verifies the index and that it holds exactly the rows of the table.
    pub fn verify(&mut self) -> Verification {
        let mut verification = verify(&mut self.storage).unwrap();
        for row in self.rows.keys() {
            verification.rows.expect(tid(*row), &[]);
        }
        let check = verification.rows.check();
        verification.checks.push(check);
        verification
    }

    /// Whether another index has the same pages.
    pub fn storage_equals(&self, other: &Self) -> bool {
        let blocks = self
            .storage
            .clone()
            .blocks()
            .unwrap()
            .max(other.storage.clone().blocks().unwrap());
        (0..blocks).all(|block| self.storage.page(block) == other.storage.page(block))
    }

    /// Nothing is wrong with the index.
    pub fn assert_clean(&mut self) {
        let verification = self.verify();
        assert!(verification.is_ok(), "{:#?}", verification.checks);
        self.assert_keys();
    }

    /// Every row stands beside its own keys, whatever was moved, freed and used again.
    fn assert_keys(&mut self) {
        let index = &self.index;
        sweep(index, &mut self.storage, &mut PageCopy::new(), |_, copy| {
            let Content::Nodes(page) = copy.content(index)? else {
                return Ok(());
            };
            for (_, slot) in page.slots() {
                let slot = slot.unwrap();
                if matches!(slot.head.state, SlotState::Live | SlotState::Unranked) {
                    assert_eq!(slot.keys, keys_of(row_of(slot.head.tid)).as_bytes());
                }
            }
            Ok(())
        })
        .unwrap();
    }

    /// As after a build or a vacuum with nobody else at work: nothing is wrong, nothing is left to do, every element can be reached,
    /// and the rows are those of the table.
    pub fn assert_exact(&mut self) {
        self.assert_clean();
        let verification = self.verify();
        assert_eq!(verification.rows.len(), self.rows.len());
        let counted = Statistics::take(&self.index, &mut self.storage).unwrap();
        assert_eq!(counted.dead, 0);
        let claimed: u64 = counted
            .levels
            .iter()
            .zip(0..)
            .map(|(count, level)| count * level)
            .sum();
        assert_eq!(counted.used_records, claimed);
        self.assert_all_reachable(counted.live);
    }

    /// A search can come to every one of so many live elements.
    pub fn assert_all_reachable(&mut self, live: u64) {
        let verification = self.verify();
        let mut checks = verification.checks.iter();
        let reached = checks.find(|check| check.name == "reachability").unwrap();
        assert_eq!(
            reached.detail,
            format!("{live} of {live} elements can be reached")
        );
    }
}

/// Inserts a row into an index.
pub fn insert<S: PageWrite>(
    index: &Index,
    storage: &mut S,
    row: u32,
    vector: &[f32],
    level: u8,
) -> Result<SlotId, IndexError> {
    let mut transformed = vec![0.0; vector.len()];
    let rankable = index.quantizer.transform(vector, &mut transformed);
    let keys = keys_of(row);
    let element = NewElement {
        transformed: &transformed,
        rankable,
        tid: tid(row),
        level,
        keys: keys.as_bytes(),
    };
    Inserter::default().insert(index, storage, &element, u64::from(row))
}

/// The rows of the live elements that a walk with `ef` finds.
pub fn search_tids<S: PageRead>(index: &Index, storage: &mut S, query: &[f32], ef: usize) -> Vec<HeapTid> {
    let mut transformed = vec![0.0; query.len()];
    index.quantizer.transform(query, &mut transformed);
    let query = index.quantizer.query(&transformed);
    let entries: Vec<Entry> = peek_entries(storage).unwrap().iter().collect();
    let id_bound = index.layout.id_bound(storage.blocks().unwrap()).unwrap();
    let mut scratch = PagedScratch::default();
    let mut beam = Beam::default();
    let mut graph = PagedGraph::new(index, storage, &mut scratch, id_bound);
    descend(&mut beam, &mut graph, &query, &entries, 0, ef).unwrap();
    beam.run(&mut graph, &query, 0).unwrap();
    let ids: Vec<_> = beam.found().map(|candidate| candidate.id).collect();
    scratch
        .peek_heads(storage, &index.layout, &ids)
        .unwrap()
        .flatten()
        .filter(|head| head.state == SlotState::Live)
        .map(|head| head.tid)
        .collect()
}
