//! How many elements of an index that was filled by insertions nothing leads to, over pages in memory.
//!
//! `cargo run --release -p castmatch-engine --no-default-features --example reach -- [rows=2000] [dims=16] [seeds=10] [rounds=10]
//! [ef_construction=32] [queries=50] [m=2,4,6,8] [threads=1,4] [ip]` inserts rows, then so many times deletes three in ten, vacuums and inserts as
//! many; with several threads the vacuum runs beside the first half of that. Printed are the elements that cannot be reached after the first
//! insertions and after each round, before the next vacuum mends them: how many in a million of all, how many of these no list names, the most in
//! one index, and how many indexes had more than 3 in 1000. Recall@10 is that of ef 40, after the first insertions and in the end.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A tool: what goes wrong ends it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread;

use castmatch_engine::index::hnsw::insert::{Inserter, NewElement};
use castmatch_engine::index::hnsw::paged::{PagedGraph, PagedScratch, peek_entries};
use castmatch_engine::index::hnsw::vacuum::{VacuumStats, bulk_delete, cleanup};
use castmatch_engine::index::hnsw::walk::{Beam, Graph, descend};
use castmatch_engine::index::hnsw::{Index, IndexOptions};
use castmatch_engine::index::key::KeyKinds;
use castmatch_engine::index::page::{Entry, EntrySet, NodePage, PageKind, SlotState, init_page, page_kind};
use castmatch_engine::index::quantize::{CodeBits, Query, exact_key};
use castmatch_engine::index::storage::{MemoryStorage, PageRead, PageWrite, SharedMemoryStorage};
use castmatch_engine::index::{ElementKind, HeapTid, Metric, SlotId};

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

/// Vectors around eight means.
struct Source {
    random: Random,
    means: Vec<Vec<f32>>,
}

impl Source {
    fn new(seed: u64, dims: usize) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let means = (0..8)
            .map(|_| (0..dims).map(|_| random.normal()).collect())
            .collect();
        Self { random, means }
    }

    fn next(&mut self) -> Vec<f32> {
        let mean = (self.random.next() >> 32) as usize % self.means.len();
        let random = &mut self.random;
        self.means[mean]
            .iter()
            .map(|x| x + 0.5 * random.normal())
            .collect()
    }
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

fn new_index(metric: Metric, dims: usize, m: usize, ef_construction: usize) -> (Index, SharedMemoryStorage) {
    let options = IndexOptions {
        metric,
        element: ElementKind::Vector,
        bits: CodeBits::default_for(metric, dims),
        dims: dims as u32,
        m: m as u16,
        ef_construction: ef_construction as u16,
        seed: 42,
        build_id: 1,
        keys: KeyKinds::NONE,
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
    (index, SharedMemoryStorage::new(storage))
}

/// Inserts the rows, each thread every so many of them.
fn insert(
    index: &Index,
    storage: &SharedMemoryStorage,
    rows: &[(usize, Vec<f32>)],
    threads: usize,
    seed: u64,
) {
    thread::scope(|scope| {
        for part in 0..threads {
            let mut storage = storage.clone();
            scope.spawn(move || {
                let mut inserter = Inserter::default();
                let mut random = Random(seed * 100 + part as u64 + 1);
                for (row, vector) in rows.iter().skip(part).step_by(threads) {
                    let mut transformed = vec![0.0; vector.len()];
                    let rankable = index.quantizer.transform(vector, &mut transformed);
                    let element = NewElement {
                        transformed: &transformed,
                        rankable,
                        tid: tid(*row),
                        level: index.level(tid(*row)),
                        keys: &[],
                    };
                    inserter
                        .insert(index, &mut storage, &element, random.next())
                        .unwrap();
                }
            });
        }
    });
}

fn vacuum(index: &Index, storage: &SharedMemoryStorage, deleted: &HashSet<usize>) {
    let (mut storage, mut stats) = (storage.clone(), VacuumStats::default());
    bulk_delete(
        index,
        &mut storage,
        |tid| deleted.contains(&row_of(tid)),
        &mut stats,
    )
    .unwrap();
    cleanup(index, &mut storage, &mut stats).unwrap();
}

/// What was counted in indexes of one kind.
#[derive(Default)]
struct Counted {
    elements: usize,
    unreachable: usize,
    unnamed: usize,
    indexes: usize,
    most: usize,
    above: usize,
}

impl Counted {
    /// Counts the live elements to which no way leads at any level.
    fn look(&mut self, index: &Index, storage: &mut MemoryStorage) {
        let (mut levels, mut named) = (HashMap::new(), HashSet::new());
        let blocks = storage.blocks().unwrap();
        for block in index.first_node_block()..blocks {
            let bytes = storage.page(block).unwrap();
            if page_kind(bytes).unwrap() != Some(PageKind::Node) {
                continue;
            }
            for (at, slot) in NodePage::open(bytes, &index.layout).unwrap().slots() {
                let slot = slot.unwrap();
                if slot.head.state == SlotState::Live {
                    levels.insert(index.layout.id(block, at).unwrap(), slot.head.level);
                    named.extend(slot.neighbours.iter());
                }
            }
        }
        let id_bound = index.layout.id_bound(blocks).unwrap();
        let mut scratch = PagedScratch::default();
        let mut open: Vec<SlotId> = peek_entries(storage)
            .unwrap()
            .iter()
            .map(|entry| entry.id)
            .collect();
        let mut met: HashSet<SlotId> = open.iter().copied().collect();
        let mut list = Vec::new();
        while let Some(id) = open.pop() {
            for level in 0..=levels.get(&id).copied().unwrap_or(0) {
                PagedGraph::<_, Query>::new(index, storage, &mut scratch, id_bound)
                    .neighbours(id, level, &mut list)
                    .unwrap();
                open.extend(list.iter().filter(|id| met.insert(**id)));
            }
        }
        let unreachable: Vec<_> = levels.keys().filter(|id| !met.contains(id)).collect();
        self.elements += levels.len();
        self.unreachable += unreachable.len();
        self.unnamed += unreachable.iter().filter(|id| !named.contains(id)).count();
        self.indexes += 1;
        self.most = self.most.max(unreachable.len());
        self.above += usize::from(unreachable.len() * 1000 > 3 * levels.len());
    }

    fn show(&self) -> String {
        format!(
            "{:7.0} ppm ({:4} of {:5} unnamed), at most {:3}, {:3} of {:3} above 0.3 %",
            self.unreachable as f64 * 1e6 / self.elements as f64,
            self.unnamed,
            self.unreachable,
            self.most,
            self.above,
            self.indexes,
        )
    }
}

fn recall(
    index: &Index,
    storage: &mut MemoryStorage,
    rows: &BTreeMap<usize, Vec<f32>>,
    queries: &[Vec<f32>],
) -> f64 {
    let entries: Vec<Entry> = peek_entries(storage).unwrap().iter().collect();
    let id_bound = index.layout.id_bound(storage.blocks().unwrap()).unwrap();
    let (mut scratch, mut beam) = (PagedScratch::default(), Beam::default());
    let mut found = 0;
    for query in queries {
        let mut exact: Vec<f64> = rows
            .values()
            .map(|vector| exact_key(index.metric, query, vector))
            .collect();
        exact.sort_by(f64::total_cmp);
        let bound = exact[9];
        let mut transformed = vec![0.0; query.len()];
        index.quantizer.transform(query, &mut transformed);
        let prepared = index.quantizer.query(&transformed);
        let mut graph = PagedGraph::new(index, storage, &mut scratch, id_bound);
        descend(&mut beam, &mut graph, &prepared, &entries, 0, 40).unwrap();
        beam.run(&mut graph, &prepared, 0).unwrap();
        let ids: Vec<_> = beam.found().map(|candidate| candidate.id).collect();
        let heads = scratch.peek_heads(storage, &index.layout, &ids).unwrap();
        found += heads
            .flatten()
            .filter(|head| {
                rows.get(&row_of(head.tid))
                    .is_some_and(|vector| exact_key(index.metric, query, vector) <= bound)
            })
            .count();
    }
    found as f64 / 10.0 / queries.len() as f64
}

fn numbers(name: &str, default: &str) -> Vec<usize> {
    let prefix = format!("{name}=");
    let given = std::env::args().find_map(|argument| argument.strip_prefix(&prefix).map(str::to_owned));
    given
        .unwrap_or(default.to_owned())
        .split(',')
        .map(|number| number.parse().expect("numbers"))
        .collect()
}

fn main() {
    let number = |name, default| numbers(name, default)[0];
    let (count, dims, seeds, rounds) = (
        number("rows", "2000"),
        number("dims", "16"),
        number("seeds", "10"),
        number("rounds", "10"),
    );
    let metric = if std::env::args().any(|argument| argument == "ip") {
        Metric::InnerProduct
    } else {
        Metric::L2
    };
    let ef_construction = number("ef_construction", "32");
    for threads in numbers("threads", "1,4") {
        for m in numbers("m", "2,4,6,8") {
            let (mut fresh, mut churned) = (Counted::default(), Counted::default());
            let mut recalls = [0.0; 2];
            for seed in 1..=seeds as u64 {
                let mut source = Source::new(seed, dims);
                let queries: Vec<_> = (0..number("queries", "50")).map(|_| source.next()).collect();
                let (index, storage) = new_index(metric, dims, m, ef_construction);
                let mut next = count;
                let new: Vec<_> = (0..count).map(|row| (row, source.next())).collect();
                insert(&index, &storage, &new, threads, seed);
                let mut rows: BTreeMap<_, _> = new.into_iter().collect();
                fresh.look(&index, &mut storage.lock());
                recalls[0] += recall(&index, &mut storage.lock(), &rows, &queries) / seeds as f64;
                for _ in 0..rounds {
                    let deleted: HashSet<usize> = rows
                        .keys()
                        .copied()
                        .filter(|_| (source.random.next() >> 32) % 10 < 3)
                        .collect();
                    rows.retain(|row, _| !deleted.contains(row));
                    let new: Vec<_> = (0..deleted.len())
                        .map(|number| (next + number, source.next()))
                        .collect();
                    next += new.len();
                    thread::scope(|scope| {
                        let vacuum = scope.spawn(|| vacuum(&index, &storage, &deleted));
                        if threads == 1 {
                            vacuum.join().unwrap();
                        }
                        insert(
                            &index,
                            &storage,
                            &new[..new.len() / 2],
                            threads,
                            seed + next as u64,
                        );
                    });
                    insert(
                        &index,
                        &storage,
                        &new[new.len() / 2..],
                        threads,
                        seed + next as u64,
                    );
                    rows.extend(new);
                    churned.look(&index, &mut storage.lock());
                }
                recalls[1] += recall(&index, &mut storage.lock(), &rows, &queries) / seeds as f64;
            }
            println!(
                "m {m}, {threads} threads, recall {:.4}, {:.4}",
                recalls[0], recalls[1]
            );
            println!("  first insertions  {}", fresh.show());
            println!("  after each round  {}", churned.show());
        }
    }
}
