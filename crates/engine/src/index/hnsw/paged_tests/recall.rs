//! Recall of indexes built by insertion alone.

use super::*;

/// The share of the nearest rows that scans find, and the rows fetched per scan.
fn recall(
    index: &Arc<Index>,
    storage: &mut MemoryStorage,
    vectors: &[Vec<f32>],
    queries: &[Vec<f32>],
    options: ScanOptions,
    limit: usize,
) -> (f64, f64) {
    let mut scan = Scan::new(Arc::clone(index), options);
    let (mut found, mut fetched) = (0, 0);
    for query in queries {
        let mut table = Table::new(index.metric, vectors, query);
        rescan(&mut scan, index, storage, query);
        let hits = take(&mut scan, storage, &mut table, limit);
        assert!(
            hits.windows(2).all(|pair| pair[0].key <= pair[1].key),
            "out of order"
        );
        assert_eq!(hits.len(), limit);
        let hits = rows(&hits);
        found += table
            .nearest(limit)
            .iter()
            .filter(|row| hits.contains(row))
            .count();
        fetched += table.fetched;
    }
    let scans = queries.len() as f64;
    (found as f64 / scans / limit as f64, fetched as f64 / scans)
}

#[test]
fn insertion_alone_reaches_the_recall_of_small_vectors() {
    for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1] {
        let mut random = Random(3);
        let vectors = random.vectors(10_000, 3);
        let queries = random.vectors(100, 3);
        let (index, mut storage) = empty_index(Kind::new(metric, 3));
        insert_all(&index, &mut storage, &vectors);
        checks::check_lists(&index, &mut storage);
        let lost = checks::unreachable(&index, &mut storage).len();
        let (recall, fetched) = recall(&index, &mut storage, &vectors, &queries, with_ef(40), 20);
        println!("{metric:?} 3: recall {recall:.4}, {fetched} rows fetched, {lost} unreachable");
        let floor = if metric == Metric::InnerProduct {
            0.97
        } else {
            0.99
        };
        assert!(recall >= floor, "{metric:?}: {recall}");
        // The shortest vectors are the nearest of no query by the inner product.
        assert!(
            lost == 0 || metric == Metric::InnerProduct,
            "{metric:?}: {lost} unreachable"
        );
    }
}

#[test]
fn insertion_alone_reaches_the_recall_of_clustered_vectors() {
    for (metric, bits) in [
        (Metric::L2, CodeBits::Eight),
        (Metric::L2, CodeBits::Four),
        (Metric::Cosine, CodeBits::Four),
        (Metric::InnerProduct, CodeBits::Eight),
        (Metric::L1, CodeBits::Eight),
    ] {
        let mut random = Random(5);
        let mut vectors = random.clustered(5_050, 96, 40);
        let queries = vectors.split_off(5_000);
        let kind = Kind {
            bits,
            ..Kind::new(metric, 96)
        };
        let (index, mut storage) = empty_index(kind);
        insert_all(&index, &mut storage, &vectors);
        checks::check_lists(&index, &mut storage);
        let lost = checks::unreachable(&index, &mut storage).len();
        let (ten, fetched) = recall(&index, &mut storage, &vectors, &queries, with_ef(40), 10);
        let (wide, _) = recall(&index, &mut storage, &vectors, &queries, with_ef(200), 10);
        println!(
            "{metric:?} {bits:?} 96: recall {ten:.4} / {wide:.4}, {fetched} rows fetched, {lost} unreachable"
        );
        assert!(
            lost == 0 || metric == Metric::InnerProduct,
            "{metric:?} {bits:?}: {lost} unreachable"
        );
        assert!(ten >= 0.9, "{metric:?} {bits:?}: {ten}");
        assert!(wide >= 0.97, "{metric:?} {bits:?}: {wide}");
        assert!(fetched <= 41.0);
    }
}

#[test]
fn more_rows_than_a_window_keep_their_recall() {
    let mut random = Random(6);
    let mut vectors = random.clustered(3_020, 48, 20);
    let queries = vectors.split_off(3_000);
    let (index, mut storage) = empty_index(Kind::new(Metric::L2, 48));
    insert_all(&index, &mut storage, &vectors);
    for query in &queries {
        let mut table = Table::new(Metric::L2, &vectors, query);
        let hits = rows(&search(&index, &mut storage, &mut table, with_ef(40), 300));
        let found = table.nearest(300).iter().filter(|row| hits.contains(row)).count();
        assert!(found >= 285, "{found}");
    }
}

#[test]
fn stored_vectors_find_themselves() {
    let mut random = Random(8);
    let vectors = random.clustered(2_000, 32, 10);
    let (index, mut storage) = empty_index(Kind::new(Metric::Cosine, 32));
    insert_all(&index, &mut storage, &vectors);
    for row in (0..2_000).step_by(29) {
        let mut table = Table::new(Metric::Cosine, &vectors, &vectors[row]);
        let hits = search(&index, &mut storage, &mut table, with_ef(40), 1);
        assert_eq!(rows(&hits), [row]);
    }
}

#[test]
fn many_identical_vectors_do_not_cut_off_the_others() {
    let mut random = Random(9);
    let mut vectors = vec![vec![0.5; 8]; 10_000];
    for row in (0..10_000).step_by(50) {
        vectors[row] = (0..8).map(|_| random.uniform()).collect();
    }
    let (index, mut storage) = empty_index(Kind::new(Metric::L2, 8));
    insert_all(&index, &mut storage, &vectors);
    checks::check_lists(&index, &mut storage);
    let lost = checks::unreachable(&index, &mut storage).len();
    println!("identical: {lost} unreachable");
    assert!(lost <= 2, "{lost} unreachable");
    let mut found = 0;
    for row in (0..10_000).step_by(50) {
        let mut table = Table::new(Metric::L2, &vectors, &vectors[row]);
        let hits = search(&index, &mut storage, &mut table, with_ef(40), 1);
        found += usize::from(rows(&hits) == [row]);
    }
    println!("identical: {found} of 200 others found");
    assert!(found >= 190, "{found} of 200");
    let query = vec![0.5; 8];
    let mut table = Table::new(Metric::L2, &vectors, &query);
    let hits = search(&index, &mut storage, &mut table, with_ef(40), usize::MAX);
    assert_eq!(sorted(rows(&hits)), (0..10_000).collect::<Vec<_>>());
}
