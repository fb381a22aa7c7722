//! Scans for the rows whose keys pass a filter.

use super::db::Db;
use super::fixture::{Kind, Random, Running, key_of};
use crate::index::ivf::scan::ScanOptions;
use crate::index::key::{Condition, Filter, Test};
use crate::index::{IndexError, Metric};

fn filter(test: Test) -> Filter {
    Filter::new(vec![Condition { column: 0, test }])
}

fn passing(db: &mut Db, query: Option<&[f32]>, filter: Filter, limit: usize) -> Running {
    let options = ScanOptions::default();
    let mut running = Running::begin(
        &db.index,
        &mut db.storage,
        &db.table,
        query,
        options,
        Some(filter),
    )
    .unwrap();
    running.take(&mut db.storage, limit).unwrap();
    running
}

#[test]
fn all_rows_that_pass_come_and_no_others() {
    for (dims, refine) in [(3, false), (64, false), (64, true), (2000, false)] {
        let count = if dims > 1000 { 600 } else { 4_000 };
        let mut vectors = Random(41).clustered(count, dims, 20);
        vectors[9].fill(0.0);
        vectors[16].fill(0.0);
        let kind = Kind {
            keys: true,
            refine,
            ..Kind::new(Metric::Cosine, dims)
        };
        let mut db = Db::build(kind, vectors, count / 2);
        db.insert_all(count / 2..count);
        let query = db.table.vectors[5].clone();
        for round in 0..2 {
            for test in [
                Test::Range { low: 2, high: 2 },
                Test::Any(vec![1, 5, 6]),
                Test::IsNull,
                Test::IsNotNull,
                Test::Never,
                Test::Range { low: 100, high: 200 },
            ] {
                let filter = filter(test);
                let passes = |row: &usize| filter.matches(kind.keys_of(*row).as_bytes());
                let wanted: Vec<usize> = db.table.live_rows().into_iter().filter(passes).collect();
                for query in [Some(&*query), None] {
                    let running = passing(&mut db, query, filter.clone(), usize::MAX);
                    assert_eq!(running.rows(), wanted, "{filter:?}");
                    assert!(running.rows.fetched <= wanted.len());
                }
            }
            if round == 0 {
                db.delete((0..count).filter(|row| row % 3 == 0));
                db.vacuum();
                db.assert_exact();
            }
        }
    }
}

#[test]
fn the_nearest_rows_that_pass_are_found() {
    let mut vectors = Random(42).clustered(12_040, 64, 60);
    let queries = vectors.split_off(12_000);
    let kind = Kind {
        keys: true,
        ..Kind::new(Metric::L2, 64)
    };
    let mut db = Db::build(kind, vectors, 12_000);
    let filter = filter(Test::Range { low: 4, high: 4 });
    let (mut found, mut wanted) = (0, 0);
    for query in &queries {
        let running = passing(&mut db, Some(query), filter.clone(), 10);
        let mut table = db.table.clone();
        (0..12_000).for_each(|row| table.live[row] = key_of(row) == Some(4));
        let bound = table.nearest(query, 10)[9];
        found += running.hits.iter().filter(|hit| hit.key <= bound).count();
        wanted += 10;
    }
    assert!(found * 100 >= wanted * 95, "{found} of {wanted}");
}

#[test]
fn a_filter_on_an_absent_column_is_refused() {
    let mut db = Db::build(Kind::new(Metric::L2, 8), Random(43).clustered(100, 8, 3), 100);
    let directory = db.backend.directory(&db.index, &mut db.storage).unwrap();
    let mut running = db.begin(None, ScanOptions::default());
    let refused = running
        .scan
        .rescan(&mut db.storage, directory, None, Some(filter(Test::IsNull)));
    assert!(matches!(refused, Err(IndexError::Failed { .. })));
    assert!(!running.take(&mut db.storage, 1).unwrap());
}
