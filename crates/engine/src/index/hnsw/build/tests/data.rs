//! Vectors, an index over them, and the answers that brute force gives.

use std::cell::Cell;

use crate::index::hnsw::build::{Builder, Built, Pushed, Supervisor};
use crate::index::hnsw::hash::mix;
use crate::index::hnsw::walk::{Beam, Overflow};
use crate::index::hnsw::{Index, IndexOptions};
use crate::index::key::{KeyKinds, RowKeys};
use crate::index::quantize::{CenterBuilder, CodeBits, CodeRef, Quantizer, exact_key};
use crate::index::{ElementKind, HeapTid, IndexError, Metric};
use crate::interrupt::{Interrupt, Interrupted, NeverInterrupted};

pub(in crate::index::hnsw::build) struct Random(pub(in crate::index::hnsw::build) u64);

impl Random {
    pub(in crate::index::hnsw::build) fn uniform(&mut self) -> f32 {
        self.0 = mix(self.0);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    /// The sum of four uniform numbers, about normal, of variance 1/3.
    pub(in crate::index::hnsw::build) fn bell(&mut self) -> f32 {
        (0..4).map(|_| self.uniform()).sum::<f32>() - 2.0
    }
}

pub(in crate::index::hnsw::build) fn uniform(rows: usize, dims: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random(seed);
    (0..rows)
        .map(|_| (0..dims).map(|_| random.uniform()).collect())
        .collect()
}

/// Vectors around `rows / 100` means, which vary in a sixth of the dimensions.
pub(in crate::index::hnsw::build) fn clustered(rows: usize, dims: usize, seed: u64) -> Vec<Vec<f32>> {
    let mut random = Random(seed);
    let latent = dims / 6;
    let map: Vec<f32> = (0..dims * latent).map(|_| random.bell()).collect();
    let means: Vec<Vec<f32>> = (0..rows / 100)
        .map(|_| (0..latent).map(|_| random.bell()).collect())
        .collect();
    let mut vector = || {
        let mean = &means[(random.uniform() * means.len() as f32) as usize];
        let point: Vec<f32> = mean.iter().map(|x| x + random.bell()).collect();
        let row = |row: &[f32]| row.iter().zip(&point).map(|(a, b)| a * b).sum::<f32>();
        map.chunks(latent)
            .map(|of_dim| row(of_dim) + 0.2 * random.bell())
            .collect()
    };
    (0..rows).map(|_| vector()).collect()
}

pub(in crate::index::hnsw::build) fn tid(row: usize) -> HeapTid {
    HeapTid {
        block: row as u32 / 50,
        offset: (row % 50) as u16 + 1,
    }
}

pub(in crate::index::hnsw::build) fn options(
    metric: Metric,
    dims: usize,
    m: u16,
    ef_construction: u16,
) -> IndexOptions {
    IndexOptions {
        metric,
        element: ElementKind::Vector,
        bits: CodeBits::default_for(metric, dims),
        dims: dims as u32,
        m,
        ef_construction,
        seed: 42,
        build_id: 1,
        keys: KeyKinds::NONE,
    }
}

/// The keys of a row in an index that may have key columns.
pub(in crate::index::hnsw::build) fn keys_of(index: &Index, row: usize) -> RowKeys {
    let mut keys = RowKeys::new(index.keys.count());
    keys.set(0, Some(row as u64));
    keys.set(1, (!row.is_multiple_of(3)).then_some(row as u64 * 7));
    keys
}

/// An index for these vectors, centred at some of them.
pub(in crate::index::hnsw::build) fn index(options: &IndexOptions, vectors: &[Vec<f32>]) -> Index {
    let plain = Quantizer::new(
        options.metric,
        options.dims as usize,
        options.bits,
        options.seed,
        &[],
    )
    .unwrap();
    let mut center = CenterBuilder::new(options.dims as usize).unwrap();
    let mut transformed = vec![0.0; options.dims as usize];
    for vector in vectors.iter().step_by(vectors.len() / 500 + 1) {
        plain.transform(vector, &mut transformed);
        center.add(&transformed);
    }
    Index::new(options, center.finish()).unwrap()
}

/// Pushes vectors until the builder is full; returns how many it took.
pub(in crate::index::hnsw::build) fn push_all(
    builder: &mut Builder<'_>,
    index: &Index,
    vectors: &[Vec<f32>],
) -> usize {
    let mut transformed = vec![0.0; index.dims as usize];
    let mut code = vec![0; index.quantizer.code_bytes()];
    for (row, vector) in vectors.iter().enumerate() {
        let rank = index.quantizer.transform(vector, &mut transformed);
        let factors = index.quantizer.encode(&transformed, &mut code);
        if builder
            .push(
                CodeRef { factors, code: &code },
                keys_of(index, row).as_bytes(),
                tid(row),
                rank,
            )
            .unwrap()
            == Pushed::Full
        {
            return row;
        }
    }
    vectors.len()
}

pub(in crate::index::hnsw::build) fn build<'a>(
    index: &'a Index,
    vectors: &[Vec<f32>],
    threads: usize,
) -> Built<'a> {
    build_with(index, vectors, threads, &NeverInterrupted).unwrap()
}

pub(in crate::index::hnsw::build) fn build_with<'a>(
    index: &'a Index,
    vectors: &[Vec<f32>],
    threads: usize,
    supervisor: &dyn Supervisor,
) -> Result<Built<'a>, IndexError> {
    let mut builder = Builder::new(index, usize::MAX, threads);
    assert_eq!(push_all(&mut builder, index, vectors), vectors.len());
    builder.finish(supervisor)
}

/// The share of the 10 nearest of brute force that are among the `ef` found, or tie with the tenth.
pub(in crate::index::hnsw::build) fn recall(
    built: &Built<'_>,
    index: &Index,
    vectors: &[Vec<f32>],
    queries: &[Vec<f32>],
    ef: usize,
) -> f64 {
    let mut transformed = vec![0.0; index.dims as usize];
    let mut beam = Beam::new(Overflow::Drop);
    let mut hits = 0;
    for query in queries {
        let key = |row: usize| exact_key(index.metric, query, &vectors[row]);
        let mut exact: Vec<f64> = (0..vectors.len()).map(key).filter(|key| !key.is_nan()).collect();
        exact.sort_by(f64::total_cmp);
        index.quantizer.transform(query, &mut transformed);
        let prepared = index.quantizer.query(&transformed);
        let found = built.search(&prepared, ef, &mut beam).unwrap();
        let found: Vec<usize> = found.map(|candidate| candidate.id.0 as usize).collect();
        hits += found.iter().filter(|row| key(**row) <= exact[9]).count().min(10);
    }
    hits as f64 / (10 * queries.len()) as f64
}

/// Interrupts at the n-th check.
pub(in crate::index::hnsw::build) struct InterruptAfter(pub(in crate::index::hnsw::build) Cell<u32>);

impl Interrupt for InterruptAfter {
    fn check(&self) -> Result<(), Interrupted> {
        self.0.set(self.0.get().checked_sub(1).ok_or(Interrupted)?);
        Ok(())
    }
}

impl Supervisor for InterruptAfter {}
