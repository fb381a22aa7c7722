//! Indexes that grow from nothing, and shrink, and what cleanups make of them.

use super::db::Db;
use super::fixture::{Kind, Random};
use crate::index::Metric;
use crate::index::ivf::scan::ScanOptions;
use crate::index::storage::PageRead;

fn data(count: usize, dims: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let mut vectors = Random(seed).clustered(count + 40, dims, 60);
    let queries = vectors.split_off(count);
    (vectors, queries)
}

/// Cleanups until nothing is left to do. Returns how many that took.
fn settle(db: &mut Db) -> usize {
    for round in 0..6 {
        let stats = db.cleanup().unwrap();
        println!("round {round}: {stats:?} {:?}", db.statistics());
        assert_eq!(stats.lists_left, 0);
        db.assert_exact();
        if stats.lists_replaced == 0 {
            return round;
        }
    }
    panic!("cleanups never come to an end");
}

#[test]
fn an_index_that_grew_is_as_good_as_one_that_was_built() {
    for (metric, refine) in [
        (Metric::L2, false),
        (Metric::Cosine, true),
        (Metric::InnerProduct, false),
    ] {
        let (vectors, queries) = data(10_000, 64, 21);
        let kind = Kind {
            refine,
            ..Kind::new(metric, 64)
        };
        let built = Db::build(kind, vectors.clone(), 10_000).recall(&queries);
        let mut db = Db::build(kind, vectors, 0);
        db.insert_all(0..10_000);
        db.assert_exact();
        assert_eq!(db.statistics().lists, 1);
        let rounds = settle(&mut db);
        assert!(rounds <= 2, "{rounds}");
        let lists = db.statistics().lists;
        assert!((25..=60).contains(&lists), "{lists}");
        let grown = db.recall(&queries);
        println!("{metric:?}: built {built:?}, grown {grown:?}");
        assert!(
            grown.0 >= built.0 - 0.02,
            "{metric:?}: built {built:?}, grown {grown:?}"
        );
    }
}

#[test]
fn an_index_grows_with_a_cleanup_now_and_then() {
    let (vectors, queries) = data(8_000, 64, 22);
    let built = Db::build(Kind::new(Metric::L2, 64), vectors.clone(), 8_000).recall(&queries);
    let mut db = Db::build(Kind::new(Metric::L2, 64), vectors, 0);
    for part in 0..8 {
        db.insert_all(part * 1_000..(part + 1) * 1_000);
        let stats = db.vacuum();
        assert_eq!(stats.rows_remaining, (part as u64 + 1) * 1_000);
        db.assert_exact();
    }
    settle(&mut db);
    let grown = db.recall(&queries);
    assert!(grown.0 >= built.0 - 0.02, "built {built:?}, grown {grown:?}");
}

#[test]
fn a_cleanup_without_time_leaves_a_working_index() {
    let (vectors, queries) = data(6_000, 64, 23);
    let kind = Kind {
        lists: 60,
        ..Kind::new(Metric::L2, 64)
    };
    let mut db = Db::build(kind, vectors, 300);
    db.insert_all(300..6_000);
    let stats = db.cleanup_steps(0).unwrap();
    assert!(stats.lists_left > 0 && stats.lists_replaced == 0, "{stats:?}");
    db.assert_exact();
    let mut left = stats.lists_left;
    for _ in 0..20 {
        let stats = db.cleanup_steps(1).unwrap();
        db.assert_exact();
        left = stats.lists_left;
        if left == 0 {
            break;
        }
    }
    assert_eq!(left, 0);
    settle(&mut db);
    assert!(db.recall(&queries).0 > 0.95);
}

#[test]
fn pages_of_retired_lists_come_back_when_nobody_can_see_them() {
    let (vectors, _) = data(4_000, 64, 24);
    for refine in [false, true] {
        let kind = Kind {
            refine,
            ..Kind::new(Metric::L2, 64)
        };
        let mut db = Db::build(kind, vectors.clone(), 0);
        db.insert_all(0..4_000);
        db.past = 0;
        let stats = db.cleanup().unwrap();
        assert!(stats.lists_made > 5, "{stats:?}");
        let before = db.statistics();
        assert!(
            before.retired_pages > 20 && before.unused_pages == 0,
            "{before:?}"
        );
        db.cleanup().unwrap();
        assert_eq!(db.statistics().retired_pages, before.retired_pages);
        // The number of the transaction that retired them, and the next one.
        db.past = db.transactions;
        db.cleanup().unwrap();
        assert_eq!(db.statistics().retired_pages, before.retired_pages);
        db.past = db.transactions + 1;
        let stats = db.cleanup().unwrap();
        assert!(stats.pages_freed >= before.retired_pages, "{stats:?}");
        assert_eq!(db.statistics().retired_pages, 0);
        db.assert_exact();
    }
}

#[test]
fn the_file_does_not_grow_for_ever() {
    let (vectors, _) = data(12_000, 64, 25);
    for refine in [false, true] {
        let kind = Kind {
            refine,
            ..Kind::new(Metric::Cosine, 64)
        };
        let mut db = Db::build(kind, vectors.clone(), 2_000);
        let first_blocks = db.storage.blocks().unwrap();
        for cycle in 0..12 {
            // A third of the rows leave, as many come.
            let mut live = db.table.live_rows();
            let mut random = Random(cycle);
            for _ in 0..700 {
                let row = live.swap_remove(random.below(live.len()));
                db.delete([row]);
            }
            db.vacuum();
            let first = 2_000 + cycle as usize * 700;
            db.insert_all(first..first + 700);
            db.vacuum();
            db.assert_exact();
            let blocks = db.storage.blocks().unwrap();
            println!("{cycle}: {first_blocks}, {blocks}, {:?}", db.statistics());
            // Rows leave holes, which are closed where they are more than half of a list.
            assert!(
                blocks <= 3 * first_blocks,
                "{cycle}: {first_blocks}, then {blocks}"
            );
        }
    }
}

#[test]
fn an_index_shrinks_to_the_lists_that_suit_it() {
    let (vectors, queries) = data(8_000, 64, 26);
    let mut db = Db::build(Kind::new(Metric::L2, 64), vectors, 8_000);
    db.delete((0..8_000).filter(|row| row % 10 != 0));
    db.vacuum();
    settle(&mut db);
    let statistics = db.statistics();
    assert!(statistics.lists <= 16, "{statistics:?}");
    assert!(db.recall(&queries).0 >= 0.95);
    db.delete(0..8_000);
    db.vacuum();
    db.vacuum();
    let statistics = db.statistics();
    assert_eq!(
        (statistics.lists, statistics.retired_pages, statistics.rows),
        (1, 0, 0)
    );
    let blocks = db.storage.blocks().unwrap();
    db.insert_all(0..7_000);
    db.assert_exact();
    assert!(db.storage.blocks().unwrap() <= blocks + 2);
    assert!(!db.search(&queries[0], ScanOptions::default(), 10).is_empty());
}

#[test]
fn many_lists_need_further_directory_pages() {
    let (vectors, queries) = data(3_000, 8, 27);
    let kind = Kind {
        lists: 400,
        ..Kind::new(Metric::L2, 8)
    };
    let mut db = Db::build(kind, vectors, 0);
    db.insert_all(0..3_000);
    settle(&mut db);
    assert!(db.statistics().lists > 250, "{:?}", db.statistics());
    assert!(db.recall(&queries).0 > 0.9);
    db.delete(0..2_900);
    db.vacuum();
    settle(&mut db);
    db.insert_all(0..2_900);
    settle(&mut db);
}

#[test]
fn lists_that_cannot_be_better_are_left_alone() {
    let mut random = Random(28);
    let mut vectors = random.clustered(6_000, 64, 10);
    for (row, vector) in vectors.iter_mut().enumerate() {
        let far = random.normal() * 1_000.0;
        match row % 40 {
            // Alone.
            0 => vector.iter_mut().for_each(|x| *x = *x * 50.0 + far),
            // All the same.
            1..15 => vector.fill(1.0),
            _ => {}
        }
    }
    let mut db = Db::build(Kind::new(Metric::L2, 64), vectors.clone(), 4_000);
    settle(&mut db);
    db.insert_all(4_000..6_000);
    settle(&mut db);
    let mut db = Db::build(Kind::new(Metric::L2, 64), vectors, 0);
    db.insert_all(0..6_000);
    settle(&mut db);
    db.delete((0..6_000).filter(|row| row % 5 == 0));
    db.vacuum();
    settle(&mut db);
}
