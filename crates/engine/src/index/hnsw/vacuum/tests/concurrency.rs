//! Insertions, vacuums and searches in threads of their own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::fixture::{Fixture, Random, Shape, insert, row_of, search_tids, tid};
use crate::index::hnsw::vacuum::{VacuumStats, bulk_delete, cleanup};
use crate::index::storage::{MemoryStorage, SharedMemoryStorage};

/// Rows below 1000 are there from the beginning, and every other of them is deleted. Each of two threads inserts 300.
#[test]
fn insertions_searches_and_vacuums_at_the_same_time() {
    let mut fixture = Fixture::random(Shape::small(4), 1_000, 1);
    let shared = SharedMemoryStorage::new(std::mem::take(&mut fixture.storage));
    let index = &fixture.index;
    let done = AtomicBool::new(false);
    let is_dead = |tid| row_of(tid) < 1_000 && row_of(tid).is_multiple_of(2);
    let inserted: Vec<(u32, Vec<f32>)> = thread::scope(|scope| {
        let inserters: Vec<_> = [1_000, 2_000]
            .map(|first| {
                let mut storage = shared.clone();
                scope.spawn(move || {
                    let mut random = Random(u64::from(first));
                    let rows = (first..first + 300).map(|row| {
                        let vector = random.vector(4);
                        insert(index, &mut storage, row, &vector, index.level(tid(row))).unwrap();
                        (row, vector)
                    });
                    rows.collect::<Vec<_>>()
                })
            })
            .into();
        let mut storage = shared.clone();
        scope.spawn(|| {
            let mut storage = storage;
            while !done.load(Ordering::Relaxed) {
                let mut stats = VacuumStats::default();
                bulk_delete(index, &mut storage, is_dead, &mut stats).unwrap();
                cleanup(index, &mut storage, &mut stats).unwrap();
            }
        });
        storage = shared.clone();
        let mut random = Random(99);
        while inserters.iter().any(|inserter| !inserter.is_finished()) {
            assert!(!search_tids(index, &mut storage, &random.vector(4), 40).is_empty());
        }
        let rows = inserters
            .into_iter()
            .flat_map(|inserter| inserter.join().unwrap())
            .collect();
        done.store(true, Ordering::Relaxed);
        rows
    });
    fixture.storage = std::mem::replace(&mut *shared.lock(), MemoryStorage::new());
    fixture.rows.retain(|row, _| row % 2 != 0);
    fixture.rows.extend(inserted);
    fixture.assert_clean();
    fixture.vacuum().unwrap();
    fixture.assert_exact();
    let recall = fixture.recall(10, 80, 50, 3);
    assert!(recall >= 0.97, "recall {recall}");
}
