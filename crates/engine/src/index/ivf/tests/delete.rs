//! Rows that are taken out.

use super::db::Db;
use super::fixture::{Kind, Random};
use crate::index::Metric;
use crate::index::ivf::scan::ScanOptions;
use crate::index::storage::PageRead;

#[test]
fn exactly_the_dead_rows_are_taken_out() {
    for (refine, keys) in [(false, false), (false, true), (true, false), (true, true)] {
        for lists in [0, 40] {
            let mut vectors = Random(31).clustered(3_000, 64, 20);
            for row in (0..3_000).step_by(50) {
                vectors[row].fill(0.0);
            }
            let kind = Kind {
                refine,
                keys,
                lists,
                ..Kind::new(Metric::Cosine, 64)
            };
            let mut db = Db::build(kind, vectors, 2_500);
            db.insert_all(2_500..3_000);
            let mut random = Random(32);
            let mut left = 3_000;
            for share in [2, 3, 10, 1] {
                let dead: Vec<usize> = db
                    .table
                    .live_rows()
                    .into_iter()
                    .filter(|_| random.below(share) == 0)
                    .collect();
                left -= dead.len();
                let count = dead.len() as u64;
                db.delete(dead);
                let stats = db.bulk_delete().unwrap();
                assert_eq!((stats.rows_removed, stats.rows_remaining), (count, left as u64));
                db.assert_exact();
                let query = db.table.vectors[1].clone();
                let hits = db.search(&query, ScanOptions::default(), 10);
                assert_eq!(hits.len(), left.min(10));
                assert_eq!(db.bulk_delete().unwrap().rows_removed, 0);
            }
            assert_eq!(left, 0);
        }
    }
}

#[test]
fn longer_codes_stay_with_their_rows() {
    let vectors = Random(33).clustered(4_000, 128, 20);
    let queries = vectors[3_000..3_040].to_vec();
    let kind = Kind {
        refine: true,
        ..Kind::new(Metric::L2, 128)
    };
    let mut db = Db::build(kind, vectors, 3_000);
    let (before, fetched_before) = db.recall(&queries);
    db.delete((0..3_000).filter(|row| row % 2 == 0));
    db.bulk_delete().unwrap();
    // Each code is its row's: verification allows for few that are not.
    let verification = crate::index::ivf::verify::verify(&mut db.storage).unwrap();
    let check = verification
        .checks
        .iter()
        .find(|check| check.name == "refine codes")
        .unwrap();
    assert_eq!(check.detail, "1500 rows");
    let (after, fetched_after) = db.recall(&queries);
    assert!(
        after >= before - 0.02 && fetched_after <= 1.3 * fetched_before,
        "{fetched_before} {fetched_after}"
    );
}

#[test]
fn room_of_deleted_rows_is_used_again() {
    for refine in [false, true] {
        let kind = Kind {
            refine,
            ..Kind::new(Metric::L2, 64)
        };
        let mut db = Db::build(kind, Random(34).clustered(4_000, 64, 20), 4_000);
        // The lists of the build are retired by the first vacuum and come back with the second.
        let mut blocks = 2 * db.storage.blocks().unwrap();
        for _ in 0..4 {
            db.delete(0..4_000);
            let stats = db.vacuum();
            assert_eq!((stats.rows_removed, stats.rows_remaining), (4_000, 0));
            db.assert_exact();
            db.insert_all(0..4_000);
            db.assert_exact();
            let after = db.storage.blocks().unwrap();
            assert!(after <= blocks, "{blocks}, then {after}");
            blocks = after;
        }
    }
}
