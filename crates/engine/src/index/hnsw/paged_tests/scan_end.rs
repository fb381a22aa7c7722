//! Scans to the end: every live row once, whatever the graph, the options and the storage do.

use super::*;
use crate::index::hnsw::visited::VisitedSet;

fn small(metric: Metric, count: usize) -> (Arc<Index>, MemoryStorage, Vec<Vec<f32>>, Vec<SlotId>) {
    let mut random = Random(11);
    let vectors = random.clustered(count, 16, 8);
    let (index, mut storage) = empty_index(Kind {
        bits: CodeBits::Eight,
        ..Kind::new(metric, 16)
    });
    let ids = insert_all(&index, &mut storage, &vectors);
    (index, storage, vectors, ids)
}

#[test]
fn a_scan_to_the_end_returns_every_live_row_once() {
    let (index, mut storage, vectors, ids) = small(Metric::L2, 3_000);
    let gone = |row: usize| row.is_multiple_of(3) || (row > 1_000 && row < 1_400);
    let of = |wanted: usize| {
        ids.iter()
            .enumerate()
            .filter(move |(row, _)| gone(*row) && row % 2 == wanted)
    };
    checks::kill(&index, &mut storage, of(0).map(|(_, id)| *id));
    checks::free(&index, &mut storage, of(1).map(|(_, id)| *id));
    let expected: Vec<usize> = (0..3_000).filter(|row| !gone(*row)).collect();
    for (ef, memory_limit_bytes) in [
        (1, 4 << 20),
        (40, 4 << 20),
        (40, 0),
        (5, 200_000),
        (4_000, 4 << 20),
        (1, 0),
    ] {
        let options = ScanOptions {
            ef,
            memory_limit_bytes,
            ..ScanOptions::default()
        };
        let mut table = Table::new(Metric::L2, &vectors, &vectors[500]);
        let hits = search(&index, &mut storage, &mut table, options, usize::MAX);
        assert_eq!(sorted(rows(&hits)), expected, "{options:?}");
        for hit in hits {
            assert_eq!(hit.key, table.key(row_of(hit.tid)));
        }
    }
}

#[test]
fn a_sweep_in_many_passes_is_in_order() {
    let (index, mut storage, vectors, _) = small(Metric::L2, 2_000);
    let options = ScanOptions {
        ef: 1,
        memory_limit_bytes: 0,
        epsilon: 4.0,
    };
    let mut table = Table::new(Metric::L2, &vectors, &vectors[77]);
    let hits = rows(&search(&index, &mut storage, &mut table, options, usize::MAX));
    // Passes of 64 rows: a row may come in the pass before or after its own, no farther.
    for (place, row) in table.nearest(2_000).iter().enumerate() {
        let found = hits.iter().position(|hit| hit == row).unwrap();
        assert!(
            found.abs_diff(place) <= 64,
            "row {row} at {found} instead of {place}"
        );
    }
}

#[test]
fn the_memory_of_a_scan_to_the_end_stays_within_its_limit() {
    let (index, mut storage, vectors, _) = small(Metric::L2, 12_000);
    let id_bound = index.layout.id_bound(storage.blocks().unwrap()).unwrap();
    for memory_limit_bytes in [150_000, 300_000, 1_000_000] {
        // An error bound that promises nothing has all rows of a pass fetched before the first is returned.
        for (ef, epsilon) in [(1, 3.0), (40, 3.0), (40, 1e9), (400, 3.0)] {
            let options = ScanOptions {
                ef,
                epsilon,
                memory_limit_bytes,
            };
            let mut scan = Scan::new(Arc::clone(&index), options);
            let mut table = Table::new(Metric::L2, &vectors, &vectors[77]);
            rescan(&mut scan, &index, &mut storage, &vectors[77]);
            let (mut peak, mut count) = (0, 0);
            while scan.next(&mut storage, &mut table).unwrap().is_some() {
                count += 1;
                peak = peak.max(scan.memory_bytes());
            }
            assert_eq!(count, vectors.len());
            let returned = VisitedSet::estimated_bytes(id_bound, count);
            assert!(
                peak <= memory_limit_bytes * 11 / 10 + returned,
                "{options:?}: {peak}"
            );
        }
    }
}

#[test]
fn a_small_index_is_exact() {
    for count in [0, 1, 2, 30] {
        let (index, mut storage, vectors, _) = small(Metric::Cosine, count);
        let query = vec![0.3; 16];
        let mut table = Table::new(Metric::Cosine, &vectors, &query);
        let hits = rows(&search(&index, &mut storage, &mut table, with_ef(40), usize::MAX));
        assert_eq!(hits, table.nearest(count));
    }
}

#[test]
fn rows_without_rank_come_last() {
    let mut random = Random(12);
    let mut vectors = random.vectors(500, 16);
    for row in (0..500).step_by(7) {
        vectors[row] = vec![0.0; 16];
    }
    let (index, mut storage) = empty_index(Kind::new(Metric::Cosine, 16));
    insert_all(&index, &mut storage, &vectors);
    let query = vec![1.0; 16];
    let mut table = Table::new(Metric::Cosine, &vectors, &query);
    let hits = search(&index, &mut storage, &mut table, with_ef(10), usize::MAX);
    let ranked = 500 - 500_usize.div_ceil(7);
    assert!(hits[..ranked].iter().all(|hit| hit.key.is_finite()));
    assert!(
        hits[ranked..]
            .iter()
            .all(|hit| hit.key.is_nan() && row_of(hit.tid).is_multiple_of(7))
    );
    assert_eq!(sorted(rows(&hits)), (0..500).collect::<Vec<_>>());
    // A query without rank, or none at all.
    let query = vec![0.0; 16];
    let mut table = Table::new(Metric::Cosine, &vectors, &query);
    let hits = search(&index, &mut storage, &mut table, with_ef(10), usize::MAX);
    assert_eq!(sorted(rows(&hits)), (0..500).collect::<Vec<_>>());
    assert_eq!(table.fetched, 0);
}

#[test]
fn invisible_rows_are_passed_by() {
    let (index, mut storage, vectors, _) = small(Metric::L2, 1_000);
    let visible: Vec<bool> = (0..1_000).map(|row| row % 10 == 3).collect();
    let mut table = Table::new(Metric::L2, &vectors, &vectors[0]);
    table.visible = Some(&visible);
    let hits = rows(&search(&index, &mut storage, &mut table, with_ef(40), 5));
    assert_eq!(hits, table.nearest(5));
    let hits = rows(&search(&index, &mut storage, &mut table, with_ef(40), usize::MAX));
    assert_eq!(sorted(hits), (0..100).map(|i| i * 10 + 3).collect::<Vec<_>>());
}

#[test]
fn within_a_window_rows_are_in_order_and_few_are_fetched() {
    let mut random = Random(13);
    let mut vectors = random.clustered(2_050, 64, 10);
    let queries = vectors.split_off(2_000);
    let kind = Kind {
        bits: CodeBits::Four,
        ..Kind::new(Metric::L2, 64)
    };
    let (index, mut storage) = empty_index(kind);
    insert_all(&index, &mut storage, &vectors);
    let mut fetched = 0;
    for query in queries {
        let mut table = Table::new(Metric::L2, &vectors, &query);
        let hits = search(&index, &mut storage, &mut table, with_ef(100), 10);
        assert!(hits.windows(2).all(|pair| pair[0].key <= pair[1].key));
        fetched += table.fetched;
    }
    assert!(fetched < 50 * 100, "{fetched} rows fetched");
}

/// Reads until the scan ends or fails.
fn failure<S: PageRead>(scan: &mut Scan, storage: &mut S, table: &mut Table<'_>) -> Option<IndexError> {
    loop {
        match scan.next(storage, table) {
            Ok(Some(_)) => {}
            Ok(None) => return None,
            Err(error) => return Some(error),
        }
    }
}

#[test]
fn a_row_beyond_the_table_is_blamed_on_the_page_that_names_it() {
    let mut vectors = Random(14).vectors(451, 16);
    // The last row, the only one in its block of the table, once with a rank and once without.
    for last in [vec![1.0; 16], vec![0.0; 16]] {
        vectors[450] = last;
        let (index, mut storage) = empty_index(Kind::new(Metric::Cosine, 16));
        let ids = insert_all(&index, &mut storage, &vectors);
        let (block, _) = index.layout.slot(ids[450]);
        assert!(block > index.first_node_block());
        for (query, memory_limit_bytes) in [(vec![1.0; 16], 4 << 20), (vec![1.0; 16], 0), (vec![0.0; 16], 0)]
        {
            let options = ScanOptions {
                memory_limit_bytes,
                ..with_ef(5)
            };
            let mut table = Table::new(Metric::Cosine, &vectors, &query);
            table.blocks = tid_of(450).block;
            let mut scan = Scan::new(Arc::clone(&index), options);
            rescan(&mut scan, &index, &mut storage, &query);
            let expected = IndexError::Corrupt {
                block,
                what: "row is beyond the end of the table",
            };
            assert_eq!(failure(&mut scan, &mut storage, &mut table), Some(expected));
        }
    }
}

#[test]
fn a_torn_row_is_not_taken_for_a_damaged_page() {
    let (index, storage, vectors, _) = small(Metric::L2, 800);
    let mut storage = storages::Torn {
        inner: storage,
        random: Random(15),
        one_in: 3,
    };
    let mut table = Table::new(Metric::L2, &vectors, &vectors[3]);
    table.blocks = tid_of(799).block + 1;
    let hits = search(&index, &mut storage, &mut table, with_ef(40), usize::MAX);
    assert_eq!(sorted(rows(&hits)), (0..800).collect::<Vec<_>>());
}

#[test]
fn interrupts_stop_a_scan_that_can_go_on() {
    let (index, mut storage, vectors, _) = small(Metric::L2, 800);
    let mut scan = Scan::new(Arc::clone(&index), with_ef(20));
    let mut table = Table::new(Metric::L2, &vectors, &vectors[3]);
    for step in [0, 1, 2, 5, 17, 40] {
        rescan(&mut scan, &index, &mut storage, &vectors[3]);
        let (mut hits, mut interrupted, mut allowed) = (Vec::new(), 0, step);
        loop {
            storage.interrupt_after(allowed);
            match scan.next(&mut storage, &mut table) {
                Ok(Some(hit)) => hits.push(hit),
                Ok(None) => break,
                Err(IndexError::Interrupted(_)) => {
                    interrupted += 1;
                    // The descent begins anew, so it has to be let through once.
                    allowed += 3;
                }
                Err(error) => panic!("{error}"),
            }
        }
        assert!(interrupted > 0);
        assert_eq!(sorted(rows(&hits)), (0..800).collect::<Vec<_>>(), "step {step}");
    }
}

#[test]
fn a_query_of_other_dimensions_is_refused() {
    let (index, mut storage, _, _) = small(Metric::L2, 3);
    let mut scan = Scan::new(index, with_ef(20));
    let refused = scan.rescan(&mut storage, Some(&[1.0; 5]), None);
    assert!(matches!(
        refused,
        Err(IndexError::Limit {
            value: 5,
            limit: 16,
            ..
        })
    ));
    let mut table = Table::new(Metric::L2, &[], &[]);
    assert_eq!(scan.next(&mut storage, &mut table), Ok(None));
}
