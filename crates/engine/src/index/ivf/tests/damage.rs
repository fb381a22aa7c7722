//! Damaged pages are found, and nothing runs for ever or panics on them.

use super::db::Db;
use super::fixture::{Kind, Random, Running};
use crate::index::ivf::Index;
use crate::index::ivf::page::{PostingPage, PostingPageMut, init_posting};
use crate::index::ivf::scan::ScanOptions;
use crate::index::ivf::statistics::Statistics;
use crate::index::ivf::verify::verify;
use crate::index::page::{HEADER_BYTES, PAGE_BYTES, PageKind, page_kind};
use crate::index::storage::{MemoryStorage, PageRead};
use crate::index::{IndexError, Metric};

/// The rows on a page and those that follow.
pub fn rows_of(index: &Index, storage: &mut MemoryStorage, head: u32) -> usize {
    let (mut block, mut rows) = (head, 0);
    while block != 0 {
        let page = storage.page(block).unwrap();
        let head = PostingPage::open(page, &index.layout).unwrap().head();
        rows += head.count;
        block = head.next;
    }
    rows
}

fn blocks_of(db: &mut Db, kind: PageKind) -> Vec<u32> {
    let blocks = db.storage.blocks().unwrap();
    (1..blocks)
        .filter(|block| page_kind(db.storage.page(*block).unwrap()).unwrap() == Some(kind))
        .collect()
}

fn failed(db: &mut Db) -> Vec<&'static str> {
    let mut verification = verify(&mut db.storage).unwrap();
    for row in db.table.live_rows() {
        verification.rows.expect(super::fixture::tid_of(row), &[]);
    }
    let check = verification.rows.check();
    verification.checks.push(check);
    let failed = verification.checks.iter().filter(|check| !check.ok);
    failed.map(|check| check.name).collect()
}

fn built(refine: bool) -> Db {
    let kind = Kind {
        refine,
        lists: 6,
        ..Kind::new(Metric::Cosine, 8)
    };
    let mut vectors = Random(81).clustered(2_000, 8, 10);
    vectors[5].fill(0.0);
    let mut db = Db::build(kind, vectors, 1_500);
    db.insert_all(1_500..1_900);
    db
}

#[test]
fn verification_finds_what_is_wrong() {
    for refine in [false, true] {
        let db = built(refine);
        let mut clean = db.clone();
        assert!(failed(&mut clean).is_empty());
        let postings = blocks_of(&mut clean, PageKind::Posting);
        let full: Vec<u32> = postings
            .iter()
            .copied()
            .filter(|block| {
                let page = clean.storage.page(*block).unwrap();
                let head = PostingPage::open(page, &db.index.layout).unwrap().head();
                head.next != 0 && head.count > 0
            })
            .collect();
        for block in 0..clean.storage.blocks().unwrap() {
            let mut db = db.clone();
            db.storage.page_mut(block).unwrap().fill(0);
            let found = failed(&mut db);
            let kind = page_kind(clean.storage.page(block).unwrap()).unwrap().unwrap();
            let reserve = kind == PageKind::Refine;
            assert!(reserve || !found.is_empty(), "zeroed {kind:?} {block}");
        }
        for pair in full.windows(2) {
            let mut db = db.clone();
            let [a, b] = [pair[0], pair[1]].map(|block| *clean.storage.page(block).unwrap());
            *db.storage.page_mut(pair[0]).unwrap() = b;
            *db.storage.page_mut(pair[1]).unwrap() = a;
            assert!(!failed(&mut db).is_empty(), "swapped {pair:?}");
        }
        for block in &full {
            let mut cut = db.clone();
            let page = cut.storage.page_mut(*block).unwrap();
            PostingPageMut::open(page, &db.index.layout)
                .unwrap()
                .set_next(0)
                .unwrap();
            assert!(failed(&mut cut).contains(&"rows of the table"), "cut at {block}");
            let mut circle = db.clone();
            let page = circle.storage.page_mut(*block).unwrap();
            PostingPageMut::open(page, &db.index.layout)
                .unwrap()
                .set_next(*block)
                .unwrap();
            assert!(failed(&mut circle).contains(&"lists"), "circle at {block}");
            let mut other = db.clone();
            init_posting(other.storage.page_mut(*block).unwrap(), 2, 77, &[]).unwrap();
            assert!(failed(&mut other).contains(&"lists"), "another list at {block}");
        }
    }
}

/// Anything but an end without error, or an error that says what is wrong, is a mistake.
fn check<T>(outcome: Result<T, IndexError>) {
    match outcome {
        Err(IndexError::Corrupt { what, .. }) => {
            assert!(
                !what.contains("without saying so") && !what.contains("header was changed"),
                "{what}"
            );
        }
        // So many checks for interrupts come only in a loop without end.
        Err(IndexError::Interrupted(_)) => panic!("it does not end"),
        Err(IndexError::OutOfMemory { bytes, .. }) => panic!("{bytes} bytes"),
        _ => {}
    }
}

fn use_damaged(db: &mut Db) {
    const CHECKS: u64 = 300_000;
    let query = db.table.vectors[1].clone();
    let options = ScanOptions::default();
    for query in [Some(&*query), None] {
        db.storage.interrupt_after(CHECKS);
        let begun = Running::begin(&db.index, &mut db.storage, &db.table, query, options, None);
        if let Ok(mut running) = begun {
            check(running.take(&mut db.storage, 10_000));
            assert!(running.hits.len() <= 2_000);
        } else {
            check(begun.map(drop));
        }
    }
    db.storage.interrupt_after(CHECKS);
    check(verify(&mut db.storage));
    check(Statistics::take(&db.index, &mut db.storage));
    check(Index::open(&mut db.storage).map(drop));
    for row in 1_900..1_904 {
        db.storage.interrupt_after(CHECKS);
        check(insert_once(db, row));
    }
    db.storage.interrupt_after(CHECKS);
    check(db.bulk_delete());
    db.storage.interrupt_after(CHECKS);
    check(db.cleanup());
    check(db.cleanup());
    db.storage.interrupt_after(u64::MAX);
}

/// An insertion that gives up where it finds no place.
fn insert_once(db: &mut Db, row: usize) -> Result<(), IndexError> {
    use super::fixture::tid_of;
    use crate::index::ivf::insert::{Inserter, NewElement, reopen};
    let mut transformed = vec![0.0; db.index.layout.dims];
    let rankable = db
        .index
        .transform(db.table.vectors[row].as_slice(), &mut transformed);
    let keys = db.table.kind.keys_of(row);
    let directory = db.backend.directory(&db.index, &mut db.storage)?;
    let element = NewElement {
        transformed: &transformed,
        rankable,
        tid: tid_of(row),
        keys: keys.as_bytes(),
    };
    Inserter::default().insert(&db.index, &mut db.storage, &directory, &element)?;
    reopen(&db.index, &mut db.storage)
}

#[test]
fn random_bytes_break_nothing_but_the_index() {
    for refine in [false, true] {
        let mut db = built(refine);
        db.delete((0..1_900).filter(|row| row % 9 == 0));
        // Some lists that nobody needs, and pages of others in no use.
        db.past = 0;
        db.cleanup().unwrap();
        db.past = u64::MAX;
        let blocks = db.storage.blocks().unwrap() as usize;
        let mut random = Random(82);
        for case in 0..250 {
            let mut db = db.clone();
            // The first pages have the directory: damage there does most.
            let block = match case % 3 {
                0 => random.below(4),
                _ => random.below(blocks),
            };
            let page = db.storage.page_mut(block as u32).unwrap();
            match random.below(4) {
                0 => page[HEADER_BYTES..].fill_with(|| random.next() as u8),
                1 => {
                    let from = HEADER_BYTES + random.below(64);
                    page[from..from + 16].fill_with(|| random.next() as u8);
                }
                2 => {
                    // Numbers that may be blocks or lists.
                    for _ in 0..20 {
                        let at = HEADER_BYTES + 4 * random.below((PAGE_BYTES - HEADER_BYTES) / 4 - 2);
                        page[at..at + 4].copy_from_slice(&(random.below(blocks) as u32).to_le_bytes());
                    }
                }
                _ => {
                    for _ in 0..30 {
                        let at = HEADER_BYTES + random.below(PAGE_BYTES - HEADER_BYTES);
                        page[at] = random.next() as u8;
                    }
                }
            }
            use_damaged(&mut db);
        }
    }
}
