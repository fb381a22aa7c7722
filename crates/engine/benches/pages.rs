//! Scans of and insertions into an index on pages in memory.
//!
//! `cargo bench -p castmatch-engine --no-default-features --bench pages [-- ROWS DIMS]`, 50,000 rows of 384 dimensions if not said
//! otherwise. The pages are in the memory of the process and every row is fetched from an array, so this is what the engine
//! itself needs: no buffers, no locks, no log. The median time of a query is printed, its recall of the 10 nearest, and what it looked at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::time::Instant;

use castmatch_engine::index::hnsw::build::{Builder, PageSink, Pushed, Supervisor};
use castmatch_engine::index::hnsw::insert::{Inserter, NewElement};
use castmatch_engine::index::hnsw::scan::{HeapRows, Scan, ScanOptions};
use castmatch_engine::index::hnsw::{Index, IndexOptions};
use castmatch_engine::index::key::KeyKinds;
use castmatch_engine::index::page::PageBytes;
use castmatch_engine::index::quantize::{CenterBuilder, CodeBits, CodeRef, Quantizer, exact_key};
use castmatch_engine::index::storage::{MemoryStorage, PageRead};
use castmatch_engine::index::{ElementKind, HeapTid, IndexError, Metric};
use castmatch_engine::interrupt::{Interrupt, Interrupted};

const QUERIES: usize = 300;
const INSERTIONS: usize = 2_000;
const NEAREST: usize = 10;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ (x >> 31)
    }

    /// The sum of four uniform numbers, about normal, of variance 1/3.
    fn bell(&mut self) -> f32 {
        (0..4)
            .map(|_| (self.next() >> 40) as f32 / (1 << 24) as f32)
            .sum::<f32>()
            - 2.0
    }
}

/// Vectors around `rows / 100` means, which vary in a sixth of the dimensions, with some noise in all.
fn clustered(rows: usize, dims: usize) -> Vec<Vec<f32>> {
    let mut random = Random(1);
    let latent = (dims / 6).max(1);
    let map: Vec<f32> = (0..dims * latent).map(|_| random.bell()).collect();
    let means: Vec<Vec<f32>> = (0..rows.div_ceil(100))
        .map(|_| (0..latent).map(|_| random.bell()).collect())
        .collect();
    (0..rows)
        .map(|_| {
            let mean = &means[random.next() as usize % means.len()];
            let point: Vec<f32> = mean.iter().map(|x| x + random.bell()).collect();
            map.chunks(latent)
                .map(|row| row.iter().zip(&point).map(|(a, b)| a * b).sum::<f32>() + 0.2 * random.bell())
                .collect()
        })
        .collect()
}

fn tid(row: usize) -> HeapTid {
    HeapTid {
        block: (row / 50) as u32,
        offset: (row % 50) as u16 + 1,
    }
}

struct Table<'a> {
    vectors: &'a [Vec<f32>],
    query: &'a [f32],
    fetched: usize,
}

impl HeapRows for Table<'_> {
    fn contains(&mut self, _tid: HeapTid) -> bool {
        true
    }

    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError> {
        self.fetched += 1;
        let row = tid.block as usize * 50 + usize::from(tid.offset) - 1;
        Ok(Some(exact_key(Metric::L2, self.query, &self.vectors[row])))
    }
}

struct Unwatched;

impl Interrupt for Unwatched {
    fn check(&self) -> Result<(), Interrupted> {
        Ok(())
    }
}

impl Supervisor for Unwatched {}

struct Pages(MemoryStorage);

impl PageSink for Pages {
    fn page(&mut self, _: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        self.0.push_page(bytes).map(|_| ())
    }
}

fn new_index(vectors: &[Vec<f32>], dims: usize) -> Index {
    let bits = CodeBits::default_for(Metric::L2, dims);
    let plain = Quantizer::new(Metric::L2, dims, bits, 42, &[]).unwrap();
    let mut center = CenterBuilder::new(dims).unwrap();
    let mut transformed = vec![0.0; dims];
    for vector in vectors.iter().take(10_000) {
        plain.transform(vector, &mut transformed);
        center.add(&transformed);
    }
    let center = if Quantizer::uses_center(Metric::L2, bits) {
        center.finish()
    } else {
        Vec::new()
    };
    let options = IndexOptions {
        metric: Metric::L2,
        element: ElementKind::Vector,
        bits,
        dims: dims as u32,
        m: 16,
        ef_construction: 64,
        seed: 42,
        build_id: 1,
        keys: KeyKinds::NONE,
    };
    Index::new(&options, center).unwrap()
}

fn build(index: &Index, vectors: &[Vec<f32>]) -> MemoryStorage {
    let mut builder = Builder::new(index, 8 << 30, 2);
    let mut transformed = vec![0.0; index.quantizer.dims()];
    let mut code = vec![0; index.quantizer.code_bytes()];
    for (row, vector) in vectors.iter().enumerate() {
        let rank = index.quantizer.transform(vector, &mut transformed);
        let factors = index.quantizer.encode(&transformed, &mut code);
        let code = CodeRef { factors, code: &code };
        assert_eq!(builder.push(code, &[], tid(row), rank).unwrap(), Pushed::Stored);
    }
    let mut pages = Pages(MemoryStorage::new());
    builder
        .finish(&Unwatched)
        .unwrap()
        .write_index(&mut pages)
        .unwrap();
    pages.0
}

fn nearest(vectors: &[Vec<f32>], query: &[f32]) -> Vec<f64> {
    let mut keys: Vec<f64> = vectors.iter().map(|v| exact_key(Metric::L2, query, v)).collect();
    keys.sort_by(f64::total_cmp);
    keys.truncate(NEAREST);
    keys
}

fn scans(index: &Arc<Index>, storage: &mut MemoryStorage, vectors: &[Vec<f32>], queries: &[Vec<f32>]) {
    let truth: Vec<Vec<f64>> = queries.iter().map(|query| nearest(vectors, query)).collect();
    println!("  ef  epsilon  us/query  recall@10  fetched  expanded  estimated");
    for (ef, epsilon) in [
        (40, 1.0),
        (40, 2.0),
        (40, 3.0),
        (80, 1.0),
        (80, 2.0),
        (80, 3.0),
        (160, 2.0),
        (160, 3.0),
    ] {
        let options = ScanOptions {
            ef,
            epsilon,
            ..ScanOptions::default()
        };
        let mut scan = Scan::new(Arc::clone(index), options);
        let mut transformed = vec![0.0; index.quantizer.dims()];
        let (mut found, mut fetched) = (0, 0);
        let mut times = Vec::new();
        for (query, truth) in queries.iter().zip(&truth) {
            let mut table = Table {
                vectors,
                query,
                fetched: 0,
            };
            let mut best = f64::INFINITY;
            let mut hits = Vec::with_capacity(NEAREST);
            for _ in 0..3 {
                (table.fetched, hits) = (0, Vec::with_capacity(NEAREST));
                let start = Instant::now();
                index.quantizer.transform(query, &mut transformed);
                scan.rescan(storage, Some(&transformed), None).unwrap();
                while hits.len() < NEAREST
                    && let Some(hit) = scan.next(storage, &mut table).unwrap()
                {
                    hits.push(hit.key);
                }
                best = best.min(start.elapsed().as_secs_f64());
            }
            times.push(best * 1e6);
            fetched += table.fetched;
            let worst = truth.last().copied().unwrap_or(0.0);
            found += hits.iter().filter(|key| **key <= worst).count();
        }
        times.sort_by(f64::total_cmp);
        let (expanded, estimated) = scan.counts();
        let scans = queries.len() as f64;
        println!(
            "{ef:4}  {epsilon:7.1}  {:8.1}  {:9.4}  {:7.1}  {:8.1}  {:9.1}",
            times[times.len() / 2],
            found as f64 / scans / NEAREST as f64,
            fetched as f64 / scans,
            expanded as f64 / scans / 3.0,
            estimated as f64 / scans / 3.0,
        );
    }
}

fn insertions(index: &Index, storage: &mut MemoryStorage, vectors: &[Vec<f32>], from: usize) {
    let mut inserter = Inserter::default();
    let mut random = Random(3);
    let mut transformed = vec![0.0; index.quantizer.dims()];
    let before = storage.counts();
    let start = Instant::now();
    for (row, vector) in vectors.iter().enumerate() {
        let tid = tid(from + row);
        let rankable = index.quantizer.transform(vector, &mut transformed);
        let element = NewElement {
            transformed: &transformed,
            rankable,
            tid,
            level: index.level(tid),
            keys: &[],
        };
        inserter.insert(index, storage, &element, random.next()).unwrap();
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = storage.counts();
    let count = vectors.len() as f64;
    println!(
        "{:.0} insertions/s; of each: {:.1} records, {:.0} places in {:.0} peeks",
        count / seconds,
        (after.records - before.records) as f64 / count,
        (after.peeked - before.peeked) as f64 / count,
        (after.peeks - before.peeks) as f64 / count,
    );
}

fn main() {
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let rows = numbers.first().copied().unwrap_or(50_000);
    let dims = numbers.get(1).copied().unwrap_or(384);
    let mut vectors = clustered(rows + QUERIES + INSERTIONS, dims);
    let new = vectors.split_off(rows + QUERIES);
    let queries = vectors.split_off(rows);
    let index = Arc::new(new_index(&vectors, dims));
    let start = Instant::now();
    let mut storage = build(&index, &vectors);
    let seconds = start.elapsed().as_secs_f64();
    println!(
        "{rows} rows of {dims} dimensions: {} pages, built in {seconds:.1} s",
        storage.blocks().unwrap()
    );
    scans(&index, &mut storage, &vectors, &queries);
    insertions(&index, &mut storage, &new, rows);
}
