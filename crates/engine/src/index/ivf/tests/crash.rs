//! Crashes between any two log records.

use super::db::Db;
use super::fixture::{Backend, Kind, Random};
use crate::index::ivf::scan::ScanOptions;
use crate::index::storage::MemoryStorage;
use crate::index::{IndexError, Metric};

/// After a crash, without a vacuum: every row is there once, and rows can be added. A cleanup heals the index.
fn assert_sound(db: &mut Db, new: std::ops::Range<usize>) {
    db.storage.recover();
    db.backend = Backend::default();
    let query = db.table.vectors[3].clone();
    db.assert_complete(Some(&query), ScanOptions::default());
    db.assert_complete(None, ScanOptions::default());
    db.assert_clean();
    db.insert_all(new);
    db.assert_complete(Some(&query), ScanOptions::default());
    db.vacuum();
    db.assert_exact();
    db.vacuum();
    let statistics = db.statistics();
    assert_eq!(statistics.retired_pages, 0, "{statistics:?}");
    db.assert_exact();
}

/// Runs `work` with a crash before each of its records, or some of them. Returns how many records it has.
fn crash_everywhere(
    db: &Db,
    stride: usize,
    new: std::ops::Range<usize>,
    work: impl Fn(&mut Db) -> Result<(), IndexError>,
) -> u64 {
    for records in (0..).step_by(stride) {
        let mut crashed = db.clone();
        crashed.storage.fail_after(records);
        let outcome = work(&mut crashed);
        let failed = crashed.storage.failed();
        assert!(
            outcome.is_ok() || outcome == Err(MemoryStorage::FAILURE),
            "{outcome:?}"
        );
        assert_eq!(outcome.is_err(), failed);
        assert_sound(&mut crashed, new.clone());
        if !failed {
            return records;
        }
    }
    0
}

fn kinds() -> [Kind; 2] {
    let plain = Kind {
        keys: true,
        ..Kind::new(Metric::L2, 8)
    };
    [
        plain,
        Kind {
            refine: true,
            ..plain
        },
    ]
}

#[test]
fn insertions_that_add_a_page() {
    for kind in kinds() {
        let mut db = Db::build(kind, Random(51).clustered(1_000, 8, 10), 100);
        let full = db.index.layout.rows_per_page();
        db.insert_all(100..full - 1);
        let records = crash_everywhere(&db, 1, 600..620, |db| {
            (full - 1..full + 3).try_for_each(|row| db.insert(row))
        });
        assert!(records >= 6, "{records}");
    }
}

#[test]
fn a_cleanup_that_divides_lists() {
    for kind in kinds() {
        let mut db = Db::build(kind, Random(52).clustered(1_600, 8, 10), 0);
        db.insert_all(0..1_500);
        let stride = if kind.refine { 3 } else { 1 };
        let records = crash_everywhere(&db, stride, 1_500..1_520, |db| db.cleanup().map(drop));
        println!("{records} records");
        assert!(records >= 20, "{records}");
    }
}

#[test]
fn a_vacuum_that_merges_lists() {
    for kind in kinds() {
        let mut db = Db::build(kind, Random(53).clustered(3_000, 8, 10), 2_900);
        db.delete((0..2_900).filter(|row| row % 12 != 0));
        let records = crash_everywhere(&db, 3, 2_900..2_920, |db| {
            db.bulk_delete()?;
            db.cleanup().map(drop)
        });
        println!("{records} records");
        assert!(records >= 20, "{records}");
    }
}

#[test]
fn a_vacuum_with_pages_to_give_back() {
    for kind in kinds() {
        let mut db = Db::build(kind, Random(54).clustered(3_000, 8, 10), 0);
        db.past = 0;
        db.insert_all(0..1_300);
        db.cleanup().unwrap();
        db.insert_all(1_300..2_900);
        db.delete((0..2_900).filter(|row| row % 5 == 0));
        db.past = u64::MAX;
        let records = crash_everywhere(&db, if kind.refine { 11 } else { 3 }, 2_900..2_920, |db| {
            db.bulk_delete()?;
            db.cleanup()?;
            db.cleanup().map(drop)
        });
        println!("{records} records");
        assert!(records >= 40, "{records}");
    }
}

#[test]
fn a_crash_while_an_earlier_one_is_made_good() {
    let kind = kinds()[0];
    let mut db = Db::build(kind, Random(55).clustered(1_600, 8, 10), 0);
    db.insert_all(0..1_500);
    for records in (0..).step_by(5) {
        let mut crashed = db.clone();
        crashed.storage.fail_after(records);
        let done = crashed.cleanup().is_ok();
        crashed.storage.recover();
        crash_everywhere(&crashed, 9, 1_500..1_505, |db| db.cleanup().map(drop));
        if done {
            break;
        }
    }
}

#[test]
fn a_full_disk_leaves_a_sound_index() {
    let mut db = Db::build(kinds()[0], Random(56).clustered(3_000, 8, 10), 500);
    db.storage.set_max_blocks(15);
    let mut refused = 0;
    for row in 500..2_900 {
        match db.insert(row) {
            Ok(()) => {}
            Err(IndexError::Limit { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 10);
    assert!(matches!(db.cleanup(), Err(IndexError::Limit { .. })));
    db.storage.set_max_blocks(u32::MAX);
    assert_sound(&mut db, 2_900..2_920);
}
