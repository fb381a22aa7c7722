//! Insertions and scans of several threads over one storage.

use std::thread;

use super::checks::{check_lists, unreachable};
use super::*;
use crate::index::storage::SharedMemoryStorage;

const THREADS: usize = 4;
const ROWS: usize = 400;

#[test]
fn threads_insert_and_scan_at_once() {
    let mut random = Random(41);
    let vectors = random.clustered(THREADS * ROWS, 16, 8);
    let kind = Kind {
        m: 6,
        ef_construction: 24,
        bits: CodeBits::Eight,
        ..Kind::new(Metric::L2, 16)
    };
    let (index, storage) = empty_index(kind);
    let shared = SharedMemoryStorage::new(storage);
    thread::scope(|scope| {
        for part in 0..THREADS {
            let (index, vectors, mut storage) = (&index, &vectors, shared.clone());
            scope.spawn(move || {
                let mut insertions = Insertions {
                    random: Some(Random(part as u64)),
                    ..Insertions::default()
                };
                for row in (part..vectors.len()).step_by(THREADS) {
                    insertions
                        .insert(index, &mut storage, &vectors[row], row)
                        .unwrap();
                    if row % 40 < THREADS {
                        // What this thread has inserted, it finds.
                        let mut table = Table::new(Metric::L2, vectors, &vectors[row]);
                        let hits = rows(&search(index, &mut storage, &mut table, with_ef(20), usize::MAX));
                        let found = sorted(hits);
                        assert!(found.windows(2).all(|pair| pair[0] < pair[1]), "a row came twice");
                        let own = (part..=row).step_by(THREADS);
                        assert!(own.clone().all(|row| found.binary_search(&row).is_ok()));
                    }
                }
            });
        }
    });
    let mut storage = shared.lock().clone();
    assert_eq!(check_lists(&index, &mut storage).len(), vectors.len());
    let lost = unreachable(&index, &mut storage).len();
    // Of two insertions that change lists at the same moment each may drop a link because of the one that the other drops. That is rare;
    // vacuum links the element again.
    assert!(lost <= 1, "{lost} unreachable");
    let mut found = 0;
    for row in 0..vectors.len() {
        let mut table = Table::new(Metric::L2, &vectors, &vectors[row]);
        found += usize::from(rows(&search(&index, &mut storage, &mut table, with_ef(20), 1)) == [row]);
    }
    println!("{lost} unreachable, {found} of {} found", vectors.len());
    // A window of 20 in lists of 12: how many are found at once depends on the order in which the threads came. Of 400 runs 394 found
    // 1,595 at least, and the worst 1,578; when insertions cut elements off, 144 of 200, and the worst 1,573.
    assert!(found >= vectors.len() * 97 / 100, "{found}");
}
