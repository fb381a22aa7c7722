//! How much of what brute force finds a search finds.

use super::data::{build, clustered, index, options, recall, uniform};
use crate::index::Metric;

#[test]
fn uniform_vectors_of_three_dimensions() {
    let (vectors, queries) = (uniform(10_000, 3, 1), uniform(100, 3, 2));
    for (metric, least) in [
        (Metric::L2, 0.99),
        (Metric::Cosine, 0.99),
        (Metric::L1, 0.99),
        (Metric::InnerProduct, 0.97),
    ] {
        let index = index(&options(metric, 3, 16, 64), &vectors);
        for threads in [0, 2, 4] {
            let built = build(&index, &vectors, threads);
            let recall = recall(&built, &index, &vectors, &queries, 100);
            assert!(
                recall >= least,
                "{metric:?} on {threads} threads: recall {recall}"
            );
        }
    }
}

#[test]
fn clustered_vectors() {
    let all = clustered(20_100, 96, 3);
    let (vectors, queries) = all.split_at(20_000);
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let index = index(&options(metric, 96, 16, 64), vectors);
        let built = build(&index, vectors, 2);
        let recall = recall(&built, &index, vectors, queries, 100);
        assert!(recall >= 0.97, "{metric:?}: recall {recall}");
    }
}

#[test]
fn four_bits_and_taxicab_distances() {
    let all = clustered(5_100, 192, 4);
    let (vectors, queries) = all.split_at(5_000);
    for metric in [Metric::L2, Metric::L1] {
        let index = index(&options(metric, 192, 16, 64), vectors);
        let built = build(&index, vectors, 2);
        let recall = recall(&built, &index, vectors, queries, 100);
        assert!(recall >= 0.97, "{metric:?}: recall {recall}");
    }
}

#[test]
fn vectors_in_the_order_of_their_clusters() {
    let mut all = clustered(5_100, 48, 5);
    let queries = all.split_off(5_000);
    all.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let index = index(&options(Metric::L2, 48, 16, 64), &all);
    let built = build(&index, &all, 2);
    let recall = recall(&built, &index, &all, &queries, 100);
    assert!(recall >= 0.97, "recall {recall}");
}

#[test]
fn the_smallest_and_the_largest_lists() {
    let all = clustered(3_100, 48, 6);
    let (vectors, queries) = all.split_at(3_000);
    for (m, ef_construction, least) in [(2, 4, 0.1), (2, 100, 0.4), (5, 10, 0.7), (100, 200, 0.99)] {
        let index = index(&options(Metric::L2, 48, m, ef_construction), vectors);
        let built = build(&index, vectors, 2);
        let recall = recall(&built, &index, vectors, queries, 100);
        assert!(
            recall >= least,
            "m {m}, ef_construction {ef_construction}: recall {recall}"
        );
    }
}
