//! What a graph must be, whatever threads do.

use std::cell::Cell;
use std::collections::HashSet;

use super::data::{InterruptAfter, build, build_with, clustered, index, options, recall, uniform};
use crate::index::hnsw::build::Built;
use crate::index::hnsw::walk::Graph;
use crate::index::page::ENTRY_COUNT;
use crate::index::{IndexError, Metric, SlotId};

/// The elements that the first entry leads to at level 0.
fn reachable(built: &Built<'_>) -> usize {
    let mut graph = built.graph();
    let mut todo: Vec<SlotId> = built.entries().iter().map(|entry| entry.id).take(1).collect();
    let mut met: HashSet<SlotId> = todo.iter().copied().collect();
    let mut neighbours = Vec::new();
    while let Some(id) = todo.pop() {
        graph.neighbours(id, 0, &mut neighbours).unwrap();
        todo.extend(neighbours.iter().filter(|id| met.insert(**id)));
    }
    met.len()
}

/// No list is too long, names its owner or an element twice, or one that is not of the level.
fn check_lists(built: &Built<'_>, m: usize) {
    let mut graph = built.graph();
    let mut neighbours = Vec::new();
    for id in (0..graph.id_bound()).map(SlotId) {
        let level = built.elements.row(id).level;
        for level in 0..=level {
            graph.neighbours(id, level, &mut neighbours).unwrap();
            assert!(neighbours.len() <= if level == 0 { 2 * m } else { m });
            let distinct: HashSet<SlotId> = neighbours.iter().copied().collect();
            assert!(distinct.len() == neighbours.len() && !distinct.contains(&id));
            assert!(
                neighbours
                    .iter()
                    .all(|other| built.elements.row(*other).level >= level)
            );
            assert!(neighbours.iter().all(|other| built.elements.row(*other).ranked));
        }
    }
}

#[test]
fn every_element_is_reachable_however_threads_interleave() {
    let vectors = clustered(4_000, 32, 1);
    for (m, ef_construction) in [(4, 8), (16, 40)] {
        let index = index(&options(Metric::L2, 32, m, ef_construction), &vectors);
        for threads in [0, 2, 3, 8, 8, 8] {
            let built = build(&index, &vectors, threads);
            assert_eq!(reachable(&built), 4_000, "m {m}, {threads} threads");
            check_lists(&built, usize::from(m));
            assert_eq!(built.entries().len(), ENTRY_COUNT);
        }
    }
}

#[test]
fn many_identical_vectors_are_reachable() {
    let mut vectors = vec![vec![0.3; 8]; 12_000];
    vectors.extend(uniform(1_000, 8, 1));
    let index = index(&options(Metric::L2, 8, 16, 64), &vectors);
    for threads in [0, 4] {
        let built = build(&index, &vectors, threads);
        assert_eq!(reachable(&built), 13_000);
        assert!(
            built.repaired() < 2_000,
            "{} of 12,000 twins were lost",
            built.repaired()
        );
        check_lists(&built, 16);
        let queries = uniform(50, 8, 2);
        let found = recall(&built, &index, &vectors, &queries, 100);
        // A walk among 12,000 twins has few ways to the others.
        assert!(found > 0.8, "{threads} threads: recall {found}");
    }
}

#[test]
fn few_rows_or_none() {
    for rows in [0, 1, 2, 3, 17, 40] {
        let vectors = uniform(rows, 4, 1);
        let index = index(&options(Metric::L2, 4, 2, 4), &vectors);
        for threads in [0, 4] {
            let built = build(&index, &vectors, threads);
            assert_eq!(reachable(&built), rows);
            assert_eq!(built.entries().len(), rows.min(ENTRY_COUNT));
            check_lists(&built, 2);
        }
    }
}

#[test]
fn zero_vectors_stay_out_of_a_cosine_graph() {
    let mut vectors = uniform(500, 4, 1);
    (0..500).step_by(7).for_each(|row| vectors[row].fill(0.0));
    let zeros = (0..500usize).step_by(7).count();
    let index = index(&options(Metric::Cosine, 4, 8, 32), &vectors);
    let built = build(&index, &vectors, 2);
    assert_eq!(reachable(&built), 500 - zeros);
    check_lists(&built, 8);
    assert!(
        built
            .entries()
            .iter()
            .all(|entry| built.elements.row(entry.id).ranked)
    );
    let nothing = vec![vec![0.0; 4]; 20];
    assert_eq!(reachable(&build(&index, &nothing, 2)), 0);
}

#[test]
fn an_interruption_at_any_step_ends_the_build() {
    let vectors = clustered(600, 24, 1);
    let index = index(&options(Metric::L2, 24, 8, 32), &vectors);
    for threads in [0, 2] {
        for steps in [0, 1, 2, 3, 5, 8, 21, 55, 144, 377, 610] {
            let supervisor = InterruptAfter(Cell::new(steps));
            match build_with(&index, &vectors, threads, &supervisor) {
                Err(error) => assert!(matches!(error, IndexError::Interrupted(_)), "{error}"),
                // With threads the caller looks up only now and then, and may have had no cause to so often.
                Ok(built) => {
                    assert!(threads > 0 && steps > 0);
                    assert_eq!(reachable(&built), 600);
                }
            }
        }
    }
}
