//! Indexes of bits and of sparse vectors, built at once and by insertion.

use super::*;
use crate::index::hnsw::build::{Builder, PageSink, Pushed};
use crate::index::page::PageBytes;
use crate::index::project;
use crate::index::quantize::{CenterBuilder, CodeRef, Quantizer};
use crate::index::value::{Bits, bits_key, sparse_key};
use crate::interrupt::NeverInterrupted;
use crate::vector::sparse::SparseVec;

/// A row's value.
#[derive(Debug, Clone)]
enum Row {
    Bits {
        count: usize,
        bytes: Vec<u8>,
    },
    Sparse {
        dims: i32,
        indices: Vec<i32>,
        values: Vec<f32>,
    },
}

impl Row {
    fn sparse(&self) -> SparseVec<'_> {
        match self {
            Self::Sparse {
                dims,
                indices,
                values,
            } => SparseVec {
                dims: *dims,
                indices,
                values,
            },
            Self::Bits { .. } => panic!("not sparse"),
        }
    }

    fn key(&self, metric: Metric, other: &Self) -> f64 {
        let bits = |row: &Self| -> Option<(usize, Vec<u8>)> {
            match row {
                Self::Bits { count, bytes } => Some((*count, bytes.clone())),
                Self::Sparse { .. } => None,
            }
        };
        match (bits(self), bits(other)) {
            (Some((count, a)), Some((_, b))) => {
                bits_key(metric, Bits { count, bytes: &a }, Bits { count, bytes: &b })
            }
            _ => sparse_key(metric, self.sparse(), other.sparse()),
        }
    }

    fn transform(&self, index: &Index, out: &mut [f32]) -> Rankable {
        match self {
            Self::Bits { count, bytes } => index.transform(&Bits { count: *count, bytes }, out),
            Self::Sparse { .. } => index.transform(&self.sparse(), out),
        }
    }
}

struct Rows<'a> {
    metric: Metric,
    rows: &'a [Row],
    query: &'a Row,
    fetched: usize,
}

impl HeapRows for Rows<'_> {
    fn contains(&mut self, _: HeapTid) -> bool {
        true
    }

    fn exact_key(&mut self, tid: HeapTid) -> Result<Option<f64>, IndexError> {
        self.fetched += 1;
        let row = self.rows.get(row_of(tid));
        Ok(row.map(|row| self.query.key(self.metric, row)))
    }
}

struct Sink<'a>(&'a mut MemoryStorage);

impl PageSink for Sink<'_> {
    fn page(&mut self, _: u32, bytes: &PageBytes) -> Result<(), IndexError> {
        self.0.extend(|_, page| page.copy_from_slice(bytes))?;
        Ok(())
    }
}

fn options(metric: Metric, element: ElementKind, dims: u32) -> IndexOptions {
    IndexOptions {
        metric,
        element,
        bits: CodeBits::default_for(metric, element.coded_dims(dims) as usize),
        dims,
        m: 16,
        ef_construction: 64,
        seed: 42,
        build_id: 7,
        keys: KeyKinds::NONE,
    }
}

/// An index over most of the rows, built at once, to which the rest was added by insertion; read from its pages.
fn index_of(options: &IndexOptions, rows: &[Row]) -> (Arc<Index>, MemoryStorage) {
    let plain = Index::new(options, Vec::new()).unwrap();
    let mut transformed = vec![0.0; plain.coded_dims() as usize];
    let mut center = Vec::new();
    if Quantizer::uses_center(options.metric, options.bits) {
        let mut builder = CenterBuilder::new(transformed.len()).unwrap();
        for row in rows.iter().step_by(7) {
            if row.transform(&plain, &mut transformed) == Rankable::Yes {
                builder.add(&transformed);
            }
        }
        center = builder.finish();
    }
    let index = Index::new(options, center).unwrap();
    let (built, inserted) = rows.split_at(rows.len() / 4 * 3);
    let mut builder = Builder::new(&index, 1 << 30, 2);
    let mut code = vec![0; index.quantizer.code_bytes()];
    for (number, row) in built.iter().enumerate() {
        let rank = row.transform(&index, &mut transformed);
        let factors = index.quantizer.encode(&transformed, &mut code);
        let keys = RowKeys::new(0);
        let pushed = builder.push(
            CodeRef { factors, code: &code },
            keys.as_bytes(),
            tid_of(number),
            rank,
        );
        assert_eq!(pushed.unwrap(), Pushed::Stored);
    }
    let mut storage = MemoryStorage::new();
    builder
        .finish(&NeverInterrupted)
        .unwrap()
        .write_index(&mut Sink(&mut storage))
        .unwrap();
    let (index, _) = Index::open(&mut storage).unwrap();
    assert_eq!((index.dims, index.element), (options.dims, options.element));
    let mut inserter = Inserter::default();
    for (number, row) in inserted.iter().enumerate() {
        let tid = tid_of(built.len() + number);
        let rankable = row.transform(&index, &mut transformed);
        let element = NewElement {
            transformed: &transformed,
            rankable,
            tid,
            level: index.level(tid),
            keys: &[],
        };
        inserter
            .insert(&index, &mut storage, &element, number as u64)
            .unwrap();
    }
    (Arc::new(index), storage)
}

/// The share of the 10 nearest rows that a scan finds, or that are as near as the tenth; and rows fetched per scan.
fn recall(
    (index, storage): &mut (Arc<Index>, MemoryStorage),
    rows: &[Row],
    queries: &[Row],
    ef: usize,
) -> (f64, f64) {
    let metric = index.metric;
    let mut scan = Scan::new(Arc::clone(index), with_ef(ef));
    let mut transformed = vec![0.0; index.coded_dims() as usize];
    let (mut found, mut fetched) = (0, 0);
    for query in queries {
        let mut keys: Vec<f64> = rows
            .iter()
            .map(|row| query.key(metric, row))
            .filter(|key| !key.is_nan())
            .collect();
        keys.sort_by(f64::total_cmp);
        assert_eq!(query.transform(index, &mut transformed), Rankable::Yes);
        scan.rescan(storage, Some(&transformed), None).unwrap();
        let mut table = Rows {
            metric,
            rows,
            query,
            fetched: 0,
        };
        for _ in 0..10 {
            let hit = scan.next(storage, &mut table).unwrap().unwrap();
            found += usize::from(query.key(metric, &rows[row_of(hit.tid)]) <= keys[9]);
        }
        fetched += table.fetched;
    }
    (
        found as f64 / queries.len() as f64 / 10.0,
        fetched as f64 / queries.len() as f64,
    )
}

/// A scan to its end gives every row once, the exact keys ascending over a window.
fn check_complete((index, storage): &mut (Arc<Index>, MemoryStorage), rows: &[Row], query: &Row) {
    let mut transformed = vec![0.0; index.coded_dims() as usize];
    query.transform(index, &mut transformed);
    let mut scan = Scan::new(Arc::clone(index), with_ef(40));
    scan.rescan(storage, Some(&transformed), None).unwrap();
    let mut table = Rows {
        metric: index.metric,
        rows,
        query,
        fetched: 0,
    };
    let mut seen = Vec::new();
    while let Some(hit) = scan.next(storage, &mut table).unwrap() {
        seen.push(row_of(hit.tid));
    }
    assert_eq!(sorted(seen), (0..rows.len()).collect::<Vec<_>>());
}

/// Bits around centres, of which a tenth are turned.
fn bits(random: &mut Random, count: usize, dims: usize) -> Vec<Row> {
    let centers: Vec<Vec<bool>> = (0..40)
        .map(|_| (0..dims).map(|_| random.uniform() < 0.3).collect())
        .collect();
    (0..count)
        .map(|_| {
            let center = &centers[random.below(40)];
            let mut bytes = vec![0; dims.div_ceil(8)];
            for (place, bit) in center.iter().enumerate() {
                if *bit != (random.uniform() < 0.1) {
                    bytes[place / 8] |= 0x80 >> (place % 8);
                }
            }
            Row::Bits { count: dims, bytes }
        })
        .collect()
}

#[test]
fn bits_are_found_by_hamming_and_jaccard_distance() {
    for (metric, dims, count) in [
        (Metric::Hamming, 100, 4_000),
        (Metric::Hamming, 1_024, 4_000),
        (Metric::Jaccard, 200, 4_000),
        (Metric::Hamming, 60_000, 60),
    ] {
        let mut random = Random(21);
        let mut rows = bits(&mut random, count + 50, dims);
        let queries = rows.split_off(count);
        let mut built = index_of(&options(metric, ElementKind::Bit, dims as u32), &rows);
        let (narrow, _) = recall(&mut built, &rows, &queries, 40);
        let (wide, fetched) = recall(&mut built, &rows, &queries, 200);
        println!("{metric:?} {dims}: recall {narrow:.4} / {wide:.4}, {fetched} rows fetched");
        assert!(
            narrow >= 0.95 && wide >= 0.98,
            "{metric:?} {dims}: {narrow} {wide}"
        );
        check_complete(&mut built, &rows, &queries[0]);
    }
}

/// The all-zero bit string is at distance 1 of all by Jaccard, and in no way lost.
#[test]
fn bits_that_are_all_zero_have_a_place() {
    let mut random = Random(22);
    let mut rows = bits(&mut random, 300, 64);
    for row in rows.iter_mut().step_by(10) {
        *row = Row::Bits {
            count: 64,
            bytes: vec![0; 8],
        };
    }
    for metric in [Metric::Hamming, Metric::Jaccard] {
        let mut built = index_of(&options(metric, ElementKind::Bit, 64), &rows);
        check_complete(&mut built, &rows, &rows[0].clone());
        check_complete(&mut built, &rows, &rows[1].clone());
    }
}

/// Documents of 40 to 120 words, a third of them those of a topic and the others frequent as words are.
fn documents(random: &mut Random, count: usize, dims: usize) -> Vec<Row> {
    let topics: Vec<Vec<usize>> = (0..60)
        .map(|_| (0..60).map(|_| random.below(dims)).collect())
        .collect();
    (0..count)
        .map(|_| {
            let topic = &topics[random.below(60)];
            let words = 40 + random.below(80);
            let mut of_word = std::collections::BTreeMap::new();
            for word in 0..words {
                let (index, weight) = if word % 3 == 0 {
                    (topic[random.below(topic.len())], 3.0)
                } else {
                    let rank = (dims as f32).powf(random.uniform());
                    (rank as usize % dims, 0.3 + rank.ln() / 4.0)
                };
                *of_word.entry(index as i32).or_insert(0.0) += weight;
            }
            Row::Sparse {
                dims: dims as i32,
                indices: of_word.keys().copied().collect(),
                values: of_word.values().copied().collect(),
            }
        })
        .collect()
}

#[test]
fn sparse_vectors_are_found_by_their_projections() {
    for (metric, dims) in [
        (Metric::Cosine, 50_000),
        (Metric::L2, 50_000),
        (Metric::InnerProduct, 50_000),
        (Metric::L1, 50_000),
        (Metric::Cosine, project::DIMS as usize),
    ] {
        let mut random = Random(23);
        let mut rows = documents(&mut random, 4_050, dims);
        let queries = rows.split_off(4_000);
        let mut built = index_of(&options(metric, ElementKind::Sparsevec, dims as u32), &rows);
        let (narrow, of_narrow) = recall(&mut built, &rows, &queries, 100);
        let (wide, of_wide) = recall(&mut built, &rows, &queries, 400);
        println!(
            "{metric:?} {dims}: recall {narrow:.4} of {of_narrow} rows fetched / {wide:.4} of {of_wide}"
        );
        assert!(wide >= 0.95, "{metric:?} {dims}: {narrow} {wide}");
        check_complete(&mut built, &rows, &queries[0]);
    }
}

/// What is small enough for one window is in the order of the exact keys.
#[test]
fn a_window_of_sparse_vectors_is_in_order() {
    for metric in [Metric::Cosine, Metric::L2, Metric::InnerProduct, Metric::L1] {
        let mut random = Random(24);
        let mut rows: Vec<Row> = (0..310)
            .map(|_| {
                let indices: std::collections::BTreeSet<i32> = (0..5 + random.below(15))
                    .map(|_| random.below(100_000) as i32)
                    .collect();
                let values = indices.iter().map(|_| random.normal()).collect();
                Row::Sparse {
                    dims: 100_000,
                    indices: indices.into_iter().collect(),
                    values,
                }
            })
            .collect();
        let queries = rows.split_off(300);
        let (index, mut storage) = index_of(&options(metric, ElementKind::Sparsevec, 100_000), &rows);
        let mut transformed = vec![0.0; project::DIMS as usize];
        let mut scan = Scan::new(Arc::clone(&index), with_ef(400));
        for query in &queries {
            query.transform(&index, &mut transformed);
            scan.rescan(&mut storage, Some(&transformed), None).unwrap();
            let mut table = Rows {
                metric,
                rows: &rows,
                query,
                fetched: 0,
            };
            let mut before = f64::NEG_INFINITY;
            for _ in 0..rows.len() {
                let hit = scan.next(&mut storage, &mut table).unwrap().unwrap();
                let key = query.key(metric, &rows[row_of(hit.tid)]);
                assert!(key >= before, "{metric:?}: {key} after {before}");
                before = key;
            }
        }
    }
}

#[test]
fn a_sparse_vector_that_cancels_in_its_projection_is_not_lost() {
    let dims = 1_000_000_000;
    let row = |indices: &[i32], values: &[f32]| Row::Sparse {
        dims,
        indices: indices.to_vec(),
        values: values.to_vec(),
    };
    // Of 600 dimensions at least two share a place; their difference or their sum is projected to nothing.
    let mut rows: Vec<Row> = (0..600).map(|index| row(&[index * 1_000_003], &[1.0])).collect();
    for other in 1..600 {
        rows.push(row(&[0, other * 1_000_003], &[1.0, 1.0]));
        rows.push(row(&[0, other * 1_000_003], &[1.0, -1.0]));
    }
    rows.push(row(&[], &[]));
    let mut built = index_of(
        &options(Metric::Cosine, ElementKind::Sparsevec, dims as u32),
        &rows,
    );
    check_complete(&mut built, &rows, &rows[700].clone());
    let mut transformed = vec![0.0; project::DIMS as usize];
    for query in &rows[..rows.len() - 1] {
        assert_eq!(query.transform(&built.0, &mut transformed), Rankable::Yes);
    }
    assert_eq!(
        rows[rows.len() - 1].transform(&built.0, &mut transformed),
        Rankable::No
    );
}
