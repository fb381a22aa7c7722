//! Work that is broken off.

use super::db::Db;
use super::fixture::{Kind, Random};
use crate::index::ivf::scan::ScanOptions;
use crate::index::ivf::statistics::Statistics;
use crate::index::ivf::verify::verify;
use crate::index::{IndexError, Metric};

fn grown(refine: bool) -> Db {
    let kind = Kind {
        refine,
        ..Kind::new(Metric::L2, 8)
    };
    let mut db = Db::build(kind, Random(61).clustered(2_000, 8, 10), 200);
    db.insert_all(200..1_900);
    db
}

/// Runs `work` with an interrupt at each of its checks, or some of them. Returns how often it was interrupted.
fn interrupt_everywhere(db: &Db, stride: u64, work: impl Fn(&mut Db) -> Result<(), IndexError>) -> u64 {
    for turn in 0.. {
        let mut interrupted = db.clone();
        interrupted.storage.interrupt_after(turn * stride);
        let outcome = work(&mut interrupted);
        // None is left for what follows.
        interrupted.storage.interrupt_after(u64::MAX);
        interrupted.assert_clean();
        interrupted.vacuum();
        interrupted.assert_exact();
        match outcome {
            Ok(()) => return turn,
            Err(error) => assert!(matches!(error, IndexError::Interrupted(_)), "{error}"),
        }
    }
    0
}

#[test]
fn everything_can_be_interrupted() {
    for refine in [false, true] {
        let mut db = grown(refine);
        assert!(interrupt_everywhere(&db, 1, |db| db.insert(1_950)) >= 1);
        assert!(interrupt_everywhere(&db, 7, |db| db.cleanup().map(drop)) >= 3);
        db.delete((0..1_900).filter(|row| row % 4 == 0));
        assert!(interrupt_everywhere(&db, 5, |db| db.bulk_delete().map(drop)) >= 2);
        assert!(interrupt_everywhere(&db, 5, |db| verify(&mut db.storage).map(drop)) >= 2);
        let counted = |db: &mut Db| Statistics::take(&db.index, &mut db.storage).map(drop);
        assert!(interrupt_everywhere(&db, 5, counted) >= 2);
    }
}

#[test]
fn the_clustering_of_a_cleanup_can_be_interrupted() {
    let db = grown(false);
    let mut interrupted = 0;
    for checks in 0..4 {
        let mut db = db.clone();
        let mut storage = core::mem::take(&mut db.storage);
        let outcome = db.cleanup_on(&mut storage, usize::MAX, checks);
        db.storage = storage;
        interrupted += usize::from(matches!(outcome, Err(IndexError::Interrupted(_))));
        db.assert_clean();
        db.vacuum();
        db.assert_exact();
    }
    assert!(interrupted > 0);
}

#[test]
fn an_interrupted_scan_goes_on() {
    for (refine, ranked) in [(false, true), (true, true), (false, false)] {
        let mut db = grown(refine);
        let query = db.table.vectors[4].clone();
        let query = ranked.then_some(&*query);
        let mut whole = db.begin(query, ScanOptions::default());
        whole.take(&mut db.storage, usize::MAX).unwrap();
        // One that is interrupted at every check, or every other, comes no further.
        for checks in [2, 3, 5, 40] {
            let mut running = db.begin(query, ScanOptions::default());
            let mut interrupted = 0;
            loop {
                db.storage.interrupt_after(checks);
                match running.take(&mut db.storage, usize::MAX) {
                    Ok(_) => break,
                    Err(error) => assert!(matches!(error, IndexError::Interrupted(_)), "{error}"),
                }
                interrupted += 1;
                assert!(interrupted < 20_000);
            }
            db.storage.interrupt_after(u64::MAX);
            assert!(interrupted > 2);
            assert_eq!(running.rows(), whole.rows());
        }
    }
}
