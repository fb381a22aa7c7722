//! What others do between the steps of a cleanup.

use super::db::Db;
use super::fixture::{Backend, Kind, Random, Running};
use super::storages::{Call, Shared};
use crate::index::Metric;
use crate::index::ivf::directory::Directory;
use crate::index::ivf::scan::ScanOptions;
use crate::index::storage::MemoryStorage;

fn kind(refine: bool) -> Kind {
    Kind {
        refine,
        keys: true,
        ..Kind::new(Metric::L2, 8)
    }
}

/// Runs a cleanup, and `others` once before its record `at`. Returns whether it has so many records.
fn cleanup_with(db: &mut Db, at: usize, mut others: impl FnMut(&mut MemoryStorage)) -> bool {
    let mut writes = 0;
    let mut shared = Shared {
        inner: core::mem::take(&mut db.storage),
        others: |storage: &mut MemoryStorage, call| {
            if call == Call::Write {
                if writes == at {
                    others(storage);
                }
                writes += 1;
            }
        },
    };
    db.cleanup_on(&mut shared, usize::MAX, u64::MAX).unwrap();
    db.storage = shared.inner;
    writes > at
}

/// Insertions before each record of a cleanup of this index. Returns how many records that are.
fn insert_everywhere(db: &Db, stride: usize, new: std::ops::Range<usize>) -> usize {
    // What an insertion at this moment has kept of the directory may be old or new.
    for kept in [false, true] {
        for at in (0..).step_by(stride) {
            let mut db = db.clone();
            let mut table = db.table.clone();
            table.live[new.clone()].fill(true);
            let mut backend = Backend::default();
            if kept {
                backend.directory(&db.index, &mut db.storage).unwrap();
            }
            let index = db.index.clone();
            db.table = table.clone();
            let query = table.vectors[1].clone();
            let mut inserted = false;
            let went_on = cleanup_with(&mut db, at, |storage| {
                for row in new.clone() {
                    backend.insert(&index, storage, &table, row).unwrap();
                }
                inserted = true;
                let options = ScanOptions::default();
                let mut running =
                    Running::begin(&index, storage, &table, Some(&query), options, None).unwrap();
                running.take(storage, usize::MAX).unwrap();
                assert_eq!(running.rows(), table.live_rows());
            });
            if !went_on {
                assert!(!inserted);
                break;
            }
            db.assert_exact();
            db.cleanup().unwrap();
            db.assert_exact();
            if kept && !went_on {
                return at;
            }
        }
    }
    1
}

#[test]
fn insertions_between_the_steps_of_a_division() {
    for refine in [false, true] {
        let mut db = Db::build(kind(refine), Random(71).clustered(2_000, 8, 10), 0);
        db.insert_all(0..1_500);
        insert_everywhere(&db, if refine { 5 } else { 1 }, 1_500..1_501);
        // So many that lists grow, and copying begins anew.
        insert_everywhere(&db, 7, 1_500..1_900);
    }
}

#[test]
fn insertions_between_the_steps_of_a_merger() {
    for refine in [false, true] {
        let mut db = Db::build(kind(refine), Random(72).clustered(3_000, 8, 10), 2_600);
        db.delete((0..2_600).filter(|row| row % 12 != 0));
        db.bulk_delete().unwrap();
        insert_everywhere(&db, 3, 2_600..2_620);
    }
}

#[test]
fn insertions_at_every_step_of_a_cleanup() {
    let mut db = Db::build(kind(false), Random(73).clustered(4_000, 8, 10), 0);
    db.insert_all(0..1_500);
    let mut table = db.table.clone();
    table.live.fill(true);
    let index = db.index.clone();
    let mut backend = Backend::default();
    let mut next = 1_500;
    let mut shared = Shared {
        inner: core::mem::take(&mut db.storage),
        others: |storage: &mut MemoryStorage, call| {
            if call == Call::Write && next < 4_000 {
                for _ in 0..5 {
                    backend.insert(&index, storage, &table, next).unwrap();
                    next += 1;
                }
            }
        },
    };
    db.table = table.clone();
    db.cleanup_on(&mut shared, usize::MAX, u64::MAX).unwrap();
    db.storage = shared.inner;
    (next..4_000).for_each(|row| db.table.live[row] = false);
    db.assert_exact();
    db.insert_all(next..4_000);
    db.vacuum();
    db.assert_exact();
}

#[test]
fn scans_begun_before_a_replacement_see_all_their_rows() {
    for (refine, recycled) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut db = Db::build(kind(refine), Random(74).clustered(4_000, 8, 10), 0);
        db.insert_all(0..1_500);
        let query = db.table.vectors[1].clone();
        for taken in [0, 5, 700] {
            let mut db = db.clone();
            db.past = if recycled { u64::MAX } else { 0 };
            let mut scans = vec![
                db.begin(Some(&query), ScanOptions::default()),
                db.begin(None, ScanOptions::default()),
            ];
            for scan in &mut scans {
                scan.take(&mut db.storage, taken).unwrap();
            }
            for part in 0..3 {
                db.cleanup().unwrap();
                db.insert_all(1_500 + part * 800..2_300 + part * 800);
            }
            db.vacuum();
            for scan in &mut scans {
                scan.take(&mut db.storage, usize::MAX).unwrap();
                assert_eq!(
                    scan.rows(),
                    scan.rows.table.live_rows(),
                    "{refine} {recycled} {taken}"
                );
            }
            db.assert_exact();
        }
    }
}

#[test]
fn scans_begun_between_the_steps_of_a_replacement_see_all_their_rows() {
    let mut db = Db::build(kind(false), Random(75).clustered(3_000, 8, 10), 0);
    db.insert_all(0..1_500);
    let query = db.table.vectors[1].clone();
    for at in 0.. {
        let mut db = db.clone();
        let (index, table) = (db.index.clone(), db.table.clone());
        let mut begun = Vec::new();
        let went_on = cleanup_with(&mut db, at, |storage| {
            for query in [Some(&*query), None] {
                let options = ScanOptions::default();
                let mut running = Running::begin(&index, storage, &table, query, options, None).unwrap();
                running.take(storage, 5).unwrap();
                begun.push(running);
            }
        });
        if !went_on {
            assert!(at > 20);
            break;
        }
        // Lists are replaced once more, and pages of the first are given to others.
        db.insert_all(1_500..3_000);
        db.vacuum();
        for running in &mut begun {
            running.take(&mut db.storage, usize::MAX).unwrap();
            assert_eq!(running.rows(), table.live_rows(), "{at}");
        }
    }
}

/// A directory of several pages, some lists of which want to be divided.
fn wide() -> Db {
    let kind = Kind {
        lists: 300,
        ..Kind::new(Metric::L2, 8)
    };
    let mut vectors = Random(76).clustered(1_500, 8, 10);
    for row in 1_200..1_500 {
        let like = vectors[row % 3].clone();
        vectors[row] = like.iter().map(|x| x + row as f32 * 1e-4).collect();
    }
    let mut db = Db::build(kind, vectors, 1_200);
    db.insert_all(1_200..1_500);
    db
}

#[test]
fn a_directory_read_during_a_replacement_is_one_of_a_moment() {
    let db = wide();
    let query = db.table.vectors[1].clone();
    // The whole cleanup runs before the n-th read of the directory.
    for at in 0..12 {
        let mut reader = db.clone();
        let mut cleaner = db.clone();
        let mut reads = 0;
        let mut shared = Shared {
            inner: core::mem::take(&mut reader.storage),
            others: |storage: &mut MemoryStorage, _| {
                if reads == at {
                    let stats = cleaner.cleanup_on(storage, usize::MAX, u64::MAX).unwrap();
                    assert!(stats.lists_replaced > 0);
                }
                reads += 1;
            },
        };
        let options = ScanOptions::default();
        let mut running = Running::begin(
            &reader.index,
            &mut shared,
            &reader.table,
            Some(&query),
            options,
            None,
        )
        .unwrap();
        running.take(&mut shared, usize::MAX).unwrap();
        assert_eq!(running.rows(), reader.table.live_rows(), "{at}");
    }
}

#[test]
fn a_directory_read_within_the_steps_of_a_replacement_is_one_of_a_moment() {
    let db = wide();
    let mut cleaned = db.clone();
    let before = cleaned.storage.counts().records;
    cleaned.cleanup().unwrap();
    let records = cleaned.storage.counts().records - before;
    let mut random = Random(77);
    // The cleanup stands still at one record when the reading begins, and at a later one when it goes on.
    for _ in 0..80 {
        let first = random.next() % records;
        let second = first + random.next() % (records - first);
        let at = 1 + random.below(4);
        let mut snapshots = [first, second].map(|records| {
            let mut db = db.clone();
            db.storage.fail_after(records);
            let _ = db.cleanup();
            db.storage
        });
        let [begun, later] = &mut snapshots;
        later.recover();
        begun.recover();
        let mut reads = 0;
        let mut shared = Shared {
            inner: begun.clone(),
            others: |storage: &mut MemoryStorage, _| {
                if reads == at {
                    *storage = later.clone();
                }
                reads += 1;
            },
        };
        let directory = Directory::load(&db.index, &mut shared).unwrap();
        let mut rows = 0;
        for list in directory.lists() {
            rows += super::damage::rows_of(&db.index, later, list.head);
        }
        assert_eq!(rows, 1_500, "{first} {second} {at}");
    }
}

#[test]
fn cleanups_between_the_steps_of_an_insertion() {
    for (refine, pages, cleanups) in [
        (false, 1, 1),
        (false, 6, 1),
        (false, 6, 2),
        (true, 1, 1),
        (true, 6, 2),
    ] {
        let mut db = Db::build(kind(refine), Random(78).clustered(2_000, 8, 10), 0);
        // The last page of the only list is full.
        let row = pages * db.index.layout.rows_per_page();
        db.insert_all(0..row);
        let mut table = db.table.clone();
        table.live[row] = true;
        for at in 0.. {
            let mut db = db.clone();
            let mut cleaner = db.clone();
            cleaner.table = table.clone();
            let mut calls = 0;
            let mut shared = Shared {
                inner: core::mem::take(&mut db.storage),
                others: |storage: &mut MemoryStorage, _| {
                    if calls == at {
                        for _ in 0..cleanups {
                            cleaner.cleanup_on(storage, usize::MAX, u64::MAX).unwrap();
                        }
                    }
                    calls += 1;
                },
            };
            let mut backend = Backend::default();
            backend.insert(&db.index, &mut shared, &table, row).unwrap();
            db.storage = shared.inner;
            if calls <= at {
                assert!(at > 8);
                break;
            }
            db.table.live[row] = true;
            db.assert_exact();
            db.insert_all(row + 1..row + 400);
            db.assert_exact();
            db.vacuum();
            db.assert_exact();
            assert_eq!(db.vacuum().rows_removed, 0);
            db.assert_exact();
        }
    }
}
