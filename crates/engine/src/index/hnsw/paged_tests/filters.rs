//! Scans with a filter, over indexes with key columns.

use super::checks::{free, kill};
use super::storages::Torn;
use super::*;
use crate::index::hnsw::scan::Approach;
use crate::index::key::{Condition, Filter, KeyKind, Signature, Test, hash_bytes};
use crate::index::page::{NodePageMut, SlotState};
use crate::index::storage::Change;

const DIMS: usize = 24;
const APPROACHES: [Approach; 4] = [
    Approach::Chosen,
    Approach::Plain,
    Approach::TwoHop,
    Approach::Sweep,
];

/// Row `i` of [`Random::clustered`] by a fixed seed has a cluster that the row tells as well, so that keys can follow vectors.
fn by_cluster(count: usize, clusters: usize) -> Vec<Vec<f32>> {
    let mut random = Random(21);
    let centers: Vec<Vec<f32>> = (0..clusters)
        .map(|_| (0..DIMS).map(|_| random.normal()).collect())
        .collect();
    (0..count)
        .map(|row| {
            let center = &centers[cluster_of(row, clusters)];
            center.iter().map(|x| x + 0.7 * random.normal()).collect()
        })
        .collect()
}

fn cluster_of(row: usize, clusters: usize) -> usize {
    (Random(row as u64).next() >> 32) as usize % clusters
}

/// A number below a thousand, the cluster, a number that is NULL for a third of the rows, a signature of three words.
fn keys_of(row: usize) -> RowKeys {
    let mut random = Random(row as u64 ^ 0x5555);
    let mut keys = RowKeys::new(4);
    keys.set(0, Some(random.next() % 1_000));
    keys.set(1, Some(cluster_of(row, 8) as u64));
    keys.set(2, (!row.is_multiple_of(3)).then(|| random.next() % 10));
    let mut words = Signature::new();
    (0..3).for_each(|_| words.add(word(random.below(40))));
    keys.set(3, Some(words.get()));
    keys
}

fn word(number: usize) -> u64 {
    hash_bytes(&[number as u8])
}

fn keyed(metric: Metric, vectors: &[Vec<f32>]) -> (Arc<Index>, MemoryStorage, Vec<SlotId>) {
    let kinds = [
        KeyKind::Ordered,
        KeyKind::Ordered,
        KeyKind::Ordered,
        KeyKind::Signature,
    ];
    let (index, mut storage) = empty_index(Kind {
        bits: CodeBits::Eight,
        keys: KeyKinds::new(&kinds).unwrap(),
        ..Kind::new(metric, DIMS)
    });
    let mut insertions = Insertions {
        keys: Some(keys_of),
        ..Insertions::default()
    };
    let ids = vectors
        .iter()
        .enumerate()
        .map(|(row, vector)| insertions.insert(&index, &mut storage, vector, row).unwrap())
        .collect();
    (index, storage, ids)
}

fn range(column: u8, low: u64, high: u64) -> Condition {
    Condition {
        column,
        test: Test::Range { low, high },
    }
}

fn passing(filter: &Filter, count: usize) -> Vec<usize> {
    (0..count)
        .filter(|row| filter.matches(keys_of(*row).as_bytes()))
        .collect()
}

fn begin<S: PageRead>(scan: &mut Scan, index: &Index, storage: &mut S, query: &[f32], filter: &Filter) {
    let mut transformed = vec![0.0; query.len()];
    let query = match index.quantizer.transform(query, &mut transformed) {
        Rankable::Yes => Some(transformed.as_slice()),
        Rankable::No => None,
    };
    scan.rescan(storage, query, Some(filter.clone())).unwrap();
}

#[test]
fn the_first_rows_are_the_nearest_that_pass() {
    let count = 8_000;
    let mut vectors = by_cluster(count + 24, 8);
    let queries = vectors.split_off(count);
    let (index, mut storage, _) = keyed(Metric::L2, &vectors);
    let mut scan = Scan::new(Arc::clone(&index), with_ef(40));
    let mut filters: Vec<(String, Filter)> = [1_000, 500, 100, 10, 1]
        .into_iter()
        .map(|high| {
            (
                format!("{high} per mille"),
                Filter::new(vec![range(0, 0, high - 1)]),
            )
        })
        .collect();
    // Of the query's own cluster, and of another one.
    for cluster in [0, 3] {
        filters.push((
            format!("cluster {cluster}"),
            Filter::new(vec![range(1, cluster, cluster)]),
        ));
    }
    for (name, filter) in &filters {
        let rows_passing = passing(filter, count);
        for approach in APPROACHES {
            scan.set_approach(approach);
            let (mut found, mut wanted) = (0, 0);
            for query in &queries {
                let mut table = Table::new(Metric::L2, &vectors, query);
                begin(&mut scan, &index, &mut storage, query, filter);
                let hits = rows(&take(&mut scan, &mut storage, &mut table, 10));
                assert_eq!(hits.len(), rows_passing.len().min(10), "{name} {approach:?}");
                let mut nearest = rows_passing.clone();
                nearest.sort_by(|a, b| table.key(*a).total_cmp(&table.key(*b)));
                nearest.truncate(10);
                assert!(hits.iter().all(|row| rows_passing.contains(row)));
                found += hits.iter().filter(|row| nearest.contains(row)).count();
                wanted += nearest.len();
            }
            let recall = found as f64 / wanted.max(1) as f64;
            println!("{name} {approach:?}: {recall:.4}");
            assert!(recall >= 0.95, "{name} {approach:?}: {recall}");
        }
    }
}

/// A filter of one to three conditions of all kinds.
fn random_filter(random: &mut Random) -> Filter {
    let conditions = (0..=random.below(3)).map(|_| match random.below(8) {
        0 | 1 => {
            let low = random.next() % 1_000;
            range(0, low, low + random.next() % 600)
        }
        2 => range(1, random.next() % 9, random.next() % 9),
        3 => Condition {
            column: 1,
            test: Test::Any((0..random.below(4)).map(|_| random.next() % 8).collect()),
        },
        4 => Condition {
            column: 2,
            test: Test::IsNull,
        },
        5 => Condition {
            column: 2,
            test: Test::IsNotNull,
        },
        6 => Condition {
            column: 3,
            test: Test::Overlaps((0..2).map(|_| Signature::mask(word(random.below(40)))).collect()),
        },
        _ => Condition {
            column: 3,
            test: Test::Contains(Signature::mask(word(random.below(40)))),
        },
    });
    Filter::new(conditions.collect())
}

#[test]
fn a_scan_to_the_end_returns_every_row_that_passes_once() {
    let count = 1_500;
    let vectors = by_cluster(count, 8);
    let (index, mut storage, ids) = keyed(Metric::L2, &vectors);
    let gone = |row: usize| row.is_multiple_of(7);
    let of = |parity| {
        let ids = ids.iter().enumerate();
        ids.filter(move |(row, _)| gone(*row) && row % 2 == parity)
            .map(|(_, id)| *id)
    };
    kill(&index, &mut storage, of(0));
    free(&index, &mut storage, of(1));
    let mut scan = Scan::new(Arc::clone(&index), with_ef(40));
    let mut random = Random(22);
    let none = Filter::new(vec![range(0, 5_000, 6_000)]);
    let never = Filter::new(vec![range(0, 1, 0)]);
    let mut filters = vec![Filter::default(), none, never];
    filters.extend((0..60).map(|_| random_filter(&mut random)));
    for filter in &filters {
        let expected: Vec<usize> = passing(filter, count)
            .into_iter()
            .filter(|row| !gone(*row))
            .collect();
        for approach in APPROACHES {
            for (ef, memory_limit_bytes) in [(1, 4 << 20), (40, 4 << 20), (40, 0)] {
                scan.set_approach(approach);
                scan.set_options(ScanOptions {
                    ef,
                    memory_limit_bytes,
                    ..ScanOptions::default()
                });
                let query = &vectors[random.below(count)];
                let mut table = Table::new(Metric::L2, &vectors, query);
                begin(&mut scan, &index, &mut storage, query, filter);
                let hits = take(&mut scan, &mut storage, &mut table, usize::MAX);
                assert_eq!(sorted(rows(&hits)), expected, "{filter:?} {approach:?} {ef}");
            }
        }
    }
    assert!(scan.memory_bytes() < 2 << 20, "{}", scan.memory_bytes());
}

#[test]
fn rows_without_rank_and_queries_without_rank_obey_the_filter() {
    let count = 600;
    let mut vectors = by_cluster(count, 8);
    vectors.iter_mut().step_by(5).for_each(|vector| vector.fill(0.0));
    let (index, mut storage, _) = keyed(Metric::Cosine, &vectors);
    let filter = Filter::new(vec![range(0, 0, 300), range(1, 0, 4)]);
    let expected = passing(&filter, count);
    assert!(expected.iter().any(|row| row.is_multiple_of(5)));
    let mut scan = Scan::new(Arc::clone(&index), with_ef(10));
    for approach in APPROACHES {
        scan.set_approach(approach);
        for query in [vec![1.0; DIMS], vec![0.0; DIMS]] {
            let mut table = Table::new(Metric::Cosine, &vectors, &query);
            begin(&mut scan, &index, &mut storage, &query, &filter);
            let hits = take(&mut scan, &mut storage, &mut table, usize::MAX);
            assert_eq!(sorted(rows(&hits)), expected, "{approach:?}");
        }
    }
}

#[test]
fn garbage_in_peeks_gives_no_row_that_fails_and_loses_none() {
    let count = 1_200;
    let vectors = by_cluster(count, 8);
    let (index, storage, _) = keyed(Metric::L2, &vectors);
    let mut random = Random(23);
    for one_in in [1, 2, 5, 50] {
        let mut torn = Torn {
            inner: storage.clone(),
            random: Random(one_in as u64),
            one_in,
        };
        for approach in APPROACHES {
            for _ in 0..4 {
                let filter = random_filter(&mut random);
                let mut scan = Scan::new(Arc::clone(&index), with_ef(20));
                scan.set_approach(approach);
                let mut table = Table::new(Metric::L2, &vectors, &vectors[9]);
                begin(&mut scan, &index, &mut torn, &vectors[9], &filter);
                let hits = take(&mut scan, &mut torn, &mut table, usize::MAX);
                assert_eq!(
                    sorted(rows(&hits)),
                    passing(&filter, count),
                    "1 in {one_in} {approach:?}"
                );
            }
        }
    }
}

#[test]
fn a_slot_whose_keys_change_under_the_scan_is_looked_at_again() {
    let count = 1_000;
    let vectors = by_cluster(count, 8);
    let (index, mut storage, ids) = keyed(Metric::L2, &vectors);
    let filter = Filter::new(vec![range(0, 0, 499)]);
    let mut scan = Scan::new(Arc::clone(&index), with_ef(60));
    scan.set_approach(Approach::Plain);
    let mut table = Table::new(Metric::L2, &vectors, &vectors[5]);
    begin(&mut scan, &index, &mut storage, &vectors[5], &filter);
    let first = rows(&take(&mut scan, &mut storage, &mut table, 1));
    // Every slot but that of the row that came is used again, by a row that does not pass.
    let mut other = RowKeys::new(4);
    other.set(0, Some(900));
    for (row, id) in ids.iter().enumerate().filter(|(row, _)| !first.contains(row)) {
        let (block, at) = index.layout.slot(*id);
        storage
            .update(block, |bytes| {
                let mut page = NodePageMut::open(bytes, &index.layout).unwrap();
                page.set_keys(at, other.as_bytes()).unwrap();
                if row % 2 == 0 {
                    page.set_state(at, SlotState::Free).unwrap();
                }
                (Change::Made, ())
            })
            .unwrap();
    }
    let rest = take(&mut scan, &mut storage, &mut table, usize::MAX);
    assert_eq!(rows(&rest), Vec::<usize>::new());
}

#[test]
fn interrupts_stop_a_filtered_scan_that_can_go_on() {
    let count = 900;
    let vectors = by_cluster(count, 8);
    let (index, mut storage, _) = keyed(Metric::L2, &vectors);
    let filter = Filter::new(vec![range(0, 0, 400)]);
    for approach in APPROACHES {
        let mut scan = Scan::new(Arc::clone(&index), with_ef(20));
        scan.set_approach(approach);
        for step in [0, 1, 2, 5, 17, 40] {
            let mut table = Table::new(Metric::L2, &vectors, &vectors[3]);
            begin(&mut scan, &index, &mut storage, &vectors[3], &filter);
            let (mut hits, mut interrupted, mut allowed) = (Vec::new(), 0, step);
            loop {
                storage.interrupt_after(allowed);
                match scan.next(&mut storage, &mut table) {
                    Ok(Some(hit)) => hits.push(hit),
                    Ok(None) => break,
                    Err(IndexError::Interrupted(_)) => {
                        interrupted += 1;
                        allowed += 3;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(interrupted > 0 || step > 5, "{approach:?} {step}");
            assert_eq!(
                sorted(rows(&hits)),
                passing(&filter, count),
                "{approach:?} {step}"
            );
        }
    }
}

#[test]
fn what_the_index_has_no_column_for_is_refused() {
    let vectors = by_cluster(10, 8);
    let (index, mut storage, _) = keyed(Metric::L2, &vectors);
    let mut scan = Scan::new(Arc::clone(&index), with_ef(20));
    let filter = Filter::new(vec![range(4, 0, 1)]);
    let refused = scan.rescan(&mut storage, Some(&vectors[0]), Some(filter));
    assert!(matches!(refused, Err(IndexError::Failed { .. })), "{refused:?}");
    let mut insertions = Insertions::default();
    let refused = insertions.insert(&index, &mut storage, &vectors[0], 11);
    assert!(matches!(refused, Err(IndexError::Failed { .. })), "{refused:?}");
}
