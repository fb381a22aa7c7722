//! What scans return, and in which order.

use super::db::Db;
use super::fixture::{Kind, Random, Table, row_of};
use crate::index::Metric;
use crate::index::ivf::scan::ScanOptions;

const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

/// All lists before the first row, and wide bounds.
const EXACT: ScanOptions = ScanOptions {
    probes: usize::MAX,
    epsilon: 10.0,
    memory_limit_bytes: 64 << 20,
};

fn data(count: usize, dims: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let mut vectors = Random(seed).clustered(count + 40, dims, 60);
    let queries = vectors.split_off(count);
    (vectors, queries)
}

#[test]
fn a_scan_finds_the_nearest_rows() {
    for (dims, count, lists) in [(64, 8_000, 0), (64, 8_000, 200), (384, 3_000, 90)] {
        for metric in METRICS {
            let (vectors, queries) = data(count, dims, 1);
            for refine in [false, true] {
                let kind = Kind {
                    lists,
                    refine,
                    ..Kind::new(metric, dims)
                };
                let mut db = Db::build(kind, vectors.clone(), count);
                let (recall, fetched) = db.recall(&queries);
                println!(
                    "{metric:?} {dims} dims, {lists} lists, refine {refine}: {recall:.3}, {fetched:.0} fetched"
                );
                assert!(recall >= 0.95, "{kind:?}: {recall}");
            }
        }
    }
}

#[test]
fn longer_codes_save_fetches() {
    for metric in METRICS {
        let (vectors, queries) = data(4_000, 384, 2);
        let fetched = [false, true].map(|refine| {
            let kind = Kind {
                refine,
                ..Kind::new(metric, 384)
            };
            Db::build(kind, vectors.clone(), 4_000).recall(&queries).1
        });
        assert!(2.0 * fetched[1] < fetched[0], "{metric:?}: {fetched:?}");
    }
}

#[test]
fn with_all_lists_and_wide_bounds_the_order_is_exact() {
    for (dims, count) in [(3, 3_000), (64, 3_000), (384, 2_000)] {
        for metric in METRICS {
            for refine in [false, true] {
                let (vectors, queries) = data(count, dims, 3);
                let kind = Kind {
                    refine,
                    ..Kind::new(metric, dims)
                };
                let mut db = Db::build(kind, vectors, count);
                for query in &queries[..4] {
                    let keys: Vec<f64> = db
                        .search(query, EXACT, usize::MAX)
                        .iter()
                        .map(|hit| hit.key)
                        .collect();
                    let wanted = db.table.nearest(query, usize::MAX);
                    assert_eq!(keys.len(), wanted.len());
                    let wrong = keys.iter().zip(&wanted).filter(|(a, b)| a != b).count();
                    assert_eq!(wrong, 0, "{kind:?}");
                }
            }
        }
    }
}

#[test]
fn a_scan_to_the_end_returns_every_row_once() {
    for dims in [3, 64] {
        for metric in METRICS {
            let (mut vectors, queries) = data(9_000, dims, 4);
            // Without rank under cosine.
            for row in (0..9_000).step_by(30) {
                vectors[row].fill(0.0);
            }
            let kind = Kind {
                refine: dims == 64,
                ..Kind::new(metric, dims)
            };
            let mut db = Db::build(kind, vectors, 8_000);
            db.insert_all(8_000..9_000);
            db.delete((0..9_000).filter(|row| row % 3 == 1));
            let small = ScanOptions {
                memory_limit_bytes: 0,
                ..ScanOptions::default()
            };
            for options in [ScanOptions::default(), small, EXACT] {
                db.assert_complete(Some(&queries[0]), options);
                db.assert_complete(Some(&vec![0.0; dims]), options);
                db.assert_complete(None, options);
            }
            db.assert_clean();
        }
    }
}

#[test]
fn a_deep_stream_is_almost_in_order() {
    for metric in METRICS {
        let (vectors, queries) = data(8_000, 64, 5);
        let mut db = Db::build(Kind::new(metric, 64), vectors, 8_000);
        for query in &queries[..10] {
            let hits = db.search(query, ScanOptions::default(), 2_000);
            let wanted = db.table.nearest(query, 2_000);
            let near = hits.iter().filter(|hit| hit.key <= wanted[1_999]).count();
            assert!(near >= 1_800, "{metric:?}: {near}");
            let mut greatest = f64::NEG_INFINITY;
            let mut late = 0;
            for hit in &hits {
                late += usize::from(hit.key < greatest);
                greatest = greatest.max(hit.key);
            }
            assert!(late <= 150, "{metric:?}: {late}");
        }
    }
}

#[test]
fn few_and_many_dimensions_work() {
    for (dims, lanes, count) in [
        (1, 32, 900),
        (2, 32, 900),
        (1536, 32, 700),
        (2000, 16, 500),
        (3000, 16, 400),
        (4000, 8, 300),
    ] {
        for refine in [false, true] {
            let (vectors, queries) = data(count, dims, 6);
            let kind = Kind {
                refine,
                ..Kind::new(Metric::Cosine, dims)
            };
            let mut db = Db::build(kind, vectors, count - 100);
            assert_eq!(db.index.layout.lanes, lanes, "{dims}");
            db.insert_all(count - 100..count);
            let (recall, _) = db.recall(&queries[..10]);
            assert!(recall >= 0.9, "{dims} {refine}: {recall}");
            db.assert_exact();
            let stats = db.vacuum();
            assert_eq!(stats.rows_remaining, count as u64);
            db.assert_exact();
        }
    }
}

#[test]
fn a_scan_serves_one_query_after_the_other() {
    let (vectors, queries) = data(3_000, 64, 7);
    let mut db = Db::build(Kind::new(Metric::L2, 64), vectors, 3_000);
    let mut running = db.begin(Some(&queries[0]), ScanOptions::default());
    for query in &queries {
        let mut transformed = vec![0.0; db.index.layout.dims];
        db.index.transform(query.as_slice(), &mut transformed);
        let directory = db.backend.directory(&db.index, &mut db.storage).unwrap();
        running
            .scan
            .rescan(&mut db.storage, directory, Some(&transformed), None)
            .unwrap();
        running.rows = db.table.snapshot(Some(query));
        running.hits.clear();
        running.take(&mut db.storage, 20).unwrap();
        let alone = db.search(query, ScanOptions::default(), 20);
        assert_eq!(running.hits, alone);
    }
    let wrong = vec![0.0; 64];
    let directory = db.backend.directory(&db.index, &mut db.storage).unwrap();
    assert!(
        running
            .scan
            .rescan(&mut db.storage, directory, Some(&wrong), None)
            .is_err()
    );
}

#[test]
fn vectors_of_any_size_work() {
    // The greatest have squares beyond f32; codes and bounds are of no use, order and completeness stay.
    for metric in METRICS {
        let (mut vectors, queries) = data(1_500, 64, 8);
        for (row, vector) in vectors.iter_mut().enumerate() {
            let size = [1e-30, 1.0, 1e10, 1e30, 3e38][row % 5];
            vector
                .iter_mut()
                .for_each(|x| *x = (*x * size).clamp(-3e38, 3e38));
        }
        let mut db = Db::build(Kind::new(metric, 64), vectors.clone(), 1_000);
        db.insert_all(1_000..1_500);
        for query in [&queries[0], &vectors[3], &vectors[4]] {
            db.assert_complete(Some(query), ScanOptions::default());
        }
        db.vacuum();
        db.assert_exact();
    }
}

#[test]
fn rows_beyond_the_table_are_damage() {
    let (vectors, queries) = data(1_000, 64, 9);
    let mut db = Db::build(Kind::new(Metric::L2, 64), vectors, 1_000);
    let mut running = db.begin(Some(&queries[0]), ScanOptions::default());
    let shorter: Vec<Vec<f32>> = db.table.vectors[..500].to_vec();
    running.rows.table = Table::new(db.table.kind, shorter);
    running.rows.table.live.fill(true);
    let error = running.take(&mut db.storage, usize::MAX).unwrap_err();
    assert!(
        error.to_string().contains("beyond the end of the table"),
        "{error}"
    );
    assert!(running.rows().iter().all(|row| *row < 500));
    assert_eq!(row_of(super::fixture::tid_of(777)), 777);
}
