//! Recall and time of scans with a filter, over an index in memory.
//!
//! `cargo run --release -p castmatch-engine --no-default-features --example filter_walk -- base=FILE asked=FILE [name=value ...]`
//! with the files of `castmatch-bench prepare` (base.f32 and queries.f32 of a data set), rows=100000 queries=200 metric=cosine m=16
//! efc=64 ef=40 rounds=3 threads=2 approaches=chosen,plain,twohop,sweep.
//!
//! Each row has a random key and the numbers of its clusters, among 2, 10, 100 and 1000 whose centres are rows. "own" asks for the
//! cluster of the query, "far" for the one whose centre is farthest from it, "other" for all but its own. Recall is that of the 10 rows
//! that a scan returns first, of all that pass; the time is processor time, the least of the rounds. `only=` takes the filters whose
//! names contain it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

use std::sync::Arc;
use std::time::Instant;

use castmatch_engine::index::hnsw::build::{Builder, PageSink, Pushed};
use castmatch_engine::index::hnsw::scan::{Approach, HeapRows, Scan, ScanOptions};
use castmatch_engine::index::hnsw::{Index, IndexOptions};
use castmatch_engine::index::key::{Condition, Filter, KeyKind, KeyKinds, RowKeys, Test};
use castmatch_engine::index::page::PageBytes;
use castmatch_engine::index::quantize::{CenterBuilder, CodeBits, CodeRef, Quantizer, exact_key};
use castmatch_engine::index::storage::MemoryStorage;
use castmatch_engine::index::{ElementKind, HeapTid, IndexError, Metric};
use castmatch_engine::interrupt::NeverInterrupted;

const CLUSTERS: [usize; 4] = [2, 10, 100, 1000];
const SPAN: u64 = 1_000_000;

fn argument(name: &str, default: &str) -> String {
    let prefix = format!("{name}=");
    std::env::args()
        .find_map(|a| a.strip_prefix(&prefix).map(str::to_owned))
        .unwrap_or(default.to_owned())
}

fn number(name: &str, default: &str) -> usize {
    argument(name, default).parse().unwrap()
}

/// The first rows of a matrix of `castmatch-bench`: 8 bytes of magic, kind, columns (u32), rows (u64), 8 bytes, then f32.
fn read_matrix(path: &str, rows: usize) -> Vec<Vec<f32>> {
    use std::io::Read;
    let mut file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
    let mut head = [0; 32];
    file.read_exact(&mut head).unwrap();
    let columns = u32::from_le_bytes(head[12..16].try_into().unwrap()) as usize;
    let mut row = vec![0; 4 * columns];
    let mut matrix = Vec::new();
    while matrix.len() < rows && file.read_exact(&mut row).is_ok() {
        matrix.push(row.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect());
    }
    matrix
}

fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut x = *state;
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

fn tid(row: usize) -> HeapTid {
    HeapTid {
        block: row as u32 / 100,
        offset: (row % 100) as u16 + 1,
    }
}

fn row_of(tid: HeapTid) -> usize {
    tid.block as usize * 100 + usize::from(tid.offset) - 1
}

/// Seconds that this thread has had a processor: other work on the machine counts less than on the clock.
fn cpu_seconds() -> f64 {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    spent.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1e-9
}

struct Table<'a> {
    metric: Metric,
    vectors: &'a [Vec<f32>],
    query: &'a [f32],
}

impl HeapRows for Table<'_> {
    fn contains(&mut self, _tid: HeapTid) -> bool {
        true
    }

    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError> {
        Ok(Some(exact_key(
            self.metric,
            self.query,
            &self.vectors[row_of(tid)],
        )))
    }
}

struct Pages(MemoryStorage);

impl PageSink for Pages {
    fn page(&mut self, _block: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        self.0.push_page(bytes).map(drop)
    }
}

/// The positions of the centres in the order of their distance.
fn by_distance(metric: Metric, vector: &[f32], centers: &[&Vec<f32>]) -> Vec<usize> {
    let mut order: Vec<(f64, usize)> = centers
        .iter()
        .enumerate()
        .map(|(at, center)| (exact_key(metric, vector, center), at))
        .collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    order.into_iter().map(|(_, at)| at).collect()
}

/// A filter by its name and what makes it of the clusters of the query, nearest first.
type Named = (String, Box<dyn Fn(&[Vec<usize>]) -> Vec<Condition>>);

fn filters() -> Vec<Named> {
    let range = |column: u8, low: u64, high: u64| Condition {
        column,
        test: Test::Range { low, high },
    };
    let mut all: Vec<Named> = Vec::new();
    for percent in [100.0, 50.0, 30.0, 20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.1, 0.01] {
        let high = (percent / 100.0 * SPAN as f64) as u64;
        all.push((
            format!("random {percent} %"),
            Box::new(move |_| vec![range(0, 0, high - 1)]),
        ));
    }
    for (at, count) in CLUSTERS.into_iter().enumerate() {
        let column = at as u8 + 1;
        all.push((
            format!("own of {count}"),
            Box::new(move |order| vec![range(column, order[at][0] as u64, order[at][0] as u64)]),
        ));
        all.push((
            format!("far of {count}"),
            Box::new(move |order| {
                let far = *order[at].last().unwrap() as u64;
                vec![range(column, far, far)]
            }),
        ));
        all.push((
            format!("other of {count}"),
            Box::new(move |order| {
                let own = order[at][0] as u64;
                let others = (0..CLUSTERS[at] as u64).filter(|other| *other != own).collect();
                vec![Condition {
                    column,
                    test: Test::Any(others),
                }]
            }),
        ));
    }
    all
}

fn main() {
    let metric = match argument("metric", "cosine").as_str() {
        "l2" => Metric::L2,
        "ip" => Metric::InnerProduct,
        _ => Metric::Cosine,
    };
    let vectors = read_matrix(&argument("base", ""), number("rows", "100000"));
    let asked = read_matrix(&argument("asked", ""), number("queries", "200"));
    let (rows, dims) = (vectors.len(), vectors[0].len());

    let bits = CodeBits::default_for(metric, dims);
    let plain = Quantizer::new(metric, dims, bits, 1, &[]).unwrap();
    let mut center = CenterBuilder::new(dims).unwrap();
    let mut transformed = vec![0.0; dims];
    for vector in vectors.iter().step_by((rows / 1000).max(1)) {
        plain.transform(vector, &mut transformed);
        center.add(&transformed);
    }
    let options = IndexOptions {
        metric,
        element: ElementKind::Vector,
        bits,
        dims: dims as u32,
        m: number("m", "16") as u16,
        ef_construction: number("efc", "64") as u16,
        seed: 1,
        build_id: 1,
        keys: KeyKinds::new(&[KeyKind::Ordered; 1 + CLUSTERS.len()]).unwrap(),
    };
    let index = Index::new(&options, center.finish()).unwrap();
    let centers: Vec<Vec<&Vec<f32>>> = CLUSTERS
        .iter()
        .map(|count| (0..*count).map(|at| &vectors[at * rows / count]).collect())
        .collect();

    let clock = Instant::now();
    let mut keys_of_rows = Vec::new();
    let mut builder = Builder::new(&index, usize::MAX, number("threads", "2"));
    let mut code = vec![0; index.quantizer.code_bytes()];
    let mut state = 1;
    for (row, vector) in vectors.iter().enumerate() {
        let mut keys = RowKeys::new(1 + CLUSTERS.len());
        keys.set(0, Some(random(&mut state) % SPAN));
        for (at, centers) in centers.iter().enumerate() {
            let nearest = centers
                .iter()
                .enumerate()
                .map(|(at, center)| (exact_key(metric, vector, center), at))
                .min_by(|a, b| a.0.total_cmp(&b.0));
            keys.set(at + 1, nearest.map(|(_, at)| at as u64));
        }
        let rank = index.quantizer.transform(vector, &mut transformed);
        let factors = index.quantizer.encode(&transformed, &mut code);
        let pushed = builder
            .push(CodeRef { factors, code: &code }, keys.as_bytes(), tid(row), rank)
            .unwrap();
        assert_eq!(pushed, Pushed::Stored);
        keys_of_rows.push(keys);
    }
    let mut pages = Pages(MemoryStorage::new());
    builder
        .finish(&NeverInterrupted)
        .unwrap()
        .write_index(&mut pages)
        .unwrap();
    let mut storage = pages.0;
    println!(
        "{rows} x {dims} {}, m {}, ef_construction {}, {} slots a page: built in {:.0} s",
        metric.name(),
        index.m,
        index.ef_construction,
        index.layout.slots_per_page(),
        clock.elapsed().as_secs_f64()
    );
    let index = Arc::new(index);

    let orders: Vec<Vec<Vec<usize>>> = asked
        .iter()
        .map(|query| centers.iter().map(|c| by_distance(metric, query, c)).collect())
        .collect();
    let distances: Vec<Vec<f32>> = asked
        .iter()
        .map(|query| {
            vectors
                .iter()
                .map(|v| exact_key(metric, query, v) as f32)
                .collect()
        })
        .collect();
    let mut scan = Scan::new(
        Arc::clone(&index),
        ScanOptions {
            ef: number("ef", "40"),
            ..ScanOptions::default()
        },
    );
    let rounds = number("rounds", "3");
    let approaches: Vec<(String, Approach)> = argument("approaches", "chosen,plain,twohop,sweep")
        .split(',')
        .map(|name| {
            let approach = match name {
                "plain" => Approach::Plain,
                "twohop" => Approach::TwoHop,
                "sweep" => Approach::Sweep,
                _ => Approach::Chosen,
            };
            (name.to_owned(), approach)
        })
        .collect();
    println!("filter, passing, approach: recall@10, us a query; tests, estimates, lists, sweeps a query");
    let unfiltered: Named = ("none".to_owned(), Box::new(|_| Vec::new()));
    let only = argument("only", "");
    for (name, conditions_of) in std::iter::once(unfiltered).chain(filters()) {
        if !name.contains(&only) && name != "none" {
            continue;
        }
        let all: Vec<Filter> = orders
            .iter()
            .map(|order| Filter::new(conditions_of(order)))
            .collect();
        let mut passing = 0;
        let truth: Vec<Vec<usize>> = all
            .iter()
            .zip(&distances)
            .map(|(filter, distances)| {
                let mut order: Vec<(f32, usize)> = distances
                    .iter()
                    .zip(&keys_of_rows)
                    .enumerate()
                    .filter(|(_, (_, keys))| filter.matches(keys.as_bytes()))
                    .map(|(row, (distance, _))| (*distance, row))
                    .collect();
                passing += order.len();
                let count = order.len().min(10);
                if order.len() > 10 {
                    order.select_nth_unstable_by(9, |a, b| a.0.total_cmp(&b.0));
                }
                order[..count].iter().map(|(_, row)| *row).collect()
            })
            .collect();
        for (word, approach) in &approaches {
            if name == "none" && word != &approaches[0].0 {
                continue;
            }
            scan.set_approach(*approach);
            let (mut found, mut wanted, mut best) = (0, 0, f64::INFINITY);
            let mut counts = [0; 4];
            for round in 0..rounds {
                let begun = cpu_seconds();
                for ((query, filter), truth) in asked.iter().zip(&all).zip(&truth) {
                    index.quantizer.transform(query, &mut transformed);
                    let mut table = Table {
                        metric,
                        vectors: &vectors,
                        query,
                    };
                    scan.rescan(&mut storage, Some(&transformed), Some(filter.clone()))
                        .unwrap();
                    let mut hits = Vec::new();
                    while hits.len() < 10
                        && let Some(hit) = scan.next(&mut storage, &mut table).unwrap()
                    {
                        hits.push(row_of(hit.tid));
                    }
                    if round == 0 {
                        assert_eq!(hits.len(), truth.len());
                        found += hits.iter().filter(|row| truth.contains(row)).count();
                        wanted += truth.len();
                        let of = scan.filter_counts();
                        for (sum, count) in
                            counts
                                .iter_mut()
                                .zip([of.tests, of.estimates, of.lists, of.sweeps])
                        {
                            *sum += count;
                        }
                    }
                }
                best = best.min(cpu_seconds() - begun);
            }
            let queries = asked.len() as f64;
            let [tests, estimates, lists, sweeps] = counts.map(|count| count as f64 / queries);
            println!(
                "{name:>14} {:8.0} {word:>7}: {:.4} {:8.1} us; {tests:7.0} {estimates:6.0} {lists:5.0} {sweeps:.2}",
                passing as f64 / queries,
                found as f64 / f64::from(wanted.max(1) as u32),
                best / queries * 1e6,
            );
        }
    }
}
