//! An index in memory with its table.

use std::cell::Cell;
use std::sync::Arc;

use super::fixture::{Around, Backend, Kind, Running, Table, row_of, tid_of};
use crate::index::IndexError;
use crate::index::hnsw::build::{PageSink, Tape};
use crate::index::hnsw::scan::Hit;
use crate::index::ivf::build::{Assembly, Sample, TapeMaker, run, train};
use crate::index::ivf::insert::NewElement;
use crate::index::ivf::scan::ScanOptions;
use crate::index::ivf::statistics::Statistics;
use crate::index::ivf::vacuum::{VacuumStats, bulk_delete, cleanup};
use crate::index::ivf::verify::verify;
use crate::index::ivf::{Index, lists_for};
use crate::index::page::PageBytes;
use crate::index::quantize::{Rankable, exact_key};
use crate::index::storage::{MemoryStorage, PageRead, PageWrite};
use crate::interrupt::NeverInterrupted;

struct Sink<'a>(&'a mut MemoryStorage);

impl PageSink for Sink<'_> {
    fn page(&mut self, block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        assert_eq!(self.0.push_page(bytes)?, block);
        Ok(())
    }
}

#[derive(Default)]
pub struct MemoryTape {
    bytes: Vec<u8>,
    read: usize,
}

impl Tape for MemoryTape {
    fn clear(&mut self) -> Result<(), IndexError> {
        *self = Self::default();
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn rewind(&mut self) -> Result<(), IndexError> {
        self.read = 0;
        Ok(())
    }

    fn read(&mut self, out: &mut [u8]) -> Result<usize, IndexError> {
        let rest = &self.bytes[self.read..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.read += count;
        Ok(count)
    }
}

/// Counts the tapes.
pub struct Tapes<'a>(pub &'a Cell<usize>);

impl TapeMaker for Tapes<'_> {
    type Tape = MemoryTape;

    fn open(&mut self) -> MemoryTape {
        self.0.set(self.0.get() + 1);
        MemoryTape::default()
    }

    fn close(&mut self, _tape: MemoryTape) {}
}

/// How a build is done.
#[derive(Debug, Clone, Copy)]
pub struct Work {
    pub memory_bytes: usize,
    pub threads: usize,
}

pub const WORK: Work = Work {
    memory_bytes: 64 << 20,
    threads: 0,
};

/// Builds an index of the live rows. Returns how many tapes were opened, too.
pub fn build(table: &Table, work: Work) -> (Arc<Index>, MemoryStorage, usize) {
    let kind = table.kind;
    let options = kind.options();
    let bare = Index::new(&options, Vec::new()).unwrap();
    let rows = table.live_rows();
    let mut transformed = vec![0.0; bare.layout.dims];
    let mut sample = Sample::new(bare.layout.dims, 64 << 20, 1);
    for row in &rows {
        if bare.transform(table.vectors[*row].as_slice(), &mut transformed) == Rankable::Yes {
            sample.add(&transformed).unwrap();
        }
    }
    let lists = match kind.lists {
        0 => lists_for(rows.len() as u64),
        lists => lists,
    };
    sample.limit(lists);
    let (index, model) = train(&options, sample, lists, work.threads, &NeverInterrupted).unwrap();
    let opened = Cell::new(0);
    let mut assembly = Assembly::new(
        &index,
        &model,
        Tapes(&opened),
        work.memory_bytes,
        rows.len() as u64,
    )
    .unwrap();
    run(&mut assembly, work.threads, &NeverInterrupted, |feed| {
        for row in &rows {
            let rankable = index.transform(table.vectors[*row].as_slice(), &mut transformed);
            feed(&NewElement {
                transformed: &transformed,
                rankable,
                tid: tid_of(*row),
                keys: kind.keys_of(*row).as_bytes(),
            })?;
        }
        Ok(())
    })
    .unwrap();
    let mut storage = MemoryStorage::new();
    let (written, blocks) = assembly
        .finish(&mut Sink(&mut storage), &NeverInterrupted)
        .unwrap();
    assert_eq!(written, rows.len() as u64);
    assert_eq!(blocks, storage.blocks().unwrap());
    let (read, _) = Index::open(&mut storage).unwrap();
    assert_eq!((read.root, read.layout), (index.root.clone(), index.layout));
    (Arc::new(index), storage, opened.get())
}

/// An index and its table.
pub struct Db {
    pub index: Arc<Index>,
    pub storage: MemoryStorage,
    pub table: Table,
    pub backend: Backend,
    pub transactions: u64,
    /// Transactions before this one are past.
    pub past: u64,
}

impl Clone for Db {
    fn clone(&self) -> Self {
        Self {
            index: self.index.clone(),
            storage: self.storage.clone(),
            table: self.table.clone(),
            backend: Backend::default(),
            ..*self
        }
    }
}

impl Db {
    /// Builds an index of the first `live` rows.
    pub fn build(kind: Kind, vectors: Vec<Vec<f32>>, live: usize) -> Self {
        let mut table = Table::new(kind, vectors);
        table.live[..live].fill(true);
        let (index, storage, _) = build(&table, WORK);
        Self {
            index,
            storage,
            table,
            backend: Backend::default(),
            transactions: 100,
            past: u64::MAX,
        }
    }

    /// Inserts a row, which is visible from then on.
    pub fn insert(&mut self, row: usize) -> Result<(), IndexError> {
        self.backend
            .insert(&self.index, &mut self.storage, &self.table, row)?;
        self.table.live[row] = true;
        Ok(())
    }

    pub fn insert_all(&mut self, rows: impl IntoIterator<Item = usize>) {
        for row in rows {
            self.insert(row).unwrap();
        }
    }

    pub fn delete(&mut self, rows: impl IntoIterator<Item = usize>) {
        for row in rows {
            self.table.live[row] = false;
        }
    }

    pub fn bulk_delete(&mut self) -> Result<VacuumStats, IndexError> {
        let mut stats = VacuumStats::default();
        let live = &self.table.live;
        let is_dead = |tid| !live.get(row_of(tid)).copied().unwrap_or(false);
        bulk_delete(&self.index, &mut self.storage, is_dead, &mut stats)?;
        Ok(stats)
    }

    pub fn cleanup(&mut self) -> Result<VacuumStats, IndexError> {
        self.cleanup_steps(usize::MAX)
    }

    pub fn cleanup_steps(&mut self, steps: usize) -> Result<VacuumStats, IndexError> {
        let mut storage = core::mem::take(&mut self.storage);
        let outcome = self.cleanup_on(&mut storage, steps, u64::MAX);
        self.storage = storage;
        outcome
    }

    /// A cleanup on another storage.
    pub fn cleanup_on<S: PageWrite>(
        &mut self,
        storage: &mut S,
        steps: usize,
        checks: u64,
    ) -> Result<VacuumStats, IndexError> {
        let mut stats = VacuumStats::default();
        let mut around = Around {
            index: &self.index,
            table: &self.table,
            transactions: &mut self.transactions,
            past: self.past,
            steps,
            checks: Cell::new(checks),
        };
        cleanup(&self.index, storage, &mut around, &mut stats)?;
        Ok(stats)
    }

    pub fn vacuum(&mut self) -> VacuumStats {
        let deleted = self.bulk_delete().unwrap();
        let cleaned = self.cleanup().unwrap();
        VacuumStats {
            rows_removed: deleted.rows_removed,
            ..cleaned
        }
    }

    pub fn begin(&mut self, query: Option<&[f32]>, options: ScanOptions) -> Running {
        Running::begin(&self.index, &mut self.storage, &self.table, query, options, None).unwrap()
    }

    pub fn search(&mut self, query: &[f32], options: ScanOptions, limit: usize) -> Vec<Hit> {
        let mut running = self.begin(Some(query), options);
        running.take(&mut self.storage, limit).unwrap();
        running.hits
    }

    /// A scan to the end returns every live row once.
    pub fn assert_complete(&mut self, query: Option<&[f32]>, options: ScanOptions) {
        let mut running = self.begin(query, options);
        running.take(&mut self.storage, usize::MAX).unwrap();
        assert_eq!(running.rows(), self.table.live_rows());
    }

    /// The share of the ten nearest rows that is found with default options, and how many rows were fetched for each query.
    pub fn recall(&mut self, queries: &[Vec<f32>]) -> (f64, f64) {
        let (mut found, mut fetched) = (0, 0);
        for query in queries {
            let bound = self.table.nearest(query, 10)[9];
            let mut running = self.begin(Some(query), ScanOptions::default());
            running.take(&mut self.storage, 10).unwrap();
            fetched += running.rows.fetched;
            for hit in &running.hits {
                let exact = exact_key(
                    self.table.kind.metric,
                    query,
                    &self.table.vectors[row_of(hit.tid)],
                );
                assert!((exact - hit.key).abs() < 1e-9);
                found += usize::from(exact <= bound);
            }
        }
        let count = queries.len() as f64;
        (found as f64 / (10.0 * count), fetched as f64 / count)
    }

    /// Nothing is wrong, and every live row is there.
    pub fn assert_clean(&mut self) -> usize {
        let mut verification = verify(&mut self.storage).unwrap();
        assert!(verification.is_ok(), "{:#?}", verification.checks);
        for row in self.table.live_rows() {
            let keys = self.table.kind.keys_of(row);
            assert!(
                verification.rows.expect(tid_of(row), keys.as_bytes()),
                "row {row}"
            );
        }
        verification.rows.len()
    }

    /// ...and no other row, and pages are of lists or in no use.
    pub fn assert_exact(&mut self) {
        let rows = self.table.live_rows().len();
        assert_eq!(self.assert_clean(), rows);
        let counted = self.statistics();
        assert_eq!(counted.rows + counted.unranked, rows as u64);
        let query = self.table.vectors[0].clone();
        self.assert_complete(Some(&query), ScanOptions::default());
    }

    pub fn statistics(&mut self) -> Statistics {
        Statistics::take(&self.index, &mut self.storage).unwrap()
    }
}
