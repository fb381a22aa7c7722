//! What is left after deletions is found, and what was deleted makes room.

use std::collections::BTreeMap;

use super::fixture::{Fixture, Random, Shape, row_of, tid};
use crate::index::Metric;
use crate::index::hnsw::paged::peek_entries;
use crate::index::hnsw::statistics::Statistics;
use crate::index::hnsw::vacuum::{VacuumStats, bulk_delete, cleanup};
use crate::index::storage::{PageRead, PageWrite};

/// The recipe of pgvector's test of recall after vacuum: 10 000 rows of 3 dimensions, m 4, ef_construction 8, and three quarters
/// deleted.
#[test]
fn recall_after_three_quarters_are_deleted() {
    let mut fixture = Fixture::random(Shape::small(3), 10_000, 1);
    fixture.delete(|row| row >= 2_500);
    let stats = fixture.vacuum().unwrap();
    assert_eq!(
        (stats.rows_removed, stats.rows_remaining, stats.slots_freed),
        (7_500, 2_500, 7_500)
    );
    fixture.assert_exact();
    let recall = fixture.recall(20, 40, 100, 7);
    assert!(recall >= 0.97, "recall {recall}");
}

#[test]
fn vacuum_keeps_the_recall_of_a_new_build() {
    let metrics = [Metric::L2, Metric::InnerProduct, Metric::Cosine, Metric::L1];
    for (metric, percent) in metrics.into_iter().zip([20, 50, 75, 90]) {
        let shape = Shape {
            metric,
            dims: 40,
            m: 8,
            ef_construction: 40,
        };
        let mut fixture = Fixture::random(shape, 2_000, 3);
        fixture.delete(|row| row * 7919 % 100 < percent);
        fixture.vacuum().unwrap();
        fixture.assert_exact();
        let mut built = Fixture::build(shape, fixture.rows.clone());
        let (vacuumed, fresh) = (fixture.recall(10, 40, 300, 5), built.recall(10, 40, 300, 5));
        assert!(
            vacuumed >= fresh - 0.025,
            "{metric:?} {percent} %: {vacuumed} against {fresh}"
        );
    }
}

/// pgvector #763 and #335: searches lose recall as rows are updated and vacuumed again and again.
#[test]
fn recall_stays_through_updates_of_all_rows() {
    let shape = Shape {
        metric: Metric::L2,
        dims: 16,
        m: 8,
        ef_construction: 40,
    };
    let mut fixture = Fixture::random(shape, 1_000, 3);
    let mut random = Random(11);
    let mut next = 1_000;
    for _ in 0..3 {
        for part in 0..4 {
            fixture.delete(|row| row % 4 == part && row < next);
            let from = next;
            while fixture.rows.len() < 1_000 {
                fixture.insert(next, random.vector(16)).unwrap();
                next += 1;
            }
            fixture.vacuum().unwrap();
            assert!(fixture.rows.contains_key(&from));
        }
    }
    fixture.assert_exact();
    let mut built = Fixture::build(shape, fixture.rows.clone());
    let (updated, fresh) = (fixture.recall(10, 40, 100, 5), built.recall(10, 40, 100, 5));
    assert!(updated >= fresh - 0.02, "{updated} against {fresh}");
}

#[test]
fn an_index_emptied_by_vacuum_is_filled_again_without_growing() {
    let mut fixture = Fixture::random(Shape::small(8), 2_000, 1);
    let blocks = fixture.storage.blocks().unwrap();
    fixture.delete(|_| true);
    let stats = fixture.vacuum().unwrap();
    assert_eq!((stats.rows_remaining, stats.slots_freed), (0, 2_000));
    assert!(peek_entries(&mut fixture.storage).unwrap().is_empty());
    fixture.assert_exact();
    let counted = Statistics::take(&fixture.index, &mut fixture.storage).unwrap();
    assert_eq!((counted.live, counted.dead, counted.used_records), (0, 0, 0));
    let mut random = Random(5);
    for row in 0..2_000 {
        fixture.insert(row, random.vector(8)).unwrap();
    }
    fixture.vacuum().unwrap();
    fixture.assert_exact();
    let grown = fixture.storage.blocks().unwrap();
    assert!(
        f64::from(grown) <= f64::from(blocks) * 1.05,
        "{blocks} blocks became {grown}"
    );
    let recall = fixture.recall(10, 80, 50, 7);
    assert!(recall >= 0.95, "recall {recall}");
}

/// Lists with room for four keep no way to spare, and half of all elements are above level 0: what is an entry or is named by an upper
/// list only is out of reach once higher elements come, and a group whose members name each other once the one link to it is dropped.
#[test]
fn insertions_after_a_vacuum_cut_nothing_off() {
    let shape = Shape {
        m: 2,
        ef_construction: 16,
        ..Shape::small(8)
    };
    const ROWS: u32 = 96;
    for seed in 1..=60 {
        let mut random = Random(seed);
        let mut fixture = Fixture::random(shape, ROWS, seed);
        let mut next = ROWS;
        for _ in 0..6 {
            fixture.delete(|_| random.below(10) < 3);
            fixture.vacuum().unwrap();
            while fixture.rows.len() < ROWS as usize {
                fixture.insert(next, random.vector(shape.dims)).unwrap();
                next += 1;
            }
            fixture.assert_all_reachable(u64::from(ROWS));
        }
    }
}

#[test]
fn identical_vectors_survive_a_deletion() {
    let mut random = Random(9);
    let mut rows: BTreeMap<u32, Vec<f32>> = (0..1_000).map(|row| (row, vec![0.5; 4])).collect();
    rows.extend((1_000..1_500).map(|row| (row, random.vector(4))));
    let mut fixture = Fixture::build(Shape::small(4), rows);
    fixture.delete(|row| row % 3 != 0);
    fixture.vacuum().unwrap();
    fixture.assert_exact();
}

#[test]
fn every_row_is_shown_once_in_each_pass() {
    let mut fixture = Fixture::random(Shape::small(4), 500, 1);
    fixture.delete(|row| row < 100);
    fixture.vacuum().unwrap();
    for row in 500..550 {
        fixture.insert(row, vec![0.1 * row as f32; 4]).unwrap();
    }
    let mut stats = VacuumStats::default();
    for _ in 0..2 {
        let mut shown = Vec::new();
        let look = |tid| {
            shown.push(row_of(tid));
            false
        };
        bulk_delete(&fixture.index, &mut fixture.storage, look, &mut stats).unwrap();
        shown.sort_unstable();
        assert_eq!(shown, fixture.rows.keys().copied().collect::<Vec<_>>());
    }
    assert_eq!((stats.rows_removed, stats.rows_remaining), (0, 450));
}

#[test]
fn rows_removed_by_several_passes_add_up() {
    let mut fixture = Fixture::random(Shape::small(4), 600, 1);
    let mut stats = VacuumStats::default();
    for limit in [100, 300, 300, 450] {
        fixture.delete(|row| row < limit);
        let rows = &fixture.rows;
        bulk_delete(
            &fixture.index,
            &mut fixture.storage,
            |tid| !rows.contains_key(&row_of(tid)),
            &mut stats,
        )
        .unwrap();
        // Between the passes the index works.
        let check = fixture.verify();
        assert!(check.is_ok(), "{:#?}", check.checks);
        assert!(fixture.recall(10, 400, 10, 3) >= 0.9);
    }
    cleanup(&fixture.index, &mut fixture.storage, &mut stats).unwrap();
    assert_eq!(
        (stats.rows_removed, stats.rows_remaining, stats.slots_freed),
        (450, 150, 450)
    );
    fixture.assert_exact();
}

#[test]
fn nothing_is_written_where_nothing_is_dead() {
    let mut fixture = Fixture::random(Shape::small(8), 1_000, 1);
    let before = fixture.storage.counts();
    let stats = fixture.vacuum().unwrap();
    let after = fixture.storage.counts();
    assert_eq!(
        (before.records, before.updates + 1),
        (after.records, after.updates)
    );
    assert_eq!(
        (
            stats.rows_remaining,
            stats.lists_repaired,
            stats.elements_relinked
        ),
        (1_000, 0, 0)
    );
}

#[test]
fn hints_of_room_that_a_crash_lost_come_back_with_a_vacuum() {
    let mut fixture = Fixture::random(Shape::small(8), 1_000, 1);
    fixture.delete(|row| row >= 400);
    fixture.vacuum().unwrap();
    fixture.storage.recover();
    let node = crate::index::page::PageKind::Node;
    assert_eq!(fixture.storage.find_room(node, 1).unwrap(), None);
    fixture.vacuum().unwrap();
    assert!(fixture.storage.find_room(node, 1).unwrap().is_some());
}

#[test]
fn unranked_rows_are_removed_too() {
    let shape = Shape {
        metric: Metric::Cosine,
        ..Shape::small(4)
    };
    let mut random = Random(2);
    let vector = |row: u32| {
        if row.is_multiple_of(5) {
            vec![0.0; 4]
        } else {
            random.vector(4)
        }
    };
    let rows: BTreeMap<u32, Vec<f32>> = (0..300).zip((0..300).map(vector)).collect();
    let mut fixture = Fixture::build(shape, rows);
    fixture.delete(|row| row % 2 == 0);
    let stats = fixture.vacuum().unwrap();
    assert_eq!((stats.rows_remaining, stats.slots_freed), (150, 150));
    fixture.assert_exact();
    let counted = Statistics::take(&fixture.index, &mut fixture.storage).unwrap();
    assert_eq!((counted.live, counted.unranked, counted.dead), (120, 30, 0));
    assert!(counted.mean_degree() > 2.0 && counted.dead_share() == 0.0 && counted.bytes_per_row() > 50.0);
    assert_eq!(counted.levels.iter().sum::<u64>(), 120);
}

/// pgvector #975 and #1025: vacuum sets back the page at which insertions begin to look for room, and each of them reads on from
/// there. Here the index does not grow, and an insertion looks at few pages.
#[test]
fn pgvector_1025_room_is_found_at_once_and_reused() {
    let mut fixture = Fixture::random(Shape::small(4), 300, 1);
    let mut random = Random(8);
    let blocks = fixture.storage.blocks().unwrap();
    let mut next = 300;
    for round in 0..1_000 {
        let oldest: Vec<u32> = fixture.rows.keys().copied().take(10).collect();
        fixture.delete(|row| oldest.contains(&row));
        let stats = fixture.vacuum().unwrap();
        assert_eq!(stats.slots_freed, 10, "round {round}");
        for _ in 0..10 {
            fixture.insert(next, random.vector(4)).unwrap();
            next += 1;
        }
    }
    let grown = fixture.storage.blocks().unwrap();
    assert!(grown <= blocks + 1, "{blocks} blocks became {grown}");
    fixture.vacuum().unwrap();
    fixture.assert_exact();
    let before = fixture.storage.counts();
    fixture.insert(next, random.vector(4)).unwrap();
    let after = fixture.storage.counts();
    assert!(after.updates - before.updates <= 30, "{before:?} {after:?}");
    assert_eq!(fixture.storage.blocks().unwrap(), grown);
    assert_eq!(tid(1_234), tid(row_of(tid(1_234))));
}
