//! CPU seconds and recall of building a graph over clustered vectors.
//!
//! `cargo run --release -p castmatch-engine --no-default-features --example build_graph -- [name=value ...]`
//! with rows=50000 dims=384 metric=cosine m=16 efc=100 threads=2 queries=300 bits=0 (0: the default for the metric) latent=32
//! clusters=500 dump= (a file for the vectors, then the queries, as f32), or with base= and asked= (files of `castmatch-bench
//! prepare`, base.f32 and queries.f32 of a data set, of which the first rows and queries are taken).
//!
//! Recall is that of the 10 nearest of brute force among the found ids ordered by exact distance, for some values of ef.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::Cell;
use std::io::Write;
use std::time::Instant;

use castmatch_engine::index::hnsw::build::{Builder, Pushed};
use castmatch_engine::index::hnsw::walk::{Beam, Overflow};
use castmatch_engine::index::hnsw::{Index, IndexOptions};
use castmatch_engine::index::key::KeyKinds;
use castmatch_engine::index::quantize::{CenterBuilder, CodeBits, CodeRef, Quantizer, exact_key};
use castmatch_engine::index::{ElementKind, HeapTid, Metric};
use castmatch_engine::interrupt::NeverInterrupted;

/// Normally distributed numbers from a fixed seed.
struct Random(u64, Cell<Option<f64>>);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.1.take() {
            return spare;
        }
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        let angle = std::f64::consts::TAU * self.uniform();
        self.1.set(Some(radius * angle.sin()));
        radius * angle.cos()
    }
}

/// Clustered vectors: each is a cluster's mean plus spread in `latent` dimensions, mapped to `dims` with a little noise.
struct Source {
    random: Random,
    map: Vec<f32>,
    means: Vec<Vec<f64>>,
    latent: usize,
    dims: usize,
}

impl Source {
    fn new(dims: usize, latent: usize, clusters: usize) -> Self {
        let mut random = Random(1, Cell::new(None));
        let map = (0..dims * latent).map(|_| random.normal() as f32).collect();
        let means = (0..clusters)
            .map(|_| (0..latent).map(|_| random.normal()).collect())
            .collect();
        Source {
            random,
            map,
            means,
            latent,
            dims,
        }
    }

    fn next(&mut self) -> Vec<f32> {
        let cluster = (self.random.uniform() * self.means.len() as f64) as usize;
        let point: Vec<f32> = (0..self.latent)
            .map(|i| (self.means[cluster][i] + 1.0 * self.random.normal()) as f32)
            .collect();
        let mut vector: Vec<f32> = (0..self.dims)
            .map(|_| (0.3 * self.random.normal()) as f32)
            .collect();
        for (x, row) in vector.iter_mut().zip(self.map.chunks(self.latent)) {
            *x += row.iter().zip(&point).map(|(a, b)| a * b).sum::<f32>();
        }
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.iter_mut().for_each(|x| *x /= norm);
        vector
    }
}

/// CPU seconds of this process, all threads.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

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
    let bytes = std::fs::read(path).unwrap();
    let columns = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    bytes[32..]
        .chunks_exact(4 * columns)
        .take(rows)
        .map(|row| row.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect())
        .collect()
}

fn main() {
    let (mut rows, mut dims, mut queries) = (
        number("rows", "50000"),
        number("dims", "384"),
        number("queries", "300"),
    );
    let metric = match argument("metric", "cosine").as_str() {
        "l2" => Metric::L2,
        "ip" => Metric::InnerProduct,
        "l1" => Metric::L1,
        _ => Metric::Cosine,
    };
    let base = argument("base", "");
    let (vectors, asked) = if base.is_empty() {
        let mut source = Source::new(dims, number("latent", "32"), number("clusters", "500"));
        let vectors: Vec<Vec<f32>> = (0..rows).map(|_| source.next()).collect();
        (vectors, (0..queries).map(|_| source.next()).collect::<Vec<_>>())
    } else {
        (
            read_matrix(&base, rows),
            read_matrix(&argument("asked", ""), queries),
        )
    };
    (rows, queries) = (vectors.len(), asked.len());
    dims = vectors[0].len();
    let bits = CodeBits::from_u8(number("bits", "0") as u8).unwrap_or(CodeBits::default_for(metric, dims));
    let dump = argument("dump", "");
    if !dump.is_empty() {
        let mut file = std::io::BufWriter::new(std::fs::File::create(dump).unwrap());
        for x in vectors.iter().chain(&asked).flatten() {
            file.write_all(&x.to_le_bytes()).unwrap();
        }
        return;
    }

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
        ef_construction: number("efc", "100") as u16,
        seed: 1,
        build_id: 1,
        keys: KeyKinds::NONE,
    };
    let index = Index::new(&options, center.finish()).unwrap();

    let start = cpu_seconds();
    let mut builder = Builder::new(&index, usize::MAX, number("threads", "2"));
    let mut code = vec![0; index.quantizer.code_bytes()];
    for (row, vector) in vectors.iter().enumerate() {
        let rank = index.quantizer.transform(vector, &mut transformed);
        let factors = index.quantizer.encode(&transformed, &mut code);
        let tid = HeapTid {
            block: row as u32 / 100,
            offset: (row % 100) as u16 + 1,
        };
        assert_eq!(
            builder
                .push(CodeRef { factors, code: &code }, &[], tid, rank)
                .unwrap(),
            Pushed::Stored
        );
    }
    let encoded = cpu_seconds();
    let memory = builder.memory_bytes() as f64 / rows as f64;
    let (clock, before) = (Instant::now(), cpu_seconds());
    let built = builder.finish(&NeverInterrupted).unwrap();
    let seconds = cpu_seconds() - before;
    println!(
        "{rows} x {dims} {} {bits:?} bits, m {}, ef_construction {}: encode {:.2} CPU s, link {seconds:.2} CPU s ({:.2} s), {memory:.0} bytes a row, {} repaired",
        metric.name(),
        index.m,
        index.ef_construction,
        encoded - start,
        clock.elapsed().as_secs_f64(),
        built.repaired(),
    );

    let truth: Vec<Vec<usize>> = asked
        .iter()
        .map(|query| {
            let mut order: Vec<(f64, usize)> = vectors
                .iter()
                .enumerate()
                .map(|(row, vector)| (exact_key(metric, query, vector), row))
                .collect();
            order.select_nth_unstable_by(10, |a, b| a.0.total_cmp(&b.0));
            order[..10].iter().map(|(_, row)| *row).collect()
        })
        .collect();
    let mut beam = Beam::new(Overflow::Drop);
    for ef in [20, 40, 60, 80, 100, 120, 160, 200] {
        let (mut hits, mut hits_of_20) = (0, 0);
        let (expansions, estimates) = beam.counts();
        let mut elapsed = 0.0;
        for (query, truth) in asked.iter().zip(&truth) {
            index.quantizer.transform(query, &mut transformed);
            let clock = Instant::now();
            let prepared = index.quantizer.query(&transformed);
            let found: Vec<usize> = built
                .search(&prepared, ef, &mut beam)
                .unwrap()
                .map(|c| c.id.0 as usize)
                .collect();
            elapsed += clock.elapsed().as_secs_f64();
            for (hits, take) in [(&mut hits, ef), (&mut hits_of_20, 20)] {
                let mut ranked: Vec<(f64, usize)> = found
                    .iter()
                    .take(take)
                    .map(|row| (exact_key(metric, query, &vectors[*row]), *row))
                    .collect();
                ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
                *hits += ranked
                    .iter()
                    .take(10)
                    .filter(|(_, row)| truth.contains(row))
                    .count();
            }
        }
        let per_query = queries as f64;
        println!(
            "ef {ef}: recall {:.4} (exact order of all), {:.4} (of the first 20); {:.0} us, {:.0} expansions, {:.0} estimates a query",
            hits as f64 / 10.0 / per_query,
            hits_of_20 as f64 / 10.0 / per_query,
            elapsed / per_query * 1e6,
            (beam.counts().0 - expansions) as f64 / per_query,
            (beam.counts().1 - estimates) as f64 / per_query,
        );
    }
}
