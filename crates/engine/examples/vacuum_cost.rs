//! What a vacuum costs and what it does to the recall of searches, over pages in memory.
//!
//! `cargo run --release -p castmatch-engine --no-default-features --example vacuum_cost -- ROWS DIMS M EF_CONSTRUCTION PERCENT`
//! builds an index over clustered random vectors, deletes so many percent of the rows, vacuums, and prints the CPU time of each
//! step and recall@10 before, after, and of a new build of what is left.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A tool: what goes wrong ends it.

use std::time::Instant;

use castmatch_engine::index::hnsw::build::{Builder, PageSink};
use castmatch_engine::index::hnsw::paged::{PagedGraph, PagedScratch, peek_entries};
use castmatch_engine::index::hnsw::statistics::Statistics;
use castmatch_engine::index::hnsw::vacuum::{VacuumStats, bulk_delete, cleanup};
use castmatch_engine::index::hnsw::verify::verify;
use castmatch_engine::index::hnsw::walk::{Beam, descend};
use castmatch_engine::index::hnsw::{Index, IndexOptions};
use castmatch_engine::index::key::KeyKinds;
use castmatch_engine::index::page::{Entry, PageBytes, SlotState};
use castmatch_engine::index::quantize::{CodeBits, CodeRef, exact_key};
use castmatch_engine::index::storage::{MemoryStorage, PageRead};
use castmatch_engine::index::{ElementKind, HeapTid, IndexError, Metric};
use castmatch_engine::interrupt::NeverInterrupted;

struct Sink(MemoryStorage);

impl PageSink for Sink {
    fn page(&mut self, _block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        self.0.push_page(bytes).map(|_| ())
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    /// About normal.
    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.unit()).sum::<f32>() - 3.0
    }
}

/// The CPU time of this process in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn tid(row: usize) -> HeapTid {
    HeapTid {
        block: (row / 100) as u32,
        offset: (row % 100) as u16 + 1,
    }
}

fn row_of(tid: HeapTid) -> usize {
    tid.block as usize * 100 + usize::from(tid.offset) - 1
}

fn build(index: &Index, vectors: &[Vec<f32>], rows: impl Iterator<Item = usize>) -> MemoryStorage {
    let mut builder = Builder::new(index, 8 << 30, 2);
    let mut transformed = vec![0.0; index.dims as usize];
    let mut code = vec![0; index.quantizer.code_bytes()];
    for row in rows {
        let rank = index.quantizer.transform(&vectors[row], &mut transformed);
        let factors = index.quantizer.encode(&transformed, &mut code);
        builder
            .push(CodeRef { factors, code: &code }, &[], tid(row), rank)
            .unwrap();
    }
    let mut sink = Sink(MemoryStorage::new());
    builder
        .finish(&NeverInterrupted)
        .unwrap()
        .write_index(&mut sink)
        .unwrap();
    sink.0
}

fn search(index: &Index, storage: &mut MemoryStorage, vector: &[f32], ef: usize) -> Vec<usize> {
    let mut transformed = vec![0.0; vector.len()];
    index.quantizer.transform(vector, &mut transformed);
    let query = index.quantizer.query(&transformed);
    let entries: Vec<Entry> = peek_entries(storage).unwrap().iter().collect();
    let id_bound = index.layout.id_bound(storage.blocks().unwrap()).unwrap();
    let mut scratch = PagedScratch::default();
    let mut beam = Beam::default();
    let mut graph = PagedGraph::new(index, storage, &mut scratch, id_bound);
    descend(&mut beam, &mut graph, &query, &entries, 0, ef).unwrap();
    beam.run(&mut graph, &query, 0).unwrap();
    let ids: Vec<_> = beam.found().map(|candidate| candidate.id).collect();
    let heads = scratch.peek_heads(storage, &index.layout, &ids).unwrap();
    heads
        .flatten()
        .filter(|head| head.state == SlotState::Live)
        .map(|head| row_of(head.tid))
        .collect()
}

fn recalls(
    index: &Index,
    storage: &mut MemoryStorage,
    vectors: &[Vec<f32>],
    live: &[bool],
    queries: &[Vec<f32>],
) -> String {
    let efs = [20, 40, 80, 160];
    let (mut found, mut wanted) = ([0usize; 4], 0);
    let k = 10;
    for query in queries {
        let mut exact: Vec<f64> = (0..vectors.len())
            .filter(|row| live[*row])
            .map(|row| exact_key(index.metric, query, &vectors[row]))
            .collect();
        exact.sort_by(f64::total_cmp);
        exact.truncate(k);
        let bound = *exact.last().unwrap();
        wanted += exact.len();
        for (found, ef) in found.iter_mut().zip(efs) {
            let mut keys: Vec<f64> = search(index, storage, query, ef)
                .into_iter()
                .map(|row| exact_key(index.metric, query, &vectors[row]))
                .collect();
            keys.sort_by(f64::total_cmp);
            *found += keys.iter().take(k).filter(|key| **key <= bound).count();
        }
    }
    let shares: Vec<String> = efs
        .iter()
        .zip(found)
        .map(|(ef, found)| format!("ef {ef}: {:.4}", found as f64 / wanted as f64))
        .collect();
    shares.join("  ")
}

fn main() {
    let arguments: Vec<usize> = std::env::args()
        .skip(1)
        .map(|a| a.parse().expect("a number"))
        .collect();
    let [rows, dims, m, ef_construction, percent] = arguments[..] else {
        eprintln!("usage: vacuum_cost ROWS DIMS M EF_CONSTRUCTION PERCENT");
        std::process::exit(2);
    };
    let mut random = Random(7);
    let centers: Vec<Vec<f32>> = (0..64)
        .map(|_| (0..dims).map(|_| random.normal()).collect())
        .collect();
    let mut vector = || -> Vec<f32> {
        let center = &centers[(random.next() % 64) as usize];
        if dims < 16 {
            return (0..dims).map(|_| random.unit()).collect();
        }
        center.iter().map(|x| x + random.normal()).collect()
    };
    let vectors: Vec<Vec<f32>> = (0..rows).map(|_| vector()).collect();
    let queries: Vec<Vec<f32>> = (0..200).map(|_| vector()).collect();
    let options = IndexOptions {
        metric: Metric::L2,
        element: ElementKind::Vector,
        bits: CodeBits::default_for(Metric::L2, dims),
        dims: dims as u32,
        m: m as u16,
        ef_construction: ef_construction as u16,
        seed: 1,
        build_id: 1,
        keys: KeyKinds::NONE,
    };
    let index = Index::new(&options, Vec::new()).unwrap();
    let start = cpu();
    let mut storage = build(&index, &vectors, 0..rows);
    println!(
        "build {:.2} s CPU, {} blocks",
        cpu() - start,
        storage.blocks().unwrap()
    );
    let mut live = vec![true; rows];
    println!(
        "before  {}",
        recalls(&index, &mut storage, &vectors, &live, &queries)
    );
    for (row, live) in live.iter_mut().enumerate() {
        *live = row.wrapping_mul(2_654_435_761) % 100 >= percent;
    }
    let mut stats = VacuumStats::default();
    let (start, wall) = (cpu(), Instant::now());
    bulk_delete(&index, &mut storage, |tid| !live[row_of(tid)], &mut stats).unwrap();
    println!("bulk_delete {:.2} s CPU, {:?}", cpu() - start, wall.elapsed());
    println!(
        "deleted {}",
        recalls(&index, &mut storage, &vectors, &live, &queries)
    );
    let before = storage.counts();
    let (start, wall) = (cpu(), Instant::now());
    cleanup(&index, &mut storage, &mut stats).unwrap();
    let after = storage.counts();
    println!(
        "cleanup {:.2} s CPU, {:?}, {stats:?}",
        cpu() - start,
        wall.elapsed()
    );
    println!(
        "  {} records, {} peeked, {} peeks, {} reads",
        after.records - before.records,
        after.peeked - before.peeked,
        after.peeks - before.peeks,
        after.reads - before.reads
    );
    println!(
        "vacuumed {}",
        recalls(&index, &mut storage, &vectors, &live, &queries)
    );
    for check in verify(&mut storage).unwrap().checks {
        println!(
            "  {} {}: {}",
            if check.ok { "ok " } else { "BAD" },
            check.name,
            check.detail
        );
    }
    let counted = Statistics::take(&index, &mut storage).unwrap();
    println!(
        "  mean degree {:.1}, levels {:?}",
        counted.mean_degree(),
        counted.levels
    );
    let mut fresh = build(&index, &vectors, (0..rows).filter(|row| live[*row]));
    println!(
        "rebuilt {}",
        recalls(&index, &mut fresh, &vectors, &live, &queries)
    );
    let counted = Statistics::take(&index, &mut fresh).unwrap();
    println!("  mean degree {:.1}", counted.mean_degree());
}
