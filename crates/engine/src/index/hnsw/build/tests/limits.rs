//! Memory.

use super::data::{build, clustered, index, options, push_all, recall};
use crate::index::Metric;
use crate::index::hnsw::build::Builder;
use crate::interrupt::NeverInterrupted;

#[test]
fn the_builder_stays_within_its_memory() {
    let vectors = clustered(6_000, 64, 1);
    let index = index(&options(Metric::L2, 64, 16, 40), &vectors);
    let mut taken_before = 0;
    for limit in [0, 400_000, 700_000, 1_500_000] {
        let mut builder = Builder::new(&index, limit, 2);
        let taken = push_all(&mut builder, &index, &vectors);
        assert!(taken < vectors.len() && taken >= taken_before);
        assert_eq!(builder.count() as usize, taken);
        assert!(
            taken == 0 || builder.memory_bytes() <= limit,
            "{} > {limit}",
            builder.memory_bytes()
        );
        taken_before = taken;
        let built = builder.finish(&NeverInterrupted).unwrap();
        assert!(built.elements.memory_bytes() <= limit || taken == 0);
    }
    assert!(taken_before > 4_000);
}

#[test]
fn a_build_that_was_cut_off_is_a_good_index_of_what_it_took() {
    let vectors = clustered(6_000, 64, 1);
    let index = index(&options(Metric::L2, 64, 16, 64), &vectors);
    let mut builder = Builder::new(&index, 1_200_000, 2);
    let taken = push_all(&mut builder, &index, &vectors);
    let built = builder.finish(&NeverInterrupted).unwrap();
    let (vectors, queries) = vectors.split_at(taken);
    let queries = &queries[..100];
    let alone = build(&index, vectors, 2);
    assert!(
        recall(&built, &index, vectors, queries, 100) >= recall(&alone, &index, vectors, queries, 100) - 0.02
    );
}
