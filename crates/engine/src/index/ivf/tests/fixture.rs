//! A table in memory, an index on it, and what the server would do with both.

use std::cell::Cell;
use std::sync::Arc;

use crate::index::hnsw::build::Supervisor;
use crate::index::hnsw::scan::{HeapRows, Hit};
use crate::index::ivf::directory::Directory;
use crate::index::ivf::insert::{Inserter, NewElement, Placed, reopen};
use crate::index::ivf::page::Meta;
use crate::index::ivf::scan::{Scan, ScanOptions};
use crate::index::ivf::vacuum::Surroundings;
use crate::index::ivf::{Index, IndexOptions};
use crate::index::key::{Filter, KeyKind, KeyKinds, RowKeys};
use crate::index::quantize::{Rankable, exact_key};
use crate::index::storage::{PageRead, PageWrite};
use crate::index::{ElementKind, HeapTid, IndexError, Metric};
use crate::interrupt::{Interrupt, Interrupted};

/// Random numbers (splitmix64).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

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

    fn uniform(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    pub fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.uniform()).sum::<f32>() * 1.414 - 4.242
    }

    /// A mixture of Gaussians.
    pub fn clustered(&mut self, count: usize, dims: usize, clusters: usize) -> Vec<Vec<f32>> {
        let centers: Vec<Vec<f32>> = (0..clusters)
            .map(|_| (0..dims).map(|_| self.normal()).collect())
            .collect();
        (0..count)
            .map(|_| {
                let center = &centers[self.below(clusters)];
                center.iter().map(|x| x + 0.6 * self.normal()).collect()
            })
            .collect()
    }
}

pub fn tid_of(row: usize) -> HeapTid {
    HeapTid {
        block: (row / 100) as u32,
        offset: (row % 100) as u16 + 1,
    }
}

pub fn row_of(tid: HeapTid) -> usize {
    (tid.block as usize * 100 + usize::from(tid.offset)).wrapping_sub(1)
}

/// Values of the key column: few, and now and then NULL.
pub fn key_of(row: usize) -> Option<u64> {
    (row % 11 != 3).then_some((row % 7) as u64)
}

/// What kind of index a test wants.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    pub metric: Metric,
    pub dims: usize,
    pub lists: u32,
    pub refine: bool,
    pub keys: bool,
}

impl Kind {
    pub fn new(metric: Metric, dims: usize) -> Self {
        Self {
            metric,
            dims,
            lists: 0,
            refine: false,
            keys: false,
        }
    }

    pub fn options(&self) -> IndexOptions {
        let keys: &[KeyKind] = if self.keys { &[KeyKind::Ordered] } else { &[] };
        IndexOptions {
            metric: self.metric,
            element: ElementKind::Vector,
            dims: self.dims as u32,
            lists: self.lists,
            refine: self.refine,
            seed: 42,
            build_id: 7,
            keys: KeyKinds::new(keys).unwrap(),
        }
    }

    pub fn keys_of(&self, row: usize) -> RowKeys {
        let mut keys = RowKeys::new(usize::from(self.keys));
        keys.set(0, key_of(row));
        keys
    }
}

/// Rows, of which some are live.
#[derive(Debug, Clone)]
pub struct Table {
    pub kind: Kind,
    pub vectors: Arc<Vec<Vec<f32>>>,
    pub live: Vec<bool>,
}

impl Table {
    pub fn new(kind: Kind, vectors: Vec<Vec<f32>>) -> Self {
        Self {
            kind,
            live: vec![false; vectors.len()],
            vectors: Arc::new(vectors),
        }
    }

    pub fn live_rows(&self) -> Vec<usize> {
        (0..self.live.len()).filter(|row| self.live[*row]).collect()
    }

    /// The keys of the nearest rows, in order.
    pub fn nearest(&self, query: &[f32], count: usize) -> Vec<f64> {
        let mut keys: Vec<f64> = self
            .live_rows()
            .into_iter()
            .map(|row| exact_key(self.kind.metric, query, &self.vectors[row]))
            .filter(|key| !key.is_nan())
            .collect();
        keys.sort_by(f64::total_cmp);
        keys.truncate(count);
        keys
    }

    /// The table as a scan sees it from now on.
    pub fn snapshot(&self, query: Option<&[f32]>) -> Rows {
        Rows {
            table: self.clone(),
            query: query.map(<[f32]>::to_vec),
            fetched: 0,
        }
    }
}

/// The rows that a scan sees.
pub struct Rows {
    pub table: Table,
    pub query: Option<Vec<f32>>,
    pub fetched: usize,
}

impl HeapRows for Rows {
    fn contains(&mut self, tid: HeapTid) -> bool {
        row_of(tid) < self.table.vectors.len()
    }

    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError> {
        self.fetched += 1;
        let row = row_of(tid);
        let key = match &self.query {
            None => f64::NAN,
            Some(query) => exact_key(self.table.kind.metric, query, &self.table.vectors[row]),
        };
        Ok(self.table.live[row].then_some(key))
    }
}

/// The table and the transactions as cleanups see them.
pub struct Around<'a> {
    pub index: &'a Index,
    pub table: &'a Table,
    pub transactions: &'a mut u64,
    /// Transactions before this one are past.
    pub past: u64,
    /// So many lists may be replaced.
    pub steps: usize,
    /// So many checks succeed.
    pub checks: Cell<u64>,
}

impl Interrupt for Around<'_> {
    fn check(&self) -> Result<(), Interrupted> {
        let left = self.checks.get().checked_sub(1).ok_or(Interrupted)?;
        self.checks.set(left);
        Ok(())
    }
}

impl Supervisor for Around<'_> {}

impl Surroundings for Around<'_> {
    fn vector(&mut self, tid: HeapTid, out: &mut [f32]) -> Result<bool, IndexError> {
        // Of rows that are long gone only the code is left.
        let row = row_of(tid);
        let Some(vector) = self.table.vectors.get(row).filter(|_| self.table.live[row]) else {
            return Ok(false);
        };
        self.index.transform(vector.as_slice(), out);
        Ok(true)
    }

    fn next_transaction(&mut self) -> u64 {
        *self.transactions += 1;
        *self.transactions
    }

    fn is_past(&mut self, transaction: u64) -> bool {
        transaction < self.past
    }

    fn has_time(&mut self) -> bool {
        match self.steps.checked_sub(1) {
            Some(left) => {
                self.steps = left;
                true
            }
            None => false,
        }
    }

    fn memory_bytes(&self) -> usize {
        64 << 20
    }
}

/// What a backend keeps between insertions.
#[derive(Default)]
pub struct Backend {
    directory: Option<Arc<Directory>>,
    inserter: Inserter,
}

impl Backend {
    /// The directory, read anew if it has changed.
    pub fn directory<S: PageRead>(
        &mut self,
        index: &Index,
        storage: &mut S,
    ) -> Result<Arc<Directory>, IndexError> {
        let version = storage
            .read(0, Meta::parse)?
            .map_err(|error| error.at(0))?
            .version;
        if let Some(kept) = &self.directory
            && kept.version == version
            && version % 2 == 0
        {
            return Ok(kept.clone());
        }
        let directory = Arc::new(Directory::load(index, storage)?);
        self.directory = Some(directory.clone());
        Ok(directory)
    }

    /// Inserts a row of the table.
    pub fn insert<S: PageWrite>(
        &mut self,
        index: &Index,
        storage: &mut S,
        table: &Table,
        row: usize,
    ) -> Result<(), IndexError> {
        let mut transformed = vec![0.0; index.layout.dims];
        let rankable = index.transform(table.vectors[row].as_slice(), &mut transformed);
        let keys = table.kind.keys_of(row);
        let element = NewElement {
            transformed: &transformed,
            rankable,
            tid: tid_of(row),
            keys: keys.as_bytes(),
        };
        for attempt in 0..20 {
            let directory = self.directory(index, storage)?;
            match self.inserter.insert(index, storage, &directory, &element)? {
                Placed::Stored => return Ok(()),
                Placed::Stale => self.directory = None,
                Placed::Busy => {
                    self.directory = None;
                    if attempt > 1 {
                        reopen(index, storage)?;
                    }
                }
            }
        }
        panic!("row {row} finds no place");
    }
}

/// A scan with what it sees.
pub struct Running {
    pub scan: Scan,
    pub rows: Rows,
    pub hits: Vec<Hit>,
}

impl Running {
    pub fn begin<S: PageRead>(
        index: &Arc<Index>,
        storage: &mut S,
        table: &Table,
        query: Option<&[f32]>,
        options: ScanOptions,
        filter: Option<Filter>,
    ) -> Result<Self, IndexError> {
        let directory = Arc::new(Directory::load(index, storage)?);
        let mut scan = Scan::new(index.clone(), options);
        let mut transformed = vec![0.0; index.layout.dims];
        let ranked = query.filter(|query| index.transform(*query, &mut transformed) == Rankable::Yes);
        scan.rescan(storage, directory, ranked.map(|_| &*transformed), filter)?;
        Ok(Self {
            scan,
            rows: table.snapshot(ranked),
            hits: Vec::new(),
        })
    }

    /// Takes so many rows more. Returns whether there were as many.
    pub fn take<S: PageRead>(&mut self, storage: &mut S, count: usize) -> Result<bool, IndexError> {
        for _ in 0..count {
            match self.scan.next(storage, &mut self.rows)? {
                Some(hit) => self.hits.push(hit),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    pub fn rows(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = self.hits.iter().map(|hit| row_of(hit.tid)).collect();
        rows.sort_unstable();
        rows
    }
}
